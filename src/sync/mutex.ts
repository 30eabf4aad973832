/**
 * A mutual exclusion lock between tasks: while one holds it, the others wait, in the order in which they came.
 *
 * Tasks take turns only where they wait, so plain code between two waits needs no lock. A mutex is for what must not be
 * mixed up *across* waits: a request and its reply on one connection, or a read, a wait and the write that depends on
 * it.
 */

import { DeadlockError } from "../core/errors.ts";
import type { Operation, TaskBody } from "../core/operation.ts";
import type { Giver, SuspendRequest, Suspension, Undo } from "../core/request.ts";
import { runningTask } from "../core/running-task.ts";
import type { Task } from "../core/task.ts";
import { startBody } from "../core/body.ts";
import { WaiterList, WaitOperation } from "./waiters.ts";

/** The right to unlock, and what `using` unlocks with at the end of the block. */
export interface Guard extends Disposable {
  /**
   * Gives the lock to the first that waits for it, or frees it. Only the first call counts, so that an early
   * `release()` goes with `using`. Whoever has the guard may release it: another task, or code of the host.
   */
  release(): void;
}

export interface LockOptions {
  /** What messages call it. */
  readonly name?: string | undefined;
}

/**
 *     using guard = yield* mutex.lock();
 *
 * A fair lock, as trio's `Lock` is: first come, first served, and `release` hands the lock to whoever is next, so that
 * no other can slip in. A task that is cancelled while it waits leaves the line; one that is cancelled when it was
 * handed the lock but has not run yet hands it on.
 *
 * The task that locked counts as the holder until its guard is released, by whomever.
 */
export class Mutex implements Giver<MutexGuard> {
  /** For requests: who waits for the lock. */
  readonly line = new WaiterList<LockOperation>();
  private readonly label: string;
  private holder: MutexGuard | null = null;

  constructor(options: LockOptions = {}) {
    this.label = options.name === undefined ? "a mutex" : `the mutex ${options.name}`;
  }

  get isLocked(): boolean {
    return this.holder !== null;
  }

  /** How many tasks wait for the lock. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Locks; suspends the task while another holds the lock.
   * @returns the guard that unlocks
   * @throws DeadlockError if the task itself holds the lock, and so would wait for ever (the error-checking mutex of
   *   POSIX does the same)
   */
  lock(): Operation<Guard> {
    return new LockOperation(this);
  }

  /**
   * Locks if that needs no wait; for code of the host, too.
   * @returns the guard that unlocks; null if the lock is held, by whomever
   */
  tryLock(): Guard | null {
    if (this.holder !== null) return null;
    return (this.holder = new MutexGuard(this, runningTask()));
  }

  /**
   * Runs the body with the lock, and unlocks however it ends.
   * @returns what the body returned
   * @throws what the body threw; what `lock` throws; TypeError if `body` is neither a generator function nor an
   *   operation
   */
  *with<T>(body: TaskBody<T>): Operation<T> {
    const guard = yield* this.lock();
    try {
      return yield* startBody(body, "Mutex.with");
    } finally {
      guard.release();
    }
  }

  /** For guards: does nothing if it is not this one that holds the lock. */
  releaseFrom(guard: MutexGuard): void {
    if (this.holder === guard) this.passOn();
  }

  /** For requests: the lock is the guard's. */
  give(guard: MutexGuard): void {
    this.holder = guard;
  }

  /** The lock goes from whoever holds it to whoever is next. */
  passOn(): void {
    this.holder = null;
    this.line.shift()?.take();
  }

  /** Part of `Giver`: whoever was handed the lock was cancelled before it ran. */
  giveBack(): void {
    this.passOn();
  }

  /** For requests: refuses a task that would wait for itself. */
  refuseHolder(task: Task<unknown>): void {
    if (this.holder?.owner !== task) return;
    throw new DeadlockError(
      `${task.name} locks ${this.label}, which it holds already: it would wait for itself for ever`,
    );
  }

  /**
   * For conditions: the guard with which the task holds the lock.
   * @throws TypeError if it does not
   */
  guardOf(task: Task<unknown>, caller: string): MutexGuard {
    const { holder } = this;
    // Who passed its guard on and has ended does not hold the lock any more, but whoever has the guard now.
    if (holder !== null && (holder.owner === null || holder.owner === task || holder.owner.hasEnded)) return holder;
    throw new TypeError(
      `${caller}: ${task.name} must hold ${this.label} while it calls this, but ${this.describeHolder()}`,
    );
  }

  /** For requests: words for what is waited for. */
  describeWait(): string {
    return `${this.label} (${this.describeHolder()})`;
  }

  private describeHolder(): string {
    if (this.holder === null) return "nobody holds it";
    const { owner } = this.holder;
    if (owner === null) return "code of the host holds it";
    return owner.hasEnded ? `${owner.name} locked it and has ended` : `${owner.name} holds it`;
  }
}

/** Holds the lock as long as the mutex knows it as its holder. */
export class MutexGuard implements Guard {
  constructor(
    private readonly mutex: Mutex,
    /** The task that locked; null for code of the host. */
    readonly owner: Task<unknown> | null,
  ) {}

  release(): void {
    this.mutex.releaseFrom(this);
  }

  [Symbol.dispose](): void {
    this.mutex.releaseFrom(this);
  }
}

/** Waits for the lock. Resumes with the guard. */
export class LockOperation extends WaitOperation<Guard> {
  declare protected readonly mutex: Mutex;
  /** The guard to lock with: that of a task that had the lock before. */
  declare private readonly guard: MutexGuard | null;

  constructor(mutex: Mutex, guard: MutexGuard | null = null) {
    super();
    this.mutex = mutex;
    this.guard = guard;
  }

  protected get callName(): string {
    return "Mutex.lock";
  }

  protected attempt(): IteratorResult<SuspendRequest, Guard> | null {
    const guard = this.mutex.tryLock();
    return guard === null ? null : { done: true, value: guard };
  }

  describe(): string {
    return this.mutex.describeWait();
  }

  protected wait(suspension: Suspension): Undo | null {
    const { mutex } = this;
    mutex.refuseHolder(suspension.task);
    this.suspension = suspension;
    if (mutex.isLocked) {
      mutex.line.push(this);
      return this;
    }
    this.take();
    return null;
  }

  undo(): void {
    this.mutex.line.remove(this);
  }

  /** The lock is free, and this is next. */
  take(): void {
    const { mutex } = this;
    const suspension = this.suspension!;
    const guard = this.guard ?? new MutexGuard(mutex, suspension.task);
    mutex.give(guard);
    suspension.handOver(guard, mutex);
  }
}
