/** `interval`: regular ticks, for `each`. */

import { now } from "../core/clock.ts";
import { assertTime } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { sleepUntil } from "../core/sleep.ts";
import type { Subscription } from "./each.ts";

/**
 * Ticks every `periodMs` milliseconds, from the first wait on, the first after one period:
 *
 *     for (const tick of yield* each(interval(1000))) { …; yield* each.next(); }
 *
 * The ticks do not drift: each is a multiple of the period after the start. Whoever is too late for some skips them.
 * The item is the number of the tick, from 1.
 * @throws RangeError if the period is zero, negative or no number
 */
export function interval(periodMs: number): Subscription<number> {
  assertTime("interval: periodMs", periodMs);
  if (periodMs === 0) throw new RangeError("interval: periodMs must be more than 0, or it would tick without end");
  return new Interval(periodMs);
}

class Interval implements Subscription<number> {
  private startMs: number | null = null;
  /** The latest that was waited for to its end: a wait that was cancelled has taken no tick. */
  private tick = 0;

  constructor(private readonly periodMs: number) {}

  *next(): Operation<IteratorResult<number, void>> {
    const nowMs = yield* now();
    this.startMs ??= nowMs;
    const due = Math.floor((nowMs - this.startMs) / this.periodMs);
    const tick = Math.max(this.tick + 1, due);
    yield* sleepUntil(this.startMs + tick * this.periodMs);
    this.tick = tick;
    return { done: false, value: tick };
  }
}
