import { describe, expect, test } from "bun:test";
import { DeadlockError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Once } from "../../src/sync/once.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Starts tasks that run the once, each with a body of its own, which notes that it ran. */
function* spawnRunners(once: Once<string>, names: readonly string[], log: string[]): Operation<Task<string>[]> {
  const tasks: Task<string>[] = [];
  for (const name of names) {
    const task = yield* spawn(() => once.run(() => slowly(name, log)), { name });
    tasks.push(task);
  }
  yield* yieldNow();
  return tasks;
}

function* slowly(name: string, log: string[]): Operation<string> {
  log.push(`${name} begins`);
  try {
    yield* sleep(10);
    return `done by ${name}`;
  } finally {
    log.push(`${name} ends`);
  }
}

describe("a once", () => {
  test("is run by the first task, and gives its value to all, then and later", async () => {
    const log: string[] = [];
    const once = new Once<string>();
    const values = await runVirtually(function* main() {
      const seen: string[] = [];
      for (const task of yield* spawnRunners(once, ["a", "b", "c"], log)) seen.push(yield* join(task));
      seen.push(yield* once.run(() => slowly("late", log)));
      return seen;
    });
    expect(values).toEqual(Array(4).fill("done by a"));
    expect(log).toEqual(["a begins", "a ends"]);
    expect({ isDone: once.isDone, waiting: once.waiting }).toEqual({ isDone: true, waiting: 0 });
  });

  test("that was done gives its value without a suspension, but lets other tasks run in the end", async () => {
    let otherRanInRound = -1;
    await runVirtually(function* main() {
      const once = new Once<undefined>();
      let runs = 0;
      const body = function* (): Operation<undefined> {
        runs++;
        return undefined;
      };
      let round = 0;
      yield* spawn(function* other() {
        otherRanInRound = round;
      });
      for (; round < 1000; round++) yield* once.run(body);
      expect(runs).toBe(1);
    });
    expect(otherRanInRound).toBeWithin(10, 1000);
  });

  test("that fails gives its error to all that wait, and begins anew with the next", async () => {
    const error = new Error("no luck");
    const once = new Once<string>();
    let attempts = 0;
    const body = function* (): Operation<string> {
      attempts++;
      yield* sleep(1);
      if (attempts === 1) throw error;
      return `attempt ${attempts}`;
    };
    await runVirtually(function* main() {
      const tasks: Task<string>[] = [];
      for (let count = 0; count < 3; count++) tasks.push(yield* spawn(() => once.run(body), { supervised: true }));
      for (const task of tasks) {
        try {
          yield* join(task);
          expect.unreachable();
        } catch (caught) {
          expect(caught).toBe(error);
        }
      }
      expect(once.isDone).toBe(false);
      expect(yield* once.run(body)).toBe("attempt 2");
    });
    expect(attempts).toBe(2);
  });

  test("whose first task is cancelled is run by the next, with a body of its own, after the clean-up of the first", async () => {
    const log: string[] = [];
    const once = new Once<string>();
    const values = await runVirtually(function* main() {
      const first = yield* spawn(() =>
        once.run(function* () {
          try {
            yield* sleep(10);
            return "not reached";
          } finally {
            yield* sleep(5);
            log.push("first cleaned up");
          }
        }),
      );
      yield* yieldNow();
      const [b, c] = yield* spawnRunners(once, ["b", "c"], log);
      yield* cancel(first);
      return [yield* join(b!), yield* join(c!)];
    });
    expect(log).toEqual(["first cleaned up", "b begins", "b ends"]);
    expect(values).toEqual(["done by b", "done by b"]);
  });

  test("whose next task is cancelled before it has begun is run by the one after it", async () => {
    const log: string[] = [];
    const value = await runVirtually(function* main() {
      const once = new Once<string>();
      const [a, b, c] = yield* spawnRunners(once, ["a", "b", "c"], log);
      // The first hands its turn to the second within its step, and the canceller's step comes before the second's.
      a!.cancel();
      yield* spawn(function* canceller() {
        b!.cancel();
      });
      const answer = yield* join(c!);
      expect(b!.state).toBe("cancelled");
      return answer;
    });
    expect(log).toEqual(["a begins", "a ends", "c begins", "c ends"]);
    expect(value).toBe("done by c");
  });

  test("that only cancelled tasks wanted begins anew with the next", async () => {
    const log: string[] = [];
    const once = new Once<string>();
    const value = await runVirtually(function* main() {
      const tasks = yield* spawnRunners(once, ["a", "b"], log);
      for (const task of tasks.toReversed()) yield* cancel(task);
      expect(once.waiting).toBe(0);
      expect(
        yield* moveOnAfter(
          3,
          once.run(() => slowly("impatient", log)),
        ),
      ).toBeUndefined();
      return yield* once.run(() => slowly("patient", log));
    });
    expect(value).toBe("done by patient");
    expect(log.filter((entry) => entry.endsWith("begins"))).toEqual(["a begins", "impatient begins", "patient begins"]);
  });

  test("whose first task ran out of time is not that task's any more, and it can wait for the next", async () => {
    const log: string[] = [];
    const value = await runVirtually(function* main() {
      const once = new Once<string>();
      const impatient = yield* spawn(function* impatient() {
        yield* moveOnAfter(
          3,
          once.run(() => slowly("impatient", log)),
        );
        return yield* once.run(() => slowly("patient", log));
      });
      yield* yieldNow();
      yield* spawnRunners(once, ["b"], log);
      return yield* join(impatient);
    });
    expect(value).toBe("done by b");
    expect(log).toEqual(["impatient begins", "impatient ends", "b begins", "b ends"]);
  });

  test("that is run from within itself is an error, and not a wait for ever", async () => {
    const once = new Once<string>({ name: "settings" });
    const recursive = (): Operation<string> => once.run(recursive);
    const error = await rejectionOf(
      runVirtually(function* main() {
        return yield* recursive();
      }),
      DeadlockError,
    );
    expect(error.message).toContain("task main (#1)");
    expect(error.message).toContain("the once settings");
    expect(await runVirtually(() => once.run(() => slowly("again", [])))).toBe("done by again");
  });

  test("refuses what is no body, with its own name, and can be run afterwards", async () => {
    const once = new Once<string>();
    const error = await rejectionOf(
      runVirtually(() => once.run((() => "value") as unknown as TaskBody<string>)),
      TypeError,
    );
    expect(error.message).toStartWith("Once.run takes a generator function");
    expect(await runVirtually(() => once.run(() => slowly("main", [])))).toBe("done by main");
  });

  test("says which task runs it to those that wait", async () => {
    await runVirtually(function* main() {
      const once = new Once<string>({ name: "settings" });
      const [, b] = yield* spawnRunners(once, ["a", "b"], []);
      expect(b!.waitsFor).toBe("the once settings, which task a (#2) runs");
    });
  });
});
