import { describe, expect, test } from "bun:test";
import { now } from "../../src/core/clock.ts";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { each } from "../../src/flow/each.ts";
import { interval } from "../../src/flow/interval.ts";
import { race } from "../../src/flow/race.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { thrownBy } from "../support/failure.ts";

/** The ticks that come, each with the time at which it does; `work` says how long the loop is busy with each. */
function* ticksOf(
  periodMs: number,
  count: number,
  work: (tick: number) => number = () => 0,
): Operation<[number, number][]> {
  const ticks: [number, number][] = [];
  for (const tick of yield* each(interval(periodMs))) {
    ticks.push([tick, yield* now()]);
    if (ticks.length === count) break;
    yield* sleep(work(tick));
    yield* each.next();
  }
  return ticks;
}

describe("an interval", () => {
  test("ticks after each period, from the first wait on", () =>
    virtualTime(function* () {
      yield* sleep(5);
      expect(yield* ticksOf(10, 3)).toEqual([
        [1, 15],
        [2, 25],
        [3, 35],
      ]);
    }));

  test("does not drift, however long the work between the ticks takes", () =>
    virtualTime(function* () {
      expect(yield* ticksOf(10, 3, () => 9)).toEqual([
        [1, 10],
        [2, 20],
        [3, 30],
      ]);
    }));

  test("skips the ticks that somebody is too late for, but gives the latest of them at once", () =>
    virtualTime(function* () {
      expect(yield* ticksOf(10, 4, (tick) => (tick === 1 ? 25 : 0))).toEqual([
        [1, 10],
        [3, 35],
        [4, 40],
        [5, 50],
      ]);
    }));

  test("gives a tick that is due at this very moment", () =>
    virtualTime(function* () {
      expect(yield* ticksOf(10, 3, () => 10)).toEqual([
        [1, 10],
        [2, 20],
        [3, 30],
      ]);
    }));

  test("counts fractions of a millisecond without drift", () =>
    virtualTime(function* () {
      const ticks = yield* ticksOf(0.1, 1000);
      expect(ticks.at(-1)![0]).toBe(1000);
      expect(ticks.at(-1)![1]).toBeCloseTo(100, 5);
    }));

  test("keeps a tick that was not waited for to its end", () =>
    virtualTime(function* () {
      const ticks = interval(10);
      expect(yield* moveOnAfter(5, () => ticks.next())).toBeUndefined();
      yield* race([ticks.next(), sleep(2)]);
      expect([yield* ticks.next(), yield* now()]).toEqual([{ done: false, value: 1 }, 10]);
    }));

  test("ends with the task that loops over it, and leaves nothing behind", () =>
    virtualTime(function* (world) {
      const task = yield* spawn(() => ticksOf(10, Infinity));
      yield* sleep(35);
      yield* cancel(task);
      expect([task.state, world.executor.timers.size]).toEqual(["cancelled", 0]);
    }));

  test("of its own for each loop", () =>
    virtualTime(function* () {
      const [slow, quick] = [yield* spawn(() => ticksOf(10, 2)), yield* spawn(() => ticksOf(4, 2))];
      expect([yield* join(slow), yield* join(quick)]).toEqual([
        [
          [1, 10],
          [2, 20],
        ],
        [
          [1, 4],
          [2, 8],
        ],
      ]);
    }));

  test("that is infinite never ticks", () =>
    virtualTime(function* () {
      expect(yield* moveOnAfter(1e9, () => ticksOf(Infinity, 1))).toBeUndefined();
    }));

  test("refuses a period of nothing and what is no time", () => {
    expect(thrownBy(() => interval(0), RangeError).message).toContain("more than 0");
    for (const periodMs of [-1, NaN, "1" as unknown as number])
      expect(thrownBy(() => interval(periodMs), RangeError).message).toStartWith("interval: periodMs");
  });
});
