import { describe, expect, test } from "bun:test";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { timeout } from "../../src/core/time-limit.ts";
import { exponential, retry, type RetryOptions } from "../../src/flow/retry.ts";
import { Random } from "../../src/testing/random.ts";
import { virtualTime, VirtualWorld } from "../../src/testing/virtual-world.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";

/** Fails so often, and then succeeds with the number of the attempt. */
function failing(times: number, log: number[] = []): (attempt: number) => Operation<number> {
  return function* (attempt) {
    log.push(attempt);
    if (attempt <= times) throw new Error(`attempt ${attempt}`);
    return attempt;
  };
}

/** The times at which the attempts of an operation that always fails begin, in milliseconds. */
async function timesOfAttempts(options: RetryOptions): Promise<number[]> {
  const world = new VirtualWorld();
  const times: number[] = [];
  await rejectionOf(
    world.run(() =>
      retry(function* () {
        times.push(world.nowMs);
        throw new Error("broken");
      }, options),
    ),
  );
  return times;
}

describe("retry", () => {
  test("returns what the first attempt that succeeds returns, and tells each its number", () =>
    virtualTime(function* () {
      const log: number[] = [];
      expect(yield* retry(failing(2, log), { times: 5 })).toBe(3);
      expect(log).toEqual([1, 2, 3]);
    }));

  test("does not wait after an attempt that succeeded, nor after the last", () =>
    virtualTime(function* (world) {
      expect(yield* retry(failing(0), { times: 3, backoff: 10 })).toBe(1);
      expect(world.nowMs).toBe(0);
      expect(yield* retry(failing(1), { times: 3, backoff: 10 })).toBe(2);
      expect(world.nowMs).toBe(10);
    }));

  test("throws the error of the last attempt", async () => {
    const running = virtualTime(() => retry(failing(9), { times: 3 }));
    expect((await rejectionOf(running)).message).toBe("attempt 3");
    const once = virtualTime(() => retry(failing(9), { times: 1 }));
    expect((await rejectionOf(once)).message).toBe("attempt 1");
  });

  test("goes on for ever with times: Infinity, and lets others run between the attempts", () =>
    virtualTime(function* () {
      let isUp = false;
      yield* spawn(function* () {
        yield* sleep(0);
        isUp = true;
      });
      const attempts = yield* retry(
        function* (attempt) {
          if (!isUp) throw new Error("not yet");
          return attempt;
        },
        { times: Infinity },
      );
      expect(attempts).toBeGreaterThan(1);
    }));

  test("waits as long as the backoff says after each attempt", async () => {
    expect(await timesOfAttempts({ times: 4, backoff: 10 })).toEqual([0, 10, 20, 30]);
    expect(await timesOfAttempts({ times: 4, backoff: (attempt) => attempt })).toEqual([0, 1, 3, 6]);
    expect(await timesOfAttempts({ times: 5, backoff: exponential(10) })).toEqual([0, 10, 30, 70, 150]);
    expect(await timesOfAttempts({ times: 2 })).toEqual([0, 0]);
  });

  test("leaves a part of each wait to chance, within its bounds", async () => {
    const options = { times: 3, backoff: 100, jitter: 0.25 };
    expect(await timesOfAttempts({ ...options, random: () => 0 })).toEqual([0, 100, 200]);
    expect(await timesOfAttempts({ ...options, random: () => 1 })).toEqual([0, 75, 150]);
    expect(await timesOfAttempts({ ...options, random: () => 0.5 })).toEqual([0, 87.5, 175]);
    const random = new Random(1);
    const times = await timesOfAttempts({ ...options, times: 200, random: () => random.fraction() });
    const waits = times.slice(1).map((time, index) => time - times[index]!);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(75);
    expect(Math.max(...waits)).toBeLessThanOrEqual(100);
    expect(new Set(waits).size).toBeGreaterThan(100);
  });

  test("tries again only for errors that are worth it", async () => {
    const seen: unknown[] = [];
    const running = virtualTime(() =>
      retry(failing(9), {
        times: 9,
        when: (error, attempt) => {
          seen.push([(error as Error).message, attempt]);
          return attempt < 2;
        },
      }),
    );
    expect((await rejectionOf(running)).message).toBe("attempt 2");
    expect(seen).toEqual([
      ["attempt 1", 1],
      ["attempt 2", 2],
    ]);
  });

  test("is not asked whether the last attempt's error is worth another", async () => {
    let asked = 0;
    const running = virtualTime(() => retry(failing(9), { times: 2, when: () => ++asked > 0 }));
    await rejectionOf(running);
    expect(asked).toBe(1);
  });

  test("that is cancelled during an attempt runs its clean-up and makes no other", () =>
    virtualTime(function* () {
      const log: string[] = [];
      const task = yield* spawn(() =>
        retry(
          function* (attempt) {
            try {
              yield* sleep(10);
            } finally {
              log.push(`attempt ${attempt} cleaned up`);
            }
          },
          { times: Infinity },
        ),
      );
      yield* sleep(1);
      yield* cancel(task);
      expect([log, task.state]).toEqual([["attempt 1 cleaned up"], "cancelled"]);
    }));

  test("that is cancelled during a wait ends there, and takes the wait back", () =>
    virtualTime(function* (world) {
      const log: number[] = [];
      const task = yield* spawn(() => retry(failing(9, log), { times: 9, backoff: 1_000_000 }));
      yield* sleep(1);
      yield* cancel(task);
      expect([log, task.state, world.nowMs, world.executor.timers.size]).toEqual([[1], "cancelled", 1, 0]);
    }));

  test("has each attempt limited by a timeout within, and all together by one around", async () => {
    const world = new VirtualWorld();
    const inner = world.run(() => retry(() => timeout(5, () => sleep(99)), { times: 3, backoff: 1 }));
    expect((await rejectionOf(inner)).name).toBe("TimeoutError");
    expect(world.nowMs).toBe(5 + 1 + 5 + 1 + 5);
    const outer = world.run(() => timeout(10, () => retry(failing(9), { times: Infinity, backoff: 3 })));
    expect((await rejectionOf(outer)).name).toBe("TimeoutError");
    expect(world.nowMs).toBe(27);
  });

  test("refuses options out of range before the first attempt", async () => {
    const bad: [RetryOptions, string][] = [
      [{ times: 0 }, "retry: times"],
      [{ times: 1.5 }, "retry: times"],
      [{ times: 3, backoff: -1 }, "retry: backoff"],
      [{ times: 3, backoff: NaN }, "retry: backoff"],
      [{ times: 3, jitter: 1.1 }, "retry: jitter"],
      [{ times: 3, jitter: NaN }, "retry: jitter"],
    ];
    for (const [options, words] of bad) {
      const log: number[] = [];
      const running = virtualTime(() => retry(failing(1, log), options));
      expect((await rejectionOf(running, RangeError)).message).toStartWith(words);
      expect(log).toEqual([]);
    }
  });

  test("refuses a wait that a backoff function has computed wrongly", async () => {
    const running = virtualTime(() => retry(failing(1), { times: 3, backoff: () => -1 }));
    expect((await rejectionOf(running, RangeError)).message).toStartWith("retry: backoff must be");
  });
});

describe("exponential backoff", () => {
  test("grows by its factor up to its longest wait", () => {
    const backoff = exponential(10, { factor: 3, longestMs: 100 });
    expect([1, 2, 3, 4, 5].map(backoff)).toEqual([10, 30, 90, 100, 100]);
    expect([1, 2, 3].map(exponential(10))).toEqual([10, 20, 40]);
  });

  test("has a longest wait of half a minute, after however many attempts", () => {
    expect(exponential(1000)(6)).toBe(30_000);
    expect(exponential(1000)(1_000_000)).toBe(30_000);
    expect(exponential(0)(1_000_000)).toBe(0);
  });

  test("refuses what is no time and no factor", () => {
    expect(thrownBy(() => exponential(-1), RangeError).message).toStartWith("exponential: firstMs");
    expect(thrownBy(() => exponential(1, { longestMs: NaN }), RangeError).message).toStartWith("exponential: longest");
    for (const factor of [0.5, NaN, Infinity])
      expect(thrownBy(() => exponential(1, { factor }), RangeError).message).toStartWith("exponential: factor");
  });
});
