/**
 * A condition variable: tasks wait until another has changed what they share, and look again.
 *
 * A task that waits is in one of two lines: first in the condition's; a notify moves it into that of the mutex. So it
 * is resumed once, when it has the lock again, and not once to be told and a second time to lock.
 */

import { assertInteger } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Giver, Suspension, Undo } from "../core/request.ts";
import { type LockOptions, LockOperation, Mutex, type MutexGuard } from "./mutex.ts";
import { WaiterList } from "./waiters.ts";

/**
 *     using guard = yield* condition.mutex.lock();
 *     yield* condition.waitUntil(() => items.length > 0);
 *
 * Semantics are trio's `Condition` and the textbooks' (Lampson and Redell's Mesa): a notify is a hint, so a task looks
 * again at what it waited for, which `waitUntil` does.
 */
export class Condition {
  private readonly line = new WaiterList<ConditionRequest>();
  private readonly label: string;

  constructor(
    /** The lock that is held around all that the condition is about; by default one of its own. */
    readonly mutex: Mutex = new Mutex(),
    options: LockOptions = {},
  ) {
    this.label = options.name === undefined ? "a condition" : `the condition ${options.name}`;
  }

  /** How many tasks wait to be notified. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Unlocks the mutex, suspends the task until it is notified, and locks again. The task has the lock when this ends,
   * also when it was cancelled: its `finally` blocks run with it, and its guard is the same as before. (Only a clean-up
   * whose grace period ends before the lock is free goes on without it.)
   *
   * To wait no longer than a time, put it into `moveOnAfter` or `timeout`: as the arm of a race it would have a task of
   * its own, which does not hold the mutex.
   * @throws TypeError if the task does not hold the mutex
   */
  *wait(): Operation<void> {
    const request = new ConditionRequest(this, this.mutex);
    try {
      yield request.takeRequest();
    } finally {
      const guard = request.guardToLockAgain();
      if (guard !== null) yield new LockOperation(this.mutex, guard).takeRequest();
    }
  }

  /**
   * Waits, as often as it takes, until the predicate says yes; not at all if it does already.
   * @throws what the predicate throws; TypeError if the task has to wait and does not hold the mutex
   */
  *waitUntil(predicate: () => boolean): Operation<void> {
    while (!predicate()) yield* this.wait();
  }

  /**
   * Wakes the tasks that have waited longest, up to `count` of them; if nobody waits, nothing happens, then or later.
   * They go on when they have the lock. If one is cancelled before that, another that waits is woken instead.
   *
   * The caller need not hold the mutex (as in POSIX; trio insists), so code of the host can notify.
   * @throws RangeError if `count` is no integer from 0
   */
  notify(count = 1): void {
    assertInteger("Condition.notify: count", count, 0, Number.MAX_SAFE_INTEGER);
    for (let left = count; left > 0 && !this.line.isEmpty; left--) this.line.shift()!.notified(true);
  }

  /** Wakes all tasks that wait now. */
  notifyAll(): void {
    while (!this.line.isEmpty) this.line.shift()!.notified(false);
  }

  /** For requests: begins to wait. */
  enter(request: ConditionRequest): void {
    this.line.push(request);
  }

  /** For requests: waits no longer, though it was not notified. */
  leave(request: ConditionRequest): void {
    this.line.remove(request);
  }

  /** For requests: words for what is waited for. */
  describeWait(): string {
    return `a notify of ${this.label}`;
  }
}

/** Waits first to be notified, and then for the lock. */
class ConditionRequest extends LockOperation implements Giver<undefined> {
  /** What the task held the lock with; null before it waits. */
  private ownGuard: MutexGuard | null = null;
  private isNotified = false;
  /** Whether the notify is for one task, whichever it is. */
  private isForAny = false;
  private hasLock = false;

  constructor(
    private readonly condition: Condition,
    mutex: Mutex,
  ) {
    super(mutex);
  }

  override describe(): string {
    return this.isNotified ? super.describe() : this.condition.describeWait();
  }

  protected override wait(suspension: Suspension): Undo {
    const { mutex } = this;
    this.ownGuard = mutex.guardOf(suspension.task, "Condition.wait");
    this.suspension = suspension;
    this.condition.enter(this);
    mutex.passOn();
    return this;
  }

  override undo(): void {
    if (!this.isNotified) return this.condition.leave(this);
    super.undo();
    this.passNotifyOn();
  }

  /** The wait is over once the lock is free. */
  notified(isForAny: boolean): void {
    this.isNotified = true;
    this.isForAny = isForAny;
    if (this.mutex.isLocked) this.mutex.line.push(this);
    else this.take();
  }

  override take(): void {
    this.hasLock = true;
    this.mutex.give(this.ownGuard!);
    this.suspension!.handOver(undefined, this);
  }

  /** Part of `Giver`: the task was cancelled before it ran. */
  giveBack(): void {
    this.hasLock = false;
    this.passNotifyOn();
    this.mutex.passOn();
  }

  /** What the task has to lock with before it goes on; null if it has the lock. */
  guardToLockAgain(): MutexGuard | null {
    return this.hasLock ? null : this.ownGuard;
  }

  private passNotifyOn(): void {
    if (this.isForAny) this.condition.notify();
  }
}
