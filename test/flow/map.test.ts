import { describe, expect, test } from "bun:test";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { map } from "../../src/flow/map.ts";
import { underSeeds } from "../../src/testing/under-seeds.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { rejectionOf } from "../support/failure.ts";
import { effort } from "../support/effort.ts";

function* double(item: number): Operation<number> {
  yield* sleep(item);
  return item * 2;
}

/** Numbers from 0 without end; logs when it is told that nobody wants more. */
function* naturals(log: string[] = []): Generator<number, void, undefined> {
  try {
    for (let number = 0; ; number++) yield number;
  } finally {
    log.push("closed");
  }
}

describe("map", () => {
  test("gives the values in the order of the items, whichever is done first", () =>
    virtualTime(function* () {
      expect(yield* map([9, 3, 6], { concurrency: 3 }, double)).toEqual([18, 6, 12]);
    }));

  test("does so for work that never waits, too", () =>
    virtualTime(function* () {
      const same = function* (item: string, index: number): Operation<string> {
        return `${item}${index}`;
      };
      expect(yield* map("abcde", { concurrency: 2 }, same)).toEqual(["a0", "b1", "c2", "d3", "e4"]);
    }));

  test("takes as long as the slowest of its workers", () =>
    virtualTime(function* (world) {
      yield* map([4, 1, 1, 1, 1], { concurrency: 2 }, double);
      expect(world.nowMs).toBe(4);
    }));

  test("works on one item after the other with a concurrency of 1, and on all with one of Infinity", () =>
    virtualTime(function* (world) {
      yield* map([1, 2, 3], { concurrency: 1 }, double);
      expect(world.nowMs).toBe(6);
      yield* map([1, 2, 3], { concurrency: Infinity }, double);
      expect(world.nowMs).toBe(9);
    }));

  test("of no items ends at once", () =>
    virtualTime(function* (world) {
      expect(yield* map([], { concurrency: 3 }, double)).toEqual([]);
      expect(world.nowMs).toBe(0);
    }));

  test("takes items only as there is somebody to work on them", () =>
    virtualTime(function* () {
      const taken: number[] = [];
      function* items(): Generator<number, void, undefined> {
        for (let item = 0; item < 6; item++) {
          taken.push(item);
          yield item;
        }
      }
      const mapping = yield* spawn(() => map(items(), { concurrency: 2 }, () => sleep(2)));
      yield* sleep(1);
      expect(taken).toEqual([0, 1]);
      yield* sleep(2);
      expect(taken).toEqual([0, 1, 2, 3]);
      mapping.cancel();
    }));

  test("keeps to its concurrency, to the order of the values, and to each item once, in any order of tasks", async () => {
    await underSeeds(effort(100), function* ({ random }) {
      const concurrency = 1 + random.below(5);
      const items = Array.from({ length: random.below(20) }, () => random.below(4));
      let working = 0;
      let most = 0;
      const values = yield* map(items, { concurrency }, function* (item, index) {
        most = Math.max(most, ++working);
        if (item > 0) yield* sleep(item);
        working--;
        return [item, index];
      });
      expect(values).toEqual(items.map((item, index) => [item, index]));
      expect(most).toBeLessThanOrEqual(concurrency);
      expect(working).toBe(0);
    });
  });

  test("is cancelled in the middle of an endless list, and tells the list", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      let done = 0;
      yield* moveOnAfter(10, () =>
        map(naturals(log), { concurrency: 3 }, function* () {
          try {
            yield* sleep(2);
            done++;
          } finally {
            yield* sleep(1);
          }
        }),
      );
      expect([done, log, world.nowMs]).toEqual([9, ["closed"], 11]);
    }));

  test("is cancelled and starves nobody even if its endless work never waits", () =>
    virtualTime(function* () {
      const log: string[] = [];
      for (const concurrency of [3, Infinity]) {
        const mapping = yield* spawn(() => map(naturals(log), { concurrency }, function* () {}));
        yield* sleep(0);
        yield* cancel(mapping);
        expect(mapping.state).toBe("cancelled");
      }
      expect(log).toEqual(["closed", "closed"]);
    }));

  test("cancels what is under way at the first error, takes no more items, tells the list, and throws the error", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const error = new Error("broken");
      let thrown: unknown;
      try {
        yield* map(naturals(log), { concurrency: 3 }, function* (item) {
          try {
            yield* sleep(item === 4 ? 1 : 3);
            if (item === 4) throw error;
          } finally {
            log.push(`${item}`);
          }
        });
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBe(error);
      expect(log).toEqual(["0", "1", "2", "4", "5", "3", "closed"]);
      expect(world.nowMs).toBe(4);
    }));

  test("does not close a list that came to its end", () =>
    virtualTime(function* () {
      let returns = 0;
      const items = {
        [Symbol.iterator]: () => ({
          next: (): IteratorResult<number> => ({ done: true, value: undefined }),
          return: (): IteratorResult<number> => {
            returns++;
            return { done: true, value: undefined };
          },
        }),
      };
      yield* map(items, { concurrency: 2 }, double);
      expect(returns).toBe(0);
    }));

  test("throws the error of the list, which is not asked again, when what is under way has cleaned up", async () => {
    const error = new Error("no more items");
    let asked = 0;
    const items = {
      [Symbol.iterator]: () => ({
        next: (): IteratorResult<number> => {
          if (++asked === 2) throw error;
          return { done: false, value: 9 };
        },
        return: (): never => {
          throw new Error("not called");
        },
      }),
    };
    expect(await rejectionOf(virtualTime(() => map(items, { concurrency: 3 }, double)))).toBe(error);
    expect(asked).toBe(2);
  });

  test("does not let an error of the list's end hide the first one", async () => {
    const first = new Error("first");
    const second = new Error("at the end");
    function* items(): Generator<number, void, undefined> {
      try {
        for (;;) yield 1;
      } finally {
        yield* failing();
      }
    }
    function* failing(): Generator<never, void, undefined> {
      throw second;
    }
    const mapping = virtualTime(() =>
      map(items(), { concurrency: 1 }, function* () {
        throw first;
      }),
    );
    const error = await rejectionOf(mapping, SuppressedError);
    expect([error.error, error.suppressed]).toEqual([second, first]);
  });

  test("refuses a concurrency that is none, and what is no list", async () => {
    for (const concurrency of [0, -1, 1.5, NaN, undefined as unknown as number]) {
      const mapping = virtualTime(() => map([1], { concurrency }, double));
      expect((await rejectionOf(mapping, RangeError)).message).toStartWith("map: concurrency must be");
    }
    const mapping = virtualTime(() => map(5 as unknown as number[], { concurrency: 1 }, double));
    expect((await rejectionOf(mapping, TypeError)).message).toBe("map takes a list of items, but was given 5");
  });
});
