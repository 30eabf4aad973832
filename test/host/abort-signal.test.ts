/** Abort signals, both ways: `withSignal` and `abortSignal`. */

import { describe, expect, test } from "bun:test";
import { CancelledError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { abortSignal, withSignal } from "../../src/host/abort-signal.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { Channel } from "../../src/sync/channel.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { listenersOf, runVirtually } from "./virtually.ts";

/** What an operation throws; fails if it returns. */
function* thrownIn(operation: Operation<unknown>): Operation<unknown> {
  try {
    yield* operation;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

describe("withSignal", () => {
  test("returns what the body returned, and lets go of the signal", async () => {
    const { signal } = new AbortController();
    const value = await runVirtually(() =>
      withSignal(signal, function* body() {
        yield* sleep(1);
        expect(listenersOf(signal)).toBe(1);
        return "value";
      }),
    );
    expect(value).toBe("value");
    expect(listenersOf(signal)).toBe(0);
  });

  test("throws what the body threw, and lets go of the signal", async () => {
    const { signal } = new AbortController();
    const error = new Error("of the body");
    const failure = await rejectionOf(
      runVirtually(() =>
        withSignal(signal, function* body() {
          yield* sleep(1);
          throw error;
        }),
      ),
    );
    expect(failure).toBe(error);
    expect(listenersOf(signal)).toBe(0);
  });

  test("ends the body when the signal is aborted, awaits its clean-up and throws the reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const log: unknown[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(5);
        controller.abort(reason);
        log.push("aborted");
      });
      const thrown = yield* thrownIn(
        withSignal(controller.signal, function* body() {
          try {
            yield* sleep(100);
          } catch {
            log.push("caught");
          } finally {
            yield* sleep(5);
            log.push("cleaned up");
          }
        }),
      );
      log.push(thrown === reason);
      // Only that part of the task was ended.
      yield* sleep(1);
      log.push("went on");
    });
    expect(log).toEqual(["aborted", "cleaned up", true, "went on"]);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("throws the platform's AbortError if the abort gave no reason", async () => {
    const controller = new AbortController();
    const failure = runVirtually(() => withSignal(controller.signal, sleep(Infinity)));
    controller.abort();
    expect((await rejectionOf(failure)).name).toBe("AbortError");
  });

  test("ends the body when the host aborts the signal from outside of the tasks", async () => {
    const controller = new AbortController();
    const failure = rejectionOf(runVirtually(() => withSignal(controller.signal, promise(new Promise(() => {})))));
    await hostTurn();
    expect(listenersOf(controller.signal)).toBe(1);
    const reason = new Error("from outside");
    controller.abort(reason);
    expect(await failure).toBe(reason);
  });

  test("throws at once if the signal was aborted before, and does not begin the body", async () => {
    const signal = AbortSignal.abort("too late");
    let hasBegun = false;
    const thrown = await runVirtually(() =>
      thrownIn(
        withSignal(signal, () => {
          hasBegun = true;
          return sleep(1);
        }),
      ),
    );
    expect(thrown).toBe("too late");
    expect(hasBegun).toBe(false);
    expect(listenersOf(signal)).toBe(0);
  });

  test("ends the body at its first wait if it aborts the signal before that", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    const thrown = await runVirtually(() =>
      thrownIn(
        withSignal(controller.signal, function* body() {
          controller.abort("by itself");
          log.push("before the wait");
          try {
            yield* sleep(1);
            log.push("after the wait");
          } finally {
            log.push("finally");
          }
        }),
      ),
    );
    expect(thrown).toBe("by itself");
    expect(log).toEqual(["before the wait", "finally"]);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("lets the body's outcome count if it was on its way when the signal was aborted", async () => {
    const controller = new AbortController();
    const value = await runVirtually(function* main() {
      const done = Promise.withResolvers<string>();
      yield* spawn(function* aborter() {
        yield* sleep(1);
        done.resolve("done");
        yield* promise(done.promise);
        controller.abort();
      });
      return yield* withSignal(controller.signal, promise(done.promise));
    });
    expect(value).toBe("done");
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("lets an item count that was handed over before the signal was aborted", async () => {
    const controller = new AbortController();
    const channel = new Channel<string>(0);
    const value = await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        channel.trySend("handed over");
        controller.abort();
      });
      return yield* withSignal(controller.signal, channel.receive());
    });
    expect(value).toBe("handed over");
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("never looks at a signal for a body that does not wait", async () => {
    const { signal } = new AbortController();
    const value = await runVirtually(() =>
      withSignal(signal, function* body() {
        return listenersOf(signal);
      }),
    );
    expect(value).toBe(0);
  });

  test("keeps the reason beside an error of the clean-up", async () => {
    const controller = new AbortController();
    const failure = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* aborter() {
          yield* sleep(1);
          controller.abort("the reason");
        });
        yield* withSignal(controller.signal, function* body() {
          try {
            yield* sleep(100);
          } finally {
            throwError("clean-up failed");
          }
        });
      }),
      SuppressedError,
    );
    expect(failure.suppressed).toBe("the reason");
    expect((failure.error as Error).message).toBe("clean-up failed");
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("lets go of the signal when its task is cancelled, once the body has cleaned up", async () => {
    const { signal } = new AbortController();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(() =>
        withSignal(signal, function* body() {
          try {
            yield* sleep(100);
          } finally {
            yield* sleep(1);
            log.push("cleaned up");
          }
        }),
      );
      yield* yieldNow();
      yield* cancel(child);
      log.push(child.state, listenersOf(signal));
    });
    expect(log).toEqual(["cleaned up", "cancelled", 0]);
  });

  test("does not abort twice: an abort during the clean-up of a cancelled task changes nothing", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(() =>
        withSignal(controller.signal, function* body() {
          try {
            yield* sleep(100);
          } finally {
            yield* sleep(1);
            controller.abort();
            yield* sleep(1);
            log.push("cleaned up");
          }
        }),
      );
      yield* yieldNow();
      yield* cancel(child);
      log.push(child.state);
    });
    expect(log).toEqual(["cleaned up", "cancelled"]);
  });

  test("waits for a shield in the body", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        controller.abort("the reason");
      });
      const thrown = yield* thrownIn(
        withSignal(controller.signal, function* body() {
          yield* shield(sleep(10));
          log.push("the shield was kept");
          yield* sleep(1);
          log.push("went on");
        }),
      );
      log.push(String(thrown));
    });
    expect(log).toEqual(["the shield was kept", "the reason"]);
  });

  test("of two nested, the one whose signal is aborted ends", async () => {
    const outer = new AbortController();
    const inner = new AbortController();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        inner.abort("inner");
        yield* sleep(10);
        outer.abort("outer");
      });
      const thrown = yield* thrownIn(
        withSignal(outer.signal, function* body() {
          log.push(yield* thrownIn(withSignal(inner.signal, sleep(100))));
          yield* sleep(100);
        }),
      );
      log.push(thrown);
    });
    expect(log).toEqual(["inner", "outer"]);
    expect([listenersOf(outer.signal), listenersOf(inner.signal)]).toEqual([0, 0]);
  });

  test("one signal for two nested ends the outer one", async () => {
    const controller = new AbortController();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        controller.abort("the reason");
      });
      const thrown = yield* thrownIn(
        withSignal(controller.signal, function* body() {
          log.push(yield* thrownIn(withSignal(controller.signal, sleep(100))));
          yield* sleep(100);
        }),
      );
      log.push(thrown);
    });
    expect(log).toEqual(["the reason"]);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("ends the children of a scope in the body first", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        controller.abort();
      });
      yield* thrownIn(
        withSignal(controller.signal, function* body() {
          yield* scope(function* children() {
            yield* spawn(function* child() {
              try {
                yield* sleep(100);
              } finally {
                yield* sleep(1);
                log.push("child");
              }
            });
            try {
              yield* sleep(100);
            } finally {
              log.push("body");
            }
          });
        }),
      );
    });
    expect(log).toEqual(["child", "body"]);
  });

  test("works in blockOn, where a task aborts the signal", () => {
    const controller = new AbortController();
    const log: unknown[] = [];
    new Executor(new VirtualDriver()).blockOn(function* main() {
      yield* spawn(function* aborter() {
        yield* sleep(1);
        controller.abort("by a task");
      });
      log.push(yield* thrownIn(withSignal(controller.signal, sleep(100))));
    });
    expect(log).toEqual(["by a task"]);
  });

  test("refuses what is no signal, and says what it was given", () => {
    expect(() => withSignal(new AbortController() as never, sleep(1))).toThrow(
      "withSignal: signal must be an AbortSignal, but is a AbortController",
    );
  });

  test("leaves nothing at a signal that a thousand parts of tasks have used", async () => {
    const { signal } = new AbortController();
    await runVirtually(function* main() {
      for (let index = 0; index < 1000; index++) yield* withSignal(signal, sleep(1));
    });
    expect(listenersOf(signal)).toBe(0);
  });
});

describe("abortSignal", () => {
  test("returns what the body returned, and then aborts the signal", async () => {
    let given: AbortSignal | undefined;
    const value = await runVirtually(() =>
      abortSignal(function* body(signal) {
        given = signal;
        yield* sleep(1);
        expect(signal.aborted).toBe(false);
        return "value";
      }),
    );
    expect(value).toBe("value");
    expect((given!.reason as DOMException).name).toBe("AbortError");
  });

  test("aborts the signal after a body that did not wait", async () => {
    const signal = await runVirtually(() =>
      abortSignal(function* body(own) {
        return own;
      }),
    );
    expect(signal.aborted).toBe(true);
  });

  test("throws what the body threw, and then aborts the signal", async () => {
    const error = new Error("of the body");
    let given: AbortSignal | undefined;
    const failure = await rejectionOf(
      runVirtually(() =>
        abortSignal(function* body(signal) {
          given = signal;
          yield* sleep(1);
          throw error;
        }),
      ),
    );
    expect(failure).toBe(error);
    expect(given!.aborted).toBe(true);
  });

  test("aborts the signal with the cancel's reason, before the body's finally blocks run", async () => {
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(() =>
        abortSignal(function* body(signal) {
          signal.addEventListener("abort", () => log.push(signal.reason), { once: true });
          try {
            yield* sleep(100);
          } finally {
            log.push("finally");
            yield* sleep(1);
            log.push("cleaned up");
          }
        }),
      );
      yield* sleep(1);
      yield* cancel(child, "the reason");
      expect(yield* thrownIn(join(child))).toBeInstanceOf(CancelledError);
    });
    expect(log).toEqual(["the reason", "finally", "cleaned up"]);
  });

  test("aborts the signal when a time limit around it is up", async () => {
    let given: AbortSignal | undefined;
    const failure = await rejectionOf(
      runVirtually(() =>
        timeout(5, () =>
          abortSignal(function* body(signal) {
            given = signal;
            yield* sleep(100);
          }),
        ),
      ),
    );
    expect(failure.name).toBe("TimeoutError");
    expect(given!.aborted).toBe(true);
  });

  test("leaves the signal alone when a limit within the body is up", async () => {
    await runVirtually(() =>
      abortSignal(function* body(signal) {
        yield* thrownIn(timeout(5, sleep(100)));
        yield* sleep(1);
        expect(signal.aborted).toBe(false);
      }),
    );
  });

  test("ends what another task waits for with the same signal", async () => {
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const given = Promise.withResolvers<AbortSignal>();
      const owner = yield* spawn(() =>
        abortSignal(function* body(signal) {
          given.resolve(signal);
          yield* sleep(100);
        }),
      );
      const signal = yield* promise(given.promise);
      yield* spawn(function* canceller() {
        yield* sleep(1);
        owner.cancel("with its owner");
      });
      log.push(yield* thrownIn(withSignal(signal, sleep(200))));
      expect(listenersOf(signal)).toBe(0);
    });
    expect(log).toEqual(["with its owner"]);
  });
});
