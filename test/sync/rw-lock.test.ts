import { describe, expect, test } from "bun:test";
import { DeadlockError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest, type Winner } from "../../src/core/first-of.ts";
import type { Operation, SingleRequest, TaskBody } from "../../src/core/operation.ts";
import { DeadlineRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import type { Guard } from "../../src/sync/mutex.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Starts tasks that each hold the lock over a wait, in order: to read if the name begins with r, else to write. */
function* spawnHolders(lock: RwLock, names: readonly string[], log: string[]): Operation<Task<void>[]> {
  const tasks: Task<void>[] = [];
  for (const name of names) {
    const task = yield* spawn(
      function* () {
        using _guard = yield* name.startsWith("r") ? lock.read() : lock.write();
        log.push(`${name} in`);
        yield* sleep(1);
        log.push(`${name} out`);
      },
      { name },
    );
    tasks.push(task);
  }
  yield* yieldNow();
  return tasks;
}

/** Those that came in, in groups that were in together. */
function groupsOf(log: readonly string[]): string[] {
  const groups: string[] = [];
  let group: string[] = [];
  let inside = 0;
  for (const entry of log) {
    if (entry.endsWith(" in")) {
      group.push(entry.split(" ")[0]!);
      inside++;
    } else if (--inside === 0) {
      groups.push(group.join("+"));
      group = [];
    }
  }
  return groups;
}

describe("a read-write lock", () => {
  test("lets readers in together and writers alone, in the order in which they came", async () => {
    const log: string[] = [];
    await runVirtually(() => spawnHolders(new RwLock(), ["r1", "r2", "w1", "w2", "r3", "r4", "w3"], log));
    expect(groupsOf(log)).toEqual(["r1+r2", "w1", "w2", "r3+r4", "w3"]);
  });

  test("is locked without a suspension if it is free, or if readers hold it and one more comes", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        log.push("other");
      });
      const lock = new RwLock();
      const readers = [yield* lock.read(), yield* lock.read()];
      log.push(`${lock.readers} read`);
      for (const guard of readers) guard.release();
      const writer = yield* lock.write();
      log.push(`${lock.readers} read, writing ${lock.isWriting}`);
      writer.release();
      log.push(`writing ${lock.isWriting}`);
    });
    expect(log).toEqual(["2 read", "0 read, writing true", "writing false", "other"]);
  });

  test("makes a reader wait behind a writer that waits, so that readers keep no writer out", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const lock = new RwLock();
      const first = yield* lock.read();
      yield* spawnHolders(lock, ["w", "r"], log);
      expect(lock.waiting).toBe(2);
      expect(lock.tryRead()).toBeNull();
      first.release();
      expect(lock.isWriting).toBe(true);
    });
    expect(groupsOf(log)).toEqual(["w", "r"]);
  });

  test("that is free again and again does not keep other tasks from running", async () => {
    let otherRanInRound = -1;
    await runVirtually(function* main() {
      const lock = new RwLock();
      let round = 0;
      yield* spawn(function* other() {
        otherRanInRound = round;
      });
      for (; round < 1000; round++) {
        using _guard = yield* round % 2 === 0 ? lock.read() : lock.write();
      }
    });
    expect(otherRanInRound).toBeWithin(1, 1000);
  });

  test("goes to the first in line when it is released by code of the host", async () => {
    const driver = new VirtualDriver();
    const lock = new RwLock();
    const guard = lock.tryWrite()!;
    const running = new Executor(driver).run(() => lock.read());
    await hostTurn();
    expect(lock.waiting).toBe(1);
    guard.release();
    (await settled(driver, running)).release();
    expect(lock.readers).toBe(0);
  });
});

describe("a task that is cancelled", () => {
  test("while it waits to write lets the readers behind it in", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const lock = new RwLock();
      using _guard = yield* lock.read();
      const [writer] = yield* spawnHolders(lock, ["w1", "r1", "r2", "w2", "r3"], log);
      yield* cancel(writer!);
      expect(lock.readers).toBe(3);
      expect(log).toEqual(["r1 in", "r2 in"]);
    });
    expect(groupsOf(log)).toEqual(["r1+r2", "w2", "r3"]);
  });

  test("while it waits to read changes nothing for the others", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const lock = new RwLock();
      const guard = yield* lock.write();
      const tasks = yield* spawnHolders(lock, ["r1", "r2", "w1", "r3"], log);
      tasks[0]!.cancel();
      tasks[3]!.cancel();
      expect(lock.waiting).toBe(2);
      guard.release();
    });
    expect(groupsOf(log)).toEqual(["r2", "w1"]);
  });

  test("when it was handed the lock to write but has not run yet hands it on", async () => {
    const log: string[] = [];
    const lock = new RwLock();
    await runVirtually(function* main() {
      const guard = yield* lock.write();
      const [writer] = yield* spawnHolders(lock, ["w", "r1", "r2"], log);
      guard.release();
      writer!.cancel();
      expect({ readers: lock.readers, isWriting: lock.isWriting }).toEqual({ readers: 2, isWriting: false });
    });
    expect(groupsOf(log)).toEqual(["r1+r2"]);
    expect(lock.readers).toBe(0);
  });

  test("when it was let in to read but has not run yet is gone, and the last that is lets a writer in", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const lock = new RwLock();
      const guard = yield* lock.write();
      const [r1, r2] = yield* spawnHolders(lock, ["r1", "r2", "w"], log);
      guard.release();
      r1!.cancel();
      expect(lock.readers).toBe(1);
      r2!.cancel();
      expect(lock.isWriting).toBe(true);
    });
    expect(groupsOf(log)).toEqual(["w"]);
  });

  test("by a time limit leaves the line", async () => {
    const lock = new RwLock();
    await runVirtually(function* main() {
      const guard = yield* lock.read();
      expect(yield* moveOnAfter(5, lock.write())).toBeUndefined();
      expect(lock.tryRead()).not.toBeNull();
      guard.release();
    });
    expect(lock.readers).toBe(1);
  });
});

describe("tryRead and tryWrite", () => {
  test("lock if that needs no wait, and return null otherwise", async () => {
    const lock = new RwLock();
    const first = lock.tryRead()!;
    const second = lock.tryRead()!;
    expect(lock.tryWrite()).toBeNull();
    first.release();
    expect(lock.tryWrite()).toBeNull();
    second.release();
    const writer = lock.tryWrite()!;
    expect(lock.tryRead()).toBeNull();
    expect(lock.tryWrite()).toBeNull();
    writer.release();
    expect(lock.tryRead()).not.toBeNull();
  });
});

describe("a guard", () => {
  test("releases once, so that no other reader's place is given up", async () => {
    const lock = new RwLock();
    const [first, second] = [lock.tryRead()!, lock.tryRead()!];
    first.release();
    first.release();
    first[Symbol.dispose]();
    expect(lock.readers).toBe(1);
    second.release();
    const writer = lock.tryWrite()!;
    first.release();
    second.release();
    expect(lock.isWriting).toBe(true);
    writer.release();
    expect(lock.isWriting).toBe(false);
  });
});

describe("a task that holds the lock to write", () => {
  test.each(["read", "write"] as const)("is told so when it asks to %s, which would wait for ever", async (call) => {
    const lock = new RwLock({ name: "index" });
    const error = await rejectionOf(
      runVirtually(function* greedy() {
        using _guard = yield* lock.write();
        yield* lock[call]();
      }),
      DeadlockError,
    );
    expect(error.message).toContain("task greedy (#1)");
    expect(error.message).toContain("the read-write lock index");
    expect(lock.isWriting).toBe(false);
  });

  test("is told so as well if it waited for the lock", async () => {
    await runVirtually(function* main() {
      const lock = new RwLock();
      yield* spawnHolders(lock, ["r"], []);
      using _guard = yield* lock.write();
      const request = (lock.read() as unknown as SingleRequest).takeRequest();
      try {
        yield* contest([request]);
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(DeadlockError);
      }
    });
  });
});

describe("the operation", () => {
  test.each(["read", "write"] as const)("%s can be used once", async (call) => {
    const lock = new RwLock();
    const operation = lock[call]();
    const error = await rejectionOf(
      runVirtually(function* main() {
        (yield* operation).release();
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain(`RwLock.${call}`);
  });

  test("gives its request, which can be one of several: the lock goes to the task if it is the first", async () => {
    const lock = new RwLock();
    const arms = (): Operation<Winner> =>
      contest([(lock.write() as unknown as SingleRequest).takeRequest(), DeadlineRequest.after(5e6)]);
    await runVirtually(function* main() {
      const { value } = yield* arms();
      expect(lock.isWriting).toBe(true);
      const late = yield* spawn(arms);
      yield* sleep(10);
      expect((yield* join(late)).index).toBe(1);
      expect(lock.waiting).toBe(0);
      const handed = yield* spawn(arms);
      yield* yieldNow();
      (value as Guard).release();
      handed.cancel();
      expect(lock.isWriting).toBe(false);
    });
  });

  test("says what it waits for", async () => {
    const lock = new RwLock({ name: "index" });
    await runVirtually(function* main() {
      const readers = [yield* lock.read(), yield* lock.read()];
      const [writer] = yield* spawnHolders(lock, ["w"], []);
      expect(writer!.waitsFor).toBe("the read-write lock index, to write (2 read)");
      readers[0]!.release();
      expect(writer!.waitsFor).toBe("the read-write lock index, to write (1 reads)");
      readers[1]!.release();
      const [reader] = yield* spawnHolders(lock, ["r"], []);
      expect(reader!.waitsFor).toBe("the read-write lock index, to read (task w (#2) writes)");
    });
  });
});
