import { describe, expect, test } from "bun:test";
import { DeadlockError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest, type Winner } from "../../src/core/first-of.ts";
import { type Operation, RequestOperation, type SingleRequest, type TaskBody } from "../../src/core/operation.ts";
import { park } from "../../src/core/park.ts";
import { DeadlineRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { type Guard, Mutex } from "../../src/sync/mutex.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Locks, notes its name, and holds the lock over a wait. */
function* lockBriefly(mutex: Mutex, name: string, log: string[]): Operation<void> {
  using _guard = yield* mutex.lock();
  log.push(`${name} in`);
  yield* sleep(1);
  log.push(`${name} out`);
}

/** Starts tasks that wait for the mutex, in the order of their names. */
function* spawnWaiters(mutex: Mutex, names: readonly string[], log: string[]): Operation<Task<void>[]> {
  const tasks: Task<void>[] = [];
  for (const name of names) tasks.push(yield* spawn(() => lockBriefly(mutex, name, log), { name }));
  yield* yieldNow();
  return tasks;
}

/** Lets all that can run do so. */
function* settle(): Operation<void> {
  yield* sleep(0);
}

describe("a mutex", () => {
  test("is held by one task at a time, in the order in which they came", async () => {
    const log: string[] = [];
    await runVirtually(() => spawnWaiters(new Mutex(), ["a", "b", "c"], log));
    expect(log).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
  });

  test("is locked without a suspension if it is free", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        log.push("other");
      });
      const mutex = new Mutex();
      for (let round = 0; round < 3; round++) {
        const guard = yield* mutex.lock();
        log.push(`locked ${mutex.isLocked}`);
        guard.release();
        log.push(`locked ${mutex.isLocked}`);
      }
    });
    expect(log).toEqual([...Array(3).fill(["locked true", "locked false"]).flat(), "other"]);
  });

  test("that is free again and again does not keep other tasks from running", async () => {
    let otherRanInRound = -1;
    await runVirtually(function* main() {
      const mutex = new Mutex();
      let round = 0;
      yield* spawn(function* other() {
        otherRanInRound = round;
      });
      for (; round < 1000; round++) {
        using _guard = yield* mutex.lock();
      }
    });
    expect(otherRanInRound).toBeWithin(1, 1000);
  });

  test("is handed to whoever is next: the one that releases cannot take it again before", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const guard = yield* mutex.lock();
      yield* spawnWaiters(mutex, ["a", "b"], log);
      guard.release();
      expect(mutex.isLocked).toBe(true);
      expect(mutex.tryLock()).toBeNull();
      yield* lockBriefly(mutex, "main", log);
    });
    expect(log).toEqual(["a in", "a out", "b in", "b out", "main in", "main out"]);
  });

  test("counts those that wait", async () => {
    const mutex = new Mutex();
    const counts = await runVirtually(function* main() {
      const seen = [mutex.waiting];
      const guard = yield* mutex.lock();
      seen.push(mutex.waiting);
      const [first] = yield* spawnWaiters(mutex, ["a", "b", "c"], []);
      seen.push(mutex.waiting);
      first!.cancel();
      seen.push(mutex.waiting);
      guard.release();
      seen.push(mutex.waiting);
      return seen;
    });
    expect(counts).toEqual([0, 0, 3, 2, 1]);
    expect({ waiting: mutex.waiting, isLocked: mutex.isLocked }).toEqual({ waiting: 0, isLocked: false });
  });

  test("hands over through a line of 100,000 tasks, half of which were cancelled", async () => {
    const mutex = new Mutex();
    let locked = 0;
    await runVirtually(function* main() {
      const guard = yield* mutex.lock();
      const tasks: Task<void>[] = [];
      for (let index = 0; index < 100_000; index++) {
        const task = yield* spawn(function* waiter() {
          using _guard = yield* mutex.lock();
          locked++;
        });
        tasks.push(task);
      }
      yield* settle();
      expect(mutex.waiting).toBe(100_000);
      for (let index = 0; index < tasks.length; index += 2) tasks[index]!.cancel();
      expect(mutex.waiting).toBe(50_000);
      guard.release();
    });
    expect(locked).toBe(50_000);
    expect(mutex.isLocked).toBe(false);
  });
});

describe("a task that is cancelled", () => {
  test.each([
    ["first", 0, ["b", "c"]],
    ["between others", 1, ["a", "c"]],
    ["last", 2, ["a", "b"]],
  ])("while it waits, %s in line, leaves the line", async (_, index, expected) => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const guard = yield* mutex.lock();
      const tasks = yield* spawnWaiters(mutex, ["a", "b", "c"], log);
      yield* cancel(tasks[index]!);
      guard.release();
    });
    expect(log.filter((entry) => entry.endsWith("in"))).toEqual(expected.map((name) => `${name} in`));
  });

  test("when it was handed the lock but has not run yet hands it on", async () => {
    const log: string[] = [];
    const mutex = new Mutex();
    await runVirtually(function* main() {
      const guard = yield* mutex.lock();
      const [a, b] = yield* spawnWaiters(mutex, ["a", "b", "c"], log);
      guard.release();
      a!.cancel();
      b!.cancel();
      expect(mutex.isLocked).toBe(true);
    });
    expect(log).toEqual(["c in", "c out"]);
    expect(mutex.isLocked).toBe(false);
  });

  test("when it was handed the lock leaves it free if nobody else waits", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const guard = yield* mutex.lock();
      const [a] = yield* spawnWaiters(mutex, ["a"], log);
      guard.release();
      a!.cancel();
      expect(mutex.isLocked).toBe(false);
    });
    expect(log).toEqual([]);
  });

  test("when it was handed the lock and has run has the lock, and gives it up as it cleans up", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const [a] = yield* spawnWaiters(mutex, ["a", "b"], log);
      yield* cancel(a!);
    });
    expect(log).toEqual(["a in", "b in", "b out"]);
  });

  test("can lock in its clean-up, though others are ahead of it", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      yield* spawnWaiters(mutex, ["a", "b"], log);
      const tidy = yield* spawn(function* tidy() {
        try {
          yield* sleep(1000);
        } finally {
          yield* lockBriefly(mutex, "tidy", log);
        }
      });
      yield* yieldNow();
      yield* cancel(tidy);
    });
    expect(log).toEqual(["a in", "a out", "b in", "b out", "tidy in", "tidy out"]);
  });
});

describe("a time limit around lock", () => {
  test("takes the task out of the line", async () => {
    const mutex = new Mutex();
    const got = await runVirtually(function* main() {
      const guard = yield* mutex.lock();
      const waiter = yield* spawn(() => moveOnAfter(5, mutex.lock()));
      yield* sleep(10);
      expect(mutex.waiting).toBe(0);
      guard.release();
      return yield* join(waiter);
    });
    expect(got).toBeUndefined();
    expect(mutex.isLocked).toBe(false);
  });

  test("does not take away a lock that was handed over before its time was up", async () => {
    const mutex = new Mutex();
    const driver = new VirtualDriver();
    const got = await settled(
      driver,
      new Executor(driver).run(function* main() {
        const guard = yield* mutex.lock();
        const waiter = yield* spawn(() => moveOnAfter(5, mutex.lock()));
        yield* yieldNow();
        // More tasks than are resumed before the deadlines are looked at: the waiter's time is up before it runs.
        for (let count = 0; count < 1000; count++) yield* spawn(yieldNow);
        guard.release();
        driver.nowNs += 10e6;
        return yield* join(waiter);
      }),
    );
    expect(got).toBeDefined();
    expect(mutex.isLocked).toBe(true);
    got!.release();
    expect(mutex.isLocked).toBe(false);
  });
});

describe("a guard", () => {
  test("releases once, whatever is called how often, and never what another holds", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      {
        using guard = yield* mutex.lock();
        yield* spawnWaiters(mutex, ["a", "b"], log);
        guard.release();
        guard.release();
        yield* yieldNow();
        guard.release();
      }
      expect(log).toEqual(["a in"]);
      expect(mutex.waiting).toBe(1);
    });
    expect(log).toEqual(["a in", "a out", "b in", "b out"]);
  });

  test("of a using declaration releases when the block is left by an error", async () => {
    const mutex = new Mutex();
    const failing = runVirtually(function* main() {
      using _guard = yield* mutex.lock();
      yield* sleep(1);
      throw new Error("in the block");
    });
    expect((await rejectionOf(failing)).message).toBe("in the block");
    expect(mutex.isLocked).toBe(false);
  });

  test("can be released by another task", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const guard = yield* mutex.lock();
      yield* spawnWaiters(mutex, ["a"], log);
      yield* spawn(function* releaser() {
        yield* sleep(5);
        guard.release();
      });
      yield* sleep(3);
      expect(log).toEqual([]);
    });
    expect(log).toEqual(["a in", "a out"]);
  });

  test("can be released by code of the host, which wakes the task", async () => {
    const driver = new VirtualDriver();
    const mutex = new Mutex();
    const guard = mutex.tryLock();
    const running = new Executor(driver).run(function* main() {
      using _guard = yield* mutex.lock();
      return "locked";
    });
    await hostTurn();
    expect(mutex.waiting).toBe(1);
    guard!.release();
    expect(await settled(driver, running)).toBe("locked");
    expect(mutex.isLocked).toBe(false);
  });
});

describe("tryLock", () => {
  test("locks what is free, and returns null otherwise, to host code and to the holder as well", async () => {
    const mutex = new Mutex();
    const guard = mutex.tryLock()!;
    expect(mutex.tryLock()).toBeNull();
    guard.release();
    await runVirtually(function* main() {
      using _guard = yield* mutex.lock();
      expect(mutex.tryLock()).toBeNull();
    });
    expect(mutex.tryLock()).not.toBeNull();
  });
});

describe("locking twice in one task", () => {
  test("is an error that names the task and the mutex, and leaves the lock as it is", async () => {
    const mutex = new Mutex({ name: "accounts" });
    const message = await runVirtually(function* greedy() {
      using _guard = yield* mutex.lock();
      try {
        yield* mutex.lock();
      } catch (error) {
        expect(error).toBeInstanceOf(DeadlockError);
        expect(mutex.isLocked).toBe(true);
        return (error as Error).message;
      }
      return "";
    });
    expect(message).toContain("task greedy (#1)");
    expect(message).toContain("the mutex accounts");
    expect(mutex.isLocked).toBe(false);
  });

  test("is found out as well if the first lock was waited for, or the second is one of several requests", async () => {
    await runVirtually(function* main() {
      const mutex = new Mutex();
      yield* spawnWaiters(mutex, ["a"], []);
      using _guard = yield* mutex.lock();
      const request = (mutex.lock() as unknown as SingleRequest).takeRequest();
      try {
        yield* contest([DeadlineRequest.after(1e6), request]);
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(DeadlockError);
      }
    });
  });

  test("is found out as well after another executor has run tasks in between", async () => {
    const error = await rejectionOf(
      runVirtually(function* outer() {
        const mutex = new Mutex();
        yield* mutex.lock();
        new Executor(new VirtualDriver()).blockOn(() => sleep(5));
        yield* mutex.lock();
      }),
      DeadlockError,
    );
    expect(error.message).toContain("task outer (#1)");
  });

  test("is no error once the first was released", async () => {
    await runVirtually(function* main() {
      const mutex = new Mutex();
      for (let round = 0; round < 3; round++) {
        const guard = yield* mutex.lock();
        yield* sleep(1);
        guard.release();
      }
    });
  });

  test("by host code and then by a task is a wait", async () => {
    const mutex = new Mutex();
    const driver = new VirtualDriver();
    let guard: Guard | null = null;
    const running = new Executor(driver).run(function* main() {
      // Host code, though it is called while the task waits.
      yield* park<void>(({ succeed }) => {
        setImmediate(() => {
          guard = mutex.tryLock();
          setImmediate(() => guard!.release());
          succeed();
        });
      });
      using _guard = yield* mutex.lock();
      return "locked";
    });
    expect(await settled(driver, running)).toBe("locked");
  });
});

describe("Mutex.with", () => {
  test("runs the body with the lock, and returns what it returned", async () => {
    const mutex = new Mutex();
    const value = await runVirtually(() =>
      mutex.with(function* () {
        yield* sleep(1);
        return mutex.isLocked ? "held" : "not held";
      }),
    );
    expect(value).toBe("held");
    expect(mutex.isLocked).toBe(false);
  });

  test("takes an operation, too", async () => {
    const mutex = new Mutex();
    const driver = new VirtualDriver();
    await settled(
      driver,
      new Executor(driver).run(() => mutex.with(sleep(7))),
    );
    expect(driver.now()).toBe(7e6);
  });

  test("releases when the body throws, and when the task is cancelled, after the body's clean-up", async () => {
    const log: string[] = [];
    const mutex = new Mutex();
    await runVirtually(function* main() {
      try {
        yield* mutex.with(function* () {
          throw new Error("in the body");
        });
      } catch (error) {
        log.push(`${(error as Error).message}, locked ${mutex.isLocked}`);
      }
      const task = yield* spawn(() =>
        mutex.with(function* () {
          try {
            yield* sleep(1000);
          } finally {
            yield* sleep(1);
            log.push(`cleaned up, locked ${mutex.isLocked}`);
          }
        }),
      );
      yield* sleep(1);
      yield* cancel(task);
      log.push(`locked ${mutex.isLocked}`);
    });
    expect(log).toEqual(["in the body, locked false", "cleaned up, locked true", "locked false"]);
  });

  test("refuses what is no body, with its own name, and does not keep the lock", async () => {
    const mutex = new Mutex();
    const error = await rejectionOf(
      runVirtually(() => mutex.with((() => 5) as unknown as TaskBody<void>)),
      TypeError,
    );
    expect(error.message).toStartWith("Mutex.with takes a generator function");
    expect(mutex.isLocked).toBe(false);
  });
});

describe("the operation", () => {
  test("can be used once", async () => {
    const mutex = new Mutex();
    const operation = mutex.lock();
    const error = await rejectionOf(
      runVirtually(function* main() {
        (yield* operation).release();
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain("Mutex.lock");
    expect(thrownBy(() => (operation as unknown as SingleRequest).takeRequest(), OperationReusedError)).toBeDefined();
    expect(mutex.isLocked).toBe(false);
  });

  test("gives its request, which locks at once or waits", async () => {
    const locking = (mutex: Mutex): Operation<Guard> =>
      new RequestOperation("lock", (mutex.lock() as unknown as SingleRequest).takeRequest());
    await runVirtually(function* main() {
      const mutex = new Mutex();
      const guard = yield* locking(mutex);
      expect(mutex.isLocked).toBe(true);
      const waiter = yield* spawn(() => locking(mutex));
      yield* yieldNow();
      expect(mutex.waiting).toBe(1);
      guard.release();
      (yield* join(waiter)).release();
      expect(mutex.isLocked).toBe(false);
    });
  });

  test("gives its request, which can be one of several: the lock goes to the task if it is the first", async () => {
    const mutex = new Mutex();
    const arms = (): Operation<Winner> =>
      contest([(mutex.lock() as unknown as SingleRequest).takeRequest(), DeadlineRequest.after(5e6)]);
    await runVirtually(function* main() {
      const free = yield* arms();
      expect(free.index).toBe(0);
      expect(mutex.isLocked).toBe(true);
      const late = yield* spawn(arms);
      yield* sleep(10);
      expect((yield* join(late)).index).toBe(1);
      expect(mutex.waiting).toBe(0);
      const handed = yield* spawn(arms);
      const cancelled = yield* spawn(arms);
      yield* yieldNow();
      (free.value as Guard).release();
      const { index, value } = yield* join(handed);
      expect(index).toBe(0);
      (value as Guard).release();
      cancelled.cancel();
      expect(mutex.isLocked).toBe(false);
    });
  });
});

describe("what a task waits for", () => {
  test("names the mutex and who holds it", async () => {
    const mutex = new Mutex({ name: "accounts" });
    const words = await runVirtually(function* main() {
      const seen: string[] = [];
      const forgetful = yield* spawn(
        function* () {
          return yield* mutex.lock();
        },
        { name: "forgetful" },
      );
      const guard = yield* join(forgetful);
      const [waiter] = yield* spawnWaiters(mutex, ["waiter"], []);
      seen.push(waiter!.waitsFor);
      guard.release();
      yield* join(waiter!);
      const own = yield* mutex.lock();
      const [second] = yield* spawnWaiters(mutex, ["second"], []);
      seen.push(second!.waitsFor);
      own.release();
      return seen;
    });
    expect(words).toEqual([
      "the mutex accounts (task forgetful (#2) locked it and has ended)",
      "the mutex accounts (task main (#1) holds it)",
    ]);
  });

  test("is in the error of a program that has come to a standstill", () => {
    const first = new Mutex({ name: "first" });
    const second = new Mutex({ name: "second" });
    const lockBoth = function* (one: Mutex, other: Mutex): Operation<void> {
      using _one = yield* one.lock();
      yield* sleep(1);
      using _other = yield* other.lock();
    };
    const error = thrownBy(
      () =>
        new Executor(new VirtualDriver()).blockOn(function* main() {
          yield* spawn(() => lockBoth(first, second), { name: "left" });
          yield* spawn(() => lockBoth(second, first), { name: "right" });
        }),
      DeadlockError,
    );
    expect(error.message).toContain("task left (#2) waits for the mutex second (task right (#3) holds it)");
    expect(error.message).toContain("task right (#3) waits for the mutex first (task left (#2) holds it)");
    expect([first.isLocked, second.isLocked]).toEqual([false, false]);
  });
});
