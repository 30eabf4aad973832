/** A task: one running generator, its name and state, what it waits for, and how it ended. */

import { refillBudget, spendBudget } from "./budget.ts";
import { CancelledError, ClosedError, combineErrors, describeValue, invariant, InvalidYieldError } from "./errors.ts";
import { type Giver, SuspendRequest, type Suspension, type Undo } from "./request.ts";
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

/**
 * Who waits for the end of a task, and so takes care of its error. The task links those that wait for it; the links are
 * its own.
 */
export interface Joiner {
  nextJoiner: Joiner | null;
  previousJoiner: Joiner | null;
  joined(task: Task<unknown>): void;
}

export class Task<T> implements Suspension {
  /** Links the ready queue; owned by it. */
  nextReady: Task<unknown> | null = null;
  /** Link the tasks of a scope; owned by it. */
  older: Task<unknown> | null = null;
  younger: Task<unknown> | null = null;

  private phase: Phase = Phase.READY;
  private direction: Direction = Direction.START;
  /** What the next step passes in; after the end, the task's value or its error. */
  private answer: unknown = undefined;
  /** What the task waits for while it is suspended, and how to take that back. */
  private request: SuspendRequest | null = null;
  private undo: Undo | null = null;
  private cancellation: Cancellation | null = null;
  /** Who gets the answer back if the task is cancelled before it has taken it. */
  private giver: Giver | null = null;
  private firstJoiner: Joiner | null = null;
  private lastJoiner: Joiner | null = null;

  constructor(
    /** Counts from 1 for each executor. */
    readonly id: number,
    /** A function is asked for its name when a message needs it: to read it costs time and memory. */
    private readonly givenName: string | NamedFunction,
    private iterator: Iterator<SuspendRequest, unknown, unknown>,
    readonly scope: Scope,
    readonly scheduler: Scheduler,
  ) {}

  /** The task's name and number, such as `task reader (#7)`. */
  get name(): string {
    const given = typeof this.givenName === "string" ? this.givenName : this.givenName.name;
    return given === "" ? `task #${this.id}` : `task ${given} (#${this.id})`;
  }

  get state(): TaskState {
    return STATES[this.phase]!;
  }

  get hasEnded(): boolean {
    return this.phase >= Phase.COMPLETED;
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
   * Asks the task to end. It ends at its suspend point, or at its next one: `finally` blocks run, and may suspend in
   * their turn; `catch` does not see it. A task that another has spawned and that has not begun runs to its first
   * suspend point; any other that has not begun never does. Of several cancels the first counts; one of a task that has
   * ended does nothing.
   * @param reason what whoever joins the task is told
   */
  cancel(reason?: unknown): void {
    if (this.hasEnded || this.cancellation !== null) return;
    this.cancellation = { reason, isDelivered: false, undoErrors: [] };
    if (this.giver !== null) this.giveBack();
    else if (this.phase === Phase.SUSPENDED) {
      this.takeBack(this.undo);
      this.goOn(Direction.RETURN, undefined);
    }
  }

  /**
   * The task was started by another, which may have handed over what must be cleaned up: so it runs to its first suspend
   * point even if it is cancelled before (trio has the same rule).
   */
  begin(): void {
    if (this.direction !== Direction.START) this.refuse("begins again");
    this.direction = Direction.NEXT;
  }

  /** Runs the task up to its next suspend point, or to its end. Called by the executor. */
  step(): void {
    if (this.phase !== Phase.READY) this.refuse("is stepped");
    refillBudget();
    do {
      this.phase = Phase.RUNNING;
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
    } while (this.phase === Phase.RUNNING && this.goesOnAtOnce());
  }

  /** Part of `Suspension`: user code resumes tasks with `park`. */
  resume(value: unknown): void {
    if (this.phase === Phase.ARMING) this.prepare(Direction.NEXT, value);
    else this.goOn(Direction.NEXT, value);
  }

  /** Part of `Suspension`. */
  resumeLater(value: unknown): void {
    this.goOn(Direction.NEXT, value);
  }

  /** Part of `Suspension`. */
  handOver<G>(value: G, giver: Giver<G>): void {
    if (this.phase === Phase.ARMING) return this.prepare(Direction.NEXT, value);
    this.goOn(Direction.NEXT, value);
    this.giver = giver as Giver;
  }

  /** Part of `Suspension`. */
  fail(error: unknown): void {
    if (this.phase === Phase.ARMING) this.prepare(Direction.THROW, error);
    else this.goOn(Direction.THROW, error);
  }

  /** Tells the joiner when the task has ended. Returns false, with the joiner told, if it has already. */
  addJoiner(joiner: Joiner): boolean {
    if (this.hasEnded) {
      joiner.joined(this.task);
      return false;
    }
    joiner.previousJoiner = this.lastJoiner;
    if (this.lastJoiner === null) this.firstJoiner = joiner;
    else this.lastJoiner.nextJoiner = joiner;
    this.lastJoiner = joiner;
    return true;
  }

  /** Does not tell the joiner any more. */
  removeJoiner({ previousJoiner, nextJoiner }: Joiner): void {
    if (previousJoiner === null) this.firstJoiner = nextJoiner;
    else previousJoiner.nextJoiner = nextJoiner;
    if (nextJoiner === null) this.lastJoiner = previousJoiner;
    else nextJoiner.previousJoiner = previousJoiner;
  }

  /** What the completed task returned; for whoever started it or joins it. */
  get value(): T {
    if (this.phase !== Phase.COMPLETED) this.refuse("has no value");
    return this.answer as T;
  }

  /** What the failed task threw; for whoever started it or joins it. */
  get error(): unknown {
    if (this.phase !== Phase.FAILED) this.refuse("has no error");
    return this.answer;
  }

  /** The error that stands for the cancellation of this task. */
  cancelledError(): CancelledError {
    return new CancelledError(this.name, this.cancellation?.reason);
  }

  private proceed(): IteratorResult<SuspendRequest, unknown> {
    const { answer } = this;
    this.answer = undefined;
    this.giver = null;
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

  /** What was handed over is not taken: the wait counts as never answered. */
  private giveBack(): void {
    const { giver, answer } = this;
    this.giver = null;
    this.direction = Direction.RETURN;
    this.answer = undefined;
    giver!.giveBack(answer);
  }

  /** From here on the task cleans up, and its suspend points are its own. */
  private deliver(cancellation: Cancellation): IteratorResult<SuspendRequest, unknown> {
    cancellation.isDelivered = true;
    const unwinding = new Unwinding(this.iterator);
    this.iterator = unwinding;
    return unwinding.return();
  }

  /** What an undo throws does not keep the task from cleaning up; it comes out at the end. */
  private takeBack(undo: Undo | null): void {
    try {
      undo?.undo();
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
    let undo: Undo | null;
    this.phase = Phase.ARMING;
    try {
      undo = request.arm(this);
    } catch (error) {
      return this.prepare(Direction.THROW, error);
    }
    if (this.phase !== Phase.ARMING) return;
    if (this.isCancelRequested) {
      // It was cancelled while it armed.
      this.takeBack(undo);
      return this.prepare(Direction.RETURN, undefined);
    }
    this.phase = Phase.SUSPENDED;
    this.request = request;
    this.undo = undo;
  }

  /** A task whose request was answered at once does not wait for its turn again, within its budget. */
  private goesOnAtOnce(): boolean {
    if (spendBudget()) return true;
    this.phase = Phase.READY;
    this.scheduler.enqueue(this.task);
    return false;
  }

  /** Notes how to go on, without leaving the step that runs. */
  private prepare(direction: Direction, answer: unknown): void {
    this.direction = direction;
    this.answer = answer;
    this.phase = Phase.RUNNING;
  }

  private goOn(direction: Direction, answer: unknown): void {
    if (this.phase === Phase.SUSPENDED) {
      this.request = null;
      this.undo = null;
    } else if (this.phase !== Phase.ARMING) this.refuse("is resumed");
    this.direction = direction;
    this.answer = answer;
    this.phase = Phase.READY;
    this.scheduler.enqueue(this.task);
  }

  private endWithValue(value: unknown): void {
    const { cancellation } = this;
    if (cancellation === null || !cancellation.isDelivered) this.end(Phase.COMPLETED, value);
    else if (cancellation.undoErrors.length === 0) this.end(Phase.CANCELLED, undefined);
    else
      this.end(
        Phase.FAILED,
        combineErrors(cancellation.undoErrors, `${this.name} could not take back what it waited for`),
      );
  }

  private endWithError(error: unknown): void {
    const { cancellation } = this;
    // That what it used was closed under a task that is being cancelled is part of the cancellation.
    if (error instanceof ClosedError && this.isCancelRequested) return this.end(Phase.CANCELLED, undefined);
    const errors = [...(cancellation?.undoErrors ?? []), error];
    this.end(Phase.FAILED, combineErrors(errors, `${this.name} failed more than once`));
  }

  private end(phase: Phase, outcome: unknown): void {
    this.phase = phase;
    this.answer = outcome;
    if (phase === Phase.FAILED && this.firstJoiner === null) this.scope.taskFailed(this.task, outcome);
    for (let joiner = this.firstJoiner; joiner !== null; joiner = joiner.nextJoiner) joiner.joined(this.task);
    this.firstJoiner = null;
    this.lastJoiner = null;
    this.scope.remove(this.task);
  }

  /** Apart from the checks, which run at each resume: the message would cost more than the resume. */
  private refuse(what: string): never {
    invariant(false, `${this.name} ${what} while it is ${this.state}`);
  }

  private invalidYield(value: unknown): InvalidYieldError {
    return new InvalidYieldError(
      `${this.name} yielded ${describeValue(value)}, which is no request: did you forget yield*? ` +
        `(A task waits with yield* before an operation, and for a Promise with yield* promise(…).)`,
    );
  }
}

interface Cancellation {
  readonly reason: unknown;
  /** Whether the generator was told. */
  isDelivered: boolean;
  /** What the undo of the wait that was ended threw. */
  readonly undoErrors: unknown[];
}

/** What `Task` needs of a generator function. */
interface NamedFunction {
  readonly name: string;
}

/** Where a task is in its life: in order, the ends last. */
const enum Phase {
  READY,
  RUNNING,
  /** Its request is being armed, and may be answered within that. */
  ARMING,
  SUSPENDED,
  COMPLETED,
  FAILED,
  CANCELLED,
}

/** What each phase is called outside. */
const STATES: readonly TaskState[] = ["ready", "running", "suspended", "suspended", "completed", "failed", "cancelled"];

/** How the next step goes on. */
const enum Direction {
  START,
  NEXT,
  THROW,
  RETURN,
}
