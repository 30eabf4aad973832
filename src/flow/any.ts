/** `any`: the first of several operations that succeeds. */

import type { Operation, TaskBody } from "../core/operation.ts";
import { RequestOperation } from "../core/operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import { scope } from "../core/scope-region.ts";
import type { Joiner, Task } from "../core/task.ts";
import type { ValueOf } from "./arms.ts";
import { assertArms } from "./assert-arms.ts";

/**
 * Runs all arms at once, each in a task of its own, and ends with the value of the first that succeeds. The others are
 * cancelled, and their clean-up is waited for.
 * @returns the value of the first arm that returned one
 * @throws an `AggregateError` of all errors, in the order of the arms, if none succeeds; TypeError if there is no arm, or
 *   one is no operation
 */
export function* any<const A extends readonly TaskBody<unknown>[]>(arms: A): Operation<ValueOf<A[number]>> {
  assertArms("any", arms);
  const value = yield* scope(function* (own) {
    const tasks: Task<unknown>[] = [];
    for (const arm of arms) tasks.push(yield* own.spawn(arm));
    return yield* new RequestOperation("any", new FirstSuccess(tasks));
  });
  return value as ValueOf<A[number]>;
}

/** Waits until one of the tasks has completed, or all have failed. */
class FirstSuccess extends SuspendRequest implements Undo {
  private attempts: Attempt[] = [];
  private suspension: Suspension | null = null;

  constructor(private readonly tasks: readonly Task<unknown>[]) {
    super();
  }

  describe(): string {
    return `success of ${this.tasks.map((task) => task.name).join(" or ")}`;
  }

  /** The tasks have just been spawned: none has ended. */
  arm(suspension: Suspension): Undo {
    this.suspension = suspension;
    this.attempts = this.tasks.map((task) => new Attempt(this, task));
    for (const attempt of this.attempts) attempt.start();
    return this;
  }

  undo(): void {
    for (const attempt of this.attempts) attempt.giveUp();
  }

  ended(task: Task<unknown>): void {
    if (task.state === "completed") {
      this.undo();
      this.suspension!.resume(task.value);
    } else if (this.attempts.every((attempt) => attempt.hasFailed)) {
      const errors = this.attempts.map((attempt) => attempt.error);
      this.suspension!.fail(new AggregateError(errors, `all ${errors.length} operations of any failed`));
    }
  }
}

/** One arm: takes care of its task's error. */
class Attempt implements Joiner {
  nextJoiner: Joiner | null = null;
  previousJoiner: Joiner | null = null;

  constructor(
    private readonly contest: FirstSuccess,
    private readonly task: Task<unknown>,
  ) {}

  get hasFailed(): boolean {
    return this.task.hasEnded && this.task.state !== "completed";
  }

  get error(): unknown {
    return this.task.state === "failed" ? this.task.error : this.task.cancelledError();
  }

  start(): void {
    this.task.addJoiner(this);
  }

  joined(): void {
    this.contest.ended(this.task);
  }

  giveUp(): void {
    if (this.task.hasEnded) return;
    this.task.removeJoiner(this);
    this.task.cancel(LOST);
  }
}

/** What the losers are cancelled for. */
const LOST = "another operation of any succeeded";
