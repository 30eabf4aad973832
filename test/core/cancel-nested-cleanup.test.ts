/**
 * Cancellation of a task whose inner operation suspends while it cleans up. The caller of that operation must not go on
 * as if it had returned: it cleans up in its turn, and so does its own caller.
 */

import { expect, test } from "bun:test";
import { blockOn, cancel, type Operation, sleep, spawn, yieldNow } from "../../src/index.ts";

test("a cancelled task ends when the clean-up of an inner operation suspends", () => {
  const events: string[] = [];

  function* inner(): Operation<number> {
    try {
      yield* sleep(Infinity);
      return 1;
    } finally {
      yield* yieldNow();
      events.push("inner cleaned up");
    }
  }

  function* middle(): Operation<number> {
    try {
      const value = yield* inner();
      events.push(`middle went on with ${value}`);
      return value;
    } finally {
      yield* yieldNow();
      events.push("middle cleaned up");
    }
  }

  function* outer(): Operation<void> {
    try {
      const value = yield* middle();
      events.push(`outer went on with ${value}`);
    } finally {
      events.push("outer cleaned up");
    }
  }

  blockOn(function* () {
    const task = yield* spawn(outer);
    yield* yieldNow();
    yield* cancel(task);
    expect(task.state).toBe("cancelled");
  });
  expect(events).toEqual(["inner cleaned up", "middle cleaned up", "outer cleaned up"]);
});
