import { describe, expect, test } from "bun:test";
import { OperationReusedError, TimeoutError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import type { Scope } from "../../src/core/scope.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, currentTask, join, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Runs a task, cancels it after so many milliseconds, and returns how it ended. */
function cancelledAfter(durationMs: number, body: TaskBody<unknown>): Promise<string> {
  return runVirtually(function* () {
    const task = yield* spawn(body);
    yield* sleep(durationMs);
    yield* cancel(task);
    return task.state;
  });
}

describe("a shield", () => {
  test("keeps a cancel away until its body has ended; the task ends at its next wait", async () => {
    const log: string[] = [];
    const state = await cancelledAfter(1, function* () {
      try {
        log.push(
          yield* shield(function* () {
            yield* sleep(10);
            yield* yieldNow();
            return "shielded";
          }),
        );
        yield* sleep(1);
        log.push("not reached");
      } finally {
        log.push("tidy");
      }
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["shielded", "tidy"]);
  });

  test("lets the task complete that waits no more after it", async () => {
    const state = await cancelledAfter(1, () => shield(() => sleep(10)));
    expect(state).toBe("completed");
  });

  test("gives what its body gives, a value or an error, and costs nothing if that does not wait", async () => {
    const values = await runVirtually(function* () {
      const seen: unknown[] = [
        yield* shield(function* () {
          return "at once";
        }),
      ];
      for (const wait of [0, 1]) {
        try {
          yield* shield(function* () {
            if (wait > 0) yield* sleep(wait);
            throw new Error(`after ${wait} ms`);
          });
        } catch (error) {
          seen.push((error as Error).message);
        }
      }
      return seen;
    });
    expect(values).toEqual(["at once", "after 0 ms", "after 1 ms"]);
  });

  test("keeps a cancel away that was asked for before it began", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        const me = yield* currentTask();
        me.cancel();
        yield* shield(function* () {
          log.push("begins");
          yield* sleep(1);
          yield* yieldNow();
          log.push("ends");
        });
        log.push("after the shield");
        yield* sleep(1);
        log.push("not reached");
      });
      yield* cancel(task);
    });
    expect(log).toEqual(["begins", "ends", "after the shield"]);
  });

  test("that begins under a pending cancel lets limits and scopes within it work from the first wait on", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        const me = yield* currentTask();
        me.cancel();
        log.push(
          String(
            yield* shield(
              moveOnAfter(10, function* () {
                try {
                  yield* sleep(1_000);
                } finally {
                  log.push("its time was up");
                }
              }),
            ),
          ),
        );
        log.push((yield* shield(timeout(10, () => sleep(5)))) === undefined ? "in time" : "");
      });
      yield* cancel(task);
    });
    expect(log).toEqual(["its time was up", "undefined", "in time"]);
  });

  test("keeps a limit of time away that passed before it began, or passes during it", async () => {
    const log: string[] = [];
    const driver = new VirtualDriver();
    const error = await rejectionOf(
      settled(
        driver,
        new Executor(driver).run(() =>
          timeout(10, function* () {
            yield* shield(() => sleep(20));
            log.push("the first shield has ended");
            yield* shield(() => sleep(20));
            log.push("the second shield has ended");
            yield* sleep(1);
            log.push("not reached");
          }),
        ),
      ),
      TimeoutError,
    );
    expect(error.deadlineMs).toBe(10);
    expect(driver.now()).toBe(40e6);
    expect(log).toEqual(["the first shield has ended", "the second shield has ended"]);
  });

  test("keeps the cancel of a scope around it from the body, but the scope's children end at once", async () => {
    const log: string[] = [];
    await rejectionOf(
      runVirtually(() =>
        scope(function* (s) {
          yield* spawn(function* () {
            try {
              yield* sleep(1_000);
            } finally {
              log.push("the child tidies");
            }
          });
          yield* spawn(function* () {
            yield* sleep(5);
            s.cancel();
          });
          yield* shield(() => sleep(10));
          log.push("the shield has ended");
          yield* sleep(1);
        }),
      ),
    );
    expect(log).toEqual(["the child tidies", "the shield has ended"]);
  });

  test("leaves tasks that its body joins to themselves", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const child = yield* spawn(function* () {
        yield* sleep(20);
        return "the child's value";
      });
      const task = yield* spawn(() =>
        shield(function* () {
          log.push(yield* join(child));
        }),
      );
      yield* sleep(1);
      task.cancel();
    });
    expect(log).toEqual(["the child's value"]);
  });

  test("with a scope within waits for the children, which nobody cancels", async () => {
    const log: string[] = [];
    const state = await cancelledAfter(1, function* () {
      yield* shield(() =>
        scope(function* () {
          yield* spawn(function* () {
            yield* sleep(10);
            log.push("child");
          });
        }),
      );
      log.push("after the shield");
    });
    expect(state).toBe("completed");
    expect(log).toEqual(["child", "after the shield"]);
  });

  test("ends a scope within that fails, though the task is being cancelled", async () => {
    const log: string[] = [];
    await cancelledAfter(1, function* () {
      yield* shield(function* () {
        try {
          yield* scope(function* (s) {
            yield* s.spawn(function* () {
              yield* sleep(10);
              throw new Error("the child's own");
            });
            yield* sleep(1_000);
            log.push("not reached");
          });
        } catch (error) {
          log.push((error as Error).message);
        }
        yield* sleep(1);
        log.push("the shield goes on");
      });
    });
    expect(log).toEqual(["the child's own", "the shield goes on"]);
  });

  test("may cancel itself from within by a scope or the whole task, which takes effect where it is due", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      const task = yield* spawn(function* () {
        const me = yield* currentTask();
        yield* shield(function* () {
          let inner: Scope | undefined;
          try {
            yield* scope(function* (s) {
              inner = s;
              me.cancel();
              yield* sleep(1);
              log.push("the cancel of the task is kept away");
              inner.cancel("the scope within");
              yield* sleep(1);
              log.push("not reached");
            });
          } catch (error) {
            log.push((error as Error).message.replace(/ of task.*:/, ":"));
          }
          yield* sleep(1);
          log.push("the shield ends");
        });
        yield* sleep(1);
        log.push("not reached either");
      });
      yield* cancel(task);
      return task.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["the cancel of the task is kept away", 'a scope: "the scope within"', "the shield ends"]);
  });

  test("keeps what is handed to it: a callback resumes it as ever", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      let resumption: Resumption<string> | undefined;
      const task = yield* spawn(() =>
        shield(function* () {
          log.push(
            yield* park<string>((given) => {
              resumption = given;
              return () => log.push("taken back");
            }),
          );
        }),
      );
      yield* yieldNow();
      task.cancel();
      yield* sleep(1);
      resumption!.succeed("a value");
    });
    expect(log).toEqual(["a value"]);
  });

  test("refuses to be used twice", async () => {
    const operation = shield(() => sleep(1));
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* operation;
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain("shield");
  });
});

describe("nested shields", () => {
  test("shield until the outermost has ended", async () => {
    const log: string[] = [];
    await cancelledAfter(1, function* () {
      yield* shield(function* () {
        yield* shield(() => sleep(10));
        log.push("the inner one has ended");
        yield* sleep(10);
        log.push("the outer one ends");
      });
      yield* sleep(1);
      log.push("not reached");
    });
    expect(log).toEqual(["the inner one has ended", "the outer one ends"]);
  });

  test("let a limit between them pass when the inner one has ended", async () => {
    const log: string[] = [];
    const state = await cancelledAfter(1, function* () {
      yield* shield(function* () {
        const value = yield* moveOnAfter(5, function* () {
          yield* shield(() => sleep(10));
          log.push("the inner one has ended");
          yield* sleep(1_000);
          return "not reached";
        });
        log.push(String(value));
        yield* sleep(1);
        log.push("the outer one ends");
      });
    });
    expect(state).toBe("completed");
    expect(log).toEqual(["the inner one has ended", "undefined", "the outer one ends"]);
  });

  test("begin and end in one step, too, with a cancel that is pending all the time", async () => {
    const log: string[] = [];
    await cancelledAfter(0, function* () {
      const me = yield* currentTask();
      me.cancel();
      for (let count = 0; count < 3; count++) {
        yield* shield(shield(() => shield(() => yieldNow())));
        log.push(`shielded ${count}`);
      }
      yield* yieldNow();
      log.push("not reached");
    });
    expect(log).toEqual(["shielded 0", "shielded 1", "shielded 2"]);
  });
});

describe("a shield in a clean-up", () => {
  test("is not needed, and changes nothing", async () => {
    const log: string[] = [];
    const state = await cancelledAfter(1, function* () {
      try {
        yield* sleep(1_000);
      } finally {
        yield* shield(() => sleep(5));
        log.push("flushed");
        yield* sleep(5);
        log.push("closed");
      }
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["flushed", "closed"]);
  });

  test("of what it shields: a finally within the shield runs when its own limit ends it", async () => {
    const log: string[] = [];
    const error = await runVirtually(function* () {
      const task = yield* spawn(
        () =>
          shield(
            timeout(10, function* () {
              try {
                yield* sleep(1_000);
              } finally {
                yield* sleep(10);
                log.push("tidy");
                throwError("untidy");
              }
            }),
          ),
        { supervised: true },
      );
      yield* sleep(1);
      task.cancel();
      yield* sleep(14);
      task.cancel();
      try {
        yield* join(task);
      } catch (caught) {
        return caught as SuppressedError;
      }
      throw new Error("the join returned");
    });
    expect(log).toEqual(["tidy"]);
    expect((error.error as Error).message).toBe("untidy");
    expect(error.suppressed).toBeInstanceOf(TimeoutError);
  });
});

describe("an operation that is handed over with a shield of its own", () => {
  test("is shielded wherever it is used, as the body of a task as well", async () => {
    const protectedWork = (log: string[]): Operation<void> =>
      shield(function* () {
        yield* sleep(10);
        log.push("done");
      });
    const log: string[] = [];
    const state = await runVirtually(function* () {
      const task = yield* spawn(protectedWork(log));
      const nested = yield* spawn(
        () =>
          timeout(
            5,
            scope(() => protectedWork(log)),
          ),
        { supervised: true },
      );
      task.cancel();
      nested.cancel();
      yield* cancel(task);
      yield* cancel(nested);
      return [task.state, nested.state];
    });
    expect(log).toEqual(["done", "done"]);
    expect(state).toEqual(["completed", "completed"]);
  });
});
