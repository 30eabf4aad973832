import { describe, expect, test } from "bun:test";
import { spendBudget } from "../../src/core/budget.ts";
import { CancelledError, ClosedError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor, type RunOptions } from "../../src/core/executor.ts";
import { type Operation, RequestOperation, type TaskBody } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { ParkRequest, type Suspension } from "../../src/core/request.ts";
import { scope } from "../../src/core/scope-region.ts";
import type { Scope } from "../../src/core/scope.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, currentTask, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { YIELD_REQUEST, yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { settled } from "../support/settled.ts";
import { patient } from "../support/patience.ts";
import { describeUnless, NO_MILLIONS } from "../support/platform.ts";

function runVirtually<T>(body: TaskBody<T>, options: RunOptions = {}): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body, options));
}

/** Waits until it is cancelled, and then for `cleanupMs`, with an entry in the log before and after. */
function* tidy(log: string[], name: string, cleanupMs = 0): Operation<void> {
  try {
    yield* sleep(1_000_000);
    log.push(`${name} was not cancelled`);
  } finally {
    log.push(`${name} tidies`);
    if (cleanupMs > 0) {
      yield* sleep(cleanupMs);
      log.push(`${name} is tidy`);
    }
  }
}

function* failAfter(durationMs: number, message: string): Operation<never> {
  yield* sleep(durationMs);
  throw new Error(message);
}

/** Waits until it is cancelled, and then fails. */
function* failInCleanup(message: string, cleanupMs = 0): Operation<void> {
  try {
    yield* sleep(1_000_000);
  } finally {
    if (cleanupMs > 0) yield* sleep(cleanupMs);
    throwError(message);
  }
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

describe("a scope", () => {
  test("returns what its body returned, once all children have ended", async () => {
    const log: string[] = [];
    const value = await runVirtually(function* () {
      const result = yield* scope(function* (s) {
        yield* s.spawn(function* () {
          yield* sleep(20);
          log.push("the first child has ended");
        });
        yield* spawn(function* () {
          yield* sleep(10);
          log.push("the second child has ended");
        });
        log.push("the body has ended");
        return "the body's value";
      });
      log.push("the scope has ended");
      return result;
    });
    expect(value).toBe("the body's value");
    expect(log).toEqual([
      "the body has ended",
      "the second child has ended",
      "the first child has ended",
      "the scope has ended",
    ]);
  });

  test("without children costs no turn: it ends in the step in which its body does", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* spawn(function* () {
        log.push("another task");
      });
      log.push(
        yield* scope(function* () {
          return "returned";
        }),
      );
      log.push((yield* caughtFrom(scope(() => throwingAtOnce("thrown")))) instanceof Error ? "thrown" : "other");
    });
    expect(log).toEqual(["returned", "thrown", "another task"]);
  });

  test("takes an operation instead of a function, and waits for what that spawns", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* scope(
        spawn(function* () {
          yield* sleep(5);
          log.push("child");
        }),
      );
      log.push("after the scope");
    });
    expect(log).toEqual(["child", "after the scope"]);
  });

  test("owns what is spawned while it is the innermost one; others own what is spawned in them by name", async () => {
    const log: string[] = [];
    const late = function* (name: string, durationMs: number): Operation<void> {
      yield* sleep(durationMs);
      log.push(name);
    };
    await runVirtually(function* () {
      yield* scope(function* (outer) {
        yield* scope(function* () {
          yield* outer.spawn(() => late("of the outer scope", 30));
          yield* spawn(() => late("of the inner scope", 10));
          yield* timeout(1_000, function* () {
            yield* spawn(() => late("of the inner scope, though a time limit is nearer", 20));
          });
        });
        log.push("the inner scope has ended");
      });
      log.push("the outer scope has ended");
    });
    expect(log).toEqual([
      "of the inner scope",
      "of the inner scope, though a time limit is nearer",
      "the inner scope has ended",
      "of the outer scope",
      "the outer scope has ended",
    ]);
  });

  test("may be spawned into by its children, and waits for those as well", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* scope(function* (s) {
        yield* spawn(function* () {
          yield* sleep(1);
          yield* s.spawn(function* grandchild() {
            yield* sleep(10);
            log.push("sibling");
          });
        });
      });
      log.push("the scope has ended");
    });
    expect(log).toEqual(["sibling", "the scope has ended"]);
  });

  test("gives its own children to the task around it: a child's parent is the task that opened the scope", async () => {
    const parents = await runVirtually(function* main() {
      const me = yield* currentTask();
      return yield* scope(function* (s) {
        const child: Task<Task<unknown> | null> = yield* s.spawn(function* () {
          const grandchild = yield* s.spawn(() => yieldNow());
          return grandchild.parent;
        });
        return [child.parent === me, (yield* join(child)) === me];
      });
    });
    expect(parents).toEqual([true, true]);
  });

  test("refuses to be used twice, and says which operation it is", async () => {
    const operation = scope(() => sleep(1));
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* operation;
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain("scope");
  });

  test("refuses what is no body, and a clean-up time that is none", async () => {
    expect(() => scope(() => sleep(1), { cleanupMs: -1 })).toThrow(
      new RangeError("scope: cleanupMs must be a number of milliseconds, 0 or more, but is -1"),
    );
    const error = await rejectionOf(
      runVirtually(() => scope((async () => {}) as never)),
      TypeError,
    );
    expect(error.message).toStartWith("scope takes a generator function");
  });

  test("leaves other scopes of its task alone when it fails: they may catch the error and go on", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      yield* scope(function* () {
        const sibling = yield* spawn(function* () {
          yield* sleep(50);
          log.push("a child of the outer scope has ended");
        });
        const error = yield* caughtFrom(
          scope(function* () {
            yield* spawn(() => failAfter(10, "in the inner scope"));
            yield* sleep(1_000);
          }),
        );
        log.push((error as Error).message);
        yield* sleep(10);
        log.push(sibling.state);
      });
    });
    expect(log).toEqual(["in the inner scope", "suspended", "a child of the outer scope has ended"]);
  });
});

function* throwingAtOnce(message: string): Operation<never> {
  throw new Error(message);
}

describe("an error in a scope", () => {
  test("of a child cancels the siblings from the youngest to the oldest, then the body, and comes out as it is", async () => {
    const log: string[] = [];
    const failure = new Error("the child's own");
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* scope(function* (s) {
          yield* s.spawn(() => tidy(log, "oldest", 10));
          yield* s.spawn(function* () {
            yield* sleep(5);
            throw failure;
          });
          yield* s.spawn(() => tidy(log, "youngest", 20));
          yield* tidy(log, "body");
        });
      }),
    );
    expect(error).toBe(failure);
    expect(log).toEqual(["youngest tidies", "oldest tidies", "oldest is tidy", "youngest is tidy", "body tidies"]);
  });

  test("of the body cancels the children, and comes out once they have cleaned up", async () => {
    const log: string[] = [];
    const failure = new Error("the body's own");
    const error = await rejectionOf(
      runVirtually(function* () {
        try {
          yield* scope(function* (s) {
            yield* s.spawn(() => tidy(log, "first", 10));
            yield* s.spawn(() => tidy(log, "second"));
            yield* sleep(1);
            throw failure;
          });
        } finally {
          log.push("after the scope");
        }
      }),
    );
    expect(error).toBe(failure);
    expect(log).toEqual(["second tidies", "first tidies", "first is tidy", "after the scope"]);
  });

  test("of the body and one of a child are both there, in the order in which they came", async () => {
    const errorOf = (bodyMs: number): Promise<AggregateError> =>
      rejectionOf(
        runVirtually(function* () {
          yield* scope(
            function* () {
              // Both are in their clean-up, which nothing cuts off, when the second one fails.
              yield* spawn(() => failInCleanup("of the child", 5));
              yield* spawn(() => failAfter(1, "of another child"));
              yield* failInCleanup("of the body", bodyMs);
            },
            { name: "of two" },
          );
        }),
        AggregateError,
      );
    const error = await errorOf(1);
    expect(error.errors.map(({ message }: Error) => message)).toEqual([
      "of another child",
      "of the child",
      "of the body",
    ]);
    expect(error.message).toBe("3 errors in the scope of two");
  });

  test("of the body comes before that of a child that fails while it is cancelled by it", async () => {
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* scope(function* () {
          yield* spawn(() => failInCleanup("of the clean-up"));
          yield* failAfter(1, "of the body");
        });
      }),
      AggregateError,
    );
    expect(error.errors.map(({ message }: Error) => message)).toEqual(["of the body", "of the clean-up"]);
    expect(error.message).toBe("2 errors in a scope");
  });

  test("of a clean-up never takes the place of the first, on any level", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* scope(function* () {
          yield* spawn(function* middle() {
            yield* spawn(() => failInCleanup("leaf", 2));
            yield* failInCleanup("middle");
          });
          yield* spawn(() => failAfter(5, "the first"));
          yield* failInCleanup("body", 1);
        });
      }),
      AggregateError,
    );
    expect(messagesOf(error)).toEqual(["the first", ["leaf", "middle"], "body"]);
  });

  test("that several siblings throw in the same turn comes out with all of them", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          for (const name of ["a", "b", "c"]) yield* spawn(() => failAfter(5, name));
        }),
      ),
      AggregateError,
    );
    expect(messagesOf(error)).toEqual(["a", "b", "c"]);
  });

  test("that is no Error, undefined included, comes out as it is", async () => {
    const values = await runVirtually(function* () {
      const seen: unknown[] = [];
      for (const value of [undefined, null, 0, "text"]) {
        const failing = function* (): Operation<void> {
          yield* sleep(1);
          throw value;
        };
        seen.push(yield* caughtFrom(scope(() => spawn(failing))));
        seen.push(yield* caughtFrom(scope(failing)));
      }
      return seen;
    });
    expect(values).toEqual([undefined, undefined, null, null, 0, 0, "text", "text"]);
  });

  test("that somebody joins stays with whoever does, and cancels nobody else", async () => {
    const log: string[] = [];
    const value = await runVirtually(() =>
      scope(function* () {
        const sibling = yield* spawn(function* () {
          yield* sleep(50);
          log.push("sibling");
        });
        const failing = yield* spawn(() => failAfter(10, "expected"));
        log.push(((yield* caughtFrom(join(failing))) as Error).message);
        yield* join(sibling);
        return "went on";
      }),
    );
    expect(value).toBe("went on");
    expect(log).toEqual(["expected", "sibling"]);
  });

  test("cancels a body that has caught it from nowhere: the body ends though it handles all errors", async () => {
    const log: string[] = [];
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failAfter(5, "of the child"));
          for (;;) {
            try {
              yield* sleep(100);
            } catch {
              log.push("the body has seen an error");
            }
          }
        }),
      ),
    );
    expect(error.message).toBe("of the child");
    expect(log).toEqual([]);
  });

  test("thrown by an undo comes out of the innermost scope, with what came before it", async () => {
    const untidy = (): Operation<void> =>
      park<void>(() => () => {
        throw new Error("cannot take it back");
      });
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failAfter(1, "the first"));
          yield* untidy();
        }),
      ),
      AggregateError,
    );
    expect(messagesOf(error)).toEqual(["the first", "cannot take it back"]);
  });

  test("reaches the body only after a shield, but the siblings at once", async () => {
    const log: string[] = [];
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failAfter(5, "of the child"));
          yield* spawn(() => tidy(log, "sibling"));
          yield* shield(() => sleep(20));
          log.push("the shield has ended");
          yield* sleep(1);
          log.push("not reached");
        }),
      ),
    );
    expect(error.message).toBe("of the child");
    expect(log).toEqual(["sibling tidies", "the shield has ended"]);
  });
});

/** The messages of an error and of those in it. */
function messagesOf(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors.map(messagesOf) : (error as Error).message;
}

describe("cancelling a task with children", () => {
  test("ends the children from the youngest to the oldest, awaits their clean-up, and then cleans up itself", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const parent = yield* spawn(function* () {
        yield* spawn(() => tidy(log, "oldest", 5));
        yield* spawn(() => tidy(log, "middle", 15));
        yield* spawn(() => tidy(log, "youngest", 10));
        yield* tidy(log, "parent");
      });
      yield* sleep(1);
      yield* cancel(parent);
      log.push("cancelled");
    });
    expect(log).toEqual([
      "youngest tidies",
      "middle tidies",
      "oldest tidies",
      "oldest is tidy",
      "youngest is tidy",
      "middle is tidy",
      "parent tidies",
      "cancelled",
    ]);
  });

  test("does so for scopes at several levels, the innermost first, each before the finally around it", async () => {
    const log: string[] = [];
    const cancelledBy = async (act: (parent: Task<unknown>, outer: Scope) => void): Promise<string[]> => {
      log.length = 0;
      await runVirtually(function* () {
        let outer: Scope | undefined;
        const parent = yield* spawn(
          function* () {
            yield* spawn(() => tidy(log, "child of the task", 1));
            try {
              yield* scope(function* (s) {
                outer = s;
                yield* spawn(() => tidy(log, "child of the outer scope", 1));
                try {
                  yield* scope(function* () {
                    yield* spawn(function* () {
                      yield* spawn(() => tidy(log, "grandchild", 1));
                      yield* tidy(log, "child of the inner scope");
                    });
                    yield* tidy(log, "inner body");
                  });
                } finally {
                  log.push("around the inner scope");
                }
              });
            } finally {
              log.push("around the outer scope");
            }
          },
          { supervised: true },
        );
        yield* sleep(1);
        act(parent, outer!);
        yield* caughtFrom(join(parent));
      });
      return [...log];
    };
    const insideOuter = [
      "grandchild tidies",
      "grandchild is tidy",
      "child of the inner scope tidies",
      "inner body tidies",
      "around the inner scope",
      "around the outer scope",
    ];
    const fromOutside = await cancelledBy((parent) => parent.cancel());
    expect(fromOutside.filter((entry) => insideOuter.includes(entry))).toEqual(insideOuter);
    for (const child of ["child of the task is tidy", "child of the outer scope is tidy"]) {
      expect(fromOutside).toContain(child);
      expect(fromOutside.indexOf(child)).toBeLessThan(fromOutside.indexOf("inner body tidies"));
    }
    // The scope's own cancel ends what is in the scope first, and then, by its CancelledError, the task around it.
    const fromScope = await cancelledBy((_, outer) => outer.cancel());
    expect(fromScope.filter((entry) => insideOuter.includes(entry))).toEqual(insideOuter);
    expect(fromScope).toContain("child of the outer scope is tidy");
    expect(fromScope.indexOf("child of the task tidies")).toBeGreaterThan(fromScope.indexOf("around the outer scope"));
  });

  test("by a child's failure at the bottom ends every level, and the error comes up through all of them", async () => {
    const log: string[] = [];
    const failure = new Error("at the bottom");
    const error = await rejectionOf(
      runVirtually(function* level0() {
        yield* spawn(() => tidy(log, "child of level 0"));
        yield* scope(function* level1() {
          yield* spawn(() => tidy(log, "child of level 1"));
          yield* spawn(function* level2() {
            yield* scope(function* () {
              yield* spawn(() => tidy(log, "child of level 2"));
              yield* spawn(function* bottom() {
                yield* sleep(5);
                throw failure;
              });
              yield* tidy(log, "body of level 2");
            });
          });
          yield* tidy(log, "body of level 1");
        });
      }),
    );
    expect(error).toBe(failure);
    expect(log).toEqual([
      "child of level 2 tidies",
      "body of level 2 tidies",
      "child of level 1 tidies",
      "body of level 1 tidies",
      "child of level 0 tidies",
    ]);
  });

  test("that has a clean-up of its own waits for the children's before it begins that", async () => {
    const driver = new VirtualDriver();
    const times: number[] = [];
    await settled(
      driver,
      new Executor(driver).run(function* () {
        const parent = yield* spawn(function* () {
          yield* spawn(() => tidy([], "child", 100));
          try {
            yield* sleep(1_000_000);
          } finally {
            times.push(driver.now() / 1e6);
            yield* sleep(10);
            times.push(driver.now() / 1e6);
          }
        });
        yield* sleep(1);
        yield* cancel(parent);
      }),
    );
    expect(times).toEqual([101, 111]);
  });

  test("while its body has ended and its children have not cancels them and ends it as cancelled", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      const parent = yield* spawn(function* () {
        yield* spawn(() => tidy(log, "child", 5));
        return "a value";
      });
      yield* sleep(1);
      expect(parent.waitsFor).toStartWith("the end of task #");
      yield* cancel(parent);
      return parent.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["child tidies", "child is tidy"]);
  });

  test("while one of its scopes waits for its children cancels them, and the scope's end is not lost", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      const parent = yield* spawn(function* () {
        try {
          yield* scope(function* () {
            yield* spawn(() => tidy(log, "child", 5));
            return "the scope's value";
          });
          log.push("went on after the scope");
        } finally {
          log.push("parent tidies");
        }
      });
      yield* sleep(1);
      yield* cancel(parent);
      return parent.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["child tidies", "child is tidy", "parent tidies"]);
  });

  test("while one of its scopes waits for children that are being cancelled brings out the scope's error", async () => {
    const error = await runVirtually(function* () {
      const parent = yield* spawn(() =>
        scope(function* () {
          yield* spawn(() => tidy([], "slow", 20));
          yield* failAfter(5, "of the body");
        }),
      );
      yield* sleep(10);
      return (yield* caughtFrom(cancel(parent))) as Error;
    });
    expect(error.message).toBe("of the body");
  });

  test("brings out what a child of one of its scopes throws in its clean-up, and what the body throws in its own", async () => {
    const error = await runVirtually(function* () {
      const parent = yield* spawn(() =>
        scope(function* () {
          yield* spawn(() => failInCleanup("of the child"));
          yield* failInCleanup("of the body", 1);
        }),
      );
      yield* sleep(1);
      return yield* caughtFrom(cancel(parent));
    });
    expect(messagesOf(error)).toEqual(["of the child", "of the body"]);
  });

  test("cancels what is still spawned in it by its children while they clean up", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const parent = yield* spawn(() =>
        scope(function* (s) {
          yield* spawn(function* () {
            try {
              yield* sleep(1_000_000);
            } finally {
              yield* s.spawn(function* () {
                log.push("begun");
                yield* sleep(1);
                log.push("not reached");
              });
            }
          });
          yield* sleep(1_000_000);
        }),
      );
      yield* sleep(1);
      yield* cancel(parent);
      log.push(parent.state);
    });
    expect(log).toEqual(["begun", "cancelled"]);
  });

  test("whose child's undo lets the task itself through ends it all the same, and takes nothing for it", async () => {
    const line = new Line();
    const log: string[] = [];
    await runVirtually(function* () {
      const parent = yield* spawn(function* () {
        // The child is first in the line, its parent is next.
        yield* spawn(() => line.enter("child"));
        yield* yieldNow();
        yield* line.enter("parent");
        log.push("not reached");
      });
      yield* sleep(1);
      yield* cancel(parent);
      log.push(parent.state);
      line.letOneThrough();
      yield* line.enter("somebody else");
      log.push("somebody else is through");
    });
    expect(log).toEqual(["cancelled", "somebody else is through"]);
  });

  test(
    "goes down a chain of 20,000 tasks, each the child of the one before",
    async () => {
      let tidied = 0;
      const chain = function* (length: number): Operation<void> {
        if (length > 1) yield* spawn(() => chain(length - 1));
        try {
          yield* sleep(1_000_000);
        } finally {
          tidied++;
        }
      };
      await runVirtually(function* () {
        const top = yield* spawn(() => chain(20_000));
        yield* sleep(1);
        yield* cancel(top);
      });
      expect(tidied).toBe(20_000);
    },
    LONGEST_MS,
  );
});

/** A line in which each who leaves before its time lets the next one through, as a semaphore's may. */
class Line {
  private readonly waiting: Resumption<void>[] = [];
  private passes = 0;

  enter(name: string): Operation<void> {
    return park<void>((resumption) => {
      if (this.passes > 0) {
        this.passes--;
        return resumption.succeed();
      }
      this.waiting.push(resumption);
      return () => {
        this.waiting.splice(this.waiting.indexOf(resumption), 1);
        this.waiting.shift()?.succeed();
      };
    }, `the turn of ${name}`);
  }

  letOneThrough(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.passes++;
    else next.succeed();
  }
}

describe("a scope's own cancel", () => {
  test("ends children and body, and throws a CancelledError with the scope's name and the reason", async () => {
    const log: string[] = [];
    const reason = new Error("that will do");
    const error = (await runVirtually(function* main() {
      return yield* caughtFrom(
        scope(
          function* (s) {
            yield* spawn(() => tidy(log, "child", 5));
            yield* spawn(function* () {
              yield* sleep(1);
              s.cancel(reason);
            });
            yield* tidy(log, "body");
          },
          { name: "of workers" },
        ),
      );
    })) as CancelledError;
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.reason).toBe(reason);
    expect(error.message).toBe("the scope of workers of task main (#1) was cancelled: that will do");
    expect(log).toEqual(["child tidies", "child is tidy", "body tidies"]);
  });

  test("tells the children and whoever catches its error the first reason", async () => {
    const reasons = await runVirtually(function* () {
      const children: Task<void>[] = [];
      const error = yield* caughtFrom(
        scope(function* (s) {
          for (let count = 0; count < 2; count++) children.push(yield* spawn(() => sleep(1_000)));
          yield* yieldNow();
          s.cancel("no more work");
          s.cancel("a second reason");
          yield* sleep(1);
        }),
      );
      return [(error as CancelledError).reason, ...children.map(({ cancelReason }) => cancelReason)];
    });
    expect(reasons).toEqual(["no more work", "no more work", "no more work"]);
  });

  test("takes effect in the body at its next suspend point", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      caughtFrom(
        scope(function* (s) {
          s.cancel();
          log.push("goes on");
          yield* spawn(() => sleep(1));
          log.push("spawn is no suspend point");
          yield* yieldNow();
          log.push("not reached");
        }),
      ),
    );
    expect(log).toEqual(["goes on", "spawn is no suspend point"]);
  });

  test("from within the wait that it ends takes that wait back", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      caughtFrom(
        scope(function* (s) {
          yield* sleep(1);
          yield* park<void>(() => {
            s.cancel();
            return () => log.push("undo");
          });
          log.push("not reached");
        }),
      ),
    );
    expect(log).toEqual(["undo"]);
  });

  test("leaves a body its value that does not suspend again, or has returned already", async () => {
    const log: string[] = [];
    const values = await runVirtually(function* () {
      const atOnce = yield* scope(function* (s) {
        s.cancel();
        return "at once";
      });
      const before = yield* scope(function* (s) {
        yield* spawn(() => tidy(log, "child"));
        yield* spawn(function* () {
          yield* sleep(1);
          s.cancel();
        });
        return "before";
      });
      return [atOnce, before];
    });
    expect(values).toEqual(["at once", "before"]);
    expect(log).toEqual(["child tidies"]);
  });

  test("does nothing once the scope has ended, or when it is cancelled already", async () => {
    const value = await runVirtually(function* () {
      let ended: Scope | undefined;
      yield* scope(function* (s) {
        ended = s;
      });
      ended!.cancel("too late");
      yield* sleep(1);
      return "went on";
    });
    expect(value).toBe("went on");
  });

  test("is seen by no catch within, and by a catch around as an error", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      try {
        yield* scope(function* (s) {
          try {
            yield* spawn(function* () {
              s.cancel();
            });
            yield* sleep(1);
          } catch {
            log.push("caught within");
          }
        });
      } catch (error) {
        log.push(`caught around: ${(error as Error).name}`);
      }
    });
    expect(log).toEqual(["caught around: CancelledError"]);
  });

  test("brings out an error of a clean-up instead, which would be lost otherwise", async () => {
    const error = await runVirtually(() =>
      caughtFrom(
        scope(function* (s) {
          yield* spawn(() => failInCleanup("of the child"));
          yield* yieldNow();
          s.cancel();
          yield* failInCleanup("of the body");
        }),
      ),
    );
    expect(messagesOf(error)).toEqual(["of the child", "of the body"]);
  });
});

describe("spawn", () => {
  test("into a scope that has ended is refused with the scope's name, and runs nothing", async () => {
    const log: string[] = [];
    const message = await runVirtually(function* () {
      let ended: Scope | undefined;
      yield* scope(
        function* (s) {
          ended = s;
        },
        { name: "of yesterday" },
      );
      const error = yield* caughtFrom(
        ended!.spawn(function* () {
          log.push("ran");
        }),
      );
      yield* sleep(1);
      expect(error).toBeInstanceOf(ClosedError);
      return (error as Error).message;
    });
    expect(message).toBe("the scope of yesterday has ended: nothing can be spawned in it any more");
    expect(log).toEqual([]);
  });

  test("into a scope that has failed or was cancelled is refused once the scope has ended", async () => {
    const errors = await runVirtually(function* () {
      const seen: unknown[] = [];
      for (const body of [
        function* (s: Scope): Operation<void> {
          s.cancel();
          yield* sleep(1);
        },
        function* (): Operation<void> {
          throw new Error("failed");
        },
      ]) {
        let ended: Scope | undefined;
        yield* caughtFrom(
          scope((s) => {
            ended = s;
            return body(s);
          }),
        );
        seen.push(yield* caughtFrom(ended!.spawn(() => sleep(1))));
      }
      return seen;
    });
    expect(errors.map((error) => error instanceof ClosedError)).toEqual([true, true]);
  });

  test("into a scope that is being cancelled starts, and is cancelled at the first suspend point", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      caughtFrom(
        scope(function* (s) {
          s.cancel("closing");
          const child = yield* s.spawn(function* () {
            try {
              log.push("begun");
              yield* sleep(1);
              log.push("not reached");
            } finally {
              log.push("tidies");
            }
          });
          yield* caughtFrom(join(child));
        }),
      ),
    );
    expect(log).toEqual(["begun", "tidies"]);
  });

  test.each([
    ["has spawned before", true],
    ["has not spawned before", false],
  ])("in the finally of a cancelled task that %s starts a task that does its work", async (_, hasSpawnedBefore) => {
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        if (hasSpawnedBefore) yield* spawn(() => tidy(log, "earlier child"));
        try {
          yield* sleep(1_000);
        } finally {
          const flush = yield* spawn(function* () {
            yield* sleep(5);
            log.push("flushed");
          });
          yield* join(flush);
          yield* spawn(() => tidy(log, "left behind"));
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      log.push(task.state);
    });
    expect(log.filter((entry) => entry !== "earlier child tidies")).toEqual([
      "flushed",
      "left behind tidies",
      "cancelled",
    ]);
  });

  test("in the finally of a cancelled scope's body does as well, and what it leaves behind is cancelled", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      caughtFrom(
        scope(function* (s) {
          yield* spawn(() => tidy(log, "child"));
          try {
            yield* yieldNow();
            s.cancel();
            yield* sleep(1_000);
          } finally {
            yield* join(
              yield* s.spawn(function* () {
                yield* sleep(5);
                log.push("flushed");
              }),
            );
            yield* s.spawn(() => tidy(log, "left behind"));
          }
        }),
      ),
    );
    expect(log).toEqual(["child tidies", "flushed", "left behind tidies"]);
  });

  test("that fails in the finally of a cancelled task is not lost", async () => {
    const error = await runVirtually(function* () {
      const task = yield* spawn(function* () {
        yield* spawn(() => tidy([], "earlier child"));
        try {
          yield* sleep(1_000);
        } finally {
          yield* spawn(() => failAfter(1, "the flush has failed"));
          yield* sleep(5);
        }
      });
      yield* sleep(1);
      return yield* caughtFrom(cancel(task));
    });
    expect((error as Error).message).toBe("the flush has failed");
  });
});

describe("a scope in the finally of what is being cancelled", () => {
  test("waits for its children, which do their work, though cancels come from everywhere", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(() =>
        moveOnAfter(5, function* () {
          try {
            yield* sleep(1_000);
          } finally {
            yield* scope(function* () {
              for (const name of ["one", "two"]) {
                yield* spawn(function* () {
                  yield* sleep(10);
                  log.push(`flushed ${name}`);
                });
              }
            });
            log.push("the scope has ended");
          }
        }),
      );
      yield* sleep(7);
      task.cancel();
      yield* sleep(1);
      task.cancel();
      yield* cancel(task);
    });
    expect(log).toEqual(["flushed one", "flushed two", "the scope has ended"]);
  });

  test("fails as anywhere: the error goes outward, and the rest of the clean-up runs", async () => {
    const log: string[] = [];
    const error = await runVirtually(function* () {
      const task = yield* spawn(function* () {
        try {
          try {
            yield* sleep(1_000);
          } finally {
            yield* scope(function* () {
              yield* spawn(() => tidy(log, "sibling", 2));
              yield* spawn(() => failAfter(1, "the flush has failed"));
              yield* tidy(log, "body of the clean-up");
            });
            log.push("not reached");
          }
        } finally {
          yield* sleep(1);
          log.push("the outer finally");
        }
      });
      yield* sleep(1);
      return yield* caughtFrom(cancel(task));
    });
    expect((error as Error).message).toBe("the flush has failed");
    expect(log).toEqual(["sibling tidies", "sibling is tidy", "body of the clean-up tidies", "the outer finally"]);
  });

  test("may belong to another executor that blocks the thread within the clean-up", async () => {
    const log: string[] = [];
    const cleanUpThoroughly = function* (name: string): Operation<void> {
      try {
        yield* tidy(log, `${name} within`, 1);
      } finally {
        yield* sleep(1);
        log.push(`${name} around`);
      }
    };
    const cancelOne = function* (): Operation<void> {
      const task = yield* spawn(() => cleanUpThoroughly("blocking"));
      yield* sleep(1);
      yield* cancel(task);
    };
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* sleep(1_000);
        } finally {
          new Executor(new VirtualDriver()).blockOn(cancelOne);
          yield* sleep(1);
          log.push("goes on");
        }
      });
      yield* sleep(1);
      yield* cancel(task);
    });
    expect(log).toEqual(["blocking within tidies", "blocking within is tidy", "blocking around", "goes on"]);
  });

  test("can be cancelled by itself, which ends it and not the clean-up around it", async () => {
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        try {
          yield* sleep(1_000);
        } finally {
          const error = yield* caughtFrom(
            scope(function* (s) {
              yield* spawn(function* () {
                yield* sleep(1);
                s.cancel("enough");
              });
              yield* tidy(log, "inner", 3);
            }),
          );
          log.push((error as Error).name);
          yield* sleep(5);
          log.push("the clean-up goes on");
        }
      });
      yield* sleep(1);
      yield* cancel(task);
    });
    expect(log).toEqual(["inner tidies", "inner is tidy", "CancelledError", "the clean-up goes on"]);
  });
});

describe("a scope that is cancelled", () => {
  test("while its whole task is ends with it: its children and its finally run once", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      let inner: Scope | undefined;
      const task = yield* spawn(function* () {
        try {
          yield* scope(function* (s) {
            inner = s;
            yield* spawn(() => tidy(log, "child", 5));
            yield* tidy(log, "body", 5);
          });
        } catch {
          log.push("caught");
        }
      });
      yield* sleep(1);
      task.cancel();
      inner!.cancel("as well");
      yield* sleep(7);
      inner!.cancel("while the body cleans up");
      yield* cancel(task);
      return task.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["child tidies", "child is tidy", "body tidies", "body is tidy"]);
  });

  test("before its whole task is cleans up first; the task ends at its next wait after that", async () => {
    const log: string[] = [];
    const state = await runVirtually(function* () {
      let inner: Scope | undefined;
      const task = yield* spawn(function* () {
        try {
          yield* scope(function* (s) {
            inner = s;
            yield* spawn(() => tidy(log, "child", 5));
            yield* tidy(log, "body", 5);
          });
        } catch (error) {
          log.push((error as Error).name);
        }
        yield* sleep(1);
        log.push("not reached");
      });
      yield* sleep(1);
      inner!.cancel();
      // First while the children end, then while the body cleans up.
      yield* sleep(2);
      task.cancel();
      yield* sleep(6);
      task.cancel();
      yield* cancel(task);
      return task.state;
    });
    expect(state).toBe("cancelled");
    expect(log).toEqual(["child tidies", "child is tidy", "body tidies", "body is tidy", "CancelledError"]);
  });

  test("inside another that is cancelled in the same moment says nothing of its own", async () => {
    const names = await runVirtually(function* () {
      const log: string[] = [];
      const error = yield* caughtFrom(
        scope(
          function* (outer) {
            yield* spawn(function* () {
              yield* sleep(1);
              inner!.cancel();
              outer.cancel();
            });
            let inner: Scope | undefined;
            try {
              yield* scope(
                function* (s) {
                  inner = s;
                  yield* spawn(() => tidy(log, "child", 5));
                  yield* sleep(1_000);
                },
                { name: "inside" },
              );
            } catch (caught) {
              log.push((caught as Error).message);
            }
            yield* sleep(1);
          },
          { name: "outside" },
        ),
      );
      return [...log, (error as Error).message];
    });
    expect(names.at(-1)).toStartWith("the scope outside of task #1");
  });
});

describe("a daemon", () => {
  test("is cancelled once all others of its scope have ended, and its clean-up is waited for", async () => {
    const log: string[] = [];
    const value = await runVirtually(function* () {
      const result = yield* scope(function* () {
        const daemon = yield* spawn(() => tidy(log, "daemon", 5), { daemon: true });
        yield* spawn(function* () {
          yield* sleep(20);
          log.push(`worker ends, the daemon is ${daemon.state}`);
        });
        yield* sleep(10);
        log.push("the body ends");
        return "value";
      });
      log.push("the scope has ended");
      return result;
    });
    expect(value).toBe("value");
    expect(log).toEqual([
      "the body ends",
      "worker ends, the daemon is suspended",
      "daemon tidies",
      "daemon is tidy",
      "the scope has ended",
    ]);
  });

  test("lives as long as the body does, though no other child is left", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      scope(function* () {
        yield* spawn(() => tidy(log, "daemon"), { daemon: true });
        yield* spawn(() => sleep(1));
        yield* sleep(10);
        log.push("the body ends");
      }),
    );
    expect(log).toEqual(["the body ends", "daemon tidies"]);
  });

  test("that ends by itself changes nothing for the others: they live until the last worker has ended", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      scope(function* () {
        for (let count = 0; count < 3; count++) yield* spawn(() => sleep(1), { daemon: true });
        yield* spawn(() => tidy(log, "daemon"), { daemon: true });
        for (const ms of [10, 20]) {
          yield* spawn(function* () {
            yield* sleep(ms);
            log.push(`worker of ${ms} ms`);
          });
        }
      }),
    );
    expect(log).toEqual(["worker of 10 ms", "worker of 20 ms", "daemon tidies"]);
  });

  test("of a task is cancelled when the task's body and its other children have ended", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(() => tidy(log, "daemon"), { daemon: true });
      yield* spawn(function* () {
        yield* sleep(5);
        log.push("child");
      });
    });
    expect(log).toEqual(["child", "daemon tidies"]);
  });

  test("that ends by itself is none's concern, and one that fails fails its scope", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => sleep(1), { daemon: true });
          yield* spawn(() => failAfter(5, "the daemon has failed"), { daemon: true });
          yield* sleep(1_000);
        }),
      ),
    );
    expect(error.message).toBe("the daemon has failed");
  });

  test("that fails in its clean-up at the end fails its scope", async () => {
    const error = await rejectionOf(
      runVirtually(() => scope(() => spawn(() => failInCleanup("the daemon is untidy"), { daemon: true }))),
    );
    expect(error.message).toBe("the daemon is untidy");
  });

  test("may spawn: its children end with it, and what it spawns in its scope at the end is cancelled", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      scope(function* (s) {
        yield* spawn(
          function* () {
            yield* spawn(() => tidy(log, "the daemon's child"));
            try {
              yield* sleep(1_000);
            } finally {
              yield* s.spawn(() => tidy(log, "late sibling"));
            }
          },
          { daemon: true },
        );
        yield* sleep(1);
      }),
    );
    expect(log).toEqual(["the daemon's child tidies", "late sibling tidies"]);
  });
});

describe("a supervised task", () => {
  test("that fails cancels nobody, and whoever joins it later gets its error", async () => {
    const log: string[] = [];
    await runVirtually(() =>
      scope(function* () {
        const supervised = yield* spawn(() => failAfter(1, "its own"), { supervised: true });
        yield* spawn(function* () {
          yield* sleep(10);
          log.push("the sibling has ended");
        });
        yield* sleep(5);
        log.push(supervised.state, ((yield* caughtFrom(join(supervised))) as Error).message);
      }),
    );
    expect(log).toEqual(["failed", "its own", "the sibling has ended"]);
  });

  test("that nobody joins brings its error out of the scope at the end", async () => {
    const log: string[] = [];
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failAfter(1, "its own"), { supervised: true });
          yield* sleep(10);
          log.push("the body goes on");
        }),
      ),
    );
    expect(error.message).toBe("its own");
    expect(log).toEqual(["the body goes on"]);
  });

  test("that nobody joins comes after the errors that ended the scope", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failAfter(1, "supervised, one"), { supervised: true });
          yield* spawn(() => failAfter(2, "supervised, two"), { supervised: true });
          const claimed = yield* spawn(() => failAfter(3, "claimed"), { supervised: true });
          yield* sleep(4);
          yield* caughtFrom(join(claimed));
          yield* failAfter(5, "the body's own");
        }),
      ),
    );
    expect(messagesOf(error)).toEqual(["the body's own", "supervised, one", "supervised, two"]);
  });

  test("of a task stays with it in the same way", async () => {
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* spawn(() => failAfter(1, "its own"), { supervised: true });
        yield* sleep(10);
      }),
    );
    expect(error.message).toBe("its own");
  });

  test("that a sibling is joining leaves its error to that sibling", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          const supervised = yield* spawn(() => failAfter(5, "its own"), { supervised: true });
          yield* spawn(() => join(supervised));
          yield* sleep(10);
        }),
      ),
    );
    expect(error.message).toBe("its own");
  });

  test("that fails after its only joiner was cancelled counts as joined by nobody", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          const supervised = yield* spawn(() => failAfter(5, "its own"), { supervised: true });
          yield* moveOnAfter(2, join(supervised));
          yield* sleep(10);
        }),
      ),
    );
    expect(error.message).toBe("its own");
  });

  test("that is cancelled with its scope and then fails has its error in the scope's", async () => {
    const error = await rejectionOf(
      runVirtually(() =>
        scope(function* () {
          yield* spawn(() => failInCleanup("untidy"), { supervised: true });
          yield* failAfter(1, "the first");
        }),
      ),
    );
    expect(messagesOf(error)).toEqual(["the first", "untidy"]);
  });
});

describe("a task that was never in another's hands", () => {
  test("does not begin if it is cancelled before, by its signal or by itself", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const log: string[] = [];
    const controller = new AbortController();
    const body = function* (): Operation<void> {
      log.push("begun");
      try {
        yield* sleep(1);
      } finally {
        log.push("finally");
      }
    };
    const running = executor.run(body, { signal: controller.signal });
    const reason = new Error("not at all");
    controller.abort(reason);
    expect(await rejectionOf(settled(driver, running))).toBe(reason);
    const loose = executor.spawn(() => scope(body));
    loose.cancel();
    await settled(
      driver,
      executor.run(() => sleep(1)),
    );
    expect(loose.state).toBe("cancelled");
    expect(log).toEqual([]);
  });
});

describe("a task that is ready when it is cancelled", () => {
  test("takes what it was resumed with, and ends at its next operation, even at one that could complete at once", async () => {
    const log: string[] = [];
    let items = 2;
    /** Completes at once, as a channel does that has items. */
    const take = function* (): Operation<number> {
      if (!spendBudget()) yield YIELD_REQUEST;
      return items--;
    };
    const state = await runVirtually(function* () {
      let resumption: Resumption<string> | undefined;
      const task = yield* spawn(function* () {
        log.push(`item ${yield* take()}`);
        log.push(yield* park<string>((given) => void (resumption = given)));
        log.push(`item ${yield* take()}`);
      });
      yield* yieldNow();
      resumption!.succeed("the answer");
      task.cancel();
      yield* cancel(task);
      return task.state;
    });
    expect({ state, items, log }).toEqual({ state: "cancelled", items: 1, log: ["item 2", "the answer"] });
  });
});

describe("joining", () => {
  test.each([
    ["join", (task: Task<unknown>): Operation<unknown> => join(task)],
    ["cancel", (task: Task<unknown>): Operation<unknown> => cancel(task)],
  ])("a task around one's own with %s is refused, through scopes as well", async (verb, operate) => {
    const message = await runVirtually(function* ancestor() {
      const top = yield* currentTask();
      return yield* scope(function* () {
        const child: Task<string> = yield* spawn(function* child() {
          const grandchild: Task<string> = yield* spawn(function* grandchild() {
            return ((yield* caughtFrom(operate(top))) as Error).message;
          });
          return yield* join(grandchild);
        });
        return yield* join(child);
      });
    });
    expect(message).toStartWith(
      `task grandchild (#3) cannot ${verb} task ancestor (#1), whose child it is: it would wait for its own end`,
    );
  });

  test("a sibling, a cousin or a task of another run is allowed", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const other = executor.spawn(function* () {
      yield* sleep(5);
      return "of another run";
    });
    const values = await settled(
      driver,
      executor.run(() =>
        scope(function* () {
          const cousin: Task<string> = yield* spawn(function* () {
            yield* sleep(3);
            return "cousin";
          });
          const joiner = yield* spawn(function* () {
            const nested = yield* spawn(() => join(cousin));
            return [yield* join(nested), yield* join(other)];
          });
          return yield* join(joiner);
        }),
      ),
    );
    expect(values).toEqual(["cousin", "of another run"]);
  });
});

describe("what is handed over", () => {
  class Giver {
    readonly givenBack: string[] = [];
    private suspension: Suspension | null = null;

    /** Waits to be given something. */
    receive(): Operation<string> {
      const request = new ParkRequest((suspension) => {
        this.suspension = suspension;
        return { undo: () => void (this.suspension = null) };
      }, "a gift");
      return new RequestOperation("receive", request);
    }

    give(value: string): void {
      this.suspension!.handOver(value, { giveBack: (back: string) => void this.givenBack.push(back) });
    }
  }

  test("goes back at once if the task is cancelled before it has taken it, and the task ends where it waited", async () => {
    const giver = new Giver();
    const log: string[] = [];
    await runVirtually(function* () {
      const receiver = yield* spawn(function* () {
        try {
          log.push(yield* giver.receive());
        } finally {
          log.push("tidies");
        }
      });
      yield* yieldNow();
      giver.give("a lock");
      receiver.cancel();
      expect(giver.givenBack).toEqual(["a lock"]);
      yield* cancel(receiver);
      log.push(receiver.state);
    });
    expect(log).toEqual(["tidies", "cancelled"]);
  });

  test("goes back if the task is cancelled together with its parent, or its scope fails", async () => {
    const givers = [new Giver(), new Giver(), new Giver()];
    await runVirtually(function* () {
      const parent = yield* spawn(function* () {
        yield* spawn(() => givers[0]!.receive());
        yield* sleep(1_000);
      });
      yield* caughtFrom(
        scope(function* (s) {
          yield* spawn(() => givers[1]!.receive());
          yield* spawn(function* () {
            yield* sleep(1);
            for (const giver of givers) giver.give("a permit");
            parent.cancel();
            s.cancel();
          });
          yield* givers[2]!.receive();
        }),
      );
    });
    expect(givers.map(({ givenBack }) => givenBack)).toEqual([["a permit"], ["a permit"], ["a permit"]]);
  });

  test("stays with a task in a shield", async () => {
    const giver = new Giver();
    const log: string[] = [];
    await runVirtually(function* () {
      const shielded = yield* spawn(() =>
        shield(function* () {
          log.push(yield* giver.receive());
        }),
      );
      yield* sleep(1);
      giver.give("a message");
      shielded.cancel();
    });
    expect(giver.givenBack).toEqual([]);
    expect(log).toEqual(["a message"]);
  });

  test("stays with a task whose time is up in the same moment, but after it came", async () => {
    const giver = new Giver();
    const value = await runVirtually(function* () {
      // When the time of the first one is up, it hands over to the second one, whose time is up as well.
      yield* spawn(() =>
        moveOnAfter(
          10,
          park<void>(() => () => giver.give("just in time")),
        ),
      );
      yield* yieldNow();
      return yield* moveOnAfter(10, function* () {
        return yield* giver.receive();
      });
    });
    expect(value).toBe("just in time");
    expect(giver.givenBack).toEqual([]);
  });

  test("counts as never given: what the task catches in its finally is its own", async () => {
    const giver = new Giver();
    const second = new Giver();
    const taken: string[] = [];
    await runVirtually(function* () {
      const receiver = yield* spawn(function* () {
        try {
          yield* giver.receive();
        } finally {
          taken.push(yield* second.receive());
        }
      });
      yield* yieldNow();
      giver.give("first");
      receiver.cancel();
      yield* sleep(1);
      second.give("second");
      receiver.cancel();
      yield* cancel(receiver);
    });
    expect(giver.givenBack).toEqual(["first"]);
    expect(second.givenBack).toEqual([]);
    expect(taken).toEqual(["second"]);
  });
});

describe("generators nested by yield*", () => {
  const descend = function* (
    levels: number,
    bottom: () => Operation<void>,
    tidied: { count: number },
  ): Operation<number> {
    try {
      if (levels === 0) yield* bottom();
      else return (yield* descend(levels - 1, bottom, tidied)) + 1;
    } finally {
      tidied.count++;
    }
    return 0;
  };

  test("work 5,000 deep", async () => {
    const tidied = { count: 0 };
    expect(await runVirtually(() => descend(5_000, () => sleep(1), tidied))).toBe(5_000);
    expect(tidied.count).toBe(5_001);
  });

  test("are cancelled 5,000 deep, with the finally of each, at once or after a wait", async () => {
    for (const bottom of [
      (): Operation<void> => sleep(1_000),
      function* (): Operation<void> {
        try {
          yield* sleep(1_000);
        } finally {
          yield* sleep(1);
        }
      },
    ]) {
      const tidied = { count: 0 };
      const state = await runVirtually(function* () {
        const task = yield* spawn(() => descend(5_000, bottom, tidied));
        yield* sleep(1);
        yield* cancel(task);
        return task.state;
      });
      expect({ state, ...tidied }).toEqual({ state: "cancelled", count: 5_001 });
    }
  });

  test("bring an error up from 5,000 deep", async () => {
    const tidied = { count: 0 };
    const error = await rejectionOf(runVirtually(() => descend(5_000, () => failAfter(1, "from below"), tidied)));
    expect(error.message).toBe("from below");
    expect(tidied.count).toBe(5_001);
  });

  test("are refused where the stack ends, with an error that names the task and says what to do", async () => {
    const error = await rejectionOf(
      runVirtually(
        function* deep() {
          yield* descend(1_000_000, () => sleep(1), { count: 0 });
        },
        { name: "deep" },
      ),
      RangeError,
    );
    expect(error.name).toBe("NestingError");
    expect(error.message).toStartWith("task deep (#1) overflowed the stack: yield* goes through some thousands");
  });

  test("may be 500 scopes and time limits, one in the other", async () => {
    const nest = function* (levels: number): Operation<number> {
      if (levels === 0) {
        yield* sleep(1);
        return 0;
      }
      const inner = levels % 2 === 0 ? scope(() => nest(levels - 1)) : timeout(1_000, () => nest(levels - 1));
      return (yield* inner) + 1;
    };
    expect(await runVirtually(() => nest(500))).toBe(500);
    const state = await runVirtually(function* () {
      const task = yield* spawn(() => nest(500));
      yield* yieldNow();
      yield* cancel(task);
      return task.state;
    });
    expect(state).toBe("cancelled");
  });
});

describeUnless(NO_MILLIONS)("a million operations that are ready", () => {
  test(
    "overflow nothing in a scope with a limit, and let others run",
    async () => {
      let others = 0;
      const count = await runVirtually(() =>
        timeout(1_000, () =>
          scope(function* (s) {
            yield* s.spawn(
              function* () {
                for (;;) {
                  others++;
                  yield* yieldNow();
                }
              },
              { daemon: true },
            );
            let sum = 0;
            for (let index = 0; index < 1_000_000; index++) sum += yield* park<number>(({ succeed }) => succeed(1));
            return sum;
          }),
        ),
      );
      expect(count).toBe(1_000_000);
      expect(others).toBeGreaterThan(1_000);
    },
    LONGEST_MS,
  );
});

/** For tests of many rounds, on a machine that is busy with others. */
const LONGEST_MS = patient(30_000);

test("the error of one task that several joined comes out as it is", async () => {
  const error = new Error("the only one");
  const rejection = await rejectionOf(
    runVirtually(function* main() {
      const failing = yield* spawn(function* failing() {
        yield* sleep(1);
        throw error;
      });
      yield* spawn(() => join(failing));
      yield* spawn(() => join(failing));
      yield* sleep(1000);
    }),
  );
  expect(rejection).toBe(error);
});
