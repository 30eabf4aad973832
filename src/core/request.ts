/**
 * The requests that a task yields at a suspend point. There are three, and a new feature is an operation over these,
 * not a fourth: interest in a source, a deadline, and `park` for all that JavaScript itself resumes (joins, channels,
 * promises). Besides, a task can ask its executor for something that it has at once, which is no suspend point.
 *
 * One rule holds for all: *arming a request returns its undo*. Cancellation, timeouts and races follow from it: whoever
 * ends a wait early calls the undo, and the request will not resume the task any more.
 */

import type { Interest } from "./interest.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Source } from "./source.ts";
import type { Task } from "./task.ts";
import type { Timer } from "./timers.ts";

/** Takes back an armed request. Called at most once, and only while the request has not resumed its suspension. */
export interface Undo {
  undo(): void;
}

/** Who gave a value that its receiver may not live to take. */
export interface Giver<T = unknown> {
  /** The receiver was cancelled before it took the value: it is the giver's again, to pass on. */
  giveBack(value: T): void;
}

/** Who waits for an armed request, and is resumed by it, once: a task, or one arm of a combination of requests. */
export interface Suspension {
  readonly scheduler: Scheduler;
  /** The task that waits, for messages and for what belongs to it. */
  readonly task: Task<unknown>;
  /** Ends the wait with a value. Within `arm`, the task goes on at once, ahead of those that are ready. */
  resume(value: unknown): void;
  /** Ends the wait with a value, after the tasks that are ready now. */
  resumeLater(value: unknown): void;
  /**
   * Ends the wait with a value that must not be lost: a message, a lock. If the task is cancelled before it has run
   * again, or another arm of a combination was first, the giver gets the value back at once.
   */
  handOver<T>(value: T, giver: Giver<T>): void;
  /** Ends the wait with an error. */
  fail(error: unknown): void;
}

/**
 * The giver of an answer that may be dropped. A task that is cancelled between the answer and its next step ends where it
 * has waited, and does not go on to what the wait was for: to take a message, or to open something, which nobody would
 * have then if it is the loser of a race.
 */
export const NOTHING_IS_LOST: Giver = {
  giveBack() {
    // Whoever waits for the same next is told again.
  },
};

/**
 * What a task yields. The private mark makes the type nominal: an operation is no request, so a forgotten `*` does not
 * compile.
 */
export abstract class SuspendRequest {
  declare private readonly mark: never;

  /** Whether a cancelled task ends here. Not where a task only hands over what it has: nobody would clean that up. */
  get isSuspendPoint(): boolean {
    return true;
  }

  /** Words for what is waited for, such as `readable 7`: for messages. */
  abstract describe(): string;

  /**
   * Makes the request. Returns its undo; or null if the suspension was resumed already, within this call, and there is
   * nothing to undo. What it throws is thrown into the task.
   */
  abstract arm(suspension: Suspension): Undo | null;
}

/** Waits until a source is ready for the interest. Resumes with the source's readiness. */
export class InterestRequest extends SuspendRequest implements Undo {
  /** Who waits; null while the request is not armed. */
  suspension: Suspension | null = null;

  constructor(
    readonly source: Source,
    readonly interest: Interest,
  ) {
    super();
  }

  describe(): string {
    return this.source.describeWait(this.interest);
  }

  arm(suspension: Suspension): Undo | null {
    if (!this.source.addWaiter(this, suspension)) return null;
    this.suspension = suspension;
    suspension.scheduler.interestCount++;
    return this;
  }

  undo(): void {
    this.leave();
    this.source.removeWaiter(this);
  }

  /** The source is ready, and stays so if the task does not come to see it. */
  resume(readiness: number): void {
    this.leave().handOver(readiness, NOTHING_IS_LOST);
  }

  /** The source was closed, or its reactor failed. */
  fail(error: unknown): void {
    this.leave().fail(error);
  }

  private leave(): Suspension {
    const suspension = this.suspension!;
    this.suspension = null;
    suspension.scheduler.interestCount--;
    return suspension;
  }
}

/** Waits until the executor's clock has reached a deadline. Resumes with nothing. */
export class DeadlineRequest extends SuspendRequest implements Undo, Timer {
  /** Who waits; null while the request is not armed. */
  suspension: Suspension | null = null;
  readonly isLimit = false;
  sequence = 0;
  position = 0;

  private constructor(
    /** On the executor's clock; for a delay, once it is armed. */
    public deadlineNs: number,
    private readonly delayNs: number,
  ) {
    super();
  }

  static at(deadlineNs: number): DeadlineRequest {
    return new DeadlineRequest(deadlineNs, 0);
  }

  /** A deadline that is counted from when the request is armed. */
  static after(delayNs: number): DeadlineRequest {
    return new DeadlineRequest(NOT_YET_KNOWN, delayNs);
  }

  describe(): string {
    if (this.deadlineNs === Infinity || this.delayNs === Infinity) return "a deadline that never comes";
    return this.deadlineNs === NOT_YET_KNOWN
      ? "a deadline"
      : `a deadline at ${(this.deadlineNs / NS_PER_MS).toFixed(1)} ms`;
  }

  arm(suspension: Suspension): Undo {
    const { scheduler } = suspension;
    if (this.deadlineNs === NOT_YET_KNOWN) this.deadlineNs = scheduler.driver.now() + this.delayNs;
    this.suspension = suspension;
    scheduler.timers.insert(this);
    return this;
  }

  undo(): void {
    this.suspension!.scheduler.timers.remove(this);
    this.suspension = null;
  }

  expire(): void {
    const suspension = this.suspension!;
    this.suspension = null;
    suspension.resume(undefined);
  }

  fail(error: unknown): void {
    const suspension = this.suspension!;
    this.suspension = null;
    suspension.fail(error);
  }
}

const NS_PER_MS = 1_000_000;

/** No clock shows a time before its beginning. */
const NOT_YET_KNOWN = -1;

/** Waits until JavaScript resumes it: `armed` gets the suspension, and keeps it or resumes it at once. */
export class ParkRequest extends SuspendRequest {
  constructor(
    private readonly armed: (suspension: Suspension) => Undo | null,
    private readonly words: string,
  ) {
    super();
  }

  describe(): string {
    return this.words;
  }

  arm(suspension: Suspension): Undo | null {
    return this.armed(suspension);
  }
}

/** Asks the executor for something that it has at once. */
export abstract class AskRequest extends SuspendRequest {
  protected abstract answer(suspension: Suspension): unknown;

  override get isSuspendPoint(): boolean {
    return false;
  }

  describe(): string {
    return "its executor";
  }

  arm(suspension: Suspension): null {
    suspension.resume(this.answer(suspension));
    return null;
  }
}
