/** Limits of time: `timeout`, `deadline`, `moveOnAfter`. They end a part of a task, and nothing else, when its time is up. */

import { assertTime, TimeoutError } from "./errors.ts";
import type { BodyWith, Operation } from "./operation.ts";
import { Ending, Region } from "./region.ts";
import type { Task } from "./task.ts";
import type { Timer } from "./timers.ts";

/** The limit of the part of a task that gets it: it can be looked at and moved. */
export interface TimeLimit {
  /** When the time is up, in milliseconds on the executor's clock; before the first wait of a `timeout`, not known yet. */
  readonly deadlineMs: number | undefined;
  /** Moves the limit to that many milliseconds from now. Infinity lifts it. */
  expireAfter(durationMs: number): void;
  /** Moves the limit to a time on the executor's clock, in milliseconds. Infinity lifts it. */
  expireAt(deadlineMs: number): void;
}

/**
 * Runs the body, and ends it when it has not come to its end after `durationMs` milliseconds, counted from its first
 * wait: its `finally` blocks run, and are waited for. If it ends in the same turn in which its time is up, its
 * outcome counts. Tasks that it spawned belong to the scope around it and are not ended, unless it opens a `scope`.
 *
 * The body gets its `TimeLimit`, to move it: a limit of silence, for example, starts anew with each message.
 * @returns what the body returned
 * @throws TimeoutError if the time was up (a `SuppressedError` of it and of the clean-up's error, if that failed too);
 *   what the body threw; RangeError if the duration is negative or no number
 */
export function timeout<T>(durationMs: number, body: BodyWith<TimeLimit, T>): Operation<T> {
  assertTime("timeout: durationMs", durationMs);
  return new TimeoutRegion<T>("timeout", body, durationMs * NS_PER_MS, UNKNOWN_NS);
}

/**
 * Runs the body, and ends it at a time on the executor's clock, in milliseconds; for `run` that of `performance.now()`. A
 * deadline that is past ends it at its first wait. All else is as with `timeout`.
 * @throws TimeoutError if the time was up; what the body threw; RangeError if the deadline is negative or no number
 */
export function deadline<T>(deadlineMs: number, body: BodyWith<TimeLimit, T>): Operation<T> {
  assertTime("deadline: deadlineMs", deadlineMs);
  return new TimeoutRegion<T>("deadline", body, 0, deadlineMs * NS_PER_MS);
}

/**
 * Runs the body, and ends it when it has not come to its end after `durationMs` milliseconds, as `timeout` does, but goes
 * on without an error: for what may be left undone.
 * @returns what the body returned; undefined if its time was up
 * @throws what the body threw, and what its clean-up threw; RangeError if the duration is negative or no number
 */
export function moveOnAfter<T>(durationMs: number, body: BodyWith<TimeLimit, T>): Operation<T | undefined> {
  assertTime("moveOnAfter: durationMs", durationMs);
  return new MoveOnRegion<T>("moveOnAfter", body, durationMs * NS_PER_MS, UNKNOWN_NS);
}

abstract class LimitedRegion<T> extends Region<T> implements TimeLimit, Timer {
  readonly isLimit = true;
  sequence = 0;
  position = 0;
  private isArmed = false;

  constructor(
    callName: string,
    body: BodyWith<TimeLimit, unknown>,
    /** Counts from the first wait, as long as the deadline is not known. */
    private delayNs: number,
    public deadlineNs: number,
  ) {
    super(callName, body);
  }

  get deadlineMs(): number | undefined {
    return this.deadlineNs === UNKNOWN_NS ? undefined : this.deadlineNs / NS_PER_MS;
  }

  expireAfter(durationMs: number): void {
    assertTime("expireAfter: durationMs", durationMs);
    if (this.task === null) {
      this.delayNs = durationMs * NS_PER_MS;
      this.deadlineNs = UNKNOWN_NS;
    } else this.move(this.task.scheduler.driver.now() + durationMs * NS_PER_MS);
  }

  expireAt(deadlineMs: number): void {
    assertTime("expireAt: deadlineMs", deadlineMs);
    if (this.task === null) this.deadlineNs = deadlineMs * NS_PER_MS;
    else this.move(deadlineMs * NS_PER_MS);
  }

  expire(): void {
    this.isArmed = false;
    this.timeIsUp(this.task!);
    this.requestCancel(TIME_IS_UP, false);
  }

  /** The driver failed: what the body waits for has been told so itself. */
  fail(): void {
    this.isArmed = false;
  }

  protected timeIsUp(_task: Task<unknown>): void {}

  protected override argument(): TimeLimit {
    return this;
  }

  protected override entered(task: Task<unknown>): void {
    const nowNs = task.scheduler.driver.now();
    if (this.deadlineNs === UNKNOWN_NS) this.deadlineNs = nowNs + this.delayNs;
    // The host's loop may be slow to come to a timer whose time is up already.
    if (this.deadlineNs <= nowNs) this.expire();
    else this.arm();
  }

  protected override left(): void {
    if (this.isArmed) this.disarm();
  }

  private move(deadlineNs: number): void {
    if (this.isArmed) this.disarm();
    // A limit that has ended its body, or whose body has ended, is not moved any more.
    if (this.isOver) return;
    this.deadlineNs = deadlineNs;
    this.arm();
    this.task!.scheduler.timersChanged();
  }

  private arm(): void {
    if (this.deadlineNs === Infinity) return;
    this.isArmed = true;
    this.task!.scheduler.timers.insert(this);
  }

  private disarm(): void {
    this.isArmed = false;
    this.task!.scheduler.timers.remove(this);
  }
}

class TimeoutRegion<T> extends LimitedRegion<T> {
  private waitedFor = "";

  /** To be told to whoever asks why. */
  protected override timeIsUp(task: Task<unknown>): void {
    this.waitedFor = task.waitsFor;
  }

  protected settle(ending: Ending, result: unknown): T {
    switch (ending) {
      case Ending.FAILED:
        throw result;
      case Ending.CANCELLED:
        throw this.timeoutError();
      case Ending.CLEANUP_FAILED:
        throw new SuppressedError(result, this.timeoutError(), "clean-up failed after a time-out");
      default:
        return result as T;
    }
  }

  private timeoutError(): TimeoutError {
    return new TimeoutError(this.task!.name, this.deadlineMs!, this.waitedFor);
  }
}

class MoveOnRegion<T> extends LimitedRegion<T | undefined> {
  protected settle(ending: Ending, result: unknown): T | undefined {
    if (ending === Ending.FAILED || ending === Ending.CLEANUP_FAILED) throw result;
    return ending === Ending.CANCELLED ? undefined : (result as T);
  }
}

const TIME_IS_UP = "its time was up";

/** No clock shows a time before its beginning. */
const UNKNOWN_NS = -1;
const NS_PER_MS = 1_000_000;
