/** The grace period of clean-up: what outlasts it is reported, and nothing hangs. */

import { describe, expect, test } from "bun:test";
import { CleanupTimeoutError, DeadlockError, TimeoutError } from "../../src/core/errors.ts";
import { DEFAULT_CLEANUP_MS } from "../../src/core/cleanup-timer.ts";
import { Executor, type RunOptions } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

interface Outcome {
  /** When the run ended, on the virtual clock. */
  readonly ms: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** Runs a task to its end, and sees to it that no timer is left. */
async function timed(body: TaskBody<unknown>, options: RunOptions = {}): Promise<Outcome> {
  const driver = new VirtualDriver();
  const executor = new Executor(driver);
  const outcome = await settled(driver, executor.run(body, options)).then(
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

/** Waits for `waitMs`, and then as its clean-up for `cleanupMs`. */
function* linger(cleanupMs: number, log: string[] = [], waitMs = 1_000_000): Operation<void> {
  try {
    yield* sleep(waitMs);
  } finally {
    log.push("clean-up begins");
    yield* sleep(cleanupMs);
    log.push("clean-up ends");
  }
}

/** Cancels the body after a millisecond, waits for its end, and returns its error if it has one. */
function cancelled(body: TaskBody<unknown>): () => Operation<unknown> {
  return function* main() {
    const task = yield* spawn(body, { name: "cleaner" });
    yield* sleep(1);
    try {
      yield* cancel(task);
    } catch (error) {
      return error;
    }
    return task.state;
  };
}

describe("a clean-up that outlasts its grace period", () => {
  test("is interrupted with an error that names the task, the period and what it waited for", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          yield* park<void>(() => () => log.push("taken back"), "the farewell of the peer");
        }
      }),
      { cleanupMs: 50 },
    );
    expect(ms).toBe(51);
    const { taskName, cleanupMs, waitedFor, code, message } = value as CleanupTimeoutError;
    expect(value).toBeInstanceOf(CleanupTimeoutError);
    expect({ taskName, cleanupMs, waitedFor, code }).toEqual({
      taskName: "task cleaner (#2)",
      cleanupMs: 50,
      waitedFor: "the farewell of the peer",
      code: "ERR_CLEANUP_TIMEOUT",
    });
    expect(message).toBe(
      "task cleaner (#2) was cancelled, and its clean-up still waited for the farewell of the peer after 50 ms: make it " +
        "shorter, or give it more time with cleanupMs",
    );
    expect(log).toEqual(["taken back"]);
  });

  test("has five seconds by default", async () => {
    const inTime = await timed(cancelled(() => linger(DEFAULT_CLEANUP_MS - 1)));
    expect(inTime).toEqual({ ms: 5_000, value: "cancelled" });
    const late = await timed(cancelled(() => linger(DEFAULT_CLEANUP_MS + 1)));
    expect(late.ms).toBe(5_001);
    expect(late.value).toBeInstanceOf(CleanupTimeoutError);
  });

  test("and ends by itself at that very moment has ended in time", async () => {
    expect(
      await timed(
        cancelled(() => linger(50)),
        { cleanupMs: 50 },
      ),
    ).toEqual({ ms: 51, value: "cancelled" });
  });

  test("in many short waits is interrupted as one in a long wait is", async () => {
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          for (let count = 0; count < 100; count++) {
            yield* sleep(3);
            yield* yieldNow();
          }
        }
      }),
      { cleanupMs: 50 },
    );
    expect(ms).toBe(51);
    expect(value).toBeInstanceOf(CleanupTimeoutError);
  });

  test("runs the rest of itself: finally blocks further out, and the rest of the one that handles the error", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          try {
            yield* sleep(1_000_000);
          } finally {
            try {
              yield* sleep(1_000);
            } catch (error) {
              log.push((error as Error).name);
            }
            yield* sleep(10);
            log.push("the inner clean-up goes on");
          }
        } finally {
          yield* sleep(10);
          log.push("the outer clean-up runs");
        }
      }),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 71, value: "cancelled" });
    expect(log).toEqual(["CleanupTimeoutError", "the inner clean-up goes on", "the outer clean-up runs"]);
  });

  test("and handles the error each time is interrupted again each time that the period has passed", async () => {
    const log: number[] = [];
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(
        cancelled(function* () {
          try {
            yield* sleep(1_000_000);
          } finally {
            for (let count = 0; count < 3; count++) {
              try {
                yield* sleep(Infinity);
              } catch {
                log.push(driver.now() / 1e6);
              }
            }
          }
        }),
        { cleanupMs: 50 },
      ),
    );
    expect(log).toEqual([51, 101, 151]);
  });

  test("is interrupted after a full period again even if the thread came late to the first interruption", async () => {
    const log: number[] = [];
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(
        function* () {
          const task = yield* spawn(function* () {
            try {
              yield* sleep(1_000_000);
            } finally {
              for (let count = 0; count < 2; count++) {
                try {
                  yield* sleep(Infinity);
                } catch {
                  log.push(driver.now() / 1e6);
                }
              }
            }
          });
          yield* spawn(function* hog() {
            yield* sleep(10);
            driver.nowNs = 1_000e6;
          });
          yield* sleep(1);
          yield* cancel(task);
        },
        { cleanupMs: 50 },
      ),
    );
    expect(log).toEqual([1_000, 1_050]);
  });

  test("throws an error of the undo as well", async () => {
    const { value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          yield* park<void>(() => () => {
            throw new Error("cannot take it back");
          });
        }
      }),
      { cleanupMs: 50 },
    );
    const messages = (value as AggregateError).errors.map(({ name, message }: Error) => `${name}: ${message}`);
    expect(messages.toSorted()).toEqual([
      expect.stringContaining("CleanupTimeoutError: task cleaner"),
      "Error: cannot take it back",
    ]);
  });

  test("of no time at all is interrupted at its first wait, and may do what does not wait", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          log.push("closed");
          yield* sleep(1);
          log.push("not reached");
        }
      }),
      { cleanupMs: 0 },
    );
    expect(ms).toBe(1);
    expect(value).toBeInstanceOf(CleanupTimeoutError);
    expect(log).toEqual(["closed"]);
  });

  test("of an infinite time is never interrupted", async () => {
    const log: string[] = [];
    const outcome = await timed(
      cancelled(() => linger(100_000_000, log)),
      { cleanupMs: Infinity },
    );
    expect(outcome).toEqual({ ms: 100_000_001, value: "cancelled" });
    expect(log).toEqual(["clean-up begins", "clean-up ends"]);
    // Nor is there a timer, which would keep the program alive, or hide a deadlock.
    const executor = new Executor(new VirtualDriver());
    const error = thrownBy(
      () =>
        executor.blockOn(
          cancelled(function* () {
            try {
              yield* sleep(1_000_000);
            } finally {
              yield* park<void>(() => {});
            }
          }),
          { cleanupMs: Infinity },
        ),
      AggregateError,
    );
    // Of all tasks, and then of the one that cannot be cancelled any more.
    for (const each of error.errors) expect(each).toBeInstanceOf(DeadlockError);
  });

  test("and that nobody joins fails the run", async () => {
    const { error } = await timed(
      function* () {
        const task = yield* spawn(() => linger(1_000));
        yield* sleep(1);
        task.cancel();
      },
      { cleanupMs: 50 },
    );
    expect(error).toBeInstanceOf(CleanupTimeoutError);
  });

  test("of the main task when its signal is aborted rejects the run with it, not with the signal's reason", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const running = new Executor(driver).run(
      function* () {
        yield* spawn(function* () {
          yield* sleep(1);
          controller.abort("the user has gone");
        });
        yield* linger(1_000);
      },
      { signal: controller.signal, cleanupMs: 50 },
    );
    await rejectionOf(settled(driver, running), CleanupTimeoutError);
    expect(driver.now()).toBe(51e6);
  });

  test("ends in blockOn as well", () => {
    const driver = new VirtualDriver();
    const error = thrownBy(
      () =>
        new Executor(driver).blockOn(
          function* () {
            const task = yield* spawn(() => linger(1_000));
            yield* sleep(1);
            yield* cancel(task);
          },
          { cleanupMs: 50 },
        ),
      CleanupTimeoutError,
    );
    expect(error.cleanupMs).toBe(50);
    expect(driver.now()).toBe(51e6);
  });
});

describe("the clean-up of a part of a task", () => {
  test("after a time-out has a grace period, and the time-out is not hidden by it", async () => {
    const log: string[] = [];
    const { ms, error } = await timed(() => timeout(10, () => linger(1_000, log)), { cleanupMs: 50 });
    expect(ms).toBe(60);
    expect((error as SuppressedError).error).toBeInstanceOf(CleanupTimeoutError);
    expect((error as SuppressedError).suppressed).toBeInstanceOf(TimeoutError);
    expect(log).toEqual(["clean-up begins"]);
  });

  test("of a scope that failed has a grace period, and the first error comes first", async () => {
    const { ms, error } = await timed(
      () =>
        scope(function* () {
          yield* spawn(function* () {
            yield* sleep(10);
            throw new Error("the first");
          });
          yield* linger(1_000);
        }),
      { cleanupMs: 50 },
    );
    expect(ms).toBe(60);
    const [first, second] = (error as AggregateError).errors as [Error, Error];
    expect(first.message).toBe("the first");
    expect(second).toBeInstanceOf(CleanupTimeoutError);
  });

  test("begins its period when the children have ended, who have had their own", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        yield* spawn(() => linger(40, log));
        yield* linger(40, log);
      }),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 81, value: "cancelled" });
    expect(log).toEqual(["clean-up begins", "clean-up ends", "clean-up begins", "clean-up ends"]);
  });

  test("that ends leaves no timer that could interrupt what comes after it", async () => {
    const { ms, value } = await timed(
      function* () {
        for (let count = 0; count < 3; count++) yield* moveOnAfter(10, () => linger(40));
        yield* sleep(1_000);
        return "went on";
      },
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 3 * 50 + 1_000, value: "went on" });
  });

  test("within the clean-up of the whole task is in both periods: the earlier one interrupts", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          yield* moveOnAfter(10, function* () {
            try {
              yield* sleep(1_000);
            } finally {
              try {
                yield* sleep(1_000);
              } catch (error) {
                log.push((error as CleanupTimeoutError).name);
              }
            }
          });
          log.push("the clean-up goes on");
        }
      }),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 51, value: "cancelled" });
    expect(log).toEqual(["CleanupTimeoutError", "the clean-up goes on"]);
  });
});

describe("what a clean-up waits for", () => {
  test("may be the child of a scope that it has opened: that is cancelled when the period has passed, and reported", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          try {
            yield* sleep(1_000_000);
          } finally {
            yield* scope(function* () {
              yield* spawn(() => linger(10, log, Infinity), { name: "stuck" });
            });
            log.push("not reached");
          }
        } finally {
          log.push("the outer clean-up runs");
        }
      }),
      { cleanupMs: 50 },
    );
    expect(ms).toBe(61);
    expect((value as CleanupTimeoutError).waitedFor).toBe("the end of task stuck (#3)");
    expect(log).toEqual(["clean-up begins", "clean-up ends", "the outer clean-up runs"]);
  });

  test("may be a join, which is ended, and a shield, which does not help", async () => {
    for (const wait of [(task: Operation<void>) => task, (task: Operation<void>) => shield(task)]) {
      const { ms, value } = await timed(
        function* () {
          const stuck = yield* spawn(() => sleep(1_000), { name: "stuck" });
          const error = yield* cancelled(function* () {
            try {
              yield* sleep(1_000_000);
            } finally {
              yield* wait(join(stuck));
            }
          })();
          stuck.cancel();
          return error;
        },
        { cleanupMs: 50 },
      );
      expect(ms).toBe(51);
      expect((value as CleanupTimeoutError).waitedFor).toBe("the end of task stuck (#2)");
    }
  });

  test("may be a child that it has spawned and does not join: that is cancelled when the clean-up has ended", async () => {
    const log: string[] = [];
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* sleep(1_000_000);
        } finally {
          yield* spawn(() => linger(10, log, Infinity));
          yield* sleep(20);
        }
      }),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 31, value: "cancelled" });
    expect(log).toEqual(["clean-up begins", "clean-up ends"]);
  });
});

describe("the grace period", () => {
  const lateBy = async (body: TaskBody<unknown>, options: RunOptions = {}): Promise<number> => {
    const { value } = await timed(body, options);
    expect(value).toBeInstanceOf(CleanupTimeoutError);
    return (value as CleanupTimeoutError).cleanupMs;
  };

  test("of a run holds for all of its tasks, however deep", async () => {
    const nest = function* (levels: number): Operation<void> {
      if (levels === 0) yield* linger(1_000);
      else yield* join(yield* spawn(() => nest(levels - 1)));
    };
    expect(
      await lateBy(
        cancelled(() => nest(5)),
        { cleanupMs: 70 },
      ),
    ).toBe(70);
  });

  test("of a scope holds for its children, their children, and its body", async () => {
    const within = (child: () => Operation<unknown>): (() => Operation<unknown>) =>
      function* () {
        return yield* caughtFrom(
          scope(
            function* (s) {
              yield* spawn(child);
              yield* sleep(1);
              s.cancel();
            },
            { cleanupMs: 30 },
          ),
        );
      };
    expect(await lateBy(within(() => linger(1_000)))).toBe(30);
    expect(await lateBy(within(() => spawn(() => linger(1_000))))).toBe(30);
    expect(await lateBy(within(() => scope(() => linger(1_000))))).toBe(30);
    const ofBody = function* (): Operation<unknown> {
      return yield* caughtFrom(
        scope(
          function* (s) {
            yield* spawn(function* () {
              yield* sleep(1);
              s.cancel();
            });
            yield* linger(1_000);
          },
          { cleanupMs: 30 },
        ),
      );
    };
    expect(await lateBy(ofBody)).toBe(30);
  });

  test("of the innermost scope counts, be it longer or shorter than the one around it", async () => {
    const nested = (outerMs: number, innerMs: number | undefined): (() => Operation<unknown>) =>
      function* () {
        return yield* caughtFrom(
          scope(
            () =>
              scope(
                function* (s) {
                  yield* spawn(() => linger(1_000));
                  yield* sleep(1);
                  s.cancel();
                },
                { cleanupMs: innerMs },
              ),
            { cleanupMs: outerMs },
          ),
        );
      };
    expect(await lateBy(nested(20, 40))).toBe(40);
    expect(await lateBy(nested(40, 20))).toBe(20);
    expect(await lateBy(nested(25, undefined))).toBe(25);
  });

  test("of a scope holds for limits within it, of whichever task they are", async () => {
    const outcome = await timed(function* () {
      return yield* scope(
        function* () {
          const inBody = yield* caughtFrom(timeout(10, () => linger(1_000)));
          const inChild = yield* join(yield* spawn(() => caughtFrom(timeout(10, () => linger(1_000)))));
          return [inBody, inChild].map((error) => ((error as SuppressedError).error as CleanupTimeoutError).cleanupMs);
        },
        { cleanupMs: 30 },
      );
    });
    expect(outcome).toEqual({ ms: 80, value: [30, 30] });
  });

  test("of a scope does not hold for the clean-up of the task around it", async () => {
    const { ms, value } = await timed(
      cancelled(function* () {
        try {
          yield* scope(() => sleep(1_000_000), { cleanupMs: 10 });
        } finally {
          yield* sleep(40);
        }
      }),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 41, value: "cancelled" });
  });

  test.each([-1, Number.NaN, "5"])("refuses %p, in a run, in blockOn and in a scope", async (wrong) => {
    const options = { cleanupMs: wrong as number };
    const executor = new Executor(new VirtualDriver());
    expect(
      (
        await rejectionOf(
          executor.run(() => sleep(1), options),
          RangeError,
        )
      ).message,
    ).toStartWith("run: cleanupMs must be a number of milliseconds, 0 or more");
    expect(() => executor.blockOn(() => sleep(1), options)).toThrow("blockOn: cleanupMs must be");
    expect(() => scope(() => sleep(1), options)).toThrow("scope: cleanupMs must be");
  });

  test("is for clean-up after a cancel only: a finally that runs without one takes as long as it likes", async () => {
    const log: string[] = [];
    const { ms } = await timed(() => linger(100_000, log, 1), { cleanupMs: 50 });
    expect(ms).toBe(100_001);
    expect(log).toEqual(["clean-up begins", "clean-up ends"]);
  });

  test("does not limit a shield, whose end a cancel waits for", async () => {
    const { ms, value } = await timed(
      cancelled(() => shield(() => sleep(1_000))),
      { cleanupMs: 50 },
    );
    expect({ ms, value }).toEqual({ ms: 1_000, value: "completed" });
  });
});
