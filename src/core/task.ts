/**
 * A task: one running generator, its name and state, what it waits for, the children that it spawned, and how it ended.
 */

import { exhaustBudget, refillBudget, spendBudget } from "./budget.ts";
import { notePath } from "./error-trace.ts";
import { CancelledError, ClosedError, describeValue, explainOverflow, invariant, InvalidYieldError } from "./errors.ts";
import type { Region } from "./region.ts";
import { type Giver, SuspendRequest, type Suspension, type Undo } from "./request.ts";
import { setRunningTask } from "./running-task.ts";
import type { Scheduler } from "./scheduler.ts";
import { DrainRequest, Scope, type ScopeOwner } from "./scope.ts";
import type { LocalValue } from "./task-local.ts";
import { ENDED, type Frame, type Step, throwInto, Unwinding } from "./unwinding.ts";

export interface TaskOptions {
  /** What messages call the task; by default the name of its generator function. */
  readonly name?: string | undefined;
}

export interface SpawnOptions extends TaskOptions {
  /** A daemon is not waited for: it is cancelled when all others of its scope have ended. */
  readonly daemon?: boolean | undefined;
  /**
   * The error of a supervised task cancels nobody: it stays with the task, for whoever joins it. If nobody has when the
   * scope ends, it comes out of the scope then, so that it is not lost. Until then the scope keeps the failed task: whom
   * nobody is going to join should catch its errors itself.
   */
  readonly supervised?: boolean | undefined;
}

/**
 * - `ready`: will be resumed, after those before it in the queue
 * - `running`: its code runs at this moment
 * - `suspended`: waits at a suspend point, or for its children to end
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

export class Task<T> implements Suspension, ScopeOwner {
  /** Links the ready queue; owned by it. */
  nextReady: Task<unknown> | null = null;
  /** Link the tasks of a scope; owned by it. */
  older: Task<unknown> | null = null;
  younger: Task<unknown> | null = null;
  /** The values of its `TaskLocal`s; owned by them. */
  locals: LocalValue | null = null;
  /** Since when it waits, or is ready, on the executor's clock, to the precision of the executor's turns. */
  sinceNs: number;

  private phase: Phase = Phase.READY;
  private direction: Direction = Direction.START;
  /** What the next step passes in; after the end, the task's value or its error. */
  private answer: unknown = undefined;
  /** Who gets the answer back if the task is cancelled before it has taken it. */
  private giver: Giver | null = null;
  /** What the task waits for while it is suspended, and how to take that back. */
  private request: SuspendRequest | null = null;
  private undo: Undo | null = null;
  private cancellation: Cancellation | null = null;
  /** The regions that the task is in, the innermost first, linked outward. */
  private region: Region<unknown> | null = null;
  /** What the children are collected in that belong to no region; made for the first of them. */
  private children: Scope | null = null;
  /** What is to be unwound, once the children in it have ended. */
  private due: Region<unknown> | Cancellation | null = null;
  /** Whether a cancel was asked for that may not have been delivered: looked at wherever the task could end. */
  private mayBeCancelled = false;
  private firstJoiner: Joiner | null = null;
  private lastJoiner: Joiner | null = null;

  constructor(
    /** Counts from 1 for each executor. */
    readonly id: number,
    /** A function is asked for its name when a message needs it: to read it costs time and memory. */
    private readonly givenName: string | NamedFunction,
    private iterator: Frame,
    /** Whose child it is. */
    readonly scope: Scope,
    readonly scheduler: Scheduler,
    /** How its scope treats it. */
    private readonly standing: SpawnOptions | null = null,
    /** Where it was spawned, if that is traced. */
    readonly spawnedAt: string | null = null,
  ) {
    this.sinceNs = scheduler.nowNs;
  }

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

  get isDaemon(): boolean {
    return this.standing?.daemon === true;
  }

  get isSupervised(): boolean {
    return this.standing?.supervised === true;
  }

  /** Words for what the task waits for; empty if it does not wait. */
  get waitsFor(): string {
    return this.request === null ? "" : this.request.describe();
  }

  /** The task whose child it is; null for the main task of a run. */
  get parent(): Task<unknown> | null {
    return this.scope.owner?.ownTask ?? null;
  }

  /** Part of `Suspension`. */
  get task(): Task<unknown> {
    return this as Task<unknown>;
  }

  /** Part of `ScopeOwner`. */
  get ownTask(): Task<unknown> {
    return this as Task<unknown>;
  }

  /** Where a task goes that is spawned by this one: the innermost scope that is open, or the task itself. */
  get currentScope(): Scope {
    for (let region = this.region; region !== null; region = region.outer) {
      if (region.scope !== null) return region.scope;
    }
    return (this.children ??= new Scope(this, this.scope.cleanupMs, this.name));
  }

  /** The scopes of the task's children, the innermost first. */
  *scopes(): Generator<Scope, void, unknown> {
    for (let region = this.region; region !== null; region = region.outer) {
      if (region.scope !== null) yield region.scope;
    }
    if (this.children !== null) yield this.children;
  }

  /**
   * Asks the task to end. It ends at its suspend point, or at its next one: its children end first, the youngest first,
   * then its `finally` blocks run, and may suspend in their turn; `catch` does not see it. A task that another has
   * spawned and that has not begun runs to its first suspend point; any other that has not begun never does. Of several
   * cancels the first counts; one of a task that has ended does nothing.
   * @param reason what whoever joins the task is told
   */
  cancel(reason?: unknown): void {
    if (this.hasEnded || this.cancellation !== null) return;
    this.cancellation = new Cancellation(reason);
    this.cancelRequested(true);
  }

  /** Part of `ScopeOwner`: a child failed. */
  cancelBody(reason: unknown): void {
    this.cancel(reason);
  }

  /**
   * The task or one of its regions is to end. If it waits where it can end, it does; else it does at its next wait.
   * @param takesBackHandOver whether what was handed to the task, and it has not taken, goes back: not for a time limit,
   *   before which it came
   */
  cancelRequested(takesBackHandOver: boolean): void {
    this.mayBeCancelled = true;
    if (this.phase === Phase.SUSPENDED) {
      if (!this.request!.isSuspendPoint) return;
      const target = this.deliverable();
      if (target === null) return;
      const { undo } = this;
      // It waits no more before its children hear of it: what they let go of may be what it waited for.
      this.stopWaiting(Direction.NEXT, undefined);
      this.deliverTo(target, undo);
      this.scheduler.enqueue(this.task);
    } else if (this.giver !== null && takesBackHandOver) {
      const target = this.deliverable();
      if (target === null) return;
      this.giveBack();
      this.deliverTo(target, null);
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
    // A task that is to end goes on with what it was resumed with, and ends at its next operation, even one that could
    // complete at once: it would take what others wait for.
    if (this.mayBeCancelled && this.deliverable() !== null) exhaustBudget();
    else refillBudget();
    const outer = setRunningTask(this.task);
    if (this.scheduler.instrument !== null) this.scheduler.instrument.resumed(this.task);
    do {
      this.phase = Phase.RUNNING;
      let result: Step;
      try {
        result = this.proceed();
      } catch (error) {
        this.bodyThrew(error);
        continue;
      }
      if (result.done === true) this.bodyReturned(result.value);
      else this.suspend(result.value);
    } while (this.phase === Phase.RUNNING && this.goesOnAtOnce());
    if (this.scheduler.instrument !== null) this.tellInstrument();
    setRunningTask(outer);
  }

  /**
   * Ends the wait of a clean-up that takes too long, with an error; that for children by cancelling them. What does not
   * wait at this moment is left alone.
   */
  interrupt(makeError: (waitsFor: string) => Error): void {
    if (this.phase !== Phase.SUSPENDED) return;
    const error = makeError(this.waitsFor);
    if (this.request instanceof DrainRequest) return this.request.interrupt(error);
    const { undo } = this;
    this.goOn(Direction.THROW, error);
    this.takeBack(undo);
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

  /** Part of `Region`: the body of the region has suspended for the first time. */
  enter(region: Region<unknown>): void {
    region.outer = this.region;
    this.region = region;
    if (region.isCancelRequested) this.mayBeCancelled = true;
  }

  /** Part of `Region`: regions are left in the reverse order. */
  leave(region: Region<unknown>): void {
    this.region = region.outer;
  }

  /** Tells the joiner when the task has ended. Returns false, with the joiner told, if it has already. */
  addJoiner(joiner: Joiner): boolean {
    if (this.hasEnded) {
      if (this.isSupervised) this.scope.claim(this.task);
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

  /** What the task was cancelled for; undefined if it was not, or for nothing. */
  get cancelReason(): unknown {
    return this.cancellation?.reason;
  }

  /** Whether the task was cancelled and knows it: what it throws from then on is its clean-up's. */
  get isUnwound(): boolean {
    return this.cancellation?.isDelivered === true;
  }

  /** Whether a cancel is being delivered: the task's wait is taken back for it, and for nothing else. */
  get isDue(): boolean {
    return this.due !== null;
  }

  /** What the part of the task that cleans up at this moment was cancelled for. */
  get unwindingReason(): unknown {
    if (this.due !== null) return this.due.reason;
    for (let region = this.region; region !== null; region = region.outer) {
      if (region.isOwnUnwinding) return region.reason;
    }
    return this.cancelReason;
  }

  /** The error that stands for the cancellation of this task. */
  cancelledError(): CancelledError {
    return new CancelledError(this.name, this.cancelReason);
  }

  /** Throws an error that tells what to write, if what the task yielded is no request. */
  refuseUnlessRequest(value: unknown): void {
    if (value instanceof SuspendRequest) return;
    throw new InvalidYieldError(
      `${this.name} yielded ${describeValue(value)}, which is no request: did you forget yield*? ` +
        `(A task waits with yield* before an operation, and for a Promise with yield* promise(…).)`,
    );
  }

  private proceed(): Step {
    if (this.due !== null) return this.deliver(this.due);
    const { answer } = this;
    this.answer = undefined;
    this.giver = null;
    switch (this.direction) {
      case Direction.NEXT:
        return this.iterator.next(answer);
      case Direction.THROW:
        return throwInto(this.iterator, answer);
      case Direction.START:
        if (this.cancellation === null) return this.iterator.next();
        this.deliverTo(this.cancellation, null);
        return this.deliver(this.cancellation);
    }
  }

  /**
   * What a cancel that was asked for may reach: the outermost of the regions that were, or the whole task; null if nothing. What is
   * shielded, and what is cleaning up, is not reached from outside.
   */
  private deliverable(): Region<unknown> | Cancellation | null {
    if (this.due !== null) return null;
    let target: Region<unknown> | null = null;
    for (let region = this.region; region !== null; region = region.outer) {
      if (region.isUnwinding) return target;
      if (region.isCancelRequested) target = region;
      if (region.isShield) return target;
    }
    const { cancellation } = this;
    if (cancellation !== null && !cancellation.isDelivered) return cancellation;
    // Nothing is left to look for at the next waits.
    if (target === null) this.mayBeCancelled = false;
    return target;
  }

  /**
   * From here on the target cleans up, and its waits are its own. The wait that it was in is taken back, and its children
   * are cancelled, the youngest first.
   */
  private deliverTo(target: Region<unknown> | Cancellation, undo: Undo | null): void {
    this.due = target;
    target.markDue();
    this.takeBack(undo);
    for (const scope of this.scopesWithin(target)) scope.cancelChildren(target.reason);
  }

  /** Waits for the children, and then unwinds the target. */
  private deliver(target: Region<unknown> | Cancellation): Step {
    for (const scope of this.scopesWithin(target)) {
      if (!scope.isEmpty) return { done: false, value: new DrainRequest(scope, false) };
    }
    for (const scope of this.scopesWithin(target)) scope.reopen();
    this.due = null;
    this.answer = undefined;
    if (!(target instanceof Cancellation)) return this.iterator.next(undefined);
    const unwinding = new Unwinding(this.iterator, this.task, this.scope.cleanupMs);
    this.iterator = unwinding;
    return unwinding.return();
  }

  /** The scopes of the target and of all that is in it, the innermost first. */
  private scopesWithin(target: Region<unknown> | Cancellation): Scope[] {
    if (this.region === null)
      return this.children === null || !(target instanceof Cancellation) ? NO_SCOPES : [this.children];
    const scopes: Scope[] = [];
    for (let region: Region<unknown> | null = this.region; region !== null; region = region.outer) {
      if (region.scope !== null) scopes.push(region.scope);
      if (region === target) return scopes;
    }
    if (this.children !== null) scopes.push(this.children);
    return scopes;
  }

  /** Takes back what the task waits for. What that throws is an error of the innermost scope, and keeps nobody from going on. */
  takeBack(undo: Undo | null): void {
    try {
      undo?.undo();
    } catch (error) {
      this.currentScope.fail(error);
    }
  }

  /** What was handed over is not taken: the wait counts as never answered. */
  private giveBack(): void {
    const { giver, answer } = this;
    this.giver = null;
    this.answer = undefined;
    this.direction = Direction.NEXT;
    giver!.giveBack(answer);
  }

  private suspend(request: SuspendRequest): void {
    if (!(request instanceof SuspendRequest)) return this.refuseYield(request);
    if (this.mayBeCancelled && request.isSuspendPoint && this.endsHere(null)) return;
    let undo: Undo | null;
    this.phase = Phase.ARMING;
    try {
      undo = request.arm(this);
    } catch (error) {
      return this.prepare(Direction.THROW, error);
    }
    if (this.phase !== Phase.ARMING) return;
    // It may have been cancelled while it armed.
    if (this.mayBeCancelled && request.isSuspendPoint && this.endsHere(undo)) return;
    this.phase = Phase.SUSPENDED;
    this.request = request;
    this.undo = undo;
    this.sinceNs = this.scheduler.nowNs;
  }

  private refuseYield(value: unknown): void {
    try {
      this.refuseUnlessRequest(value);
    } catch (error) {
      this.prepare(Direction.THROW, error);
    }
  }

  /** Whether a cancel that was asked for reaches the task here: then the next thing that it does is to clean up. */
  private endsHere(undo: Undo | null): boolean {
    const target = this.deliverable();
    if (target === null) return false;
    this.deliverTo(target, undo);
    this.prepare(Direction.NEXT, undefined);
    return true;
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
    this.stopWaiting(direction, answer);
    this.scheduler.enqueue(this.task);
  }

  private stopWaiting(direction: Direction, answer: unknown): void {
    if (this.phase === Phase.SUSPENDED) {
      this.request = null;
      this.undo = null;
    } else if (this.phase !== Phase.ARMING) this.refuse("is resumed");
    this.direction = direction;
    this.answer = answer;
    this.phase = Phase.READY;
    this.sinceNs = this.scheduler.nowNs;
  }

  private bodyReturned(value: unknown): void {
    const { children, cancellation } = this;
    if (children !== null && !children.isEmpty) return this.waitForChildren(children, value);
    if (children !== null && children.hasFailed) this.childrenFailed(children);
    else if (cancellation !== null && cancellation.isDelivered) this.end(Phase.CANCELLED, undefined);
    else this.end(Phase.COMPLETED, value);
  }

  private childrenFailed(children: Scope): void {
    const error = children.takeError();
    // One that was made of several came up here.
    notePath(error, this.task);
    this.end(Phase.FAILED, error);
  }

  private bodyThrew(thrown: unknown): void {
    const { children } = this;
    const error = explainOverflow(thrown, this);
    notePath(error, this.task);
    // That what it used was closed under a task that is being cancelled is part of the cancellation.
    if (error instanceof ClosedError && this.isCancelRequested) {
      this.cancellation!.markDue();
      return this.bodyReturned(undefined);
    }
    if (children === null) return this.end(Phase.FAILED, error);
    children.bodyFailed(error);
    this.bodyReturned(undefined);
  }

  /** Whether the task was cancelled and its generator does not know yet. */
  private get isCancelRequested(): boolean {
    return this.cancellation !== null && !this.cancellation.isDelivered;
  }

  /** The body has ended, and the task has when its children have. */
  private waitForChildren(children: Scope, value: unknown): void {
    const isCancelled = this.cancellation?.isDelivered === true;
    if (isCancelled) children.cancelChildren(this.cancelReason);
    this.iterator = new Epilogue(new DrainRequest(children, !isCancelled), value);
    this.prepare(Direction.NEXT, undefined);
  }

  private end(phase: Phase, outcome: unknown): void {
    this.phase = phase;
    this.answer = outcome;
    this.children?.end();
    // Whoever keeps the task, to join it, does not keep what its generator has used.
    this.iterator = NO_FRAME;
    if (phase === Phase.FAILED && this.firstJoiner === null) this.scope.childFailed(this.task, outcome);
    for (let joiner = this.firstJoiner; joiner !== null; joiner = joiner.nextJoiner) joiner.joined(this.task);
    this.firstJoiner = null;
    this.lastJoiner = null;
    this.scope.remove(this.task);
  }

  private tellInstrument(): void {
    const { instrument } = this.scheduler;
    if (this.hasEnded) instrument?.ended(this.task);
    else instrument?.suspended(this.task);
  }

  /** Apart from the checks, which run at each resume: the message would cost more than the resume. */
  private refuse(what: string): never {
    invariant(false, `${this.name} ${what} while it is ${this.state}`);
  }
}

/** The cancel of a whole task. */
class Cancellation {
  /** Whether the task's generator was told. */
  isDelivered = false;

  constructor(readonly reason: unknown) {}

  markDue(): void {
    this.isDelivered = true;
  }
}

/** What a task runs when its body has returned before its children have ended. */
class Epilogue implements Frame {
  private hasWaited = false;

  constructor(
    private readonly drain: DrainRequest,
    private readonly value: unknown,
  ) {}

  next(): Step {
    if (this.hasWaited) return { done: true, value: this.value };
    this.hasWaited = true;
    return { done: false, value: this.drain };
  }

  /** The task was cancelled meanwhile: its children have ended. */
  return(): Step {
    return ENDED;
  }
}

/** The generator of a task that has ended. */
const NO_FRAME: Frame = { next: () => ENDED };

const NO_SCOPES: Scope[] = [];

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
}
