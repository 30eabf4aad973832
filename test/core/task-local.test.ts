import { describe, expect, test } from "bun:test";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { TaskLocal } from "../../src/core/task-local.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Runs the body as a child of the current task, and returns its value. */
function* inChild<T>(body: TaskBody<T>): Operation<T> {
  return yield* join(yield* spawn(body));
}

describe("a task-local value", () => {
  test("is the initial one until it is set, and is each task's own", async () => {
    const user = new TaskLocal("nobody");
    const values = await runVirtually(function* () {
      const before = yield* user.get();
      yield* user.set("ada");
      return [before, yield* user.get()];
    });
    expect(values).toEqual(["nobody", "ada"]);
    expect(await runVirtually(() => user.get())).toBe("nobody");
  });

  test("may be undefined, null or an object, which is the same for all who inherit it", async () => {
    const shared = { count: 0 };
    const local = new TaskLocal<unknown>("initial");
    await runVirtually(function* () {
      for (const value of [undefined, null, 0, shared]) {
        yield* local.set(value);
        expect(yield* local.get()).toBe(value);
        expect(yield* inChild(() => local.get())).toBe(value);
      }
    });
  });

  test("is inherited by a spawned task as it is when that is spawned, not when it begins", async () => {
    const request = new TaskLocal(0);
    const seen = await runVirtually(function* () {
      yield* request.set(1);
      const child = yield* spawn(() => request.get());
      yield* request.set(2);
      return [yield* join(child), yield* request.get()];
    });
    expect(seen).toEqual([1, 2]);
  });

  test("is isolated from then on, in both directions, on all levels", async () => {
    const request = new TaskLocal("initial");
    const log: string[] = [];
    await runVirtually(function* () {
      yield* request.set("parent");
      const child = yield* spawn(function* () {
        yield* request.set("child");
        const grandchild = yield* spawn(function* () {
          log.push(`grandchild inherits ${yield* request.get()}`);
          yield* request.set("grandchild");
          yield* sleep(5);
          log.push(`grandchild has ${yield* request.get()}`);
        });
        yield* join(grandchild);
        log.push(`child has ${yield* request.get()}`);
      });
      yield* sleep(1);
      yield* request.set("parent, later");
      yield* join(child);
      log.push(`parent has ${yield* request.get()}`);
    });
    expect(log).toEqual([
      "grandchild inherits child",
      "grandchild has grandchild",
      "child has child",
      "parent has parent, later",
    ]);
  });

  test("comes from the task that spawns, not from the one whose scope it spawns into", async () => {
    const request = new TaskLocal("initial");
    const seen = await runVirtually(function* () {
      yield* request.set("opener of the scope");
      return yield* scope(function* (s) {
        return yield* inChild(function* () {
          yield* request.set("spawner");
          const spawned = yield* s.spawn(() => request.get());
          return yield* join(spawned);
        });
      });
    });
    expect(seen).toBe("spawner");
  });

  test("is the task's through scopes, limits and waits", async () => {
    const request = new TaskLocal(0);
    const values = await runVirtually(function* () {
      yield* timeout(100, () =>
        scope(function* () {
          yield* request.set(1);
          yield* sleep(1);
        }),
      );
      return [yield* request.get(), yield* timeout(100, request.get())];
    });
    expect(values).toEqual([1, 1]);
  });

  test("is there in the finally of a cancelled task", async () => {
    const request = new TaskLocal("initial");
    const log: string[] = [];
    await runVirtually(function* () {
      yield* request.set("parent");
      const task = yield* spawn(function* () {
        try {
          yield* request.set("child");
          yield* sleep(1_000);
        } finally {
          log.push(yield* request.get());
          yield* sleep(1);
          log.push(yield* inChild(() => request.get()));
        }
      });
      yield* sleep(1);
      yield* cancel(task);
    });
    expect(log).toEqual(["child", "child"]);
  });

  test("is none of a task's that was started outside of any", async () => {
    const driver = new VirtualDriver();
    const executor = new Executor(driver);
    const request = new TaskLocal("initial");
    let loose: Promise<string> | undefined;
    await settled(
      driver,
      executor.run(function* () {
        yield* request.set("in a run");
        loose = executor.run(() => request.get());
        yield* sleep(1);
      }),
    );
    expect(await loose).toBe("initial");
  });
});

describe("several task-local values", () => {
  test("do not disturb each other, in whichever order they are set and set again", async () => {
    const locals = Array.from({ length: 5 }, (_, index) => new TaskLocal(`initial ${index}`));
    const all = function* (): Operation<string[]> {
      const values: string[] = [];
      for (const local of locals) values.push(yield* local.get());
      return values;
    };
    const [before, after, ofChild, atEnd] = await runVirtually(function* () {
      const initial = yield* all();
      for (const index of [3, 0, 4]) yield* locals[index]!.set(`set ${index}`);
      for (const index of [0, 3, 0]) yield* locals[index]!.set(`set again ${index}`);
      const own = yield* all();
      const childs = yield* inChild(function* () {
        yield* locals[1]!.set("the child's");
        yield* locals[4]!.set("the child's");
        return yield* all();
      });
      return [initial, own, childs, yield* all()];
    });
    expect(before).toEqual(["initial 0", "initial 1", "initial 2", "initial 3", "initial 4"]);
    expect(after).toEqual(["set again 0", "initial 1", "initial 2", "set again 3", "set 4"]);
    expect(ofChild).toEqual(["set again 0", "the child's", "initial 2", "set again 3", "the child's"]);
    expect(atEnd).toEqual(after!);
  });

  test("that are set a million times leave no list behind that grows", async () => {
    const [first, second] = [new TaskLocal(0), new TaskLocal(0)];
    const entries = await runVirtually(function* () {
      const child = yield* spawn(function* () {
        for (let count = 1; count <= 100_000; count++) {
          yield* first.set(count);
          yield* second.set(-count);
        }
        return [yield* first.get(), yield* second.get()];
      });
      const values = yield* join(child);
      let length = 0;
      for (let entry = child.locals; entry !== null; entry = entry.next) length++;
      return { values, length };
    });
    expect(entries).toEqual({ values: [100_000, -100_000], length: 2 });
  });
});

describe("a task-local value for the time of an operation", () => {
  test("is set before it and set back after it, whether that returns or throws", async () => {
    const user = new TaskLocal("nobody");
    const log = await runVirtually(function* () {
      const seen: string[] = [];
      yield* user.set("ada");
      const value = yield* user.with("bob", user.get());
      seen.push(value, yield* user.get());
      try {
        yield* user.with(
          "carl",
          (function* (): Operation<void> {
            seen.push(yield* user.get());
            yield* yieldNow();
            throw new Error("failed");
          })(),
        );
      } catch {
        seen.push(yield* user.get());
      }
      return seen;
    });
    expect(log).toEqual(["bob", "ada", "carl", "ada"]);
  });

  test("is set back when the operation is cancelled, after that has cleaned up", async () => {
    const user = new TaskLocal("nobody");
    const log: string[] = [];
    const work = function* (): Operation<void> {
      try {
        yield* sleep(1_000);
      } finally {
        yield* sleep(1);
        log.push(`cleans up as ${yield* user.get()}`);
      }
    };
    await runVirtually(function* () {
      yield* moveOnAfter(5, user.with("ada", work()));
      log.push(`goes on as ${yield* user.get()}`);
    });
    expect(log).toEqual(["cleans up as ada", "goes on as nobody"]);
  });

  test("is inherited by what is spawned meanwhile, which keeps it", async () => {
    const user = new TaskLocal("nobody");
    const seen = await runVirtually(function* () {
      const child = yield* user.with(
        "ada",
        spawn(function* () {
          yield* sleep(5);
          return yield* user.get();
        }),
      );
      return [yield* user.get(), yield* join(child)];
    });
    expect(seen).toEqual(["nobody", "ada"]);
  });
});

describe("the operations of a task-local value", () => {
  test("are no suspend points: a cancelled task goes through them", async () => {
    const user = new TaskLocal("nobody");
    const log: string[] = [];
    await runVirtually(function* () {
      const task = yield* spawn(function* () {
        task_.cancel();
        yield* user.set("ada");
        log.push(yield* user.get());
        yield* yieldNow();
        log.push("not reached");
      });
      const task_ = task;
      yield* cancel(task);
    });
    expect(log).toEqual(["ada"]);
  });

  test("can be used once each, like any other", async () => {
    const user = new TaskLocal("nobody");
    const get = user.get();
    const error = await rejectionOf(
      runVirtually(function* () {
        yield* get;
        yield* get;
      }),
    );
    expect(error.message).toStartWith("this TaskLocal.get operation was used already");
  });
});
