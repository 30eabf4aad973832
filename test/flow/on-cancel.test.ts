import { describe, expect, test } from "bun:test";
import type { Operation } from "../../src/core/operation.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, currentTask, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { onCancel } from "../../src/flow/on-cancel.ts";
import { virtualTime, VirtualWorld } from "../../src/testing/virtual-world.ts";
import { rejectionOf, throwError } from "../support/failure.ts";

/** Waits for a second, and notes why it does not come to the end of it. */
function noted(reasons: unknown[], name?: string): Operation<void> {
  return onCancel(
    sleep(1000),
    (reason) => void reasons.push(name === undefined ? reason : `${name}: ${String(reason)}`),
  );
}

describe("onCancel", () => {
  test("is not run if the operation returns, whose value comes out", () =>
    virtualTime(function* () {
      let runs = 0;
      const value = yield* onCancel(
        function* () {
          yield* sleep(1);
          return "a value";
        },
        () => void runs++,
      );
      expect([value, runs]).toEqual(["a value", 0]);
    }));

  test("is not run if the operation throws, whose error comes out", async () => {
    let runs = 0;
    const error = new Error("broken");
    const running = virtualTime(() =>
      onCancel(
        function* () {
          yield* sleep(1);
          throw error;
        },
        () => void runs++,
      ),
    );
    expect(await rejectionOf(running)).toBe(error);
    expect(runs).toBe(0);
  });

  test("gets the reason of a task's cancel", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(() => noted(reasons));
      yield* sleep(1);
      const reason = { why: "an object as it is" };
      yield* cancel(task, reason);
      expect(reasons).toEqual([reason]);
      expect(reasons[0]).toBe(reason);
    }));

  test("gets undefined where no reason was given", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(() => noted(reasons));
      yield* sleep(1);
      yield* cancel(task);
      expect(reasons).toEqual([undefined]);
    }));

  test("gets the reason of a cancel of the task's parent", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const parent = yield* spawn(function* () {
        yield* spawn(() => noted(reasons, "child"));
        yield* noted(reasons, "parent");
      });
      yield* sleep(1);
      yield* cancel(parent, "enough");
      expect(reasons).toEqual(["child: enough", "parent: enough"]);
    }));

  test("gets the reason of the run's signal", async () => {
    const reasons: unknown[] = [];
    const world = new VirtualWorld();
    const controller = new AbortController();
    const running = world.run(
      function* () {
        yield* spawn(function* () {
          yield* sleep(1);
          controller.abort("the user went away");
        });
        yield* noted(reasons);
      },
      { signal: controller.signal },
    );
    await rejectionOf(running.catch((reason: unknown) => Promise.reject(new Error(String(reason)))));
    expect(reasons).toEqual(["the user went away"]);
  });

  test("gets the reason of a scope's cancel, in its children and in its body", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      try {
        yield* scope(function* (own) {
          yield* own.spawn(() => noted(reasons, "child"));
          yield* spawn(function* () {
            own.cancel("the scope is over");
          });
          yield* noted(reasons, "body");
        });
      } catch (error) {
        reasons.push((error as Error).name);
      }
      expect(reasons).toEqual(["child: the scope is over", "body: the scope is over", "CancelledError"]);
    }));

  test("gets the error of a child that failed", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const error = new Error("broken");
      let thrown: unknown;
      try {
        yield* scope(function* () {
          yield* spawn(function* () {
            throw error;
          });
          yield* noted(reasons);
        });
      } catch (caught) {
        thrown = caught;
      }
      expect([thrown, ...reasons]).toEqual([error, error]);
    }));

  test("gets the reason of a limit of time, whichever kind", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      yield* moveOnAfter(3, () => noted(reasons));
      try {
        yield* timeout(3, () => noted(reasons));
      } catch (error) {
        reasons.push((error as Error).name);
      }
      expect(reasons).toEqual(["its time was up", "its time was up", "TimeoutError"]);
    }));

  test("gets the reason of the innermost that is cancelled, be it within another that is cancelled later", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(function* () {
        yield* onCancel(
          moveOnAfter(3, () =>
            onCancel(sleep(9), function* (reason) {
              yield* sleep(2);
              reasons.push(`limit: ${String(reason)}`);
            }),
          ),
          (reason) => void reasons.push(`task: ${String(reason)}`),
        );
        yield* onCancel(sleep(1), (reason) => void reasons.push(`after: ${String(reason)}`));
      });
      yield* sleep(4);
      yield* cancel(task, "enough");
      expect(reasons).toEqual(["limit: its time was up", "after: enough"]);
    }));

  test("gets the reason of what is around a region that ends with it", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(() => timeout(9, () => scope(() => noted(reasons))));
      yield* sleep(1);
      yield* cancel(task, "enough");
      expect(reasons).toEqual(["enough"]);
    }));

  test("may wait, within the grace period, and is waited for", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const task = yield* spawn(() =>
        onCancel(sleep(9), function* () {
          yield* sleep(2);
          log.push("cleaned up");
        }),
      );
      yield* sleep(1);
      yield* cancel(task);
      expect([log, task.state, world.nowMs]).toEqual([["cleaned up"], "cancelled", 3]);
    }));

  test("runs between the finally blocks within and those around it", () =>
    virtualTime(function* () {
      const log: string[] = [];
      function* inner(): Operation<void> {
        try {
          yield* sleep(9);
        } finally {
          yield* sleep(1);
          log.push("within");
        }
      }
      const task = yield* spawn(function* () {
        try {
          yield* onCancel(
            onCancel(inner(), () => void log.push("first")),
            () => void log.push("second"),
          );
        } finally {
          log.push("around");
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      expect(log).toEqual(["within", "first", "second", "around"]);
    }));

  test("runs for a task that cancels itself, at its next wait", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(() =>
        onCancel(
          function* () {
            (yield* currentTask()).cancel("of my own will");
            yield* yieldNow();
          },
          (reason) => void reasons.push(reason),
        ),
      );
      yield* sleep(1);
      expect([reasons, task.state]).toEqual([["of my own will"], "cancelled"]);
    }));

  test("runs once if the task is cancelled twice, with the first reason", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      const task = yield* spawn(() =>
        onCancel(sleep(9), function* (reason) {
          yield* sleep(5);
          reasons.push(reason);
        }),
      );
      yield* sleep(1);
      task.cancel("first");
      yield* sleep(1);
      yield* cancel(task, "second");
      expect(reasons).toEqual(["first"]);
    }));

  test("comes out with what it throws", () =>
    virtualTime(function* () {
      let thrown: unknown;
      const task = yield* spawn(() => onCancel(sleep(9), () => throwError("clean-up failed")), { supervised: true });
      yield* sleep(1);
      try {
        yield* cancel(task);
      } catch (caught) {
        thrown = caught;
      }
      expect((thrown as Error).message).toBe("clean-up failed");
    }));

  test("runs also if a finally block of the operation fails in the cancel", () =>
    virtualTime(function* () {
      const reasons: unknown[] = [];
      function* failing(): Operation<void> {
        try {
          yield* sleep(9);
        } finally {
          throwError("clean-up failed");
        }
      }
      const task = yield* spawn(() => onCancel(failing(), (reason) => void reasons.push(reason)), { supervised: true });
      yield* sleep(1);
      let thrown: unknown;
      try {
        yield* cancel(task, "enough");
      } catch (caught) {
        thrown = caught;
      }
      expect((thrown as Error).message).toBe("clean-up failed");
      expect(reasons).toEqual(["enough"]);
    }));

  test("does not hide that error with its own, be they thrown at once or after a wait", () =>
    virtualTime(function* () {
      for (const cleanupMs of [0, 1]) {
        function* failing(): Operation<void> {
          try {
            yield* sleep(9);
          } finally {
            if (cleanupMs > 0) yield* sleep(cleanupMs);
            throwError("the operation's own");
          }
        }
        const body = (): Operation<void> => onCancel(failing(), () => throwError("onCancel's"));
        const task = yield* spawn(body, { supervised: true });
        yield* sleep(1);
        let thrown: unknown;
        try {
          yield* cancel(task);
        } catch (caught) {
          thrown = caught;
        }
        const { error, suppressed } = thrown as SuppressedError;
        expect([String(error), String(suppressed)]).toEqual(["Error: onCancel's", "Error: the operation's own"]);
      }
    }));

  test("refuses what is no operation", async () => {
    const running = virtualTime(() => onCancel(5 as unknown as Operation<void>, () => {}));
    expect((await rejectionOf(running, TypeError)).message).toStartWith("onCancel takes a generator function");
  });
});
