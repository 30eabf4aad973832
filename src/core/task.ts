/** A task: one running generator, its name and state, what it waits for, and how it ended. */

import { refillBudget, spendBudget } from "./budget.ts";
import { CancelledError, ClosedError, combineErrors, describeValue, invariant, InvalidYieldError } from "./errors.ts";
import { SuspendRequest, type Suspension, type Undo } from "./request.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Scope } from "./scope.ts";
import { Unwinding } from "./unwinding.ts";

export interface TaskOptions {
  /** What messages call the task; by default the name of its generator function. */
  readonly name?: string | undefined;
}

/**
 * - `ready`: will be resumed, after those before it in the queue
 * - `running`: its code runs at this moment
 * - `suspended`: waits at a suspend point
 * - `completed`, `failed`, `cancelled`: has ended
 */
export type TaskState = "ready" | "running" | "suspended" | "completed" | "failed" | "cancelled";

export class Task<T> implements Suspension {
  /** Links the ready queue; owned by it. */
  nextReady: Task<unknown> | null = null;
  /** Link the tasks of a scope; owned by it. */
  older: Task<unknown> | null = null;
  younger: Task<unknown> | null = null;

  private stateNow: TaskState = "ready";
  private direction: Direction = Direction.START;
  /** What the next step passes in; after the end, the task's value or its error. */
  private answer: unknown = undefined;
  private request: SuspendRequest | null = null;
  private undo: Undo | null = null;
  private isArming = false;
  private cancellation: Cancellation | null = null;
  private joiners: Joiner[] | null = null;

  constructor(
    /** Counts from 1 for each executor. */
    readonly id: number,
    private readonly givenName: string,
    private iterator: Iterator<SuspendRequest, unknown, unknown>,
    readonly scope: Scope,
    readonly scheduler: Scheduler,
  ) {}

  /** The task's name and number, such as `task reader (#7)`. */
  get name(): string {
    return this.givenName === "" ? `task #${this.id}` : `task ${this.givenName} (#${this.id})`;
  }

  get state(): TaskState {
    return this.stateNow;
  }

  get hasEnded(): boolean {
    return this.stateNow === "completed" || this.stateNow === "failed" || this.stateNow === "cancelled";
  }

  /** Words for what the task waits for; empty if it does not wait. */
  get waitsFor(): string {
    return this.request === null ? "" : this.request.describe();
  }

  /** Part of `Suspension`. */
  get task(): Task<unknown> {
    return this as Task<unknown>;
  }

  /**
   * Asks the task to end. It ends at its suspend point, or at its next one: `finally` blocks run, and may suspend in their turn;
   * `catch` does not see it. A task that another has spawned and that has not begun runs to its first suspend point; any other that has
   * not begun never does. Of several cancels the first counts; one of a task that has ended does nothing.
   * @param reason what whoever joins the task is told
   */
  cancel(reason?: unknown): void {
    if (this.hasEnded || this.cancellation !== null) return;
    this.cancellation = { reason, isDelivered: false, undoErrors: [] };
    if (this.stateNow !== "suspended" || this.isArming) return;
    this.takeBack();
    this.goOn(Direction.RETURN, undefined);
  }

  /**
   * The task was started by another, which may have handed over what must be cleaned up: so it runs to its first suspend
   * point even if it is cancelled before (trio has the same rule).
   */
  begin(): void {
    invariant(this.direction === Direction.START, `${this.name} has begun already`);
    this.direction = Direction.NEXT;
  }

  /** Runs the task up to its next suspend point, or to its end. Called by the executor. */
  step(): void {
    invariant(this.stateNow === "ready", `${this.name} is stepped while it is ${this.stateNow}`);
    refillBudget();
    do {
      this.stateNow = "running";
      let result: IteratorResult<SuspendRequest, unknown>;
      try {
        result = this.proceed();
      } catch (error) {
        this.endWithError(error);
        return;
      }
      if (result.done === true) {
        this.endWithValue(result.value);
        return;
      }
      this.suspend(result.value);
    } while (this.goesOnAtOnce());
  }

  /** Part of `Suspension`: user code resumes tasks with `park`. */
  resume(value: unknown): void {
    if (this.isArming) this.prepare(Direction.NEXT, value);
    else this.goOn(Direction.NEXT, value);
  }

  /** Part of `Suspension`. */
  resumeLater(value: unknown): void {
    this.goOn(Direction.NEXT, value);
  }

  /** Part of `Suspension`. */
  fail(error: unknown): void {
    if (this.isArming) this.prepare(Direction.THROW, error);
    else this.goOn(Direction.THROW, error);
  }

  /** Tells the joiner when the task has ended; at once if it has. */
  addJoiner(joiner: Joiner): Undo | null {
    if (this.hasEnded) {
      joiner.joined(this.task);
      return null;
    }
    this.joiners ??= [];
    this.joiners.push(joiner);
    return { undo: () => this.removeJoiner(joiner) };
  }

  /** What the completed task returned; for whoever started it or joins it. */
  get value(): T {
    invariant(this.stateNow === "completed", `${this.name} has no value while it is ${this.stateNow}`);
    return this.answer as T;
  }

  /** What the failed task threw; for whoever started it or joins it. */
  get error(): unknown {
    invariant(this.stateNow === "failed", `${this.name} has no error while it is ${this.stateNow}`);
    return this.answer;
  }

  /** The error that stands for the cancellation of this task. */
  cancelledError(): CancelledError {
    return new CancelledError(this.name, this.cancellation?.reason);
  }

  private proceed(): IteratorResult<SuspendRequest, unknown> {
    const { answer } = this;
    this.answer = undefined;
    switch (this.direction) {
      case Direction.NEXT:
        return this.iterator.next(answer);
      case Direction.THROW:
        if (this.iterator.throw === undefined) throw answer;
        return this.iterator.throw(answer);
      case Direction.START:
        return this.cancellation === null ? this.iterator.next() : this.deliver(this.cancellation);
      case Direction.RETURN:
        return this.deliver(this.cancellation!);
    }
  }

  /** From here on the task cleans up, and its suspend points are its own. */
  private deliver(cancellation: Cancellation): IteratorResult<SuspendRequest, unknown> {
    cancellation.isDelivered = true;
    const unwinding = new Unwinding(this.iterator);
    this.iterator = unwinding;
    return unwinding.return();
  }

  /** What an undo throws does not keep the task from cleaning up; it comes out at the end. */
  private takeBack(): void {
    try {
      this.undo?.undo();
    } catch (error) {
      this.cancellation!.undoErrors.push(error);
    }
  }

  /** Whether the task was cancelled and its generator does not know yet. */
  private get isCancelRequested(): boolean {
    return this.cancellation !== null && !this.cancellation.isDelivered;
  }

  private suspend(request: SuspendRequest): void {
    if (!(request instanceof SuspendRequest)) return this.prepare(Direction.THROW, this.invalidYield(request));
    if (this.isCancelRequested && request.isSuspendPoint) return this.prepare(Direction.RETURN, undefined);
    this.stateNow = "suspended";
    this.request = request;
    this.isArming = true;
    try {
      this.undo = request.arm(this);
    } catch (error) {
      this.prepare(Direction.THROW, error);
    }
    this.isArming = false;
    if (this.stateNow === "suspended" && this.isCancelRequested) {
      // It was cancelled while it armed.
      this.takeBack();
      this.prepare(Direction.RETURN, undefined);
    }
  }

  /** A task whose request was answered at once does not wait for its turn again, within its budget. */
  private goesOnAtOnce(): boolean {
    if (this.stateNow !== "running") return false;
    if (spendBudget()) return true;
    this.stateNow = "ready";
    this.scheduler.enqueue(this.task);
    return false;
  }

  /** Notes how to go on, without leaving the step that runs. */
  private prepare(direction: Direction, answer: unknown): void {
    this.direction = direction;
    this.answer = answer;
    this.request = null;
    this.undo = null;
    this.stateNow = "running";
  }

  private goOn(direction: Direction, answer: unknown): void {
    invariant(this.stateNow === "suspended", `${this.name} is resumed while it is ${this.stateNow}`);
    this.prepare(direction, answer);
    this.stateNow = "ready";
    this.scheduler.enqueue(this.task);
  }

  private endWithValue(value: unknown): void {
    const { cancellation } = this;
    if (cancellation === null || !cancellation.isDelivered) this.end("completed", value);
    else if (cancellation.undoErrors.length === 0) this.end("cancelled", undefined);
    else
      this.end("failed", combineErrors(cancellation.undoErrors, `${this.name} could not take back what it waited for`));
  }

  private endWithError(error: unknown): void {
    const { cancellation } = this;
    // That what it used was closed under a task that is being cancelled is part of the cancellation.
    if (error instanceof ClosedError && this.isCancelRequested) return this.end("cancelled", undefined);
    const errors = [...(cancellation?.undoErrors ?? []), error];
    this.end("failed", combineErrors(errors, `${this.name} failed more than once`));
  }

  private end(state: TaskState, outcome: unknown): void {
    this.stateNow = state;
    this.answer = outcome;
    const { joiners } = this;
    this.joiners = null;
    if (state === "failed" && joiners === null) this.scope.taskFailed(this.task, outcome);
    if (joiners !== null) for (const joiner of joiners) joiner.joined(this.task);
    this.scope.remove(this.task);
  }

  private removeJoiner(joiner: Joiner): void {
    const left = this.joiners!.filter((other) => other !== joiner);
    this.joiners = left.length === 0 ? null : left;
  }

  private invalidYield(value: unknown): InvalidYieldError {
    return new InvalidYieldError(
      `${this.name} yielded ${describeValue(value)}, which is no request: did you forget yield*? ` +
        `(A task waits with yield* before an operation, and for a Promise with yield* promise(…).)`,
    );
  }
}

/** Who waits for the end of a task, and so takes care of its error. */
export interface Joiner {
  joined(task: Task<unknown>): void;
}

interface Cancellation {
  readonly reason: unknown;
  /** Whether the generator was told. */
  isDelivered: boolean;
  /** What the undo of the wait that was ended threw. */
  readonly undoErrors: unknown[];
}

/** How the next step goes on. */
const enum Direction {
  START,
  NEXT,
  THROW,
  RETURN,
}
