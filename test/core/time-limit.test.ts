import { describe, expect, test } from "bun:test";
import { CancelledError, OperationReusedError, TimeoutError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep, sleepUntil } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { cancel, currentTask, join, spawn } from "../../src/core/task-operations.ts";
import { deadline, moveOnAfter, type TimeLimit, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Runs a task, and returns when it ended on the virtual clock, in milliseconds, and what it came to. */
async function timed(body: TaskBody<unknown>): Promise<{ ms: number; value?: unknown; error?: unknown }> {
  const driver = new VirtualDriver();
  const executor = new Executor(driver);
  const outcome = await settled(driver, executor.run(body)).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  expect(executor.timers.size).toBe(0);
  return { ms: driver.now() / 1e6, ...outcome };
}

/** What the operation throws. */
function* caughtFrom(operation: Operation<unknown>): Operation<unknown> {
  try {
    yield* operation;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, but the operation returned");
}

/** Waits for longer than any test, and then for `cleanupMs` in its finally. */
function* waitAndTidy(log: string[], cleanupMs = 0, message?: string): Operation<void> {
  try {
    yield* sleep(1_000_000);
    log.push("the wait has ended by itself");
  } catch {
    log.push("caught");
  } finally {
    if (cleanupMs > 0) yield* sleep(cleanupMs);
    log.push("tidy");
    if (message !== undefined) throwError(message);
  }
}

describe("timeout", () => {
  test("gives what the body gives if that ends in time, a value or an error", async () => {
    const inTime = function* (): Operation<string> {
      yield* sleep(5);
      return "in time";
    };
    const failing = function* (): Operation<void> {
      yield* sleep(5);
      throw new Error("the body's own");
    };
    expect(await timed(() => timeout(10, inTime))).toEqual({ ms: 5, value: "in time" });
    const { ms, error } = await timed(() => timeout(10, failing));
    expect({ ms, message: (error as Error).message }).toEqual({ ms: 5, message: "the body's own" });
  });

  test("ends the body when its time is up: finally runs and is waited for, catch sees nothing", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(function* reader() {
      yield* timeout(10, () => waitAndTidy(log, 5));
    });
    expect(ms).toBe(15);
    expect(log).toEqual(["tidy"]);
    expect(error).toBeInstanceOf(TimeoutError);
    const { taskName, deadlineMs, message, code } = error as TimeoutError;
    expect({ taskName, deadlineMs, code }).toEqual({
      taskName: "task reader (#1)",
      deadlineMs: 10,
      code: "ERR_TIMEOUT",
    });
    expect(message).toStartWith("task reader (#1) ran out of time while it waited for a deadline");
  });

  test("says what the body waited for", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        timeout(
          10,
          park<void>(() => {}, "a letter"),
        ),
      ),
      TimeoutError,
    );
    expect(error.waitedFor).toBe("a letter");
  });

  test("arms nothing for a body that does not wait, and disarms when it ends", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const sizes = await settled(
      driver,
      executor.run(function* () {
        const seen: number[] = [];
        yield* timeout(1_000, function* () {
          seen.push(executor.timers.size);
        });
        yield* timeout(1_000, function* () {
          yield* yieldNow();
          seen.push(executor.timers.size);
        });
        seen.push(executor.timers.size);
        yield* caughtFrom(timeout(1_000, () => failAtOnceAfterYield()));
        seen.push(executor.timers.size);
        return seen;
      }),
    );
    expect(sizes).toEqual([0, 1, 0, 0]);
    expect(driver.now()).toBe(0);
  });

  test("counts from the body's first wait, not from when it was made", async () => {
    const { ms, value } = await timed(function* () {
      const limited = timeout(10, () => sleep(8));
      yield* sleep(100);
      yield* limited;
      return "in time";
    });
    expect({ ms, value }).toEqual({ ms: 108, value: "in time" });
  });

  test("of no time ends the body at its first wait, and lets one that does not wait return", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      expect(yield* timeout(0, returning("value"))).toBe("value");
      yield* caughtFrom(
        timeout(0, function* () {
          log.push("begun");
          yield* yieldNow();
          log.push("not reached");
        }),
      );
    });
    expect(ms).toBe(0);
    expect(log).toEqual(["begun"]);
  });

  test("of an infinite time is none, and arms no timer", async () => {
    const { ms } = await timed(() => timeout(Infinity, () => sleep(1_000_000)));
    expect(ms).toBe(1_000_000);
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const sizes = await settled(
      driver,
      executor.run(() =>
        timeout(Infinity, function* (limit) {
          yield* yieldNow();
          const before = executor.timers.size;
          limit.expireAfter(1_000);
          limit.expireAfter(Infinity);
          return [before, executor.timers.size];
        }),
      ),
    );
    expect(sizes).toEqual([0, 0]);
  });

  test("that passes while the body is about to go on lands at its next wait, and says that it waited for nothing", async () => {
    const log: string[] = [];
    const driver = new VirtualDriver();
    const error = await rejectionOf(
      settled(
        driver,
        new Executor(driver).run(function* () {
          let resumption: Resumption<string> | undefined;
          yield* spawn(function* hog() {
            yield* sleep(5);
            // So many others are ready that the clock is read before the body has its turn.
            for (let count = 0; count < 300; count++) yield* spawn(() => yieldNow());
            resumption!.succeed("the answer");
            driver.nowNs += 10e6;
          });
          yield* timeout(10, function* () {
            log.push(yield* park<string>((given) => void (resumption = given)));
            yield* sleep(1);
            log.push("not reached");
          });
        }),
      ),
      TimeoutError,
    );
    expect(log).toEqual(["the answer"]);
    expect(error.message).toBe("task #1 ran out of time");
  });

  test("can be around a bare operation, or around another limit, in a task of its own that is cancelled", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      const tasks = [
        yield* spawn(timeout(1_000, sleep(500))),
        yield* spawn(
          timeout(
            1_000,
            timeout(2_000, () => waitAndTidy(log, 5)),
          ),
        ),
        yield* spawn(timeout(1_000, shield(timeout(30, () => waitAndTidy(log, 5)))), { supervised: true }),
      ];
      yield* sleep(10);
      for (const task of tasks) task.cancel();
      yield* caughtFrom(join(tasks[2]!));
      expect(tasks.map(({ state }) => state)).toEqual(["cancelled", "cancelled", "failed"]);
    });
    expect(ms).toBe(35);
    expect(log).toEqual(["tidy", "tidy"]);
  });

  test("does not end tasks that the body has spawned, unless a scope within it has", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* caughtFrom(
        timeout(10, function* () {
          yield* spawn(function* () {
            yield* sleep(20);
            log.push("the task's own child ends by itself");
          });
          yield* scope(function* () {
            yield* spawn(() => waitAndTidy(log, 1));
            yield* sleep(1_000);
          });
        }),
      );
      log.push("time was up");
    });
    expect(log).toEqual(["tidy", "time was up", "the task's own child ends by itself"]);
  });

  test("refuses what is no duration, and to be used twice", async () => {
    for (const wrong of [-1, Number.NaN, "5", undefined])
      expect(() => timeout(wrong as number, sleep(1))).toThrow(RangeError);
    expect(() => timeout(-1, sleep(1))).toThrow("timeout: durationMs must be a number of milliseconds");
    expect(() => moveOnAfter(-1, sleep(1))).toThrow("moveOnAfter: durationMs");
    expect(() => deadline(-1, sleep(1))).toThrow("deadline: deadlineMs");
    const operation = timeout(10, () => sleep(1));
    await rejectionOf(
      runVirtually(function* () {
        yield* operation;
        yield* operation;
      }),
      OperationReusedError,
    );
  });
});

function* failAtOnceAfterYield(): Operation<never> {
  yield* yieldNow();
  throw new Error("failed");
}

function* returning<T>(value: T): Operation<T> {
  return value;
}

describe("an error in the clean-up after a time-out", () => {
  test("comes out together with the time-out, which it does not hide", async () => {
    const error = await rejectionOf(
      runVirtually(() => timeout(10, () => waitAndTidy([], 5, "untidy"))),
      SuppressedError,
    );
    expect((error.error as Error).message).toBe("untidy");
    expect(error.suppressed).toBeInstanceOf(TimeoutError);
    expect(error.message).toBe("clean-up failed after a time-out");
  });

  test("of a child in a scope that has timed out does as well", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        timeout(10, () =>
          scope(function* () {
            yield* spawn(() => waitAndTidy([], 5, "the child is untidy"));
            yield* waitAndTidy([], 5, "the body is untidy");
          }),
        ),
      ),
      SuppressedError,
    );
    expect((error.error as AggregateError).errors.map(({ message }: Error) => message)).toEqual([
      "the child is untidy",
      "the body is untidy",
    ]);
    expect(error.suppressed).toBeInstanceOf(TimeoutError);
  });

  test("comes out alone if the time-out itself is none, as with moveOnAfter", async () => {
    const error = await rejectionOf(runVirtually(() => moveOnAfter(10, () => waitAndTidy([], 5, "untidy"))));
    expect(error.message).toBe("untidy");
  });

  test("comes out alone if it was not the time that ended the body", async () => {
    const error = await runVirtually(function* () {
      const task = yield* spawn(() => timeout(1_000, () => waitAndTidy([], 5, "untidy")));
      yield* sleep(1);
      return yield* caughtFrom(cancel(task));
    });
    expect((error as Error).message).toBe("untidy");
  });
});

describe("moveOnAfter", () => {
  test("gives the body's value, or undefined once its time is up and it has cleaned up", async () => {
    const log: string[] = [];
    expect(await timed(() => moveOnAfter(10, returning("value")))).toEqual({ ms: 0, value: "value" });
    expect(await timed(() => moveOnAfter(10, () => waitAndTidy(log, 5)))).toEqual({ ms: 15, value: undefined });
    expect(log).toEqual(["tidy"]);
  });

  test("throws what the body throws in time", async () => {
    const { ms, error } = await timed(() => moveOnAfter(10, () => failAtOnceAfterYield()));
    expect({ ms, message: (error as Error).message }).toEqual({ ms: 0, message: "failed" });
  });
});

describe("deadline", () => {
  test("is a time on the executor's clock, however often it is used", async () => {
    const { ms } = await timed(function* () {
      yield* sleep(30);
      yield* deadline(50, () => sleep(10));
      const error = (yield* caughtFrom(deadline(50, () => sleep(1_000)))) as TimeoutError;
      expect(error.deadlineMs).toBe(50);
    });
    expect(ms).toBe(50);
  });

  test("that is past ends the body at its first wait", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      yield* sleep(30);
      yield* caughtFrom(
        deadline(20, function* () {
          try {
            log.push("begun");
            yield* sleep(0);
            log.push("not reached");
          } finally {
            yield* sleep(1);
            log.push("tidy");
          }
        }),
      );
    });
    expect(ms).toBe(31);
    expect(log).toEqual(["begun", "tidy"]);
  });

  test("that is past does not begin the wait that it ends", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* sleep(30);
      yield* caughtFrom(
        deadline(
          20,
          park<void>(() => void log.push("armed")),
        ),
      );
    });
    expect(log).toEqual([]);
  });

  test("that comes and a value that comes in the same turn: the value counts", async () => {
    for (const [first, second] of [
      [10, 10],
      [10, 7],
    ] as const) {
      const value = await runVirtually(() =>
        timeout(first, function* () {
          yield* sleep(first - second);
          yield* sleep(second);
          return "the value";
        }),
      );
      expect(value).toBe("the value");
    }
    const joined = await runVirtually(function* () {
      const child = yield* spawn(function* () {
        yield* sleepUntil(10);
        return "the child's value";
      });
      return yield* timeout(
        20,
        timeout(15, function* () {
          yield* sleepUntil(10);
          return yield* join(child);
        }),
      );
    });
    expect(joined).toBe("the child's value");
  });

  test("that comes in the same turn as the end of a sleep ends what waits on after it", async () => {
    const log: string[] = [];
    const { ms } = await timed(() =>
      moveOnAfter(10, function* () {
        yield* sleep(10);
        log.push("slept");
        yield* sleep(1);
        log.push("not reached");
      }),
    );
    expect(ms).toBe(10);
    expect(log).toEqual(["slept"]);
  });
});

describe("a source that is ready at the moment at which a limit passes", () => {
  const newSource = (): Source => new Source(7, Delivery.EDGE, { label: "the socket" });

  test.each([
    ["run", (driver: VirtualDriver, body: TaskBody<unknown>) => settled(driver, new Executor(driver).run(body))],
    ["blockOn", async (driver: VirtualDriver, body: TaskBody<unknown>) => new Executor(driver).blockOn(body)],
  ])("counts, though the thread comes late to both, in %s", async (_, runOn) => {
    const driver = new VirtualDriver();
    const readiness = await runOn(driver, function* () {
      yield* spawn(function* hog() {
        yield* sleep(5);
        driver.declareReady(7, Readiness.READABLE);
        driver.nowNs += 20e6;
      });
      return yield* timeout(10, ready(newSource(), Interest.READABLE));
    });
    expect(readiness).toBe(Readiness.READABLE);
  });

  test("counts if both wake the executor at once", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    driver.whenBlocked = () => {
      // The clock reaches the deadline, and the socket becomes readable, before the executor wakes.
      driver.nowNs = 10e6;
      driver.declareReady(7, Readiness.READABLE);
    };
    const readiness = await settled(
      driver,
      executor.run(() => timeout(10, ready(newSource(), Interest.READABLE))),
    );
    expect(readiness).toBe(Readiness.READABLE);
    expect(executor.timers.size).toBe(0);
  });

  test("is watched no more, and keeps what it reports, once the limit has passed before", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const source = newSource();
    const value = await settled(
      driver,
      executor.run(function* () {
        const first = yield* moveOnAfter(10, ready(source, Interest.READABLE));
        expect({ first, interests: executor.interestCount }).toEqual({ first: undefined, interests: 0 });
        yield* spawn(function* () {
          yield* sleep(1);
          driver.declareReady(7, Readiness.READABLE);
        });
        return yield* moveOnAfter(10, ready(source, Interest.READABLE));
      }),
    );
    expect(value).toBe(Readiness.READABLE);
  });
});

describe("nested limits", () => {
  test("the inner one first is the inner one's error, which the outer one's body may catch", async () => {
    const { ms, value } = await timed(() =>
      timeout(100, function* () {
        const error = (yield* caughtFrom(timeout(10, () => sleep(1_000)))) as TimeoutError;
        yield* sleep(20);
        return error.deadlineMs;
      }),
    );
    expect({ ms, value }).toEqual({ ms: 30, value: 10 });
  });

  test("the outer one first is not blamed on the inner one: nobody within sees it", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() =>
      timeout(10, function* () {
        try {
          yield* timeout(100, () => waitAndTidy(log, 5));
          log.push("went on");
        } catch (caught) {
          log.push(`caught ${String(caught)}`);
        } finally {
          log.push("finally");
        }
      }),
    );
    expect(ms).toBe(15);
    expect((error as TimeoutError).deadlineMs).toBe(10);
    expect(log).toEqual(["tidy", "finally"]);
  });

  test("the outer one while the inner one's body cleans up waits for that, and the inner error stays inside", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() =>
      timeout(12, function* () {
        try {
          yield* timeout(10, () => waitAndTidy(log, 5));
        } catch (caught) {
          log.push(`caught the one at ${(caught as TimeoutError).deadlineMs}`);
        }
        yield* sleep(1);
        log.push("not reached");
      }),
    );
    expect(ms).toBe(15);
    expect((error as TimeoutError).deadlineMs).toBe(12);
    expect(log).toEqual(["tidy", "caught the one at 10"]);
  });

  test("both at once are the outer one's", async () => {
    const { ms, error } = await timed(() =>
      deadline(10, function* outer() {
        yield* moveOnAfter(10, () => sleep(1_000));
        return "went on";
      }),
    );
    expect(ms).toBe(10);
    expect(error).toBeInstanceOf(TimeoutError);
  });

  test("both during a shield are the outer one's: the inner one is not heard of", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() =>
      timeout(20, function* () {
        try {
          yield* timeout(10, function* () {
            yield* shield(() => sleep(30));
            yield* waitAndTidy(log);
          });
        } catch (caught) {
          log.push(String(caught));
        }
      }),
    );
    expect(ms).toBe(30);
    expect((error as TimeoutError).deadlineMs).toBe(20);
    expect(log).toEqual(["tidy"]);
  });

  test("many in one task are all disarmed when the outermost passes", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const nest = function* (levels: number): Operation<void> {
      if (levels === 0) yield* sleep(1_000_000);
      else yield* timeout(1_000 + levels, () => nest(levels - 1));
    };
    await settled(
      driver,
      executor.run(function* () {
        yield* moveOnAfter(10, () => nest(50));
        expect(executor.timers.size).toBe(0);
      }),
    );
  });
});

describe("a limit around a scope", () => {
  test("ends its children and its body, and all have cleaned up when the error comes", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() =>
      timeout(10, () =>
        scope(function* () {
          yield* spawn(function* () {
            yield* spawn(() => waitAndTidy(log, 3));
            yield* waitAndTidy(log, 2);
          });
          yield* waitAndTidy(log, 1);
        }),
      ),
    );
    expect(ms).toBe(16);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(log).toEqual(["tidy", "tidy", "tidy"]);
  });

  test("ends children whose scope's body has returned, and says whose end it waited for", async () => {
    const { ms, error } = await timed(() =>
      timeout(10, () =>
        scope(function* () {
          yield* spawn(() => sleep(1_000), { name: "slow" });
          return "value";
        }),
      ),
    );
    expect(ms).toBe(10);
    expect((error as TimeoutError).waitedFor).toBe("the end of task slow (#2)");
  });

  test("that has failed already brings out the failure, not the time-out", async () => {
    const { ms, error } = await timed(() =>
      timeout(10, () =>
        scope(function* () {
          yield* spawn(() => waitAndTidy([], 20));
          yield* sleep(5);
          throw new Error("the first");
        }),
      ),
    );
    expect(ms).toBe(25);
    expect((error as Error).message).toBe("the first");
  });

  test("within each child ends that child alone", async () => {
    const values = await runVirtually(() =>
      scope(function* () {
        const children = [];
        for (const ms of [5, 15, 25]) {
          children.push(
            yield* spawn(() =>
              moveOnAfter(10, function* () {
                yield* sleep(ms);
                return ms;
              }),
            ),
          );
        }
        const results: (number | undefined)[] = [];
        for (const child of children) results.push(yield* join(child));
        return results;
      }),
    );
    expect(values).toEqual([5, undefined, undefined]);
  });
});

describe("a limit under cancellation", () => {
  test("in a finally works as anywhere, and ends its own part of the clean-up", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* sleep(1_000);
        } finally {
          log.push(String(yield* moveOnAfter(5, () => waitAndTidy(log, 2))));
          const error = yield* caughtFrom(timeout(5, () => sleep(1_000)));
          log.push((error as Error).name);
          yield* timeout(5, () => sleep(1));
          log.push("the clean-up goes on");
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      expect(task.state).toBe("cancelled");
    });
    expect(ms).toBe(1 + 5 + 2 + 5 + 1);
    expect(log).toEqual(["tidy", "undefined", "TimeoutError", "the clean-up goes on"]);
  });

  test("that passes while the task cleans up outside of it does nothing more", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* timeout(10, () => waitAndTidy(log, 20));
        } catch (error) {
          log.push(String(error));
        }
      });
      yield* sleep(5);
      yield* cancel(task);
      expect(task.state).toBe("cancelled");
    });
    expect(ms).toBe(25);
    expect(log).toEqual(["tidy"]);
  });

  test("whose body cleans up when the whole task is cancelled finishes that first", async () => {
    const log: string[] = [];
    const { ms } = await timed(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* timeout(10, () => waitAndTidy(log, 20));
        } catch (error) {
          log.push((error as Error).name);
        }
        yield* yieldNow();
        log.push("not reached");
      });
      yield* sleep(15);
      yield* cancel(task);
      expect(task.state).toBe("cancelled");
    });
    expect(ms).toBe(30);
    expect(log).toEqual(["tidy", "TimeoutError"]);
  });

  test("and a cancel of the task in one moment end it as cancelled, once", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      const task = yield* spawn(() => timeout(10, () => waitAndTidy(log, 5)));
      yield* sleep(10);
      task.cancel();
      yield* cancel(task);
      return task.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["tidy"]);
  });

  test("around a shield passes when the shield has ended", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() =>
      timeout(10, function* () {
        yield* shield(() => sleep(30));
        log.push("the shield has ended");
        yield* sleep(1);
        log.push("not reached");
      }),
    );
    expect(ms).toBe(30);
    expect((error as TimeoutError).deadlineMs).toBe(10);
    expect(log).toEqual(["the shield has ended"]);
  });

  test("cancels only its part: what the task joins goes on, and the reason is none of a cancelled task", async () => {
    const outcome = await runVirtually(function* () {
      const child = yield* spawn(function* () {
        yield* sleep(30);
        return "the child's value";
      });
      const me = yield* currentTask();
      const first = yield* moveOnAfter(10, join(child));
      return { first, second: yield* join(child), reason: me.cancelReason };
    });
    expect(outcome).toEqual({ first: undefined, second: "the child's value", reason: undefined });
  });

  test("is over with a CancelledError of a task that it joined, not taken for one of its own", async () => {
    const error = await runVirtually(function* () {
      const child = yield* spawn(() => sleep(1_000));
      yield* spawn(function* () {
        yield* sleep(5);
        child.cancel("by somebody");
      });
      return yield* caughtFrom(timeout(10, join(child)));
    });
    expect(error).toBeInstanceOf(CancelledError);
  });
});

describe("a limit that is moved", () => {
  /** When a body ends that moves its limit, in milliseconds. */
  const endOf = async (move: (limit: TimeLimit) => Operation<void>, limitMs = 10): Promise<number> => {
    const { ms } = await timed(() =>
      moveOnAfter(limitMs, function* (limit) {
        yield* move(limit);
        yield* sleep(1_000);
      }),
    );
    return ms;
  };

  test("later holds from then on", async () => {
    const ms = await endOf(function* (limit) {
      yield* sleep(5);
      limit.expireAfter(20);
      expect(limit.deadlineMs).toBe(25);
      yield* sleep(1);
      limit.expireAt(50);
      expect(limit.deadlineMs).toBe(50);
    });
    expect(ms).toBe(50);
  });

  test("earlier holds from then on, and the driver is told", async () => {
    const ms = await endOf(function* (limit) {
      yield* sleep(1);
      limit.expireAfter(2);
    }, 500);
    expect(ms).toBe(3);
  });

  test("into the past ends the body at its next wait", async () => {
    const ms = await endOf(function* (limit) {
      yield* sleep(5);
      limit.expireAt(1);
    });
    expect(ms).toBe(5);
  });

  test("to infinity is lifted, and can be set again", async () => {
    const lifted = await endOf(function* (limit) {
      yield* sleep(5);
      limit.expireAfter(Infinity);
      expect(limit.deadlineMs).toBe(Infinity);
    });
    const setAgain = await endOf(function* (limit) {
      yield* sleep(5);
      limit.expireAt(Infinity);
      yield* sleep(100);
      limit.expireAfter(7);
    });
    expect({ lifted, setAgain }).toEqual({ lifted: 1_005, setAgain: 112 });
  });

  test("from infinity holds from then on", async () => {
    const ms = await endOf(function* (limit) {
      yield* sleep(5);
      limit.expireAfter(10);
    }, Infinity);
    expect(ms).toBe(15);
  });

  test("before the first wait counts from that, or is the time that it names", async () => {
    const after = await endOf(function* (limit) {
      expect(limit.deadlineMs).toBeUndefined();
      limit.expireAfter(30);
      expect(limit.deadlineMs).toBeUndefined();
    });
    const at = await endOf(function* (limit) {
      limit.expireAt(40);
      expect(limit.deadlineMs).toBe(40);
    });
    const lastCounts = await endOf(function* (limit) {
      limit.expireAt(40);
      limit.expireAfter(60);
    });
    expect({ after, at, lastCounts }).toEqual({ after: 30, at: 40, lastCounts: 60 });
  });

  test("with each message is a limit of silence", async () => {
    const ms = await endOf(function* (limit) {
      for (let count = 0; count < 5; count++) {
        yield* sleep(8);
        limit.expireAfter(10);
      }
    });
    expect(ms).toBe(50);
  });

  test("by another task, or by the host while all tasks wait, holds as well", async () => {
    const byTask = await timed(() =>
      moveOnAfter(1_000, function* (limit) {
        yield* spawn(function* () {
          yield* sleep(5);
          limit.expireAfter(5);
        });
        yield* sleep(500);
      }),
    );
    expect(byTask.ms).toBe(10);
    const driver = new VirtualDriver();
    driver.whenBlocked = () => {};
    let limit: TimeLimit | undefined;
    const running = new Executor(driver).run(() =>
      moveOnAfter(1_000, function* (given) {
        limit = given;
        yield* sleep(500);
      }),
    );
    await hostTurn();
    limit!.expireAfter(20);
    await hostTurn();
    expect(driver.nextDeadlineNs).toBe(20e6);
    driver.jump();
    await running;
  });

  test("after its time was up, or after its body has ended, stays as it was", async () => {
    const { ms } = await timed(function* () {
      let escaped: TimeLimit | undefined;
      yield* moveOnAfter(10, function* (limit) {
        escaped = limit;
        try {
          yield* sleep(1_000);
        } finally {
          limit.expireAfter(100);
          expect(limit.deadlineMs).toBe(10);
          yield* sleep(5);
        }
      });
      escaped!.expireAfter(1);
      escaped!.expireAt(1);
      yield* sleep(10);
      yield* moveOnAfter(10, function* (limit) {
        escaped = limit;
      });
      escaped!.expireAfter(1);
      yield* sleep(10);
    });
    expect(ms).toBe(35);
  });

  test("refuses what is no time, and stays as it was", async () => {
    await runVirtually(() =>
      moveOnAfter(10, function* (limit) {
        yield* yieldNow();
        expect(() => limit.expireAfter(-1)).toThrow("expireAfter: durationMs must be a number of milliseconds");
        expect(() => limit.expireAt(Number.NaN)).toThrow("expireAt: deadlineMs must be a number of milliseconds");
        expect(limit.deadlineMs).toBe(10);
      }),
    );
  });

  test("around a scope gives its children more time", async () => {
    const { ms, value } = await timed(() =>
      moveOnAfter(10, (limit) =>
        scope(function* () {
          yield* spawn(function* () {
            yield* sleep(9);
            limit.expireAfter(20);
            yield* sleep(15);
          });
          return "all of it";
        }),
      ),
    );
    expect({ ms, value }).toEqual({ ms: 24, value: "all of it" });
  });
});

describe("a limit when the driver fails", () => {
  test("is disarmed with all others, and its body gets the driver's error", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    driver.whenBlocked = () => {};
    const running = executor.run(() =>
      timeout(
        1_000,
        timeout(2_000, () => sleep(500)),
      ),
    );
    await hostTurn();
    await hostTurn();
    driver.fail(new Error("the event queue is gone"));
    expect((await rejectionOf(settled(driver, running))).message).toBe("the event queue is gone");
    expect(executor.timers.size).toBe(0);
  });
});
