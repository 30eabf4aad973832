import { describe, expect, test } from "bun:test";
import { InvalidYieldError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { StalledError, underSeeds, VirtualWorld } from "../../src/test.ts";
import { rejectionOf } from "../support/failure.ts";
import { withSeedVariable } from "../support/seed-variable.ts";

/** The order in which some tasks come to run that are ready at the same time, again and again. */
async function traceUnder(seed: number | undefined): Promise<string> {
  const trace: string[] = [];
  const world = new VirtualWorld({ seed });
  await world.run(function* main() {
    for (const name of "abcdefgh") {
      yield* spawn(function* () {
        for (let round = 0; round < 5; round++) {
          trace.push(`${name}${round}`);
          if (world.random.below(2) === 0) yield* yieldNow();
          else yield* sleep(world.random.below(3));
        }
      });
    }
  });
  return `${trace.join(" ")} until ${world.nowMs}`;
}

/** The seeds under which the body runs. */
async function seedsOf(count: number, firstSeed?: number): Promise<(number | undefined)[]> {
  const seeds: (number | undefined)[] = [];
  await underSeeds(
    count,
    function* ({ seed }) {
      seeds.push(seed);
    },
    { firstSeed },
  );
  return seeds;
}

describe("a seed", () => {
  test("gives the same trace each time, and another seed another one", async () => {
    const traces = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const trace = await traceUnder(seed);
      expect(await traceUnder(seed)).toBe(trace);
      traces.add(trace);
    }
    expect(traces.size).toBe(20);
  });

  test("is needed for another order: without one, tasks run first come, first served", async () => {
    const order: string[] = [];
    await new VirtualWorld().run(function* () {
      for (const name of "abcd") {
        yield* spawn(function* () {
          order.push(name);
        });
      }
    });
    expect(order.join("")).toBe("abcd");
  });

  test("leads to every order of some tasks that become ready together", async () => {
    const orders = new Set<string>();
    await withSeedVariable(undefined, () =>
      underSeeds(
        300,
        function* () {
          let order = "";
          const tasks: Task<void>[] = [];
          for (const name of "abcd") {
            tasks.push(
              yield* spawn(function* () {
                yield* sleep(10);
                order += name;
              }),
            );
          }
          for (const task of tasks) yield* join(task);
          orders.add(order);
        },
        { firstSeed: 1 },
      ),
    );
    expect(orders.size).toBe(24);
  });

  test("leaves deadlines in their order", async () => {
    await underSeeds(50, function* (world) {
      const woken: number[] = [];
      const tasks: Task<void>[] = [];
      for (let count = 0; count < 30; count++) {
        const durationMs = world.random.below(1_000);
        tasks.push(
          yield* spawn(function* () {
            yield* sleep(durationMs);
            woken.push(durationMs);
            expect(world.nowMs).toBe(durationMs);
          }),
        );
      }
      for (const task of tasks) yield* join(task);
      expect(woken).toEqual(woken.toSorted((left, right) => left - right));
    });
  });

  test("lets a task that yields go on only after all that were ready", async () => {
    await underSeeds(50, function* () {
      let started = 0;
      for (let count = 0; count < 20; count++) {
        yield* spawn(function* () {
          started++;
          yield* yieldNow();
        });
      }
      yield* yieldNow();
      expect(started).toBe(20);
    });
  });

  test("starves nobody, while two tasks resume each other without end", async () => {
    await underSeeds(20, function* () {
      let isOver = false;
      const spin = function* (): Operation<void> {
        while (!isOver) yield* join(yield* spawn(function* () {}));
      };
      for (let count = 0; count < 3; count++) yield* spawn(spin);
      for (let turn = 0; turn < 10; turn++) yield* yieldNow();
      isOver = true;
    });
  });

  test("takes many tasks", async () => {
    let ended = 0;
    await new VirtualWorld({ seed: 5 }).run(function* () {
      for (let count = 0; count < 20_000; count++) {
        yield* spawn(function* () {
          yield* sleep(1);
          ended++;
        });
      }
    });
    expect(ended).toBe(20_000);
  });
});

describe("underSeeds", () => {
  test("runs the body under as many seeds as it is told, each in a world of its own", async () => {
    await withSeedVariable(undefined, async () => {
      expect(await seedsOf(3, 10)).toEqual([10, 11, 12]);
      expect(await seedsOf(3, 2 ** 32 - 1)).toEqual([2 ** 32 - 1, 0, 1]);
      expect(new Set(await seedsOf(50)).size).toBe(50);
    });
  });

  test("begins with another seed each time", async () => {
    await withSeedVariable(undefined, async () => {
      expect(await seedsOf(1)).not.toEqual(await seedsOf(1));
    });
  });

  test("runs it once, under the seed that SEED says", async () => {
    expect(await withSeedVariable("4294967295", () => seedsOf(20, 10))).toEqual([4_294_967_295]);
    expect(await withSeedVariable("0", () => seedsOf(20))).toEqual([0]);
    expect(await withSeedVariable("", () => seedsOf(2, 7))).toEqual([7, 8]);
  });

  test("stops at the first seed that fails, and says in the error how to repeat it", async () => {
    const seeds: number[] = [];
    const failed = await withSeedVariable(undefined, () =>
      rejectionOf(
        underSeeds(
          10,
          function* ({ seed }) {
            seeds.push(seed!);
            yield* sleep(1);
            if (seed === 103) throw new RangeError("found it");
          },
          { firstSeed: 100 },
        ),
        RangeError,
      ),
    );
    expect(seeds).toEqual([100, 101, 102, 103]);
    const setting = process.platform === "win32" ? "$env:SEED=103;" : "SEED=103";
    expect(failed.message).toBe(`found it\n\nseed 103 fails: ${setting} bun test test/testing/under-seeds.test.ts`);
  });

  test("says so, too, for an error that cannot be written to, and for what is no error", async () => {
    const failing = (error: unknown) =>
      withSeedVariable("7", () =>
        rejectionOf(
          underSeeds(1, function* () {
            throw error;
          }),
        ),
      );
    const frozen = Object.freeze(new InvalidYieldError("cold"));
    expect(await failing(frozen)).toMatchObject({ message: expect.stringContaining("cold\n\nseed 7"), cause: frozen });
    expect(await failing("words")).toMatchObject({
      message: expect.stringContaining('"words"\n\nseed 7'),
      cause: "words",
    });
    const abort = await failing(new DOMException("gone", "AbortError"));
    expect(abort.message).toContain("seed 7 fails");
  });

  test.each(["abc", "-1", "1.5", "4294967296", "0x10"])("refuses SEED=%s", async (value) => {
    const error = await withSeedVariable(value, () => rejectionOf(seedsOf(1), RangeError));
    expect(error.message).toBe(`SEED must be an integer from 0 to 4294967295, but is "${value}"`);
  });

  test.each([0, -1, 1.5, Number.NaN])("refuses to run %p times", async (count) => {
    expect((await rejectionOf(seedsOf(count), RangeError)).message).toStartWith("underSeeds: count must be");
  });

  test("passes its options on to each world, and refuses a first seed that is none", async () => {
    const passedOn = withSeedVariable("3", () => underSeeds(1, () => sleep(1), { jumps: false, patienceMs: 1 }));
    expect((await rejectionOf(passedOn, StalledError)).message).toContain("advance()");
    expect((await rejectionOf(seedsOf(1, -1), RangeError)).message).toStartWith("underSeeds: firstSeed must be");
  });
});
