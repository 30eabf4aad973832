import { describe, expect, test } from "bun:test";
import { CleanupTimeoutError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Condition } from "../../src/sync/condition.ts";
import { type Guard, Mutex } from "../../src/sync/mutex.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Starts tasks that wait for the condition, in the order of their names; each notes that it goes on with the lock. */
function* spawnWaiters(condition: Condition, names: readonly string[], log: string[]): Operation<Task<void>[]> {
  const tasks: Task<void>[] = [];
  for (const name of names) {
    const task = yield* spawn(
      function* () {
        using _guard = yield* condition.mutex.lock();
        try {
          yield* condition.wait();
          log.push(name);
        } finally {
          if (!condition.mutex.isLocked) log.push(`${name} without the lock`);
        }
      },
      { name },
    );
    tasks.push(task);
  }
  yield* sleep(0);
  return tasks;
}

describe("a condition", () => {
  test("unlocks the mutex while a task waits, and has it locked by that task again afterwards", async () => {
    const log: string[] = [];
    const condition = new Condition();
    await runVirtually(function* main() {
      const waiter = yield* spawn(function* waiter() {
        using guard = yield* condition.mutex.lock();
        yield* condition.wait();
        log.push(`locked ${condition.mutex.isLocked}`);
        guard.release();
        log.push(`locked ${condition.mutex.isLocked}`);
      });
      yield* yieldNow();
      expect({ isLocked: condition.mutex.isLocked, waiting: condition.waiting }).toEqual({
        isLocked: false,
        waiting: 1,
      });
      condition.notify();
      expect({ isLocked: condition.mutex.isLocked, waiting: condition.waiting }).toEqual({
        isLocked: true,
        waiting: 0,
      });
      yield* join(waiter);
    });
    expect(log).toEqual(["locked true", "locked false"]);
  });

  test("lets whoever was notified go on only when the notifier has unlocked", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      yield* spawnWaiters(condition, ["waiter"], log);
      const guard = yield* condition.mutex.lock();
      condition.notify();
      yield* sleep(5);
      log.push("notifier");
      guard.release();
    });
    expect(log).toEqual(["notifier", "waiter"]);
  });

  test("wakes as many as it is told, those that have waited longest first", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      yield* spawnWaiters(condition, ["a", "b", "c", "d", "e", "f"], log);
      condition.notify();
      yield* sleep(0);
      expect(log).toEqual(["a"]);
      condition.notify(0);
      yield* sleep(0);
      expect(log).toEqual(["a"]);
      condition.notify(2);
      yield* sleep(0);
      expect(log).toEqual(["a", "b", "c"]);
      condition.notifyAll();
      expect(condition.waiting).toBe(0);
      condition.notifyAll();
    });
    expect(log).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  test("does not keep a notify for which nobody waits", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      condition.notify(3);
      condition.notifyAll();
      const [waiter] = yield* spawnWaiters(condition, ["a"], log);
      yield* sleep(5);
      expect(log).toEqual([]);
      waiter!.cancel();
    });
  });

  test("can be notified by code of the host", async () => {
    const driver = new VirtualDriver();
    const condition = new Condition();
    const log: string[] = [];
    const running = new Executor(driver).run(() => spawnWaiters(condition, ["a"], log));
    await hostTurn();
    await hostTurn();
    expect(condition.waiting).toBe(1);
    condition.notify();
    await settled(driver, running);
    expect(log).toEqual(["a"]);
  });

  test("can share its mutex with others", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const [notEmpty, notFull] = [new Condition(mutex), new Condition(mutex)];
      const items: number[] = [];
      yield* spawn(function* consumer() {
        for (let count = 0; count < 5; count++) {
          using _guard = yield* mutex.lock();
          yield* notEmpty.waitUntil(() => items.length > 0);
          log.push(`got ${items.shift()}`);
          notFull.notify();
        }
      });
      for (let item = 0; item < 5; item++) {
        using _guard = yield* mutex.lock();
        yield* notFull.waitUntil(() => items.length < 2);
        items.push(item);
        notEmpty.notify();
      }
    });
    expect(log).toEqual(["got 0", "got 1", "got 2", "got 3", "got 4"]);
  });

  test.each([-1, 1.5, Number.NaN, Infinity, "1"])("refuses to notify %p tasks", (count) => {
    const error = thrownBy(() => new Condition().notify(count as number), RangeError);
    expect(error.message).toStartWith("Condition.notify: count must be");
  });
});

describe("a task that is cancelled", () => {
  test("while it waits for a notify cleans up with the lock, also if it has to wait for it", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      const [a] = yield* spawnWaiters(condition, ["a", "b"], log);
      const guard = yield* condition.mutex.lock();
      a!.cancel("first");
      yield* sleep(5);
      expect({ state: a!.state, inLine: condition.mutex.waiting }).toEqual({ state: "suspended", inLine: 1 });
      a!.cancel("second");
      condition.notify();
      guard.release();
      yield* cancel(a!);
      expect(a!.state).toBe("cancelled");
    });
    expect(log).toEqual(["b"]);
  });

  test("once it was notified, while it waits for the lock, hands the notify on", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      const [a, , c] = yield* spawnWaiters(condition, ["a", "b", "c"], log);
      const guard = yield* condition.mutex.lock();
      condition.notify();
      yield* yieldNow();
      expect(condition.waiting).toBe(2);
      a!.cancel();
      expect(condition.waiting).toBe(1);
      guard.release();
      yield* sleep(5);
      expect(log).toEqual(["b"]);
      yield* cancel(c!);
    });
  });

  test("once it was handed the lock, but has not run yet, hands both on", async () => {
    const log: string[] = [];
    const condition = new Condition();
    await runVirtually(function* main() {
      const [a, b, c] = yield* spawnWaiters(condition, ["a", "b", "c", "d"], log);
      condition.notify();
      a!.cancel();
      b!.cancel();
      expect({ waiting: condition.waiting, isLocked: condition.mutex.isLocked }).toEqual({
        waiting: 1,
        isLocked: true,
      });
      yield* sleep(5);
      expect(log).toEqual(["c"]);
      expect([a!.state, b!.state, c!.state]).toEqual(["cancelled", "cancelled", "completed"]);
      condition.notify();
    });
    expect(log).toEqual(["c", "d"]);
    expect(condition.mutex.isLocked).toBe(false);
  });

  test.each([
    ["notify", "hands it on even to one that waits only since then", ["notifier"]],
    ["notifyAll", "wakes nobody that waits only since then", []],
  ] as const)("after a %s, before it has run, %s", async (call, _, expected) => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      const [a] = yield* spawnWaiters(condition, ["a"], log);
      const notifier = yield* spawn(function* notifier() {
        using _guard = yield* condition.mutex.lock();
        yield* spawn(function* canceller() {
          a!.cancel();
        });
        condition[call]();
        yield* condition.wait();
        log.push("notifier");
      });
      yield* sleep(5);
      yield* cancel(notifier);
      expect({ waiting: condition.waiting, isLocked: condition.mutex.isLocked }).toEqual({
        waiting: 0,
        isLocked: false,
      });
    });
    expect(log).toEqual([...expected]);
  });

  test("by a time limit around the wait has the lock when it goes on", async () => {
    const log: string[] = [];
    const condition = new Condition();
    await runVirtually(function* main() {
      const patient = yield* spawn(function* patient() {
        using guard = yield* condition.mutex.lock();
        yield* moveOnAfter(5, condition.wait());
        log.push(`gave up, locked ${condition.mutex.isLocked}, ${condition.mutex.tryLock()}`);
        guard.release();
        log.push(`locked ${condition.mutex.isLocked}`);
      });
      yield* yieldNow();
      const guard = yield* condition.mutex.lock();
      yield* sleep(10);
      log.push("unlocks");
      guard.release();
      yield* join(patient);
    });
    expect(log).toEqual(["unlocks", "gave up, locked true, null", "locked false"]);
    expect({ waiting: condition.waiting, inLine: condition.mutex.waiting }).toEqual({ waiting: 0, inLine: 0 });
  });

  test("does not keep the lock from its own children while these clean up", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      const parent = yield* spawn(function* parent() {
        using _guard = yield* condition.mutex.lock();
        yield* scope(function* (own) {
          yield* own.spawn(function* child() {
            try {
              yield* sleep(1000);
            } finally {
              using _own = yield* condition.mutex.lock();
              log.push("child");
            }
          });
          yield* condition.wait();
        });
      });
      yield* sleep(1);
      condition.notify();
      yield* cancel(parent);
      expect(condition.mutex.isLocked).toBe(false);
    });
    expect(log).toEqual(["child"]);
  });

  test("goes on without the lock if that is not free within its grace period, and then releases nobody else's", async () => {
    const condition = new Condition();
    await runVirtually(function* main() {
      let caught: unknown;
      let guard: Guard | null = null;
      try {
        yield* scope(
          function* () {
            const [waiter] = yield* spawnWaiters(condition, ["a"], []);
            guard = yield* condition.mutex.lock();
            waiter!.cancel();
            yield* sleep(1000);
          },
          { cleanupMs: 20 },
        );
      } catch (error) {
        caught = error;
      }
      expect(caught).toBeInstanceOf(CleanupTimeoutError);
      expect({ isLocked: condition.mutex.isLocked, inLine: condition.mutex.waiting }).toEqual({
        isLocked: true,
        inLine: 0,
      });
      guard!.release();
      expect(condition.mutex.isLocked).toBe(false);
    });
  });
});

describe("waitUntil", () => {
  test("does not wait if the predicate says yes already", async () => {
    await runVirtually(function* main() {
      const condition = new Condition();
      using _guard = yield* condition.mutex.lock();
      yield* condition.waitUntil(() => true);
      expect(condition.waiting).toBe(0);
    });
  });

  test("looks again at each notify, with the lock, and goes on when the predicate says yes", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const condition = new Condition();
      let count = 0;
      const waiter = yield* spawn(function* waiter() {
        using _guard = yield* condition.mutex.lock();
        yield* condition.waitUntil(() => {
          log.push(`${count}, locked ${condition.mutex.isLocked}`);
          return count === 2;
        });
        log.push("done");
      });
      for (; count < 2; count++) {
        yield* sleep(1);
        condition.notify();
        yield* sleep(0);
      }
      condition.notify();
      yield* join(waiter);
    });
    expect(log).toEqual(["0, locked true", "0, locked true", "1, locked true", "2, locked true", "done"]);
  });

  test("throws what the predicate throws, with the lock still held", async () => {
    await runVirtually(function* main() {
      const condition = new Condition();
      using _guard = yield* condition.mutex.lock();
      try {
        yield* condition.waitUntil(() => {
          throw new Error("cannot tell");
        });
        expect.unreachable();
      } catch (error) {
        expect((error as Error).message).toBe("cannot tell");
      }
      expect(condition.mutex.isLocked).toBe(true);
    });
  });
});

describe("to wait", () => {
  test("without the mutex is an error that names the task and the mutex", async () => {
    const condition = new Condition(new Mutex({ name: "queue" }));
    const error = await rejectionOf(
      runVirtually(function* careless() {
        yield* condition.wait();
      }),
      TypeError,
    );
    expect(error.message).toBe(
      "Condition.wait: task careless (#1) must hold the mutex queue while it calls this, but nobody holds it",
    );
    expect({ waiting: condition.waiting, isLocked: condition.mutex.isLocked }).toEqual({ waiting: 0, isLocked: false });
  });

  test("while another task holds the mutex is an error that names that, and leaves it the lock", async () => {
    const condition = new Condition();
    await runVirtually(function* main() {
      using _guard = yield* condition.mutex.lock();
      const careless = yield* spawn(() => condition.wait(), { name: "careless", supervised: true });
      const error = yield* failureOf(careless);
      expect(error.message).toContain("but task main (#1) holds it");
      expect(condition.mutex.isLocked).toBe(true);
      expect(condition.mutex.waiting).toBe(0);
    });
  });

  test("is allowed with a guard that a task which has ended has passed on", async () => {
    const condition = new Condition();
    await runVirtually(function* main() {
      const locker = yield* spawn(() => condition.mutex.lock());
      using _guard = yield* join(locker);
      yield* spawn(function* notifier() {
        condition.notify();
      });
      yield* condition.wait();
    });
    expect(condition.mutex.isLocked).toBe(false);
  });

  test("says what for: first the notify, then the lock", async () => {
    const condition = new Condition(new Mutex({ name: "queue" }), { name: "not empty" });
    await runVirtually(function* main() {
      const [waiter] = yield* spawnWaiters(condition, ["a"], []);
      expect(waiter!.waitsFor).toBe("a notify of the condition not empty");
      using _guard = yield* condition.mutex.lock();
      condition.notify();
      expect(waiter!.waitsFor).toBe("the mutex queue (task main (#1) holds it)");
    });
  });
});

function* failureOf(task: Task<unknown>): Operation<Error> {
  try {
    yield* join(task);
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${task.name} was expected to fail`);
}
