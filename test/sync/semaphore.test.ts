import { describe, expect, test } from "bun:test";
import { OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest, type Winner } from "../../src/core/first-of.ts";
import type { Operation, SingleRequest, TaskBody } from "../../src/core/operation.ts";
import { DeadlineRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Semaphore } from "../../src/sync/semaphore.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Starts tasks that take so many permits each and keep them, in order; each notes its number when it has them. */
function* spawnTakers(semaphore: Semaphore, counts: readonly number[], log: number[]): Operation<Task<void>[]> {
  const tasks: Task<void>[] = [];
  for (const [index, count] of counts.entries()) {
    const task = yield* spawn(function* taker() {
      yield* semaphore.acquire(count);
      log.push(index);
    });
    tasks.push(task);
  }
  yield* yieldNow();
  return tasks;
}

describe("a semaphore", () => {
  test("lets in as many at a time as it has permits, in the order in which they came", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(2);
      for (const name of ["a", "b", "c", "d"]) {
        yield* spawn(function* () {
          yield* semaphore.with(function* () {
            log.push(`${name} in`);
            yield* sleep(1);
            log.push(`${name} out`);
          });
        });
      }
    });
    expect(log).toEqual(["a in", "b in", "a out", "b out", "c in", "d in", "c out", "d out"]);
  });

  test("gives what is available without a suspension", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(3);
      yield* spawn(function* other() {
        log.push("other");
      });
      yield* semaphore.acquire();
      yield* semaphore.acquire(2);
      log.push(`${semaphore.available} available`);
      semaphore.release(3);
      log.push(`${semaphore.available} available`);
    });
    expect(log).toEqual(["0 available", "3 available", "other"]);
  });

  test("that always has permits does not keep other tasks from running", async () => {
    let otherRanInRound = -1;
    await runVirtually(function* main() {
      const semaphore = new Semaphore(1);
      let round = 0;
      yield* spawn(function* other() {
        otherRanInRound = round;
      });
      for (; round < 1000; round++) {
        yield* semaphore.acquire();
        semaphore.release();
      }
    });
    expect(otherRanInRound).toBeWithin(1, 1000);
  });

  test("does not let small requests overtake a large one", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(5);
      yield* semaphore.acquire(4);
      yield* spawnTakers(semaphore, [3, 1, 1], log);
      expect(log).toEqual([]);
      expect(semaphore.tryAcquire()).toBe(false);
      semaphore.release(1);
      yield* yieldNow();
      expect(log).toEqual([]);
      expect({ available: semaphore.available, waiting: semaphore.waiting }).toEqual({ available: 2, waiting: 3 });
      semaphore.release(1);
      yield* yieldNow();
      expect(log).toEqual([0]);
      semaphore.release(2);
    });
    expect(log).toEqual([0, 1, 2]);
  });

  test("lets in all for whom there are permits when many come back at once", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(4);
      yield* semaphore.acquire(4);
      const tasks = yield* spawnTakers(semaphore, [1, 2, 2, 1], log);
      semaphore.release(4);
      yield* yieldNow();
      expect(log).toEqual([0, 1]);
      expect(semaphore.available).toBe(1);
      for (const task of tasks) task.cancel();
    });
  });

  test("can be given back to by code of the host, which wakes the task", async () => {
    const driver = new VirtualDriver();
    const semaphore = new Semaphore(1);
    expect(semaphore.tryAcquire()).toBe(true);
    const running = new Executor(driver).run(() => semaphore.acquire());
    await hostTurn();
    semaphore.release();
    await settled(driver, running);
    expect(semaphore.available).toBe(0);
  });
});

describe("a task that is cancelled", () => {
  test("while it waits takes no permit", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(1);
      yield* semaphore.acquire();
      const tasks = yield* spawnTakers(semaphore, [1, 1, 1], log);
      yield* cancel(tasks[0]!);
      yield* cancel(tasks[2]!);
      semaphore.release();
      yield* yieldNow();
      expect(log).toEqual([1]);
      semaphore.release();
      expect(semaphore.available).toBe(1);
    });
  });

  test("while it waits for many, first in line, lets those behind it in", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const semaphore = new Semaphore(5);
      yield* semaphore.acquire(2);
      const tasks = yield* spawnTakers(semaphore, [5, 2, 1, 1], log);
      tasks[0]!.cancel();
      yield* yieldNow();
      expect(log).toEqual([1, 2]);
      expect({ available: semaphore.available, waiting: semaphore.waiting }).toEqual({ available: 0, waiting: 1 });
      tasks[3]!.cancel();
    });
  });

  test("when its permits were handed to it but it has not run yet passes them on, all of them", async () => {
    const log: number[] = [];
    const semaphore = new Semaphore(3);
    await runVirtually(function* main() {
      yield* semaphore.acquire(3);
      const tasks = yield* spawnTakers(semaphore, [3, 2, 1, 1], log);
      semaphore.release(3);
      tasks[0]!.cancel();
      yield* yieldNow();
      expect(log).toEqual([1, 2]);
      semaphore.release(3);
    });
    expect(log).toEqual([1, 2, 3]);
    expect(semaphore.available).toBe(2);
  });

  test("when its permit was handed to it brings it back if nobody waits", async () => {
    const semaphore = new Semaphore(1);
    await runVirtually(function* main() {
      yield* semaphore.acquire();
      const [task] = yield* spawnTakers(semaphore, [1], []);
      semaphore.release();
      expect(semaphore.available).toBe(0);
      task!.cancel();
      expect(semaphore.available).toBe(1);
    });
  });

  test("by a time limit leaves the line", async () => {
    const semaphore = new Semaphore(1);
    await runVirtually(function* main() {
      yield* semaphore.acquire();
      yield* moveOnAfter(5, semaphore.acquire());
      expect(semaphore.waiting).toBe(0);
      semaphore.release();
      expect(semaphore.available).toBe(1);
    });
  });
});

describe("a count", () => {
  const bad = [0, -1, 1.5, 4, Number.NaN, Infinity, "1", null];

  test.each(bad)("of %p is refused at once, by each call with its own name", (count) => {
    const semaphore = new Semaphore(3);
    for (const call of ["acquire", "tryAcquire", "release"] as const) {
      const error = thrownBy(() => semaphore[call](count as number), RangeError);
      expect(error.message).toStartWith(`Semaphore.${call}: count must be an integer from 1 to 3`);
    }
    expect(semaphore.available).toBe(3);
  });

  test("of more permits than are taken is refused by release, which changes nothing", () => {
    const semaphore = new Semaphore(3, { name: "slots" });
    expect(thrownBy(() => semaphore.release(), RangeError).message).toContain("the semaphore slots");
    semaphore.tryAcquire(2);
    const error = thrownBy(() => semaphore.release(3), RangeError);
    expect(error.message).toContain("3 permits");
    expect(error.message).toContain("only 2 are taken");
    expect(semaphore.available).toBe(1);
  });

  test.each([0, -1, 2.5, Number.NaN, Infinity, undefined, "3"])("of %p permits in all is refused", (permits) => {
    const error = thrownBy(() => new Semaphore(permits as number), RangeError);
    expect(error.message).toStartWith("Semaphore: permits must be an integer");
  });
});

describe("Semaphore.with", () => {
  test("returns what the body returned, with as many permits as it was told, which come back", async () => {
    const semaphore = new Semaphore(3);
    const available = await runVirtually(() =>
      semaphore.with(function* () {
        return semaphore.available;
      }, 2),
    );
    expect(available).toBe(1);
    expect(semaphore.available).toBe(3);
  });

  test("brings the permits back when the body throws, when it is no body, and when the task is cancelled", async () => {
    const semaphore = new Semaphore(2);
    const failing = runVirtually(() =>
      semaphore.with(function* () {
        throw new Error("in the body");
      }),
    );
    expect((await rejectionOf(failing)).message).toBe("in the body");
    const wrong = runVirtually(() => semaphore.with((() => null) as unknown as TaskBody<void>));
    expect((await rejectionOf(wrong, TypeError)).message).toStartWith("Semaphore.with takes");
    await runVirtually(function* main() {
      const task = yield* spawn(() => semaphore.with(sleep(1000), 2));
      yield* sleep(1);
      expect(semaphore.available).toBe(0);
      yield* cancel(task);
    });
    expect(semaphore.available).toBe(2);
  });

  test("brings nothing back if the task is cancelled before it has the permits", async () => {
    const semaphore = new Semaphore(1);
    await runVirtually(function* main() {
      yield* semaphore.acquire();
      const task = yield* spawn(() => semaphore.with(sleep(1)));
      yield* yieldNow();
      yield* cancel(task);
    });
    expect(semaphore.available).toBe(0);
  });
});

describe("the operation", () => {
  test("can be used once", async () => {
    const semaphore = new Semaphore(2);
    const operation = semaphore.acquire();
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* operation;
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain("Semaphore.acquire");
    expect(semaphore.available).toBe(1);
  });

  test("gives its request, which can be one of several: the permits go to the task if it is the first", async () => {
    const semaphore = new Semaphore(1);
    const arms = (): Operation<Winner> =>
      contest([(semaphore.acquire() as unknown as SingleRequest).takeRequest(), DeadlineRequest.after(5e6)]);
    await runVirtually(function* main() {
      expect((yield* arms()).index).toBe(0);
      expect(semaphore.available).toBe(0);
      expect((yield* arms()).index).toBe(1);
      expect(semaphore.waiting).toBe(0);
      const handed = yield* spawn(arms);
      yield* yieldNow();
      semaphore.release();
      handed.cancel();
      expect(semaphore.available).toBe(1);
    });
  });

  test("gives its request, of which two of one semaphore can be in one contest", async () => {
    const semaphore = new Semaphore(2);
    await runVirtually(function* main() {
      yield* semaphore.acquire(2);
      const requests = [2, 1].map((count) => (semaphore.acquire(count) as unknown as SingleRequest).takeRequest());
      const either = yield* spawn(() => contest(requests));
      yield* yieldNow();
      semaphore.release(2);
      expect((yield* join(either)).index).toBe(0);
      expect({ available: semaphore.available, waiting: semaphore.waiting }).toEqual({ available: 0, waiting: 0 });
    });
  });

  test("says what it waits for", async () => {
    const semaphore = new Semaphore(3, { name: "slots" });
    await runVirtually(function* main() {
      yield* semaphore.acquire(2);
      const tasks = yield* spawnTakers(semaphore, [2, 1], []);
      expect(tasks.map((task) => task.waitsFor)).toEqual([
        "2 permits of the semaphore slots (1 of 3 available)",
        "a permit of the semaphore slots (1 of 3 available)",
      ]);
      for (const task of tasks) yield* cancel(task);
    });
  });
});
