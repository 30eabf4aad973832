import { describe, expect, test } from "bun:test";
import { DeadlockError, InvalidYieldError, OperationReusedError, UnsupportedError } from "../../src/core/errors.ts";
import { taskPathOf } from "../../src/core/error-trace.ts";
import { Executor } from "../../src/core/executor.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, promise, type Resumption } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import type { SuspendRequest } from "../../src/core/request.ts";
import { sleep, sleepUntil } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Latch } from "../../src/sync/latch.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { runScript } from "../support/child.ts";
import { rejectionOf, throwError, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";
import { describeUnless, NO_MILLIONS } from "../support/platform.ts";

/** Runs a task on a virtual driver of its own. */
function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** What untyped code can do: yield anything. */
function yieldRaw(value: unknown): SuspendRequest {
  return value as SuspendRequest;
}

describe("run", () => {
  test("fulfils with what the task returns", async () => {
    const value = await runVirtually(function* () {
      yield* sleep(5);
      return "done";
    });
    expect(value).toBe("done");
  });

  test("takes an operation as well as a generator function", async () => {
    const driver = new VirtualDriver();
    expect(await settled(driver, new Executor(driver).run(sleep(3)))).toBeUndefined();
    expect(driver.now()).toBe(3e6);
  });

  test("takes an operation that is neither a generator nor of this package", async () => {
    const countdown: Operation<string> = {
      [Symbol.iterator]() {
        let count = 3;
        // It has no `return` and no `throw`, which the language allows.
        return {
          next: () => {
            const step = sleep(1)[Symbol.iterator]().next();
            return count-- > 0 && step.done !== true ? step : { done: true, value: "lift-off" };
          },
        };
      },
    };
    const driver = new VirtualDriver();
    expect(await settled(driver, new Executor(driver).run(countdown))).toBe("lift-off");
    expect(driver.now()).toBe(3e6);
  });

  test("rejects with the error of what it waits for if its iterator has no throw", async () => {
    const failing: Operation<never> = {
      [Symbol.iterator]: () => ({
        next: () =>
          park<void>(() => {
            throw new Error("cannot be armed");
          })
            [Symbol.iterator]()
            .next() as IteratorYieldResult<SuspendRequest>,
      }),
    };
    expect((await rejectionOf(runVirtually(failing))).message).toBe("cannot be armed");
  });

  test("rejects with the very error that the task throws", async () => {
    const error = new RangeError("too far");
    const rejection = await rejectionOf(
      runVirtually(function* () {
        yield* sleep(1);
        throw error;
      }),
    );
    expect(rejection).toBe(error);
  });

  test("rejects with what is thrown even if it is no Error", async () => {
    const awaited = runVirtually(function* () {
      yield* sleep(1);
      throw "just words";
    });
    await expect(awaited).rejects.toBe("just words");
  });

  test("begins the task only after the caller's code has returned", async () => {
    const driver = new VirtualDriver();
    const order: string[] = [];
    const running = new Executor(driver).run(function* () {
      order.push("task");
    });
    order.push("caller");
    await settled(driver, running);
    expect(order).toEqual(["caller", "task"]);
  });

  test("waits for children that the main task left behind", async () => {
    let hasFinished = false;
    await runVirtually(function* main() {
      yield* spawn(function* child() {
        yield* sleep(100);
        hasFinished = true;
      });
    });
    expect(hasFinished).toBe(true);
  });

  test("keeps several runs of one executor apart: the failure of one leaves the other alone", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const failing = executor.run(function* () {
      yield* sleep(1);
      throw new Error("only mine");
    });
    const working = executor.run(function* () {
      yield* sleep(2);
      return "fine";
    });
    expect((await rejectionOf(settled(driver, failing))).message).toBe("only mine");
    expect(await settled(driver, working)).toBe("fine");
  });

  test("runs a task 1,000 generators deep", async () => {
    const descend = function* (levels: number): Operation<number> {
      if (levels > 0) return 1 + (yield* descend(levels - 1));
      yield* sleep(1);
      yield* yieldNow();
      return 0;
    };
    expect(await runVirtually(() => descend(1000))).toBe(1000);
  });

  test("brings an error up through 1,000 generators, past each finally", async () => {
    let unwound = 0;
    const descend = function* (levels: number): Operation<void> {
      try {
        if (levels > 0) yield* descend(levels - 1);
        yield* sleep(1);
        throw new Error("from the bottom");
      } finally {
        unwound++;
      }
    };
    expect((await rejectionOf(runVirtually(() => descend(1000)))).message).toBe("from the bottom");
    expect(unwound).toBe(1001);
  });
});

describe("what is no task", () => {
  const runWrongly = (body: unknown): Promise<TypeError> =>
    rejectionOf(new Executor(new VirtualDriver()).run(body as TaskBody<unknown>), TypeError);

  test("is refused if it is an async function, which is named, with the way to write it", async () => {
    const { message } = await runWrongly(async function fetchPage() {});
    expect(message).toContain("'fetchPage' is an async function");
    expect(message).toContain("function*");
    expect(message).toContain("promise(");
  });

  test("is refused without an unhandled rejection if it is an async function that fails", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    try {
      await runWrongly(async () => {
        throw new Error("nobody's");
      });
      await hostTurn();
      await hostTurn();
    } finally {
      process.off("unhandledRejection", note);
    }
    expect(unhandled).toEqual([]);
  });

  test("is refused if it is a plain function, with a hint at the star", async () => {
    const { message } = await runWrongly(function compute() {
      return 42;
    });
    expect(message).toContain("'compute' returned 42");
    expect(message).toContain("star of function* missing");
  });

  test("is refused if it is nothing, a list, or an async generator", async () => {
    expect((await runWrongly(undefined)).message).toContain("but was given undefined");
    expect((await runWrongly(null)).message).toContain("but was given null");
    expect((await runWrongly([sleep(1)])).message).toContain("Array");
    expect((await runWrongly("a string")).message).toContain('"a string"');
    expect((await runWrongly(async function* stream() {})).message).toContain("'stream' returned");
  });

  test("is refused by spawn and blockOn as well, which name themselves", async () => {
    const executor = new Executor(new VirtualDriver());
    expect(thrownBy(() => executor.spawn(7 as never), TypeError).message).toStartWith("spawn takes");
    expect(thrownBy(() => executor.blockOn(7 as never), TypeError).message).toStartWith("blockOn takes");
    const rejection = await rejectionOf(
      runVirtually(function* () {
        yield* spawn((() => undefined) as never);
      }),
      TypeError,
    );
    expect(rejection.message).toStartWith("spawn takes");
  });

  test("leaves the executor in order for the next run", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    await rejectionOf(executor.run((() => 5) as never), TypeError);
    expect(
      await settled(
        driver,
        executor.run(function* () {
          return "next";
        }),
      ),
    ).toBe("next");
  });
});

describe("a task that yields what is no request", () => {
  test("gets an error that names the task, shows the value, and asks for the star", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* forgetful() {
        yield yieldRaw(sleep(5));
      }),
      InvalidYieldError,
    );
    expect(rejection.message).toContain("task forgetful (#1)");
    expect(rejection.message).toContain("DeadlineOperation");
    expect(rejection.message).toContain("yield*");
  });

  test.each([
    ["undefined", undefined, "undefined"],
    ["a number", 5, "yielded 5"],
    ["a promise", Promise.resolve(1), "a Promise"],
    ["an object that looks like a request", { arm: (): null => null, describe: (): string => "" }, "an object"],
  ])("is told so for %s", async (_, value, words) => {
    const rejection = await rejectionOf(
      runVirtually(function* () {
        yield yieldRaw(value);
      }),
      InvalidYieldError,
    );
    expect(rejection.message).toContain(words);
  });

  test("may catch the error and go on", async () => {
    const value = await runVirtually(function* () {
      try {
        yield yieldRaw("words");
      } catch (error) {
        yield* sleep(1);
        return (error as Error).name;
      }
      return "not refused";
    });
    expect(value).toBe("InvalidYieldError");
  });

  test("again and again does not keep others from running", async () => {
    let isStopped = false;
    await runVirtually(function* main() {
      yield* spawn(function* stubborn() {
        while (!isStopped) {
          try {
            yield yieldRaw(0);
          } catch (error) {
            if (!(error instanceof InvalidYieldError)) throw error;
          }
        }
      });
      for (let round = 0; round < 3; round++) yield* yieldNow();
      isStopped = true;
    });
    expect(isStopped).toBe(true);
  });
});

describe("an operation that is used twice", () => {
  test.each([
    ["sleep", (): Operation<unknown> => sleep(1)],
    ["sleepUntil", (): Operation<unknown> => sleepUntil(1)],
    ["park", (): Operation<unknown> => park<void>(({ succeed }) => succeed())],
    ["spawn", (): Operation<unknown> => spawn(function* () {})],
  ])("is refused by name: %s", async (name, make) => {
    const rejection = await rejectionOf(
      runVirtually(function* () {
        const operation = make();
        yield* operation;
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(rejection.message).toContain(`this ${name} operation was used already`);
  });

  test("is refused even if its first use has not ended", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* () {
        const pause = sleep(1);
        yield* spawn(() => pause);
        yield* pause;
      }),
    );
    expect(rejection).toBeInstanceOf(OperationReusedError);
  });
});

describe("spawn and join", () => {
  test("give the child's value to whoever joins it, early or late", async () => {
    const values = await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        yield* sleep(5);
        return { answer: 42 };
      });
      const early = yield* join(child);
      const late = yield* join(child);
      return [early, late];
    });
    expect(values[0]).toEqual({ answer: 42 });
    expect(values[1]).toBe(values[0]!);
  });

  test("let many tasks join one", async () => {
    const sum = await runVirtually(function* main() {
      const child = yield* spawn(function* () {
        yield* sleep(5);
        return 1;
      });
      const joiners: Task<number>[] = [];
      for (let count = 0; count < 100; count++) joiners.push(yield* spawn(() => join(child)));
      let total = 0;
      for (const joiner of joiners) total += yield* join(joiner);
      return total;
    });
    expect(sum).toBe(100);
  });

  test("deliver the child's error to the joiner, and to nobody else if it catches it", async () => {
    const log: string[] = [];
    const value = await runVirtually(function* main() {
      const bystander = yield* spawn(function* bystander() {
        yield* sleep(10);
        return "undisturbed";
      });
      const child = yield* spawn(function* child() {
        yield* sleep(1);
        throw new Error("for the joiner");
      });
      try {
        yield* join(child);
      } catch (error) {
        log.push((error as Error).message);
      }
      return yield* join(bystander);
    });
    expect(log).toEqual(["for the joiner"]);
    expect(value).toBe("undisturbed");
  });

  test("deliver one error to each of several joiners", async () => {
    const errors = await runVirtually(function* main() {
      const error = new Error("for all");
      const child = yield* spawn(function* () {
        yield* sleep(1);
        throw error;
      });
      const seen: unknown[] = [];
      const joiners: Task<void>[] = [];
      for (let count = 0; count < 3; count++) {
        joiners.push(
          yield* spawn(function* () {
            try {
              yield* join(child);
            } catch (caught) {
              seen.push(caught);
            }
          }),
        );
      }
      for (const joiner of joiners) yield* join(joiner);
      return seen.map((caught) => caught === error);
    });
    expect(errors).toEqual([true, true, true]);
  });

  test("go on at once with the spawner, and run children in the order in which they were spawned", async () => {
    const order = await runVirtually(function* main() {
      const log: string[] = [];
      for (const name of ["first", "second", "third"]) {
        yield* spawn(function* () {
          log.push(`${name} begins`);
          yield* yieldNow();
          log.push(`${name} goes on`);
        });
      }
      log.push("spawner");
      yield* sleep(1);
      return log;
    });
    expect(order).toEqual([
      "spawner",
      "first begins",
      "second begins",
      "third begins",
      "first goes on",
      "second goes on",
      "third goes on",
    ]);
  });

  test("number the tasks from 1 and name them after their functions, or as they are told", async () => {
    const driver = new VirtualDriver();
    const names = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const named = yield* spawn(function* reader() {}, { name: "reader of /dev/null" });
        const own = yield* spawn(function* writer() {});
        const anonymous = yield* spawn((() => function* () {})());
        return [named, own, anonymous].map(({ name }) => name);
      }),
    );
    expect(names).toEqual(["task reader of /dev/null (#2)", "task writer (#3)", "task #4"]);
  });

  test("show what a task waits for, and its state", async () => {
    const seen = await runVirtually(function* main() {
      const child: Task<void> = yield* spawn(function* child() {
        yield* park<void>(() => {}, "the milkman");
      });
      const before = child.state;
      yield* yieldNow();
      const during = [child.state, child.waitsFor];
      child.cancel();
      yield* sleep(1);
      return [before, ...during, child.state, child.waitsFor];
    });
    expect(seen).toEqual(["ready", "suspended", "the milkman", "cancelled", ""]);
  });
});

describe("yieldNow", () => {
  test("gives every ready task its turn in a circle", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      for (const name of ["a", "b", "c"]) {
        yield* spawn(function* () {
          for (let round = 0; round < 3; round++) {
            log.push(name + round);
            yield* yieldNow();
          }
        });
      }
    });
    expect(log).toEqual(["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]);
  });

  test("can be used from one operation object by many tasks, because it has no state", async () => {
    const shared = yieldNow();
    let count = 0;
    await runVirtually(function* main() {
      for (let tasks = 0; tasks < 10; tasks++) {
        yield* spawn(function* () {
          yield* shared;
          yield* shared;
          count++;
        });
      }
    });
    expect(count).toBe(10);
  });
});

describe("the error of a task that nobody joins", () => {
  test("fails the run with the task's name, and cancels the others, whose finally blocks run", async () => {
    const cleaned: string[] = [];
    const cause = new Error("disk full");
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        for (const name of ["left", "right"]) {
          yield* spawn(function* () {
            try {
              yield* sleep(1000);
            } finally {
              yield* sleep(1);
              cleaned.push(name);
            }
          });
        }
        yield* spawn(function* writer() {
          yield* sleep(5);
          throw cause;
        });
        try {
          yield* sleep(1000);
        } finally {
          cleaned.push("main");
        }
      }),
    );
    expect(taskPathOf(rejection)[0]).toBe("task writer (#4)");
    expect(rejection).toBe(cause);
    expect(rejection.stack).toContain("in task writer (#4)\n    of task main (#1)");
    expect(cleaned.sort()).toEqual(["left", "main", "right"]);
  });

  test("is the main task's own, unwrapped, even if children are cancelled by it", async () => {
    let isCleaned = false;
    const error = new Error("main gives up");
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* child() {
          try {
            yield* sleep(1000);
          } finally {
            isCleaned = true;
          }
        });
        yield* sleep(1);
        throw error;
      }),
    );
    expect(rejection).toBe(error);
    expect(isCleaned).toBe(true);
  });

  test("comes together with others as an AggregateError, in the order in which they came", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* careless() {
          try {
            yield* sleep(1000);
          } finally {
            throwError("second, in clean-up");
          }
        });
        yield* sleep(1);
        throw new Error("first");
      }),
      AggregateError,
    );
    expect(rejection.errors.map((error: Error) => error.message)).toEqual(["first", "second, in clean-up"]);
  });

  test("cancels what is still spawned while the others clean up, at its first suspend point", async () => {
    const log: string[] = [];
    await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* failing() {
          throw new Error("the end");
        });
        try {
          yield* sleep(1000);
        } finally {
          yield* spawn(function* tooLate() {
            try {
              log.push("begun");
              yield* sleep(1);
              log.push("not reached");
            } finally {
              log.push("cleaned up");
            }
          });
        }
      }),
    );
    expect(log).toEqual(["begun", "cleaned up"]);
  });

  test("stops an unfinished child even if the main task has returned already", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* late() {
          yield* sleep(10);
          throw new Error("late");
        });
        return "early";
      }),
    );
    expect(taskPathOf(rejection)[0]).toBe("task late (#2)");
  });
});

describe("an executor", () => {
  test("refuses a driver that serves another executor", () => {
    const driver = new VirtualDriver();
    expect(new Executor(driver).driver).toBe(driver);
    expect(() => new Executor(driver)).toThrow("serves another executor");
  });

  test("tells its driver whether anything waits for sources or deadlines, so that a program can end", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const running = executor.run(() => sleep(5));
    await new Promise<void>((resolve) => queueMicrotask(() => queueMicrotask(resolve)));
    expect(driver.isWaitedFor).toBe(true);
    await settled(driver, running);
    await hostTurn();
    expect(driver.isWaitedFor).toBe(false);
  });

  test("delivers the driver's failure to every task that waits for a deadline", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const failure = new Error("the clock has stopped");
    const seen: unknown[] = [];
    const running = executor.run(function* main() {
      for (let count = 0; count < 3; count++) {
        yield* spawn(function* () {
          try {
            yield* sleep(1000 - count);
          } catch (error) {
            seen.push(error);
          }
        });
      }
      yield* spawn(function* breaker() {
        driver.fail(failure);
      });
    });
    await settled(driver, running);
    expect(seen).toEqual([failure, failure, failure]);
  });

  test("reports the error of a task that was spawned outside any run as the host does for its own callbacks", async () => {
    const { exitCode, stderr, wasKilled } = await runScript(`
      import { Executor, Reactor } from "./src/index.ts";
      import { VirtualDriver } from "./src/testing/virtual-driver.ts";
      const executor = new Executor(new VirtualDriver());
      executor.spawn(function* loose() { throw new Error("nobody listens"); });
    `);
    expect({ exitCode, wasKilled }).toEqual({ exitCode: 1, wasKilled: false });
    expect(stderr).toContain('task: "task loose (#1)"');
    expect(stderr).toContain("nobody listens");
  });

  test("that is abandoned lets its tasks clean up and settles no promise any more", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    let isCleaned = false;
    let isSettled = false;
    const note = (): void => {
      isSettled = true;
    };
    executor
      .run(function* () {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(1);
          isCleaned = true;
        }
      })
      .then(note, note);
    await hostTurn();
    executor.abandon();
    while (driver.isBusy) await hostTurn();
    await hostTurn();
    expect({ isCleaned, isSettled }).toEqual({ isCleaned: true, isSettled: false });
  });
});

describe("blockOn", () => {
  test("returns the value once all tasks have ended, sleeping on the driver's clock", () => {
    const driver = new VirtualDriver();
    let hasChildEnded = false;
    const value = new Executor(driver).blockOn(function* main() {
      yield* spawn(function* child() {
        yield* sleep(50);
        hasChildEnded = true;
      });
      yield* sleep(20);
      return "blocked";
    });
    expect(value).toBe("blocked");
    expect(hasChildEnded).toBe(true);
    expect(driver.now()).toBe(50e6);
  });

  test("throws what the task throws, and the errors of others with their names", () => {
    const error = new Error("mine");
    expect(
      thrownBy(() =>
        new Executor(new VirtualDriver()).blockOn(function* () {
          yield* sleep(1);
          throw error;
        }),
      ),
    ).toBe(error);
    const unhandled = thrownBy(() =>
      new Executor(new VirtualDriver()).blockOn(function* () {
        yield* spawn(function* careless() {
          throw new Error("careless");
        });
        yield* sleep(1000);
      }),
    );
    expect(taskPathOf(unhandled)).toEqual(["task careless (#2)", "task #1"]);
  });

  test("lets no code of the host run before it returns", async () => {
    const order: string[] = [];
    setImmediate(() => order.push("immediate"));
    queueMicrotask(() => order.push("microtask"));
    new Executor(new VirtualDriver()).blockOn(function* () {
      for (let count = 0; count < 1000; count++) yield* yieldNow();
      yield* sleep(1000);
      order.push("task");
    });
    await hostTurn();
    expect(order).toEqual(["task", "microtask", "immediate"]);
  });

  test("ends a deadlock with an error that lists every task and what it waits for, after they have cleaned up", () => {
    const cleaned: string[] = [];
    const error = thrownBy(
      () =>
        new Executor(new VirtualDriver()).blockOn(function* main() {
          const first: Task<void> = yield* spawn(function* first() {
            try {
              yield* park<void>(() => {}, "a letter");
            } finally {
              yield* sleep(1);
              cleaned.push("first");
            }
          });
          yield* spawn(function* second() {
            try {
              yield* join(first);
            } finally {
              cleaned.push("second");
            }
          });
        }),
      Error,
    );
    expect(error.name).toBe("DeadlockError");
    expect(error.message).toContain("task first (#2) waits for a letter");
    expect(error.message).toContain("task second (#3) waits for the end of task first (#2)");
    expect(cleaned.sort()).toEqual(["first", "second"]);
  });

  test("ends a deadlock in a clean-up without losing the error that led to it", () => {
    const error = thrownBy(
      () =>
        new Executor(new VirtualDriver()).blockOn(function* main() {
          yield* spawn(function* endless() {
            try {
              yield* sleep(1000);
            } finally {
              yield* park<void>(() => {}, "a key that nobody has");
            }
          });
          yield* sleep(1);
          throw new Error("the beginning of the end");
        }),
      Error,
    );
    const all = Bun.inspect(error);
    expect(all).toContain("a key that nobody has");
    expect(all).toContain("the beginning of the end");
  });

  test("refuses to begin inside a task of the same executor, and does not run what it was given", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    let hasRun = false;
    const refusal = await settled(
      driver,
      executor.run(function* outer() {
        const error = thrownBy(() =>
          executor.blockOn(function* inner() {
            hasRun = true;
          }),
        );
        yield* sleep(1);
        return error;
      }),
    );
    expect(refusal).toBeInstanceOf(UnsupportedError);
    expect(refusal.message).toContain("yield* join(task)");
    expect(hasRun).toBe(false);
  });

  test("may be called inside a task of another executor", async () => {
    const value = await runVirtually(function* outer() {
      yield* sleep(1);
      const inner = new Executor(new VirtualDriver()).blockOn(function* inner() {
        yield* sleep(10);
        return "inner";
      });
      yield* sleep(1);
      return inner;
    });
    expect(value).toBe("inner");
  });

  test("takes along the tasks of a run, which goes on by itself afterwards", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    let resumption: Resumption<void> | undefined;
    const running = executor.run(function* waiter() {
      yield* park<void>((given) => {
        resumption = given;
      });
      yield* sleep(5);
      return "went on";
    });
    await hostTurn();
    executor.blockOn(function* () {
      resumption!.succeed();
      yield* yieldNow();
      yield* yieldNow();
    });
    expect(await settled(driver, running)).toBe("went on");
  });
});

describe("blockOnAll", () => {
  test("returns when every spawned task has ended, and those that they spawned", () => {
    const executor = new Executor(new VirtualDriver());
    const log: string[] = [];
    const first = executor.spawn(function* first() {
      yield* sleep(10);
      yield* spawn(function* grandchild() {
        yield* sleep(10);
        log.push("grandchild");
      });
      log.push("first");
      return 1;
    });
    const second = executor.spawn(function* second() {
      yield* join(first);
      log.push("second");
    });
    executor.blockOnAll();
    expect(log).toEqual(["first", "grandchild", "second"]);
    expect([first.state, second.state]).toEqual(["completed", "completed"]);
    expect(first.value).toBe(1);
  });

  test("returns at once if there is none", () => {
    const driver = new VirtualDriver();
    new Executor(driver).blockOnAll();
    expect(driver.counts.poll).toBe(0);
  });

  test("throws the error of a task, after which new ones can be spawned", () => {
    const executor = new Executor(new VirtualDriver());
    const bystander = executor.spawn(() => sleep(1000));
    executor.spawn(function* bad() {
      yield* sleep(1);
      throw new Error("bad luck");
    });
    const error = thrownBy(() => executor.blockOnAll());
    expect(taskPathOf(error)[0]).toBe("task bad (#2)");
    expect(bystander.state).toBe("cancelled");
    const next = executor.spawn(function* () {
      yield* sleep(1);
      return "next";
    });
    executor.blockOnAll();
    expect(next.value).toBe("next");
  });

  test("ends a deadlock, naming the tasks", () => {
    const executor = new Executor(new VirtualDriver());
    executor.spawn(function* lost() {
      yield* park<void>(() => {}, "a sign");
    });
    const error = thrownBy(() => executor.blockOnAll());
    expect(error.name).toBe("DeadlockError");
    expect(error.message).toContain("task lost (#1) waits for a sign");
  });
});

describeUnless(NO_MILLIONS)("a task that never needs to wait", () => {
  /** The host's clock, so that turns end by time as they do on a reactor. */
  class HostClockDriver extends VirtualDriver {
    override now(): number {
      return performance.now() * 1e6;
    }
  }

  /**
   * Runs a loop of `operations` and on until the host's timer and immediate have fired; far more would mean that they
   * are starved.
   */
  async function expectHostTurns(step: () => Operation<unknown>): Promise<void> {
    const fired = { timeout: false, immediate: false };
    setTimeout(() => (fired.timeout = true), 0);
    setImmediate(() => (fired.immediate = true));
    const driver = new HostClockDriver();
    let count = 0;
    await new Executor(driver).run(function* busy() {
      while (count < 1_000_000 || !fired.timeout || !fired.immediate) {
        yield* step();
        if (++count > 100_000_000) throw new Error(`the host is starved: ${Bun.inspect(fired)}`);
      }
    });
    expect(count).toBeGreaterThanOrEqual(1_000_000);
  }

  test("but yields a million times starves neither the host's timers nor its immediates", async () => {
    await expectHostTurns(yieldNow);
  });

  test("but joins ended tasks a million times does not either", async () => {
    const ended = new Executor(new VirtualDriver());
    const task = ended.spawn(function* () {
      return 1;
    });
    ended.blockOnAll();
    await expectHostTurns(() => join(task));
  });

  test("but spawns a million tasks does not either", async () => {
    await expectHostTurns(() => spawn(function* () {}));
  });

  test("but is resumed synchronously by park a million times does not either", async () => {
    await expectHostTurns(() => park<void>(({ succeed }) => succeed()));
  });

  test("but cancels ended tasks a million times does not either", async () => {
    const ended = new Executor(new VirtualDriver());
    const task = ended.spawn(function* () {});
    ended.blockOnAll();
    await expectHostTurns(() => cancel(task));
  });

  test("lets other tasks run meanwhile", async () => {
    let isOver = false;
    let count = 0;
    await runVirtually(function* main() {
      yield* spawn(function* greedy() {
        while (!isOver) {
          yield* park<void>(({ succeed }) => succeed());
          if (++count > 10_000_000) throw new Error("the others are starved");
        }
      });
      for (let round = 0; round < 10; round++) yield* yieldNow();
      isOver = true;
    });
    expect(count).toBeGreaterThan(0);
  });
});

describe("a turn", () => {
  test("ends by the driver's clock, long before its number of resumes is used up", async () => {
    const driver = new VirtualDriver();
    let hadHostItsTurn = false;
    setImmediate(() => (hadHostItsTurn = true));
    let steps = 0;
    await settled(
      driver,
      new Executor(driver).run(function* slow() {
        while (!hadHostItsTurn) {
          driver.nowNs += 1e6;
          steps++;
          yield* yieldNow();
        }
      }),
    );
    expect(steps).toBeLessThan(1000);
  });

  test("ends by its number of resumes if the driver's clock stands still", async () => {
    const driver = new VirtualDriver();
    let hadHostItsTurn = false;
    setImmediate(() => (hadHostItsTurn = true));
    let steps = 0;
    await settled(
      driver,
      new Executor(driver).run(function* quick() {
        while (!hadHostItsTurn && steps < 1_000_000) {
          steps++;
          yield* yieldNow();
        }
      }),
    );
    expect(steps).toBeLessThan(1_000_000);
  });

  test("asks the driver for events between resumes, so that busy tasks do not keep others from theirs", async () => {
    const driver = new VirtualDriver();
    driver.declareReady(7, Readiness.READABLE);
    const source = new Source(7, Delivery.EDGE, { label: "descriptor 7" });
    let steps = 0;
    await settled(
      driver,
      new Executor(driver).run(function* main() {
        const reader = yield* spawn(() => ready(source, Interest.READABLE));
        while (!reader.hasEnded && steps < 50_000) {
          steps++;
          yield* yieldNow();
        }
      }),
    );
    expect(steps).toBeLessThan(50_000);
  });
});

describe("turns that the host begins", () => {
  test("do not starve the host's timers, however long their chain of microtasks is", async () => {
    const driver = new VirtualDriver();
    let isTimerDue = false;
    setTimeout(() => (isTimerDue = true), 0);
    let rounds = 0;
    await settled(
      driver,
      new Executor(driver).run(function* () {
        while (!isTimerDue) {
          yield* park<void>(({ succeed }) => queueMicrotask(succeed as () => void));
          if (++rounds > 10_000_000) throw new Error("the host's timer is starved");
        }
      }),
    );
    expect(isTimerDue).toBe(true);
  });
});

describe("a run that detects deadlocks", () => {
  test("rejects with what every task waits for, after they have cleaned up", async () => {
    const driver = new VirtualDriver();
    const log: string[] = [];
    const latch = new Latch({ name: "dinner" });
    const error = await rejectionOf(
      settled(
        driver,
        new Executor(driver).run(
          function* main() {
            try {
              yield* spawn(() => latch.wait(), { name: "guest" });
              yield* latch.wait();
            } finally {
              log.push("cleaned up");
            }
          },
          { detectDeadlock: true },
        ),
      ),
      DeadlockError,
    );
    expect(error.waits).toEqual([
      { taskName: "task main (#1)", waitsFor: "the latch dinner" },
      { taskName: "task guest (#2)", waitsFor: "the latch dinner" },
    ]);
    expect(log).toEqual(["cleaned up"]);
  });

  test("leaves a wait alone that the host may end, and one for a deadline", async () => {
    const driver = new VirtualDriver();
    const latch = new Latch();
    const value = await settled(
      driver,
      new Executor(driver).run(
        function* main() {
          yield* spawn(function* () {
            yield* sleep(5);
            yield* promise(hostTurn());
            latch.set();
          });
          yield* latch.wait();
          return "opened";
        },
        { detectDeadlock: true },
      ),
    );
    expect(value).toBe("opened");
  });
});
