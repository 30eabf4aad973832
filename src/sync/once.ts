/** Something that is done once, however many tasks want it: a connection that is made when it is first needed. */

import { spendBudget } from "../core/budget.ts";
import { DeadlockError } from "../core/errors.ts";
import type { Operation, TaskBody } from "../core/operation.ts";
import type { Giver, Suspension, Undo } from "../core/request.ts";
import { runningTask } from "../core/running-task.ts";
import type { Task } from "../core/task.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import { startBody } from "../core/body.ts";
import type { LockOptions } from "./mutex.ts";
import { Waiter, WaiterList } from "./waiters.ts";

/**
 *     const database = yield* connection.run(() => connect(url));
 *
 * Go's `sync.Once` with a value, an error and a cancel: the first task that calls `run` does it; the others wait for
 * what it comes to. Each passes what it would do itself, because if the first is cancelled, the next one does it
 * instead. If it fails, all that wait then get the error, and the next `run` begins anew: only a value is kept.
 */
export class Once<T> implements Giver<typeof YOUR_TURN> {
  private readonly line = new WaiterList<OnceRequest<T>>();
  private readonly label: string;
  private stage: Stage = Stage.IDLE;
  private value: T | undefined = undefined;
  /** The task that does it; null if none does, or none has yet come to it. */
  private leader: Task<unknown> | null = null;

  constructor(options: LockOptions = {}) {
    this.label = options.name === undefined ? "a once" : `the once ${options.name}`;
  }

  /** Whether it was done, so that `run` has the value at once. */
  get isDone(): boolean {
    return this.stage === Stage.DONE;
  }

  /** How many tasks wait for the one that does it. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Runs the body, unless that was done before, or waits for the task that does it.
   * @returns what the body returned that ran
   * @throws what the body threw that ran; DeadlockError if it calls this itself, in the same task; TypeError if `body`
   *   is neither a generator function nor an operation
   */
  *run(body: TaskBody<T>): Operation<T> {
    if (!spendBudget()) yield YIELD_REQUEST;
    if (this.stage === Stage.DONE) return this.value as T;
    if (this.stage === Stage.RUNNING) {
      const answer = yield new OnceRequest(this);
      if (answer !== YOUR_TURN) return answer as T;
    }
    return yield* this.lead(body);
  }

  /** For requests: goes to the end of the line. */
  enter(request: OnceRequest<T>, task: Task<unknown>): void {
    if (task === this.leader) {
      throw new DeadlockError(
        `${task.name} runs ${this.label} from within what it runs: it would wait for itself for ever`,
      );
    }
    this.line.push(request);
  }

  /** For requests: waits no longer. */
  leave(request: OnceRequest<T>): void {
    this.line.remove(request);
  }

  /** For requests: words for what is waited for. */
  describeWait(): string {
    return this.leader === null ? this.label : `${this.label}, which ${this.leader.name} runs`;
  }

  /** Part of `Giver`: whoever was to do it was cancelled before it ran. */
  giveBack(): void {
    this.passOn();
  }

  private *lead(body: TaskBody<T>): Operation<T> {
    this.stage = Stage.RUNNING;
    this.leader = runningTask();
    try {
      const value = yield* startBody(body, "Once.run");
      this.succeed(value);
      return value;
    } catch (error) {
      this.fail(error);
      throw error;
    } finally {
      // A cancel is neither of the two.
      if (this.stage === Stage.RUNNING) this.passOn();
    }
  }

  private succeed(value: T): void {
    this.stage = Stage.DONE;
    this.value = value;
    this.leader = null;
    while (!this.line.isEmpty) this.line.shift()!.succeed(value);
  }

  private fail(error: unknown): void {
    this.stage = Stage.IDLE;
    this.leader = null;
    while (!this.line.isEmpty) this.line.shift()!.fail(error);
  }

  /** Whoever is next in line does it now. */
  private passOn(): void {
    this.leader = null;
    if (this.line.isEmpty) this.stage = Stage.IDLE;
    else this.line.shift()!.lead();
  }
}

const enum Stage {
  IDLE,
  /** A task does it, or is about to. */
  RUNNING,
  DONE,
}

/** What a task that waits is told if it is to do it itself. */
const YOUR_TURN = Symbol("your turn");

/** Waits for what it comes to. Resumes with the value, or with `YOUR_TURN`. */
class OnceRequest<T> extends Waiter {
  constructor(private readonly once: Once<T>) {
    super();
  }

  describe(): string {
    return this.once.describeWait();
  }

  arm(suspension: Suspension): Undo {
    this.once.enter(this, suspension.task);
    this.suspension = suspension;
    return this;
  }

  undo(): void {
    this.once.leave(this);
  }

  succeed(value: T): void {
    this.suspension!.resume(value);
  }

  fail(error: unknown): void {
    this.suspension!.fail(error);
  }

  lead(): void {
    this.suspension!.handOver(YOUR_TURN, this.once);
  }
}
