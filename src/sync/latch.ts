/** A latch: something happens once, and all that wait for it go on. */

import type { Operation } from "../core/operation.ts";
import type { SuspendRequest, Suspension, Undo } from "../core/request.ts";
import type { LockOptions } from "./mutex.ts";
import { WaiterList, WaitOperation } from "./waiters.ts";

/**
 * trio's `Event` (which JavaScript has another use for the name of). Once it is set it stays so: who waits from then on
 * goes on at once.
 *
 * There is no reset, for the reason that trio gives: whoever waited would find it unset again if it came to run only
 * after the reset, and could not tell which of several times it was for. For something that happens again and again
 * make a new latch for each time, or take a `Condition` or a `Channel`.
 */
export class Latch {
  /** For requests: who waits. */
  readonly line = new WaiterList<LatchOperation>();
  /** For requests: words for what is waited for. */
  readonly label: string;
  private isSetNow = false;

  constructor(options: LockOptions = {}) {
    this.label = options.name === undefined ? "a latch" : `the latch ${options.name}`;
  }

  get isSet(): boolean {
    return this.isSetNow;
  }

  /** How many tasks wait for the latch. */
  get waiting(): number {
    return this.line.length;
  }

  /** Lets all that wait go on, first come, first served; for code of the host, too. A second call does nothing. */
  set(): void {
    this.isSetNow = true;
    while (!this.line.isEmpty) this.line.shift()!.opened();
  }

  /** Suspends the task until the latch is set; not at all if it is. */
  wait(): Operation<void> {
    return new LatchOperation(this);
  }
}

const OPEN: IteratorResult<SuspendRequest, void> = { done: true, value: undefined };

/** Waits for the latch to be set. Resumes with nothing. */
class LatchOperation extends WaitOperation<void> {
  constructor(private readonly latch: Latch) {
    super();
  }

  protected get callName(): string {
    return "Latch.wait";
  }

  protected attempt(): IteratorResult<SuspendRequest, void> | null {
    return this.latch.isSet ? OPEN : null;
  }

  describe(): string {
    return this.latch.label;
  }

  protected wait(suspension: Suspension): Undo | null {
    this.suspension = suspension;
    if (this.latch.isSet) {
      this.opened();
      return null;
    }
    this.latch.line.push(this);
    return this;
  }

  undo(): void {
    this.latch.line.remove(this);
  }

  opened(): void {
    this.suspension!.resume(undefined);
  }
}
