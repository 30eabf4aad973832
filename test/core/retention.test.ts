/**
 * Nothing is kept of what has ended: counted as objects on the heap, of which a leak would keep one for each round at
 * the least.
 */

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { TaskLocal } from "../../src/core/task-local.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { settled } from "../support/settled.ts";
import { patient } from "../support/patience.ts";
import { describeUnless, IS_EMULATED } from "../support/platform.ts";

/** The objects that are alive, after a complete collection. */
function liveObjects(): number {
  Bun.gc(true);
  return heapStats().objectCount;
}

const NOT_COUNTED = IS_EMULATED
  ? "what tasks leave to the collector is the same on every processor, and takes minutes to count"
  : null;

/** Many rounds, so that what the engine itself makes as it warms up does not count. */
const ROUNDS = 20_000;

/** How many objects more are alive after many rounds in one task than after a few, for each round. */
async function objectsKeptByEach(round: (index: number) => Operation<unknown>, rounds = ROUNDS): Promise<number> {
  const driver = new VirtualDriver();
  const executor = new Executor(driver);
  return await settled(
    driver,
    executor.run(function* () {
      for (let index = 0; index < WARM_UP_ROUNDS; index++) yield* round(index);
      const before = liveObjects();
      for (let index = 0; index < rounds; index++) yield* round(index);
      return (liveObjects() - before) / rounds;
    }),
  );
}

const WARM_UP_ROUNDS = 500;

/** Far below the one that a leak keeps, far above what the engine makes for itself meanwhile. */
const ALMOST_NONE = 0.1;

/** How long a test may take on a machine that is busy with others. */
const LONGEST_MS = patient(30_000);

function* caught(operation: Operation<unknown>): Operation<void> {
  try {
    yield* operation;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

describeUnless(NOT_COUNTED)("nothing is kept of", () => {
  test(
    "100,000 scopes with a child each",
    async () => {
      const kept = await objectsKeptByEach(
        () =>
          scope(function* (s) {
            yield* s.spawn(() => sleep(1));
          }),
        100_000,
      );
      expect(kept).toBeLessThan(ALMOST_NONE);
    },
    LONGEST_MS,
  );

  const local = new TaskLocal(0);
  test.each<[string, () => Operation<unknown>]>([
    [
      "children of a task that lives on",
      function* () {
        yield* join(yield* spawn(() => yieldNow()));
      },
    ],
    [
      "children whose end nobody waits for",
      function* () {
        yield* spawn(() => yieldNow());
        yield* sleep(1);
      },
    ],
    [
      "cancelled tasks with a clean-up that waits",
      function* () {
        const task = yield* spawn(function* () {
          try {
            yield* sleep(1_000);
          } finally {
            yield* sleep(1);
          }
        });
        yield* yieldNow();
        yield* cancel(task);
      },
    ],
    ["limits that pass", () => moveOnAfter(1, () => sleep(5))],
    ["limits that do not", () => timeout(1_000, () => sleep(1))],
    [
      "limits that are moved",
      () =>
        timeout(1_000, function* (limit) {
          yield* yieldNow();
          limit.expireAfter(2_000);
          limit.expireAfter(500);
          yield* yieldNow();
        }),
    ],
    [
      "shields and nested regions",
      () =>
        shield(
          timeout(
            100,
            scope(() => shield(() => sleep(1))),
          ),
        ),
    ],
    [
      "scopes that fail",
      () =>
        caught(
          scope(function* () {
            yield* spawn(() => sleep(1_000));
            yield* spawn(function* () {
              yield* sleep(1);
              throw new Error("failed");
            });
            yield* sleep(1_000);
          }),
        ),
    ],
    [
      "supervised tasks whose error was asked for",
      function* () {
        const task = yield* spawn(
          function* () {
            throw new Error("failed");
          },
          { supervised: true },
        );
        yield* sleep(1);
        yield* caught(join(task));
      },
    ],
    ["daemons", () => scope(() => spawn(() => sleep(1_000), { daemon: true }))],
    [
      "values of tasks that have ended",
      function* () {
        yield* local.set(1);
        yield* join(
          yield* spawn(function* () {
            yield* local.set(2);
          }),
        );
      },
    ],
    [
      "waits for callbacks that were cancelled",
      () =>
        moveOnAfter(
          1,
          park<void>(() => () => {}),
        ),
    ],
  ])(
    "%s",
    async (_, round) => {
      expect(await objectsKeptByEach(round)).toBeLessThan(ALMOST_NONE);
    },
    LONGEST_MS,
  );

  test(
    "tasks that waited for the end of one that lives on, and were cancelled",
    async () => {
      let living: Task<void> | undefined;
      const kept = await objectsKeptByEach(function* () {
        living ??= yield* spawn(() => sleep(Infinity), { daemon: true });
        yield* moveOnAfter(1, join(living));
        const joiner = yield* spawn(() => join(living!));
        yield* yieldNow();
        yield* cancel(joiner);
      });
      expect(kept).toBeLessThan(ALMOST_NONE);
    },
    LONGEST_MS,
  );

  test(
    "runs of an executor that lives on, with their signals",
    async () => {
      const driver = new VirtualDriver();
      const executor = new Executor(driver);
      const { signal } = new AbortController();
      const run = (): Promise<void> =>
        executor.run(
          function* () {
            yield* spawn(() => yieldNow());
          },
          { signal },
        );
      for (let index = 0; index < WARM_UP_ROUNDS; index++) await run();
      const before = liveObjects();
      for (let index = 0; index < ROUNDS; index++) await run();
      expect((liveObjects() - before) / ROUNDS).toBeLessThan(ALMOST_NONE);
      expect(executor.tasks()).toEqual([]);
    },
    LONGEST_MS,
  );

  test("what a task has used that has ended, though somebody keeps the task", async () => {
    const tasks: Task<void>[] = [];
    const kept = await objectsKeptByEach(function* () {
      const task = yield* spawn(function* () {
        // Much that lives in the task's generator, and in its children's.
        const own = Array.from({ length: 50 }, (_, index) => ({ index }));
        yield* scope(() => spawn(() => yieldNow()));
        own[0]!.index = -1;
      });
      yield* join(task);
      tasks.push(task);
    }, 2_000);
    expect(tasks).toHaveLength(2_000 + WARM_UP_ROUNDS);
    expect(kept).toBeLessThan(20);
  });
});
