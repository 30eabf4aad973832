import { describe, expect, test } from "bun:test";
import { taskPathOf } from "../../src/core/error-trace.ts";
import { CancelledError, ClosedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import type { SuspendRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

describe("cancelling a task", () => {
  test("before a spawned one has begun lets it reach its first suspend point, so that what it was handed is cleaned up", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          log.push("begun");
          yield* sleep(1);
          log.push("not reached");
        } finally {
          log.push("finally");
        }
      });
      child.cancel();
      yield* sleep(10);
      return child.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["begun", "finally"]);
  });

  test("before one that nobody in a task has spawned has begun means that it never does", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    const task = executor.spawn(function* loose() {
      log.push("begun");
    });
    task.cancel();
    await settled(
      driver,
      executor.run(() => sleep(1)),
    );
    expect(task.state).toBe("cancelled");
    expect(log).toEqual([]);
  });

  test("counts a ClosedError of what was closed under it as part of the cancellation", async () => {
    const state = await runVirtually(function* main() {
      let resumption: Resumption<void> | undefined;
      const reader = yield* spawn(function* reader() {
        yield* park<void>((given) => void (resumption = given));
      });
      yield* yieldNow();
      resumption!.fail(new ClosedError("the connection was closed"));
      reader.cancel();
      yield* cancel(reader);
      return reader.state;
    });
    expect(state).toBe("cancelled");
  });

  test("that is a bare operation ends it too, begun or not", async () => {
    const states = await runVirtually(function* main() {
      const begun = yield* spawn(() => sleep(1000));
      yield* yieldNow();
      const notBegun = yield* spawn(() => sleep(1000));
      begun.cancel();
      notBegun.cancel();
      yield* sleep(1);
      return [begun.state, notBegun.state];
    });
    expect(states).toEqual(["cancelled", "cancelled"]);
  });

  test("while it is suspended runs its finally blocks from the inside out, and nothing after them", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const inner = function* (): Operation<void> {
        try {
          yield* sleep(1000);
          log.push("not reached");
        } finally {
          log.push("inner");
        }
      };
      const child = yield* spawn(function* child() {
        try {
          yield* inner();
          log.push("not reached");
        } finally {
          log.push("outer");
        }
      });
      yield* sleep(1);
      yield* cancel(child);
    });
    expect(log).toEqual(["inner", "outer"]);
  });

  test("takes the deadline back, so that time does not run on for it", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    await settled(
      driver,
      executor.run(function* main() {
        const child = yield* spawn(() => sleep(1_000_000));
        yield* sleep(1);
        child.cancel();
      }),
    );
    expect(executor.timers.size).toBe(0);
    expect(driver.now()).toBe(1e6);
  });

  test("that is ready lands at its next suspend point, with the value it was resumed with", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* main() {
      let resumption: Resumption<string> | undefined;
      const child = yield* spawn(function* child() {
        try {
          log.push(yield* park<string>((given) => void (resumption = given)));
          yield* sleep(1);
          log.push("not reached");
        } finally {
          log.push("finally");
        }
      });
      yield* yieldNow();
      resumption!.succeed("a value");
      expect(child.state).toBe("ready");
      child.cancel();
      yield* sleep(10);
      return child.state;
    });
    expect(log).toEqual(["a value", "finally"]);
    expect(state).toBe("cancelled");
  });

  test("that is ready and does not suspend again lets it complete", async () => {
    const outcome = await runVirtually(function* main() {
      let resumption: Resumption<string> | undefined;
      const child = yield* spawn(function* child() {
        return yield* park<string>((given) => void (resumption = given));
      });
      yield* yieldNow();
      resumption!.succeed("in time");
      child.cancel();
      return [yield* join(child), child.state];
    });
    expect(outcome).toEqual(["in time", "completed"]);
  });

  test("from within itself lands at its next suspend point", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child: Task<void> = yield* spawn(function* itself() {
        try {
          child.cancel("by itself");
          log.push("goes on for now");
          yield* sleep(1);
          log.push("not reached");
        } finally {
          log.push("finally");
        }
      });
      yield* sleep(10);
      expect(child.state).toBe("cancelled");
    });
    expect(log).toEqual(["goes on for now", "finally"]);
  });

  test("from within itself does not prevent its return", async () => {
    const value = await runVirtually(function* main() {
      const child: Task<string> = yield* spawn(function* itself() {
        child.cancel();
        return "returned";
      });
      return yield* join(child);
    });
    expect(value).toBe("returned");
  });

  test("from within the arm of its own park calls the undo and ends it", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* main() {
      const child: Task<void> = yield* spawn(function* itself() {
        try {
          yield* park<void>(() => {
            child.cancel();
            return () => log.push("undo");
          });
          log.push("not reached");
        } finally {
          log.push("finally");
        }
      });
      yield* sleep(10);
      return child.state;
    });
    expect(log).toEqual(["undo", "finally"]);
    expect(state).toBe("cancelled");
  });

  test("from within the arm of its own park, which resumes it as well, ends it at the next suspend point", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* main() {
      const child: Task<void> = yield* spawn(function* itself() {
        try {
          yield* park<void>(({ succeed }) => {
            child.cancel();
            succeed();
          });
          yield* sleep(1);
          log.push("not reached");
        } finally {
          log.push("finally");
        }
      });
      yield* sleep(10);
      return child.state;
    });
    expect(log).toEqual(["finally"]);
    expect(state).toBe("cancelled");
  });

  test("that has ended already does nothing, however it has ended", async () => {
    const states = await runVirtually(function* main() {
      const completed = yield* spawn(function* () {
        return 1;
      });
      yield* join(completed);
      completed.cancel();
      yield* cancel(completed);
      const failed = yield* spawn(function* (): Operation<void> {
        yield* sleep(1);
        throw new Error("failed");
      });
      try {
        yield* join(failed);
      } catch {
        failed.cancel();
        yield* cancel(failed);
      }
      expect(yield* join(completed)).toBe(1);
      return [completed.state, failed.state];
    });
    expect(states).toEqual(["completed", "failed"]);
  });

  test("twice counts the first, with its reason", async () => {
    const error = await runVirtually(function* main() {
      const child = yield* spawn(() => sleep(1000));
      yield* yieldNow();
      child.cancel("the first reason");
      child.cancel("the second reason");
      try {
        yield* join(child);
      } catch (caught) {
        return caught as CancelledError;
      }
      throw new Error("the join of a cancelled task returned");
    });
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.reason).toBe("the first reason");
    expect(error.taskName).toBe("task #2");
  });

  test("while it cleans up lets the clean-up finish, though it suspends, and sends no second return()", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* sleep(1000);
        } finally {
          log.push("clean-up begins");
          yield* sleep(10);
          log.push("goes on");
          yield* yieldNow();
          yield* sleep(10);
          log.push("ends");
        }
      });
      yield* sleep(1);
      child.cancel("first");
      yield* sleep(5);
      child.cancel("again");
      yield* sleep(10);
      child.cancel("and again");
      yield* cancel(child);
      log.push("main goes on");
    });
    expect(log).toEqual(["clean-up begins", "goes on", "ends", "main goes on"]);
  });

  test("calls return() of its iterator once, and never again", async () => {
    let returns = 0;
    const counted: Operation<void> = {
      [Symbol.iterator]() {
        const body = (function* (): Generator<SuspendRequest, void, unknown> {
          try {
            yield* sleep(1000);
          } finally {
            yield* sleep(10);
          }
        })();
        return {
          next: (answer) => body.next(answer),
          throw: (error) => body.throw(error),
          return: () => {
            returns++;
            return body.return();
          },
        };
      },
    };
    await runVirtually(function* main() {
      const child = yield* spawn(counted);
      yield* sleep(1);
      for (let count = 0; count < 5; count++) {
        child.cancel();
        yield* sleep(1);
      }
      yield* cancel(child);
    });
    expect(returns).toBe(1);
  });

  test("is not seen by catch, so that nobody swallows it by mistake", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        for (;;) {
          try {
            yield* sleep(1000);
          } catch {
            log.push("caught");
          }
        }
      });
      yield* sleep(1);
      yield* cancel(child);
      log.push(child.state);
    });
    expect(log).toEqual(["cancelled"]);
  });

  test("also ends one whose finally returns a value: nobody gets that", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(function* child(): Operation<string> {
          try {
            yield* sleep(1000);
            return "never";
          } finally {
            // eslint-disable-next-line no-unsafe-finally -- this is what is tested
            return "from finally";
          }
        });
        yield* sleep(1);
        child.cancel();
        return yield* join(child);
      }),
    );
    expect(error).toBeInstanceOf(CancelledError);
  });

  test("throws into nobody: a resumption that comes later is ignored", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      let resumption: Resumption<string> | undefined;
      const child = yield* spawn(function* child() {
        try {
          log.push(yield* park<string>((given) => void (resumption = given)));
        } finally {
          yield* sleep(1);
          log.push("finally");
        }
      });
      yield* yieldNow();
      child.cancel();
      resumption!.succeed("too late");
      yield* yieldNow();
      resumption!.fail(new Error("too late"));
      yield* sleep(10);
    });
    expect(log).toEqual(["finally"]);
  });
});

describe("joining a cancelled task", () => {
  test("gives a CancelledError with the task's name and the reason, and cancels nobody else", async () => {
    const reason = new Error("the peer has gone");
    const seen = await runVirtually(function* main() {
      const child = yield* spawn(function* listener() {
        yield* sleep(1000);
      });
      const joiner = yield* spawn(function* joiner() {
        try {
          yield* join(child);
        } catch (error) {
          yield* sleep(1);
          return error as CancelledError;
        }
        throw new Error("the join returned");
      });
      yield* sleep(1);
      child.cancel(reason);
      const error = yield* join(joiner);
      return { error, state: joiner.state };
    });
    expect(seen.error).toBeInstanceOf(CancelledError);
    expect(seen.error.taskName).toBe("task listener (#2)");
    expect(seen.error.reason).toBe(reason);
    expect(seen.error.cause).toBe(reason);
    expect(seen.error.message).toBe("task listener (#2) was cancelled: the peer has gone");
    expect(seen.state).toBe("completed");
  });

  test("after the fact gives the same", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(() => sleep(1000), { name: "late" });
        yield* cancel(child, "enough");
        yield* join(child);
      }),
      CancelledError,
    );
    expect(error.message).toBe('task late (#2) was cancelled: "enough"');
  });

  test("and not catching that is an error like any other", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(() => sleep(1000), { name: "child" });
        yield* spawn(function* joiner() {
          yield* join(child);
        });
        yield* sleep(1);
        child.cancel();
        yield* sleep(1000);
      }),
    );
    expect(taskPathOf(error)[0]).toBe("task joiner (#3)");
    expect(error).toBeInstanceOf(CancelledError);
  });

  test("is not needed: a cancelled task that nobody joins is no failure", async () => {
    const value = await runVirtually(function* main() {
      const child = yield* spawn(() => sleep(1000));
      yield* sleep(1);
      child.cancel();
      yield* sleep(1);
      return "fine";
    });
    expect(value).toBe("fine");
  });

  test("that is itself cancelled takes the joiner off the list: it hears nothing of the child's end", async () => {
    const log: string[] = [];
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(function* child() {
          yield* sleep(10);
          throw new Error("the child's own");
        });
        const joiner = yield* spawn(function* joiner() {
          try {
            yield* join(child);
          } catch {
            log.push("the joiner heard of it");
          }
        });
        yield* sleep(1);
        yield* cancel(joiner);
        yield* sleep(1000);
      }),
    );
    expect(log).toEqual([]);
    expect(taskPathOf(rejection)[0]).toBe("task child (#2)");
  });
});

describe("the operation cancel", () => {
  test("waits for the clean-up to end", async () => {
    const driver = new VirtualDriver();
    const elapsedNs = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const child = yield* spawn(function* child() {
          try {
            yield* sleep(1000);
          } finally {
            yield* sleep(25);
          }
        });
        yield* sleep(1);
        const beforeNs = driver.now();
        yield* cancel(child);
        expect(child.state).toBe("cancelled");
        return driver.now() - beforeNs;
      }),
    );
    expect(elapsedNs).toBe(25e6);
  });

  test("throws what the clean-up threw, and the run goes on if that is caught", async () => {
    const message = await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* sleep(1000);
        } finally {
          throwError("could not flush");
        }
      });
      yield* sleep(1);
      try {
        yield* cancel(child);
      } catch (error) {
        return (error as Error).message;
      }
      return "nothing was thrown";
    });
    expect(message).toBe("could not flush");
  });

  test("returns normally if the task completed instead", async () => {
    const state = await runVirtually(function* main() {
      let resumption: Resumption<void> | undefined;
      const child = yield* spawn(function* child() {
        yield* park<void>((given) => void (resumption = given));
      });
      yield* yieldNow();
      resumption!.succeed();
      yield* cancel(child);
      return child.state;
    });
    expect(state).toBe("completed");
  });

  test("can itself be cancelled while it waits, which leaves the other's clean-up alone", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(50);
          log.push("cleaned up");
        }
      });
      yield* sleep(1);
      const canceller = yield* spawn(() => cancel(child));
      yield* sleep(1);
      yield* cancel(canceller);
      log.push("canceller is gone");
    });
    expect(log).toEqual(["canceller is gone", "cleaned up"]);
  });

  test("may be called for one task by many", async () => {
    const states = await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(5);
        }
      });
      yield* sleep(1);
      const cancellers: Task<void>[] = [];
      for (let count = 0; count < 3; count++) cancellers.push(yield* spawn(() => cancel(child, count)));
      for (const canceller of cancellers) yield* join(canceller);
      return cancellers.map(({ state }) => state);
    });
    expect(states).toEqual(["completed", "completed", "completed"]);
  });
});

describe("an error in the clean-up of a cancelled task", () => {
  test("that nobody joins fails the run with the task's name", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(function* untidy() {
          try {
            yield* sleep(1000);
          } finally {
            throwError("left a mess");
          }
        });
        yield* sleep(1);
        child.cancel();
        yield* sleep(1000);
      }),
    );
    expect(taskPathOf(rejection)).toEqual(["task untidy (#2)", "task main (#1)"]);
    expect(rejection.message).toBe("left a mess");
  });

  test("thrown by the undo of its park comes out, and its finally blocks run all the same", async () => {
    const log: string[] = [];
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        const child = yield* spawn(function* untidy() {
          try {
            yield* park<void>(() => () => {
              throw new Error("cannot take it back");
            });
          } finally {
            log.push("finally");
          }
        });
        yield* sleep(1);
        yield* cancel(child);
        log.push("not reached");
      }),
    );
    expect(Bun.inspect(rejection)).toContain("cannot take it back");
    expect(log).toEqual(["finally"]);
  });

  test("thrown by an undo when a sibling fails comes out together with the sibling's error", async () => {
    const rejection = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* untidy() {
          yield* park<void>(() => () => {
            throw new Error("cannot take it back");
          });
        });
        yield* sleep(1);
        throw new Error("the first to fail");
      }),
    );
    const all = Bun.inspect(rejection);
    expect(all).toContain("the first to fail");
    expect(all).toContain("cannot take it back");
  });
});

describe("a task", () => {
  test.each([
    ["join", (task: Task<unknown>): Operation<unknown> => join(task)],
    ["cancel", (task: Task<unknown>): Operation<unknown> => cancel(task)],
  ])("cannot %s itself, and is told so by name", async (verb, operate) => {
    const message = await runVirtually(function* main() {
      const child: Task<string> = yield* spawn(function* narcissus(): Operation<string> {
        try {
          yield* operate(child);
        } catch (error) {
          return `${(error as Error).name}: ${(error as Error).message}`;
        }
        return "was allowed";
      });
      return yield* join(child);
    });
    expect(message).toStartWith(`TypeError: task narcissus (#2) cannot ${verb} itself`);
  });
});

describe("an AbortSignal", () => {
  /** Counts the listeners that are on a signal. */
  function countListeners(signal: AbortSignal): { listeners: number } {
    const count = { listeners: 0 };
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      count.listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      count.listeners--;
      remove(...args);
    };
    return count;
  }

  test("that is aborted already rejects with its reason, and the task never begins", async () => {
    let hasBegun = false;
    const reason = new Error("too late");
    const driver = new VirtualDriver();
    const signal = AbortSignal.abort(reason);
    const count = countListeners(signal);
    const running = new Executor(driver).run(
      function* () {
        hasBegun = true;
      },
      { signal },
    );
    expect(await rejectionOf(running)).toBe(reason);
    await hostTurn();
    expect({ hasBegun, ...count }).toEqual({ hasBegun: false, listeners: 0 });
  });

  test("that is aborted later cancels all tasks of the run, and rejects with its reason once they have cleaned up", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const cleaned: string[] = [];
    const tidy = function* (name: string): Operation<void> {
      try {
        yield* park<void>(() => {});
      } finally {
        yield* sleep(5);
        cleaned.push(name);
      }
    };
    const running = new Executor(driver).run(
      function* main() {
        yield* spawn(() => tidy("child"));
        yield* tidy("main");
      },
      { signal: controller.signal },
    );
    await hostTurn();
    controller.abort("that will do");
    await expect(settled(driver, running)).rejects.toBe("that will do");
    expect(cleaned.sort()).toEqual(["child", "main"]);
  });

  test("aborts with the DOMException of the platform if no reason is given", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const running = new Executor(driver).run(() => park<void>(() => {}), { signal: controller.signal });
    await hostTurn();
    controller.abort();
    const rejection = await rejectionOf(settled(driver, running));
    expect(rejection.name).toBe("AbortError");
  });

  test("that is aborted from within the main task takes effect at its next suspend point", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const log: string[] = [];
    const running = new Executor(driver).run(
      function* main() {
        controller.abort("from within");
        log.push("goes on");
        yield* sleep(1);
        log.push("not reached");
      },
      { signal: controller.signal },
    );
    await expect(settled(driver, running)).rejects.toBe("from within");
    expect(log).toEqual(["goes on"]);
  });

  test("that is aborted while the main task returns does not take its value away", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const running = new Executor(driver).run(
      function* main() {
        controller.abort();
        return "done";
      },
      { signal: controller.signal },
    );
    expect(await settled(driver, running)).toBe("done");
  });

  test("yields to an error of a clean-up, which would be lost otherwise", async () => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const running = new Executor(driver).run(
      function* main() {
        try {
          yield* park<void>(() => {});
        } finally {
          throwError("broken clean-up");
        }
      },
      { signal: controller.signal },
    );
    await hostTurn();
    controller.abort("enough");
    expect((await rejectionOf(settled(driver, running))).message).toBe("broken clean-up");
  });

  test.each([
    [
      "returned",
      function* (): Operation<void> {
        yield* sleep(1);
      },
    ],
    [
      "failed",
      function* (): Operation<void> {
        yield* sleep(1);
        throw new Error("failed");
      },
    ],
  ])("has no listener left when the run has %s", async (_, body) => {
    const driver = new VirtualDriver();
    const controller = new AbortController();
    const count = countListeners(controller.signal);
    const running = new Executor(driver).run(body, { signal: controller.signal });
    expect(count.listeners).toBe(1);
    await settled(driver, running).catch((error: Error) => expect(error.message).toBe("failed"));
    expect(count.listeners).toBe(0);
    controller.abort();
    await hostTurn();
  });

  test("has no listener left when the body was refused", async () => {
    const controller = new AbortController();
    const count = countListeners(controller.signal);
    await rejectionOf(
      new Executor(new VirtualDriver()).run((() => 1) as never, { signal: controller.signal }),
      TypeError,
    );
    expect(count.listeners).toBe(0);
  });
});
