/** `retry`: an operation again, after it has failed. */

import { assertInteger, assertTime, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { sleep } from "../core/sleep.ts";

export interface RetryOptions {
  /** How often to try, the first time included. */
  readonly times: number;
  /** How long to wait after an attempt, in milliseconds: always the same, or by the number of the attempt, from 1. */
  readonly backoff?: number | ((attempt: number) => number) | undefined;
  /**
   * Which part of each wait is left to chance, from 0 to 1, so that many who failed together do not come back together.
   */
  readonly jitter?: number | undefined;
  /** Whether an error is worth another try; any is by default. */
  readonly when?: ((error: unknown, attempt: number) => boolean) | undefined;
  /** A number from 0 to 1, for the jitter; `Math.random` by default. */
  readonly random?: (() => number) | undefined;
}

/**
 * Runs an operation until it succeeds, waiting between the attempts. A cancel ends it, and is no failure.
 * @param body makes the operation anew for each attempt, whose number it gets, from 1
 * @returns the value of the attempt that succeeded
 * @throws what the last attempt threw; RangeError for options out of range
 */
export function* retry<T>(body: (attempt: number) => Operation<T>, options: RetryOptions): Operation<T> {
  const { times, when = always } = options;
  assertOptions(options);
  for (let attempt = 1; ; attempt++) {
    try {
      return yield* body(attempt);
    } catch (error) {
      if (attempt >= times || !when(error, attempt)) throw error;
    }
    yield* sleep(delayMs(attempt, options));
  }
}

/** Waits that grow: `firstMs`, then `factor` times as long each time, up to `longestMs`. For `retry`'s `backoff`. */
export function exponential(firstMs: number, { factor = 2, longestMs = LONGEST_MS } = {}): (attempt: number) => number {
  assertTime("exponential: firstMs", firstMs);
  assertTime("exponential: longestMs", longestMs);
  if (!(factor >= 1 && factor < Infinity))
    throw new RangeError(`exponential: factor must be a number from 1, but is ${describeValue(factor)}`);
  // After very many attempts the power is infinite, and no time multiplied with that is no number.
  return (attempt) => (firstMs === 0 ? 0 : Math.min(longestMs, firstMs * factor ** (attempt - 1)));
}

/** Before the first attempt, whose error must not be hidden by that of an option. */
function assertOptions({ times, backoff = 0, jitter = 0 }: RetryOptions): void {
  if (times !== Infinity) assertInteger("retry: times", times, 1, Number.MAX_SAFE_INTEGER);
  if (typeof backoff !== "function") assertTime("retry: backoff", backoff);
  if (!(jitter >= 0 && jitter <= 1))
    throw new RangeError(`retry: jitter must be a number from 0 to 1, but is ${describeValue(jitter)}`);
}

function delayMs(attempt: number, { backoff = 0, jitter = 0, random = Math.random }: RetryOptions): number {
  const wholeMs = typeof backoff === "function" ? backoff(attempt) : backoff;
  assertTime("retry: backoff", wholeMs);
  return wholeMs * (1 - jitter * random());
}

function always(): boolean {
  return true;
}

/** Half a minute: who comes back after that is a new visitor. */
const LONGEST_MS = 30_000;
