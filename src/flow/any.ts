/** `any`: the first of several operations that succeeds. */

import type { Operation, TaskBody } from "../core/operation.ts";
import { RequestOperation } from "../core/operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import { scope } from "../core/scope-region.ts";
import type { Scope } from "../core/scope.ts";
import type { Joiner, SpawnOptions, Task } from "../core/task.ts";
import type { ValueOf } from "./arms.ts";
import { assertArms } from "./assert-arms.ts";

/**
 * Runs all arms at once, each in a task of its own, and ends with the value of the first that succeeds. The others are
 * cancelled, and their clean-up is waited for.
 * @returns the value of the first arm that returned one
 * @throws an `AggregateError` of all errors, in the order of the arms, if none succeeds; what the clean-up of others
 *   threw; TypeError if there is no arm, or one is no operation
 */
export function* any<const A extends readonly TaskBody<unknown>[]>(arms: A): Operation<ValueOf<A[number]>> {
  assertArms("any", arms);
  const value = yield* scope(function* (own) {
    const first = yield* new RequestOperation("any", new FirstSuccess(own, arms));
    own.cancelChildren(LOST);
    return first;
  });
  return value as ValueOf<A[number]>;
}

/** Starts a task for each arm, and waits until one has completed, or none has. */
class FirstSuccess extends SuspendRequest implements Undo {
  private readonly attempts: Attempt[] = [];
  private suspension: Suspension | null = null;

  constructor(
    private readonly scope: Scope,
    private readonly arms: readonly TaskBody<unknown>[],
  ) {
    super();
  }

  describe(): string {
    return `success of ${this.attempts.map(({ task }) => task.name).join(" or ")}`;
  }

  /**
   * A task that has just been started runs later: none of them ends before all wait. If one cannot be started, the
   * scope cancels the others.
   */
  arm(suspension: Suspension): Undo {
    for (const arm of this.arms) this.attempts.push(new Attempt(this, this.start(arm, suspension)));
    this.suspension = suspension;
    return this;
  }

  /** The youngest first. */
  undo(): void {
    const own = this.suspension?.task;
    this.suspension = null;
    const reason = own?.isDue === true ? own.unwindingReason : LOST;
    for (const { task } of this.attempts.toReversed()) task.cancel(reason);
  }

  ended(task: Task<unknown>): void {
    const { suspension } = this;
    if (suspension === null) this.endedTooLate(task);
    else if (task.state === "completed") {
      this.undo();
      suspension.resume(task.value);
    } else if (this.attempts.every((attempt) => attempt.hasFailed)) {
      const errors = this.attempts.map((attempt) => attempt.error);
      suspension.fail(new AggregateError(errors, `all ${errors.length} operations of any failed`));
    }
  }

  private start(arm: TaskBody<unknown>, { scheduler, task }: Suspension): Task<unknown> {
    return scheduler.startChild(task, this.scope, arm, NO_OPTIONS, null);
  }

  /**
   * That an arm fails does not matter where another has succeeded; that its clean-up does is a defect to be told of.
   */
  private endedTooLate(task: Task<unknown>): void {
    if (task.state === "failed" && task.isUnwound) this.scope.fail(task.error);
  }
}

/** One arm: takes care of its task's error. */
class Attempt implements Joiner {
  nextJoiner: Joiner | null = null;
  previousJoiner: Joiner | null = null;

  constructor(
    private readonly contest: FirstSuccess,
    readonly task: Task<unknown>,
  ) {
    task.addJoiner(this);
  }

  get hasFailed(): boolean {
    return this.task.hasEnded && this.task.state !== "completed";
  }

  get error(): unknown {
    return this.task.state === "failed" ? this.task.error : this.task.cancelledError();
  }

  joined(): void {
    this.contest.ended(this.task);
  }
}

const NO_OPTIONS: SpawnOptions = {};

/** What the losers are cancelled for. */
const LOST = "another operation of any succeeded";
