import { describe, expect, test } from "bun:test";
import { CancelledError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, currentTask, join, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { all, allSettled } from "../../src/flow/all.ts";
import { onCancel } from "../../src/flow/on-cancel.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { arm } from "../support/arms.ts";
import { rejectionOf } from "../support/failure.ts";

function* after<T>(durationMs: number, value: T): Operation<T> {
  yield* sleep(durationMs);
  return value;
}

/** An arm that somebody cancels while it waits. */
function* cancelled(reason: string): Operation<never> {
  const self = yield* currentTask();
  self.cancel(reason);
  yield* sleep(1000);
  throw new Error("not reached");
}

describe("all", () => {
  test("of a list gives the values in its order, when the last is there", () =>
    virtualTime(function* (world) {
      expect(yield* all([after(3, "a"), () => after(9, 2), sleep(1)])).toEqual(["a", 2, undefined]);
      expect(world.nowMs).toBe(9);
    }));

  test("of an object gives an object with the same keys in the same order", () =>
    virtualTime(function* () {
      const values = yield* all({ slow: after(9, "a"), quick: after(3, 2) });
      expect(values).toEqual({ slow: "a", quick: 2 });
      expect(Object.keys(values)).toEqual(["slow", "quick"]);
    }));

  test("of nothing ends at once", () =>
    virtualTime(function* (world) {
      expect(yield* all([])).toEqual([]);
      expect(yield* all({})).toEqual({});
      expect(world.nowMs).toBe(0);
    }));

  test("begins the arms in their order", () =>
    virtualTime(function* () {
      const log: string[] = [];
      yield* all([arm(log, "a", { workMs: 2 }), arm(log, "b", { workMs: 1 })]);
      expect(log.slice(0, 3)).toEqual(["a begins", "b begins", "b returns"]);
    }));

  test("cancels the others at the first error, the youngest first, and throws it when they have cleaned up", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const error = new Error("broken");
      let thrown: unknown;
      try {
        yield* all([
          arm(log, "a", { workMs: 9, cleanupMs: 2 }),
          arm(log, "b", { workMs: 3, error }),
          arm(log, "c", { workMs: 9, cleanupMs: 1 }),
          arm(log, "d", { workMs: 1 }),
        ]);
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBe(error);
      expect(log.slice(-4)).toEqual(["b throws", "b has cleaned up", "c has cleaned up", "a has cleaned up"]);
      expect(world.nowMs).toBe(5);
    }));

  test("throws all errors in the order in which they came if the clean-up of others fails", async () => {
    const error = new Error("broken");
    const cleanupError = new Error("clean-up failed");
    const running = virtualTime(() =>
      all([arm([], "a", { workMs: 9, cleanupError }), arm([], "b", { workMs: 3, error })]),
    );
    expect((await rejectionOf(running, AggregateError)).errors).toEqual([error, cleanupError]);
  });

  test("throws a CancelledError if an arm was cancelled by itself, when the others have ended", () =>
    virtualTime(function* (world) {
      let thrown: unknown;
      try {
        yield* all([after(9, "a"), cancelled("not needed")]);
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBeInstanceOf(CancelledError);
      expect((thrown as CancelledError).reason).toBe("not needed");
      expect(world.nowMs).toBe(9);
    }));

  test("that is cancelled cancels its arms with the reason and waits for them", () =>
    virtualTime(function* (world) {
      const reasons: unknown[] = [];
      const waiting = function* (): Operation<void> {
        yield* onCancel(sleep(9), function* (reason) {
          yield* sleep(2);
          reasons.push(reason);
        });
      };
      const task = yield* spawn(() => all([waiting, waiting]));
      yield* sleep(1);
      yield* cancel(task, "enough");
      expect([reasons, world.nowMs, task.state]).toEqual([["enough", "enough"], 3, "cancelled"]);
    }));

  test("is ended by a limit of time, and leaves nothing behind", () =>
    virtualTime(function* (world) {
      expect(yield* moveOnAfter(3, () => all([sleep(9), sleep(99)]))).toBeUndefined();
      expect(world.executor.timers.size).toBe(0);
    }));

  test("runs more arms than a task may complete operations at once", () =>
    virtualTime(function* () {
      const arms = Array.from({ length: 1000 }, (_, index) => after(index % 7, index));
      expect(yield* all(arms)).toEqual(Array.from({ length: 1000 }, (_, index) => index));
    }));

  test("refuses what is neither a list nor an object, and what is no operation", async () => {
    const refusal = async (arms: unknown): Promise<string> =>
      (
        await rejectionOf(
          virtualTime(() => all(arms as [])),
          TypeError,
        )
      ).message;
    const words = "all takes a list of operations, or an object of them, but was given";
    expect(await refusal(sleep(1))).toBe(`${words} a DeadlineOperation`);
    expect(await refusal(after(1, 1))).toStartWith(words);
    expect(await refusal(undefined)).toBe(`${words} undefined`);
    expect(await refusal([sleep(1), 5])).toContain("but was given 5");
  });
});

describe("allSettled", () => {
  test("tells of each arm how it has ended, and cancels none for another's error", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const error = new Error("broken");
      const settled = yield* allSettled([
        arm(log, "a", { workMs: 9 }),
        arm(log, "b", { workMs: 3, error }),
        cancelled("not needed"),
      ]);
      expect(settled.slice(0, 2)).toEqual([
        { status: "fulfilled", value: "a" },
        { status: "rejected", reason: error },
      ]);
      expect(settled[2]).toEqual({ status: "rejected", reason: expect.any(CancelledError) });
      expect(world.nowMs).toBe(9);
    }));

  test("of an object gives an object with the same keys", () =>
    virtualTime(function* () {
      const error = new Error("broken");
      expect(yield* allSettled({ good: after(1, 2), bad: arm([], "bad", { workMs: 2, error }) })).toEqual({
        good: { status: "fulfilled", value: 2 },
        bad: { status: "rejected", reason: error },
      });
      expect(yield* allSettled([])).toEqual([]);
    }));

  test("takes care of errors however many arms there are and however early they fail", () =>
    virtualTime(function* () {
      const arms = Array.from({ length: 1000 }, (_, index) => {
        return function* () {
          throw new Error(`${index}`);
        };
      });
      const settled = yield* allSettled(arms);
      expect(settled.every(({ status }) => status === "rejected")).toBe(true);
      expect(settled).toHaveLength(1000);
    }));

  test("that is cancelled waits for its arms, and throws what their clean-up threw", () =>
    virtualTime(function* () {
      const cleanupError = new Error("clean-up failed");
      let thrown: unknown;
      const task = yield* spawn(function* () {
        try {
          yield* allSettled([arm([], "a", { workMs: 9, cleanupMs: 2, cleanupError }), sleep(9)]);
        } catch (caught) {
          thrown = caught;
        }
      });
      yield* sleep(1);
      yield* cancel(task);
      expect([thrown, task.state]).toEqual([cleanupError, "cancelled"]);
    }));

  test("ends an arm's own children with it", () =>
    virtualTime(function* () {
      const [settled] = yield* allSettled([
        function* () {
          const child = yield* spawn(() => after(3, "from a child"));
          return yield* join(child);
        },
      ]);
      expect(settled).toEqual({ status: "fulfilled", value: "from a child" });
    }));
});
