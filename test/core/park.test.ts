import { describe, expect, test } from "bun:test";
import { UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, promise, type Resumption } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

describe("park", () => {
  test("resumes with the value of a callback that comes later", async () => {
    const value = await runVirtually(() => park<number>(({ succeed }) => void setImmediate(() => succeed(42))));
    expect(value).toBe(42);
  });

  test("throws the error of a callback that comes later", async () => {
    const error = new Error("bad news");
    const awaited = runVirtually(() => park<number>(({ fail }) => void setImmediate(() => fail(error))));
    expect(await rejectionOf(awaited)).toBe(error);
  });

  test("goes on at once, ahead of ready tasks, if it is resumed within arm", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        log.push("other");
      });
      log.push(yield* park<string>(({ succeed }) => succeed("synchronous")));
      try {
        yield* park<void>(({ fail }) => fail(new Error("synchronous failure")));
      } catch (error) {
        log.push((error as Error).message);
      }
    });
    expect(log).toEqual(["synchronous", "synchronous failure", "other"]);
  });

  test("goes on after the tasks that are ready if another task resumes it", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      let resumption: Resumption<void> | undefined;
      yield* spawn(function* waiter() {
        yield* park<void>((given) => void (resumption = given));
        log.push("waiter");
      });
      yield* yieldNow();
      yield* spawn(function* other() {
        log.push("other");
      });
      resumption!.succeed();
      log.push("resumer");
    });
    expect(log).toEqual(["resumer", "other", "waiter"]);
  });

  test("lets the first end of the wait count, and ignores any other", async () => {
    const log: unknown[] = [];
    await runVirtually(function* main() {
      log.push(
        yield* park<number>(({ succeed, fail }) => {
          setImmediate(() => {
            succeed(1);
            succeed(2);
            fail(new Error("three"));
          });
        }),
      );
      yield* sleep(1);
      log.push(
        yield* park<number>(({ succeed, fail }) => {
          succeed(4);
          fail(new Error("five"));
          succeed(6);
        }),
      );
      yield* sleep(1);
    });
    expect(log).toEqual([1, 4]);
  });

  test("does not let a late callback end a later wait of the same task", async () => {
    const resumptions: Resumption<string>[] = [];
    const values: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* waiter() {
        values.push(yield* park<string>((given) => void resumptions.push(given)));
        values.push(yield* park<string>((given) => void resumptions.push(given)));
      });
      yield* yieldNow();
      resumptions[0]!.succeed("first");
      yield* yieldNow();
      resumptions[0]!.succeed("first again");
      yield* yieldNow();
      resumptions[1]!.succeed("second");
    });
    expect(values).toEqual(["first", "second"]);
  });

  test("calls the undo once if the task is cancelled, before its finally blocks", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* park<void>(() => () => void log.push("undo"));
        } finally {
          log.push("finally");
          yield* sleep(5);
        }
      });
      yield* sleep(1);
      child.cancel();
      child.cancel();
      yield* cancel(child);
    });
    expect(log).toEqual(["undo", "finally"]);
  });

  test("does not call the undo if the wait has ended, even if the task is cancelled right after that", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      let resumption: Resumption<void> | undefined;
      const child = yield* spawn(function* child() {
        yield* park<void>((given) => {
          resumption = given;
          return () => void log.push("undo");
        });
        log.push("resumed");
        yield* sleep(1);
        log.push("not reached");
      });
      yield* yieldNow();
      resumption!.succeed();
      child.cancel();
      yield* sleep(5);
    });
    expect(log).toEqual(["resumed"]);
  });

  test("does not call the undo if it was resumed within arm", async () => {
    let undos = 0;
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        yield* park<void>(({ succeed }) => {
          succeed();
          return () => void undos++;
        });
        yield* sleep(1000);
      });
      yield* sleep(1);
      yield* cancel(child);
    });
    expect(undos).toBe(0);
  });

  test("throws into the task what arm throws, which the task may catch", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      try {
        yield* park<void>(() => {
          throw new Error("nothing to listen to");
        });
      } catch (error) {
        log.push((error as Error).message);
      }
      yield* sleep(1);
      log.push("goes on");
    });
    expect(log).toEqual(["nothing to listen to", "goes on"]);
  });

  test("ignores a resumption that arm passed on before it threw", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      let resumption: Resumption<void> | undefined;
      try {
        yield* park<void>((given) => {
          resumption = given;
          throw new Error("half-way");
        });
      } catch (error) {
        log.push((error as Error).message);
      }
      resumption!.succeed();
      yield* sleep(1);
      log.push("slept");
    });
    expect(log).toEqual(["half-way", "slept"]);
  });

  test("delivers falsy values and errors as they are", async () => {
    const values = await runVirtually(function* main() {
      const seen: unknown[] = [];
      for (const value of [undefined, null, 0, "", false]) {
        seen.push(yield* park<unknown>(({ succeed }) => void queueMicrotask(() => succeed(value))));
        try {
          yield* park<unknown>(({ fail }) => void queueMicrotask(() => fail(value)));
        } catch (error) {
          seen.push(error);
        }
      }
      return seen;
    });
    expect(values).toEqual([undefined, undefined, null, null, 0, 0, "", "", false, false]);
  });
});

describe("promise", () => {
  test("returns what the promise fulfils with, pending or fulfilled already", async () => {
    const values = await runVirtually(function* main() {
      const already = yield* promise(Promise.resolve("already"));
      const later = yield* promise(new Promise<string>((resolve) => setImmediate(() => resolve("later"))));
      return [already, later];
    });
    expect(values).toEqual(["already", "later"]);
  });

  test("takes any thenable", async () => {
    const thenable: PromiseLike<number> = {
      // oxlint-disable-next-line unicorn/no-thenable -- this is what is tested
      then: (onFulfilled) => Promise.resolve(7).then(onFulfilled),
    };
    expect(await runVirtually(() => promise(thenable))).toBe(7);
  });

  test("throws what the promise rejects with, which the task may catch", async () => {
    const error = new Error("broken promise");
    const caught = await runVirtually(function* main() {
      try {
        yield* promise(Promise.reject(error));
      } catch (reason) {
        yield* sleep(1);
        return reason;
      }
      return null;
    });
    expect(caught).toBe(error);
  });

  test("lets other tasks run while it is pending", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const { promise: pending, resolve } = Promise.withResolvers<string>();
      yield* spawn(function* waiter() {
        log.push(yield* promise(pending));
      });
      for (let round = 0; round < 3; round++) {
        log.push(`round ${round}`);
        yield* sleep(1);
      }
      resolve("resolved");
    });
    expect(log).toEqual(["round 0", "round 1", "round 2", "resolved"]);
  });

  test("can be cancelled while it is pending; what the promise comes to is ignored, a rejection too", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    const { promise: pending, reject } = Promise.withResolvers<never>();
    const state = await runVirtually(function* main() {
      const child = yield* spawn(() => promise(pending));
      yield* yieldNow();
      yield* cancel(child);
      reject(new Error("for nobody"));
      yield* sleep(1);
      return child.state;
    });
    await hostTurn();
    await hostTurn();
    process.off("unhandledRejection", note);
    expect(state).toBe("cancelled");
    expect(unhandled).toEqual([]);
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a number", 5],
    ["an operation", sleep(1)],
  ])("refuses %s at once, and says what to do", (_, value) => {
    const error = thrownBy(() => promise(value as unknown as PromiseLike<void>), TypeError);
    expect(error.message).toContain("takes a Promise");
    expect(error.message).toContain("yield*");
  });

  test("is refused inside blockOn, where no promise can settle, with the task's name", () => {
    const executor = new Executor(new VirtualDriver());
    const error = thrownBy(
      () =>
        executor.blockOn(function* impatient() {
          yield* promise(Promise.resolve(1));
        }),
      UnsupportedError,
    );
    expect(error.message).toContain("task impatient (#1)");
    expect(error.message).toContain("use run instead");
  });
});

describe("sleep", () => {
  test("takes fractions of a millisecond", async () => {
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(() => sleep(0.25)),
    );
    expect(driver.now()).toBe(250_000);
  });

  test.each([-1, -0.001, Number.NaN, -Infinity, "5", undefined, null, 5n])(
    "refuses %p before anything is yielded, and shows it",
    (value) => {
      const error = thrownBy(() => sleep(value as number), RangeError);
      expect(error.message).toStartWith("sleep: durationMs must be");
      expect(error.message).toContain(typeof value === "string" ? '"5"' : String(value));
    },
  );

  test("counts from when it is awaited, not from when it was made", async () => {
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(function* () {
        const pause = sleep(10);
        yield* sleep(100);
        yield* pause;
      }),
    );
    expect(driver.now()).toBe(110e6);
  });
});

describe("a deadline", () => {
  test("of sleepUntil is a time on the executor's clock, and over at once if it is past", async () => {
    const { sleepUntil } = await import("../../src/core/sleep.ts");
    const driver = new VirtualDriver();
    driver.nowNs = 50e6;
    const times = await settled(
      driver,
      new Executor(driver).run(function* () {
        yield* sleepUntil(20);
        const past = driver.now();
        yield* sleepUntil(80);
        return [past, driver.now()];
      }),
    );
    expect(times).toEqual([50e6, 80e6]);
  });

  test.each([-1, Number.NaN, "5", undefined])("of sleepUntil refuses %p, and names itself", async (value) => {
    const { sleepUntil } = await import("../../src/core/sleep.ts");
    expect(thrownBy(() => sleepUntil(value as number), RangeError).message).toStartWith(
      "sleepUntil: deadlineMs must be",
    );
  });
});

describe("operations in a finally", () => {
  test("that suspend do so as anywhere else when the task ends normally", async () => {
    const log = await runVirtually(function* main() {
      const entries: string[] = [];
      const tidy = function* (): Operation<string> {
        try {
          return "value";
        } finally {
          yield* sleep(5);
          entries.push(yield* promise(Promise.resolve("awaited in finally")));
        }
      };
      entries.push(yield* tidy());
      return entries;
    });
    expect(log).toEqual(["awaited in finally", "value"]);
  });
});
