import { describe, expect, test } from "bun:test";
import { CancelledError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, currentTask, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { any } from "../../src/flow/any.ts";
import { onCancel } from "../../src/flow/on-cancel.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { arm } from "../support/arms.ts";
import { rejectionOf } from "../support/failure.ts";

function* fail(durationMs: number, error: Error): Operation<never> {
  yield* sleep(durationMs);
  throw error;
}

/** An arm that is cancelled while it waits. */
function* cancelled(): Operation<never> {
  const self = yield* currentTask();
  self.cancel("not needed");
  yield* sleep(1000);
  throw new Error("not reached");
}

describe("any", () => {
  test("ends with the first value, whatever failed before", () =>
    virtualTime(function* (world) {
      const value = yield* any([
        fail(1, new Error("first")),
        arm([], "slow", { workMs: 9 }),
        arm([], "quick", { workMs: 3 }),
        cancelled,
      ]);
      expect([value, world.nowMs]).toEqual(["quick", 3]);
    }));

  test("cancels the others, the youngest first, tells them why, and waits for their clean-up", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const told = function* (): Operation<void> {
        yield* onCancel(sleep(9), (reason) => void log.push(String(reason)));
      };
      const value = yield* any([
        told,
        arm(log, "a", { workMs: 3 }),
        arm(log, "b", { workMs: 9, cleanupMs: 2 }),
        arm(log, "c", { workMs: 9 }),
      ]);
      expect(log.slice(-4)).toEqual([
        "a has cleaned up",
        "c has cleaned up",
        "another operation of any succeeded",
        "b has cleaned up",
      ]);
      expect([value, world.nowMs]).toEqual(["a", 5]);
    }));

  test("throws an AggregateError of all errors, in the order of the arms, if none succeeds", async () => {
    const errors = [new Error("a"), new Error("b")];
    const failing = virtualTime(() => any([fail(9, errors[0]!), cancelled, fail(3, errors[1]!)]));
    const error = await rejectionOf(failing, AggregateError);
    expect(error.message).toBe("all 3 operations of any failed");
    expect(error.errors).toEqual([errors[0], expect.any(CancelledError), errors[1]]);
  });

  test("throws an AggregateError of CancelledErrors if all were cancelled by themselves", async () => {
    const error = await rejectionOf(
      virtualTime(() => any([cancelled])),
      AggregateError,
    );
    expect(error.errors).toEqual([expect.any(CancelledError)]);
  });

  test("does not mind an error in the same moment in which another arm succeeds, in either order", async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const resumptions: Resumption<string>[] = [];
      const waiting = (): Operation<string> => park<string>((resumption) => void resumptions.push(resumption));
      const value = await virtualTime(
        function* () {
          yield* spawn(function* () {
            yield* sleep(1);
            const end = [
              () => resumptions[0]!.succeed("good"),
              () => resumptions[1]!.fail(new Error("at the same time")),
            ];
            for (const index of order) end[index]!();
          });
          return yield* any([() => waiting(), () => waiting()]);
        },
        { waitsForHost: false },
      );
      expect(value).toBe("good");
    }
  });

  test("throws what the clean-up of a loser threw", async () => {
    const cleanupError = new Error("clean-up failed");
    const running = virtualTime(() =>
      any([arm([], "a", { workMs: 3 }), arm([], "b", { workMs: 9, cleanupMs: 1, cleanupError })]),
    );
    expect(await rejectionOf(running)).toBe(cleanupError);
  });

  test("takes care of errors however many arms there are and however early they fail", () =>
    virtualTime(function* () {
      const arms = Array.from({ length: 1000 }, (_, index) => {
        return function* () {
          if (index < 999) throw new Error(`${index}`);
          return index;
        };
      });
      expect(yield* any(arms)).toBe(999);
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
      const task = yield* spawn(() => any([waiting, fail(1, new Error("a"))]));
      yield* sleep(2);
      yield* cancel(task, "enough");
      expect([reasons, task.state, world.nowMs]).toEqual([["enough"], "cancelled", 4]);
    }));

  test("keeps what the winner brought though a limit of time passes while the others clean up", () =>
    virtualTime(function* (world) {
      const values: string[] = [];
      yield* moveOnAfter(5, function* () {
        values.push(yield* any([arm([], "a", { workMs: 3 }), arm([], "b", { workMs: 9, cleanupMs: 4 })]));
        yield* sleep(1);
        values.push("not reached");
      });
      expect([values, world.nowMs]).toEqual([["a"], 7]);
    }));

  test("under a limit of time throws the limit's error, not those of arms that failed before", async () => {
    const running = virtualTime(() => timeout(3, () => any([fail(1, new Error("a")), () => sleep(9)])));
    expect((await rejectionOf(running)).name).toBe("TimeoutError");
  });

  test("takes single requests and operations that end at once, too", () =>
    virtualTime(function* () {
      expect(yield* any([sleep(3), yieldNow()])).toBeUndefined();
    }));

  test("says which arms it waits for", () =>
    virtualTime(function* () {
      const task = yield* spawn(() => any([arm([], "left", { workMs: 9 }), arm([], "right", { workMs: 9 })]));
      yield* sleep(1);
      expect(task.waitsFor).toBe("success of task left (#3) or task right (#4)");
      task.cancel();
    }));

  test("refuses an empty list, no list, and an arm that is no operation, with the others ended", async () => {
    const log: string[] = [];
    expect(
      (
        await rejectionOf(
          virtualTime(() => any([])),
          TypeError,
        )
      ).message,
    ).toStartWith("any takes at least one");
    await rejectionOf(
      virtualTime(() => any({} as [])),
      TypeError,
    );
    const withBadArm = virtualTime(() => any([arm(log, "a", { workMs: 9 }), 5 as never]));
    expect((await rejectionOf(withBadArm, TypeError)).message).toContain("but was given 5");
    expect(log).toEqual(["a begins", "a has cleaned up"]);
  });
});
