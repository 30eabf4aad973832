/**
 * Waiting in line: the line, those who wait in it, and the operation that goes to the end of a line only if it cannot
 * have at once what it wants. All that tasks share (locks, permits) is built from these.
 */

import { spendBudget } from "../core/budget.ts";
import { withFrames } from "../core/error-trace.ts";
import { InvalidYieldError, OperationReusedError } from "../core/errors.ts";
import type { Operation, SingleRequest } from "../core/operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "../core/request.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";

/** A request that waits in a line, in one at a time. It is its own link. */
export abstract class Waiter extends SuspendRequest implements Undo {
  /** Link the line; owned by it. */
  declare ahead: this | null;
  declare behind: this | null;
  /** Who waits. */
  declare protected suspension: Suspension | null;

  /** Written out, and the fields only declared: the engine takes longer for what it adds by itself. */
  constructor() {
    super();
    this.ahead = null;
    this.behind = null;
    this.suspension = null;
  }

  /** Leaves the line. */
  abstract undo(): void;
}

/** Those who wait, first come, first served; each can leave from where it stands, at no more cost than the first. */
export class WaiterList<W extends Waiter> {
  private head: W | null = null;
  private tail: W | null = null;
  private count = 0;

  get length(): number {
    return this.count;
  }

  get isEmpty(): boolean {
    return this.head === null;
  }

  /** Whoever is next; null if nobody waits. */
  get first(): W | null {
    return this.head;
  }

  /** Lets one in at the end. */
  push(waiter: W): void {
    waiter.ahead = this.tail;
    if (this.tail === null) this.head = waiter;
    else this.tail.behind = waiter;
    this.tail = waiter;
    this.count++;
  }

  /** The first, taken out; null if nobody waits. */
  shift(): W | null {
    const waiter = this.head;
    if (waiter !== null) this.remove(waiter);
    return waiter;
  }

  /** Takes one out, which must be in this line. */
  remove(waiter: W): void {
    const { ahead, behind } = waiter;
    if (ahead === null) this.head = behind;
    else ahead.behind = behind;
    if (behind === null) this.tail = ahead;
    else behind.ahead = ahead;
    waiter.ahead = null;
    waiter.behind = null;
    this.count--;
  }
}

/**
 * The leaf operation of all that may have to wait: it first tries, and yields a request only if that is in vain: itself,
 * so that to wait allocates nothing more. One that succeeds at once is no suspend point, but spends budget.
 */
export abstract class WaitOperation<T>
  extends Waiter
  implements Operation<T>, Iterator<SuspendRequest, T, unknown>, SingleRequest
{
  declare private progress: Progress;

  constructor() {
    super();
    this.progress = Progress.UNUSED;
  }

  /** What errors call the operation, such as `Mutex.lock`. */
  protected abstract get callName(): string;

  /** Completes the operation, without waiting; null if it has to wait. */
  protected abstract attempt(): IteratorResult<SuspendRequest, T> | null;

  /** Waits, or completes at once if that has become possible: as `arm` of a request does. */
  protected abstract wait(suspension: Suspension): Undo | null;

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    this.use(Progress.ITERATED);
    return this;
  }

  /** The request itself, to combine with others. The operation counts as used. */
  takeRequest(): SuspendRequest {
    this.use(Progress.WAITING);
    return this;
  }

  next(answer: unknown): IteratorResult<SuspendRequest, T> {
    if (this.progress === Progress.WAITING) return { done: true, value: answer as T };
    if (!spendBudget()) return YIELDED;
    const result = this.attempt();
    if (result !== null) return result;
    this.progress = Progress.WAITING;
    return { done: false, value: this };
  }

  throw(error: unknown): never {
    throw withFrames(error);
  }

  arm(suspension: Suspension): Undo | null {
    if (this.progress !== Progress.WAITING) this.refuseBareYield(suspension);
    return this.wait(suspension);
  }

  private refuseBareYield({ task }: Suspension): never {
    throw new InvalidYieldError(`${task.name} yielded ${this.callName}(…) without a star: write yield*`);
  }

  private use(progress: Progress): void {
    if (this.progress !== Progress.UNUSED) throw new OperationReusedError(this.callName);
    this.progress = progress;
  }
}

const YIELDED: IteratorResult<SuspendRequest, never> = { done: false, value: YIELD_REQUEST };

const enum Progress {
  UNUSED,
  /** It has not had to wait so far, except perhaps for others to have their turn. */
  ITERATED,
  WAITING,
}
