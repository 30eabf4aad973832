/** A counting semaphore: permits that tasks take and bring back, so that only so many do a thing at a time. */

import { assertInteger } from "../core/errors.ts";
import type { Operation, TaskBody } from "../core/operation.ts";
import type { Giver, SuspendRequest, Suspension, Undo } from "../core/request.ts";
import { startBody } from "../core/body.ts";
import type { LockOptions } from "./mutex.ts";
import { WaiterList, WaitOperation } from "./waiters.ts";

/**
 *     const connections = new Semaphore(10);
 *     yield* connections.with(() => fetchPage(url));
 *
 * Fair, as trio's `Semaphore` is: first come, first served. A request for many permits that is first in line is not
 * overtaken by small ones behind it, and so does not starve. Permits belong to no task: whoever brings them back, they
 * are back. It begins with all permits, and as in trio's with a `max_value` there can never be more.
 */
export class Semaphore {
  private readonly line = new WaiterList<AcquireOperation>();
  private readonly label: string;
  private free: number;

  /** @throws RangeError if `permits` is no integer from 1 */
  constructor(
    /** How many permits there are, whether they are available or not. */
    readonly permits: number,
    options: LockOptions = {},
  ) {
    assertInteger("Semaphore: permits", permits, 1, Number.MAX_SAFE_INTEGER);
    this.free = permits;
    this.label = options.name === undefined ? "a semaphore" : `the semaphore ${options.name}`;
  }

  /** How many permits nobody has. They may be kept for the first in line, if it wants more than there are. */
  get available(): number {
    return this.free;
  }

  /** How many tasks wait for permits. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Takes `count` permits, all at once; suspends the task until it is its turn and there are so many.
   * @throws RangeError, from this call itself, if `count` is no integer from 1 to the number of permits that there are
   */
  acquire(count = 1): Operation<void> {
    this.assertCount("acquire", count);
    return new AcquireOperation(this, count);
  }

  /**
   * Takes `count` permits if that needs no wait; for code of the host, too.
   * @returns whether it did; not if others wait, even for more
   * @throws RangeError as `acquire` does
   */
  tryAcquire(count = 1): boolean {
    this.assertCount("tryAcquire", count);
    return this.take(count);
  }

  /**
   * Brings permits back, for the first in line.
   * @throws RangeError if `count` is no integer from 1, or if there would be more permits than in the beginning
   */
  release(count = 1): void {
    this.assertCount("release", count);
    const taken = this.permits - this.free;
    if (count > taken) {
      throw new RangeError(
        `Semaphore.release: ${count} permits are brought back to ${this.label}, but only ${taken} are taken`,
      );
    }
    this.free += count;
    this.serve();
  }

  /**
   * Runs the body with permits, and brings them back however it ends.
   * @returns what the body returned
   * @throws what the body threw; RangeError as `acquire` does; TypeError if `body` is neither a generator function nor
   *   an operation
   */
  *with<T>(body: TaskBody<T>, count = 1): Operation<T> {
    yield* this.acquire(count);
    try {
      return yield* startBody(body, "Semaphore.with");
    } finally {
      this.release(count);
    }
  }

  /** For operations: `tryAcquire` for a count that was looked at. */
  take(count: number): boolean {
    if (count > this.free || !this.line.isEmpty) return false;
    this.free -= count;
    return true;
  }

  /** For requests: goes to the end of the line. */
  enter(request: AcquireOperation): void {
    this.line.push(request);
  }

  /** For requests: those behind may now have what this one could not. */
  leave(request: AcquireOperation): void {
    this.line.remove(request);
    this.serve();
  }

  /** For requests: words for what is waited for. */
  describeWait(count: number): string {
    return `${count === 1 ? "a permit" : `${count} permits`} of ${this.label} (${this.free} of ${this.permits} available)`;
  }

  /** Lets in, from the front, all for whom there are permits. */
  private serve(): void {
    for (let next = this.line.first; next !== null && next.count <= this.free; next = this.line.first) {
      this.line.remove(next);
      this.free -= next.count;
      next.granted();
    }
  }

  private assertCount(call: string, count: number): void {
    assertInteger(`Semaphore.${call}: count`, count, 1, this.permits);
  }
}

const TAKEN: IteratorResult<SuspendRequest, void> = { done: true, value: undefined };

/** Waits for permits. Resumes with nothing. */
class AcquireOperation extends WaitOperation<void> implements Giver<undefined> {
  constructor(
    private readonly semaphore: Semaphore,
    readonly count: number,
  ) {
    super();
  }

  protected get callName(): string {
    return "Semaphore.acquire";
  }

  protected attempt(): IteratorResult<SuspendRequest, void> | null {
    return this.semaphore.take(this.count) ? TAKEN : null;
  }

  describe(): string {
    return this.semaphore.describeWait(this.count);
  }

  protected wait(suspension: Suspension): Undo | null {
    this.suspension = suspension;
    if (this.semaphore.take(this.count)) {
      this.granted();
      return null;
    }
    this.semaphore.enter(this);
    return this;
  }

  undo(): void {
    this.semaphore.leave(this);
  }

  /** The permits are taken. */
  granted(): void {
    this.suspension!.handOver(undefined, this);
  }

  /** Part of `Giver`: the task was cancelled before it ran. */
  giveBack(): void {
    this.semaphore.release(this.count);
  }
}
