/** Waiting for time to pass. */

import { assertTime } from "./errors.ts";
import { type Operation, RequestOperation } from "./operation.ts";
import { DeadlineRequest } from "./request.ts";

/**
 * Suspends the task for `durationMs` milliseconds, fractions included (epoll_pwait2(2) counts nanoseconds), and never
 * for less. 0 lets others run once; Infinity waits until the task is cancelled.
 * @throws RangeError if the duration is negative or no number
 */
export function sleep(durationMs: number): Operation<void> {
  assertTime("sleep: durationMs", durationMs);
  return new DeadlineOperation("sleep", DeadlineRequest.after(durationMs * NS_PER_MS));
}

/**
 * Suspends the task until the executor's clock shows `deadlineMs`, in milliseconds; not at all long if it does already.
 * The clock of `run` and `blockOn` is `performance.now()`.
 * @throws RangeError if the deadline is negative or no number
 */
export function sleepUntil(deadlineMs: number): Operation<void> {
  assertTime("sleepUntil: deadlineMs", deadlineMs);
  return new DeadlineOperation("sleepUntil", DeadlineRequest.at(deadlineMs * NS_PER_MS));
}

/** Has a class of its own for its name: a forgotten star is told of with it. */
class DeadlineOperation extends RequestOperation<void> {}

const NS_PER_MS = 1_000_000;
