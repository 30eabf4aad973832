/**
 * A region: a part of a task that can be cancelled, or shielded, without the rest of it. `scope`, `timeout` and `shield`
 * are regions (trio calls its own a cancel scope).
 *
 * Facts. A region stands in the task's chain of generators as one more iterator, between the generator that wrote
 * `yield*` before it and its own body. All that the task is resumed with passes through it.
 *
 * Decision. To cancel a region, the task takes its wait back and is resumed; the region finds that it is to end, and
 * instead of resuming its body it unwinds it. The generators outside of it see nothing but its outcome. A task has a stack of
 * the regions that it is in, and what a cancel reaches is decided there: not what is shielded, and not what is being
 * unwound. A region enters the stack at the first suspension of its body: a body that never suspends costs nothing.
 */

import { OperationReusedError } from "./errors.ts";
import { type BodyWith, openBody, type Operation } from "./operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "./request.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";
import { ENDED, type Frame, noteSuspension, type Step, throwInto, Unwinding } from "./unwinding.ts";

/** How the body of a region has ended. */
export const enum Ending {
  /** It returned. */
  RETURNED,
  /** It threw. */
  FAILED,
  /** The region was cancelled, and the body has cleaned up. */
  CANCELLED,
  /** The region was cancelled, and the clean-up threw. */
  CLEANUP_FAILED,
  /** What is around the region was cancelled. */
  UNWOUND,
}

export abstract class Region<T> implements Operation<T>, Iterator<SuspendRequest, T, unknown> {
  /** The next region outward in the task; owned by the task. */
  outer: Region<unknown> | null = null;
  /** The task, from the first suspension on. */
  protected task: Task<unknown> | null = null;
  /** What the region was cancelled for. */
  reason: unknown = undefined;
  private phase: Phase = Phase.UNUSED;
  private isCancelAsked = false;
  private body: Frame | null = null;
  /** Whether the body is unwound because this very region was cancelled. */
  isOwnUnwinding = false;
  private ending: Ending | null = null;
  /** What the body returned or threw. */
  private result: unknown = undefined;

  constructor(
    /** What errors call the operation. */
    private readonly callName: string,
    private readonly givenBody: BodyWith<never, unknown>,
  ) {}

  /** The scope whose children belong to this region, if it has one. */
  get scope(): Scope | null {
    return null;
  }

  /** Whether cancels from outside are kept from the body. */
  get isShield(): boolean {
    return false;
  }

  /** How long the clean-up may take, in milliseconds: as the innermost scope has it. */
  get cleanupMs(): number {
    return this.scope?.cleanupMs ?? this.outer?.cleanupMs ?? this.task!.scope.cleanupMs;
  }

  /** Whether the body is to be unwound and does not know yet. */
  get isCancelRequested(): boolean {
    return this.isCancelAsked && this.phase <= Phase.INSIDE;
  }

  /** Whether a cancel would do nothing: there was one, or the body is unwound or has ended. */
  protected get isOver(): boolean {
    return this.isCancelAsked || this.phase > Phase.INSIDE || this.ending !== null;
  }

  /** Whether the body is being unwound, for the region's sake or for that of one around it. */
  get isUnwinding(): boolean {
    return this.phase >= Phase.DUE;
  }

  /** What the region comes to, from how its body ended: a value, or an error that is thrown. */
  protected abstract settle(ending: Ending, result: unknown): T;

  /** Called when the region has entered its task's stack. */
  protected entered(_task: Task<unknown>): void {}

  /** Called when the region has left the stack. */
  protected left(): void {}

  /** The body threw. */
  protected bodyFailed(_error: unknown): void {}

  /** What must end before the region can, though its body has: null if nothing. */
  protected waitBeforeEnd(): SuspendRequest | null {
    return null;
  }

  /** What the body is called with. */
  protected argument(): unknown {
    return undefined;
  }

  /** Asks the body to end, at its suspend point or at its next one. */
  protected requestCancel(reason: unknown, takesBackHandOver: boolean): void {
    if (this.isOver) return;
    this.isCancelAsked = true;
    this.reason = reason;
    this.task?.cancelRequested(takesBackHandOver);
  }

  /** The task has taken its wait back, and the next resume is to unwind the body. */
  markDue(): void {
    this.phase = Phase.DUE;
  }

  [Symbol.iterator](): this {
    if (this.phase !== Phase.UNUSED) throw new OperationReusedError(this.callName);
    this.phase = Phase.OUTSIDE;
    this.body = openBody(this.givenBody, this.callName, this.argument()) as Frame;
    return this;
  }

  next(answer: unknown): IteratorResult<SuspendRequest, T> {
    if (this.ending !== null) return this.conclude();
    let step: Step;
    try {
      step = this.phase === Phase.DUE ? this.unwind() : this.body!.next(answer);
    } catch (error) {
      return this.endWithError(error);
    }
    return this.passOut(step);
  }

  throw(error: unknown): IteratorResult<SuspendRequest, T> {
    if (this.phase === Phase.LEFT) throw error;
    if (this.ending !== null) return this.endWithError(error);
    let step: Step;
    try {
      step = throwInto(this.body!, error);
    } catch (ownError) {
      return this.endWithError(ownError);
    }
    return this.passOut(step);
  }

  /**
   * What is around the region is cancelled. Called again when all that was suspended within has ended, and once more by
   * the generator around the region, which does not know that it has ended.
   */
  return(): IteratorResult<SuspendRequest, T> {
    if (this.phase === Phase.LEFT) return ENDED as IteratorResult<SuspendRequest, T>;
    const step = this.returnBody();
    noteSuspension(this as Frame, step);
    return step;
  }

  private returnBody(): IteratorResult<SuspendRequest, T> {
    if (this.phase < Phase.DUE) this.phase = Phase.UNWINDING;
    if (this.ending === null) {
      let step: Step;
      try {
        step = this.body!.return?.() ?? ENDED;
      } catch (error) {
        return this.endWithError(error);
      }
      if (step.done !== true) return step;
      this.ending = Ending.UNWOUND;
    }
    return this.conclude();
  }

  private unwind(): Step {
    this.phase = Phase.UNWINDING;
    const unwinding = new Unwinding(this.body!, this.task!, this.cleanupMs);
    this.body = unwinding;
    this.isOwnUnwinding = true;
    return unwinding.return();
  }

  private passOut(step: Step): IteratorResult<SuspendRequest, T> {
    if (step.done !== true) {
      return this.phase === Phase.OUTSIDE ? { done: false, value: new EnterRequest(this, step.value) } : step;
    }
    this.ending = this.isOwnUnwinding ? Ending.CANCELLED : Ending.RETURNED;
    this.result = step.value;
    return this.conclude();
  }

  private endWithError(error: unknown): IteratorResult<SuspendRequest, T> {
    this.ending = this.isOwnUnwinding ? Ending.CLEANUP_FAILED : Ending.FAILED;
    this.result = error;
    this.bodyFailed(error);
    return this.conclude();
  }

  private conclude(): IteratorResult<SuspendRequest, T> {
    const request = this.waitBeforeEnd();
    if (request !== null) return { done: false, value: request };
    this.leave();
    return { done: true, value: this.settle(this.ending!, this.result) };
  }

  /** Part of `EnterRequest`. */
  enter(task: Task<unknown>): void {
    this.task = task;
    this.phase = Phase.INSIDE;
    task.enter(this);
    this.entered(task);
  }

  private leave(): void {
    this.phase = Phase.LEFT;
    if (this.task === null) return;
    this.task.leave(this);
    this.left();
  }
}

/** The first request of a region's body, with which the region enters its task's stack. */
class EnterRequest extends SuspendRequest {
  private isArmed = false;

  constructor(
    private readonly region: Region<unknown>,
    private readonly first: SuspendRequest,
  ) {
    super();
  }

  /** A shield keeps away a cancel, too, that was asked for before the task came to it. */
  override get isSuspendPoint(): boolean {
    return (this.isArmed || !this.region.isShield) && this.first.isSuspendPoint;
  }

  describe(): string {
    return this.first.describe();
  }

  arm(suspension: Suspension): Undo | null {
    const { task } = suspension;
    task.refuseUnlessRequest(this.first);
    this.region.enter(task);
    this.isArmed = true;
    // A limit that is past ends its body before it waits: the task looks once more when this has returned.
    if (this.region.isCancelRequested && this.first.isSuspendPoint) return null;
    return this.first.arm(suspension);
  }
}

/** Where a region is in its life: in order. */
const enum Phase {
  UNUSED,
  /** Its body may run, but the task does not know of it. */
  OUTSIDE,
  INSIDE,
  /** It is to unwind its body when it is resumed. */
  DUE,
  UNWINDING,
  LEFT,
}
