/**
 * The grace period of a clean-up. A task that is cancelled may wait in its `finally` blocks, shielded from further
 * cancels; what waits for longer than the grace period is interrupted with an error, so that it is reported and does not
 * hang silently. The error goes where an error of the wait would go: the rest of the clean-up runs.
 */

import { CleanupTimeoutError } from "./errors.ts";
import type { Task } from "./task.ts";
import type { Timer } from "./timers.ts";

/** Long for a farewell to a peer, short for whoever waits for the program to end. */
export const DEFAULT_CLEANUP_MS = 5_000;

export class CleanupTimer implements Timer {
  readonly isLimit = true;
  sequence = 0;
  position = 0;

  private constructor(
    private readonly task: Task<unknown>,
    private readonly cleanupMs: number,
    public deadlineNs: number,
  ) {}

  /** Returns null if the clean-up may take for ever. */
  static start(task: Task<unknown>, cleanupMs: number): CleanupTimer | null {
    if (cleanupMs === Infinity) return null;
    const timer = new CleanupTimer(task, cleanupMs, task.scheduler.driver.now() + cleanupMs * NS_PER_MS);
    task.scheduler.timers.insert(timer);
    return timer;
  }

  stop(): void {
    // A deadline that has passed armed itself again, so a timer that was started is armed.
    this.task.scheduler.timers.remove(this);
  }

  /** What waits on after that, in a loop, is interrupted again each time that the period has passed. */
  expire(): void {
    const { task, cleanupMs } = this;
    // Counted from now: the thread may have come late.
    this.deadlineNs = task.scheduler.driver.now() + Math.max(cleanupMs, SHORTEST_REPEAT_MS) * NS_PER_MS;
    task.scheduler.timers.insert(this);
    task.interrupt((waitsFor) => new CleanupTimeoutError(task.name, cleanupMs, waitsFor));
  }

  /** The driver failed: what the clean-up waits for has been told so itself. */
  fail(): void {
    this.deadlineNs = Infinity;
    this.task.scheduler.timers.insert(this);
  }
}

const NS_PER_MS = 1_000_000;

/** A grace period of nothing would interrupt without end. */
const SHORTEST_REPEAT_MS = 1;
