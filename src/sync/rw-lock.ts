/** A lock that many can hold to read, or one to write. */

import { DeadlockError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Giver, SuspendRequest, Suspension, Undo } from "../core/request.ts";
import { runningTask } from "../core/running-task.ts";
import type { Task } from "../core/task.ts";
import type { Guard, LockOptions } from "./mutex.ts";
import { WaiterList, WaitOperation } from "./waiters.ts";

/**
 *     using guard = yield* lock.read();
 *
 * Fair to both sides, as tokio's `RwLock` is: one line for all, first come, first served. A reader that comes while a
 * writer waits goes behind it, so a stream of readers keeps no writer out; readers that stand one behind the other go
 * in together. A task that is cancelled while it waits leaves the line, and those behind it move up.
 *
 * The locks of one task are not merged: a reader that asks to write as well waits for itself, and one that asks to read
 * once more does if a writer came in between.
 */
export class RwLock {
  private readonly line = new WaiterList<EntryOperation>();
  private readonly label: string;
  private readerCount = 0;
  private writer: EntryGuard | null = null;

  constructor(options: LockOptions = {}) {
    this.label = options.name === undefined ? "a read-write lock" : `the read-write lock ${options.name}`;
  }

  /** How many hold the lock to read. */
  get readers(): number {
    return this.readerCount;
  }

  /** Whether one holds the lock to write. */
  get isWriting(): boolean {
    return this.writer !== null;
  }

  /** How many tasks wait for the lock, on either side. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * Locks to read, beside others that do; suspends the task while one writes or a writer is ahead of it in line.
   * @returns the guard that unlocks
   * @throws DeadlockError if the task itself holds the lock to write
   */
  read(): Operation<Guard> {
    return new EntryOperation(this, Entry.READ);
  }

  /**
   * Locks to write, alone; suspends the task while others hold the lock or are ahead of it in line.
   * @returns the guard that unlocks
   * @throws DeadlockError if the task itself holds the lock to write
   */
  write(): Operation<Guard> {
    return new EntryOperation(this, Entry.WRITE);
  }

  /**
   * Locks to read if that needs no wait; for code of the host, too.
   * @returns the guard that unlocks; null if one writes or anyone waits
   */
  tryRead(): Guard | null {
    return this.tryEnter(Entry.READ);
  }

  /**
   * Locks to write if that needs no wait; for code of the host, too.
   * @returns the guard that unlocks; null if anyone holds the lock
   */
  tryWrite(): Guard | null {
    return this.tryEnter(Entry.WRITE);
  }

  /** For operations: locks without waiting, or returns null. */
  tryEnter(entry: Entry): Guard | null {
    if (!this.line.isEmpty || !this.admits(entry)) return null;
    return this.admit(entry, runningTask());
  }

  /** For requests: locks for a task that may come in now. */
  admit(entry: Entry, owner: Task<unknown> | null): EntryGuard {
    const guard = new EntryGuard(this, entry, owner);
    if (entry === Entry.READ) this.readerCount++;
    else this.writer = guard;
    return guard;
  }

  /** For guards: one that held the lock is gone. */
  exit(entry: Entry): void {
    if (entry === Entry.READ) this.readerCount--;
    else this.writer = null;
    this.serve();
  }

  /** For requests: goes to the end of the line; false if it may come in at once. */
  enter(request: EntryOperation): boolean {
    if (this.line.isEmpty && this.admits(request.entry)) return false;
    this.line.push(request);
    return true;
  }

  /** For requests: those behind may now come in. */
  leave(request: EntryOperation): void {
    this.line.remove(request);
    this.serve();
  }

  /** For requests: refuses a task that would wait for itself. */
  refuseWriter(task: Task<unknown>): void {
    if (this.writer?.owner !== task) return;
    throw new DeadlockError(
      `${task.name} locks ${this.label}, which it holds already to write: it would wait for itself for ever`,
    );
  }

  /** For requests: words for what is waited for. */
  describeWait(entry: Entry): string {
    const verb = entry === Entry.READ ? "read" : "write";
    return `${this.label}, to ${verb} (${this.describeHolders()})`;
  }

  /** Lets in, from the front, all that may be in together. */
  private serve(): void {
    for (let next = this.line.first; next !== null && this.admits(next.entry); next = this.line.first) {
      this.line.remove(next);
      next.take();
    }
  }

  private admits(entry: Entry): boolean {
    return this.writer === null && (entry === Entry.READ || this.readerCount === 0);
  }

  private describeHolders(): string {
    if (this.writer === null) return this.readerCount === 1 ? "1 reads" : `${this.readerCount} read`;
    return `${this.writer.owner?.name ?? "code of the host"} writes`;
  }
}

/** What to lock for. */
const enum Entry {
  READ,
  WRITE,
}

class EntryGuard implements Guard {
  private isReleased = false;

  constructor(
    private readonly lock: RwLock,
    private readonly entry: Entry,
    /** The task that locked; null for code of the host. */
    readonly owner: Task<unknown> | null,
  ) {}

  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.lock.exit(this.entry);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Waits to come in. Resumes with the guard. */
class EntryOperation extends WaitOperation<Guard> implements Giver<EntryGuard> {
  constructor(
    private readonly lock: RwLock,
    readonly entry: Entry,
  ) {
    super();
  }

  protected get callName(): string {
    return this.entry === Entry.READ ? "RwLock.read" : "RwLock.write";
  }

  protected attempt(): IteratorResult<SuspendRequest, Guard> | null {
    const guard = this.lock.tryEnter(this.entry);
    return guard === null ? null : { done: true, value: guard };
  }

  describe(): string {
    return this.lock.describeWait(this.entry);
  }

  protected wait(suspension: Suspension): Undo | null {
    this.lock.refuseWriter(suspension.task);
    this.suspension = suspension;
    if (this.lock.enter(this)) return this;
    this.take();
    return null;
  }

  undo(): void {
    this.lock.leave(this);
  }

  /** This may come in now. */
  take(): void {
    const suspension = this.suspension!;
    suspension.handOver(this.lock.admit(this.entry, suspension.task), this);
  }

  /** Part of `Giver`: the task was cancelled before it ran. */
  giveBack(guard: EntryGuard): void {
    guard.release();
  }
}
