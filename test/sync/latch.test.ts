import { describe, expect, test } from "bun:test";
import { InvalidYieldError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest } from "../../src/core/first-of.ts";
import type { Operation, SingleRequest, TaskBody } from "../../src/core/operation.ts";
import type { SuspendRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Latch } from "../../src/sync/latch.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

function* spawnWaiters(latch: Latch, count: number, log: number[]): Operation<Task<void>[]> {
  const tasks: Task<void>[] = [];
  for (let index = 0; index < count; index++) {
    const task = yield* spawn(function* waiter() {
      yield* latch.wait();
      log.push(index);
    });
    tasks.push(task);
  }
  yield* yieldNow();
  return tasks;
}

describe("a latch", () => {
  test("lets all that wait go on when it is set, in the order in which they came", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const latch = new Latch();
      yield* spawnWaiters(latch, 3, log);
      yield* sleep(5);
      expect({ log, waiting: latch.waiting, isSet: latch.isSet }).toEqual({ log: [], waiting: 3, isSet: false });
      latch.set();
      expect({ log, waiting: latch.waiting, isSet: latch.isSet }).toEqual({ log: [], waiting: 0, isSet: true });
    });
    expect(log).toEqual([0, 1, 2]);
  });

  test("that is set keeps nobody waiting, and stays set however often it is set", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        log.push("other");
      });
      const latch = new Latch();
      latch.set();
      yield* latch.wait();
      latch.set();
      yield* latch.wait();
      log.push(`set ${latch.isSet}`);
    });
    expect(log).toEqual(["set true", "other"]);
  });

  test("that is set does not keep other tasks from running", async () => {
    let otherRanInRound = -1;
    await runVirtually(function* main() {
      const latch = new Latch();
      latch.set();
      let round = 0;
      yield* spawn(function* other() {
        otherRanInRound = round;
      });
      for (; round < 1000; round++) yield* latch.wait();
    });
    expect(otherRanInRound).toBeWithin(1, 1000);
  });

  test("can be set by code of the host", async () => {
    const driver = new VirtualDriver();
    const latch = new Latch();
    const running = new Executor(driver).run(() => latch.wait());
    await hostTurn();
    expect(latch.waiting).toBe(1);
    latch.set();
    await settled(driver, running);
  });

  test("forgets a task that is cancelled while it waits", async () => {
    const log: number[] = [];
    await runVirtually(function* main() {
      const latch = new Latch();
      const tasks = yield* spawnWaiters(latch, 3, log);
      yield* cancel(tasks[1]!);
      expect(latch.waiting).toBe(2);
      latch.set();
    });
    expect(log).toEqual([0, 2]);
  });

  test("can be waited for twice in one contest", async () => {
    await runVirtually(function* main() {
      const latch = new Latch();
      const requests = [latch.wait(), latch.wait()].map((wait) => (wait as unknown as SingleRequest).takeRequest());
      const either = yield* spawn(() => contest(requests));
      yield* yieldNow();
      expect(latch.waiting).toBe(2);
      latch.set();
      expect((yield* join(either)).index).toBe(0);
      const again = (latch.wait() as unknown as SingleRequest).takeRequest();
      expect((yield* contest([again])).index).toBe(0);
    });
  });

  test("gives an operation that can be used once, and says what it waits for", async () => {
    const latch = new Latch({ name: "started" });
    const operation = latch.wait();
    const error = await rejectionOf(
      runVirtually(function* main() {
        const waiter = yield* spawn(() => operation);
        yield* yieldNow();
        expect(waiter.waitsFor).toBe("the latch started");
        yield* operation;
      }),
      OperationReusedError,
    );
    expect(error.message).toContain("Latch.wait");
  });
});

test("a wait that is yielded without a star is refused, with the task's name", () =>
  virtualTime(function* main(): Operation<void> {
    const latch = new Latch();
    let thrown: unknown;
    try {
      // As untyped code would write it.
      yield latch.wait() as unknown as SuspendRequest;
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidYieldError);
    expect((thrown as Error).message).toBe("task main (#1) yielded Latch.wait(…) without a star: write yield*");
  }));
