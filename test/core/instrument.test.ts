import { describe, expect, test } from "bun:test";
import { Executor } from "../../src/core/executor.ts";
import type { InstrumentHooks } from "../../src/core/instrument.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

/** Hooks that note every call, with the task's number, in the order of the calls. */
function recording(log: string[], label = ""): InstrumentHooks {
  const note =
    (what: string) =>
    (task: Task<unknown>): void =>
      void log.push(`${label}${what} ${task.id}`);
  return {
    created: note("created"),
    resumed: note("resumed"),
    suspended: note("suspended"),
    ended: note("ended"),
  };
}

async function recorded(body: TaskBody<unknown>): Promise<string[]> {
  const driver = new VirtualDriver();
  const executor = new Executor(driver);
  const log: string[] = [];
  executor.addInstrument(recording(log));
  await settled(driver, executor.run(body));
  return log;
}

describe("an instrument", () => {
  test("sees each task created, resumed, suspended and ended, in that order", async () => {
    const log = await recorded(function* () {
      const child = yield* spawn(function* () {
        yield* sleep(1);
      });
      yield* join(child);
    });
    expect(log).toEqual([
      "created 1",
      "resumed 1",
      "created 2",
      "suspended 1",
      "resumed 2",
      "suspended 2",
      "resumed 2",
      "ended 2",
      "resumed 1",
      "ended 1",
    ]);
  });

  test("sees a task suspended that only yields its turn, so that its time is not counted twice", async () => {
    const log = await recorded(function* () {
      yield* yieldNow();
      yield* yieldNow();
    });
    expect(log).toEqual(["created 1", "resumed 1", "suspended 1", "resumed 1", "suspended 1", "resumed 1", "ended 1"]);
  });

  test("sees a task that has its answers at once resumed once", async () => {
    const log = await recorded(function* () {
      for (let count = 0; count < 10; count++) yield* park<void>(({ succeed }) => succeed());
    });
    expect(log).toEqual(["created 1", "resumed 1", "ended 1"]);
  });

  test("is told by the task what it is, what it waits for and how it ended", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    executor.addInstrument({
      created: ({ name, state }) => log.push(`${name} is ${state}`),
      suspended: ({ waitsFor }) => log.push(`waits for ${waitsFor}`),
      ended: ({ name, state }) => log.push(`${name} has ${state}`),
    });
    const failed = executor.run(function* main() {
      const child = yield* spawn(function* child() {
        yield* park<void>(() => {}, "a letter");
      });
      yield* yieldNow();
      yield* cancel(child);
      throw new Error("failed");
    });
    await rejectionOf(settled(driver, failed));
    expect(log).toEqual([
      "task main (#1) is ready",
      "task child (#2) is ready",
      "waits for ",
      "waits for a letter",
      "waits for the end of task child (#2)",
      "task child (#2) has cancelled",
      "task main (#1) has failed",
    ]);
  });

  test("sees every task of any program begin and end exactly once, resumed and suspended in turn", async () => {
    const log = await recorded(function* () {
      try {
        yield* scope(function* (s) {
          for (let count = 0; count < 5; count++) {
            yield* spawn(function* () {
              try {
                yield* s.spawn(() => sleep(count));
                yield* sleep(5);
              } finally {
                yield* yieldNow();
                yield* sleep(1);
              }
            });
          }
          yield* sleep(3);
          throw new Error("failed");
        });
      } catch (error) {
        expect((error as Error).message).toBe("failed");
      }
      const neverBegun = yield* spawn(() => sleep(1_000));
      neverBegun.cancel();
    });
    const lives = Map.groupBy(log, (entry) => entry.split(" ")[1]!);
    expect(lives.size).toBe(12);
    for (const entries of lives.values()) {
      const course = entries.map((entry) => entry.split(" ")[0]).join(" ");
      expect(course).toMatch(/^created (resumed suspended )*resumed ended$/);
    }
  });

  test("sees one that never begins created and ended", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    executor.addInstrument(recording(log));
    const task = executor.spawn(() => sleep(1));
    task.cancel();
    await settled(
      driver,
      executor.run(() => sleep(1)),
    );
    expect(log.filter((entry) => entry.endsWith(" 1"))).toEqual(["created 1", "resumed 1", "ended 1"]);
  });

  test("may leave hooks out", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    let created = 0;
    executor.addInstrument({ created: () => created++ });
    executor.addInstrument({});
    await settled(
      driver,
      executor.run(function* () {
        yield* spawn(() => sleep(1));
      }),
    );
    expect(created).toBe(2);
  });

  test("is one of several, told in the order in which they came, and goes without the others", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    const run = (): Promise<void> =>
      settled(
        driver,
        executor.run(function* () {}),
      );
    const removeFirst = executor.addInstrument(recording(log, "first: "));
    const removeSecond = executor.addInstrument(recording(log, "second: "));
    await run();
    removeFirst();
    removeFirst();
    await run();
    removeSecond();
    await run();
    expect(log).toEqual([
      "first: created 1",
      "second: created 1",
      "first: resumed 1",
      "second: resumed 1",
      "first: ended 1",
      "second: ended 1",
      "second: created 2",
      "second: resumed 2",
      "second: ended 2",
    ]);
  });

  test("that is gone costs nothing: the executor has none any more, until one is added again", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    expect(executor.instrument).toBeNull();
    const removeFirst = executor.addInstrument({});
    const removeSecond = executor.addInstrument({});
    removeSecond();
    expect(executor.instrument).not.toBeNull();
    removeFirst();
    expect(executor.instrument).toBeNull();
    const log: string[] = [];
    const removeThird = executor.addInstrument(recording(log));
    // What was removed already takes nobody else along.
    removeFirst();
    removeSecond();
    await settled(
      driver,
      executor.run(function* () {}),
    );
    expect(log).toHaveLength(3);
    removeThird();
    expect(executor.instrument).toBeNull();
  });

  test("may be removed or added within a call, and is told of the rest", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    let removeSecond: (() => void) | undefined;
    const removeFirst = executor.addInstrument({
      resumed: () => {
        removeFirst();
        removeSecond = executor.addInstrument(recording(log));
      },
    });
    const body = function* (): Operation<void> {
      yield* sleep(1);
      removeSecond!();
      yield* sleep(1);
    };
    await settled(driver, executor.run(body));
    expect(log).toContain("suspended 1");
    expect(log).not.toContain("ended 1");
    expect(executor.instrument).toBeNull();
  });
});
