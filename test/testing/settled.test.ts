import { describe, expect, test } from "bun:test";
import { UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { park, promise, type Resumption } from "../../src/core/park.ts";
import { run } from "../../src/run.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { settled, VirtualDriver, virtualTime, VirtualWorld } from "../../src/test.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";

describe("settled() in a task", () => {
  test("goes on when all others are blocked, before the clock jumps", async () => {
    const log: string[] = [];
    await virtualTime(function* (world) {
      yield* spawn(function* busy() {
        for (let turn = 0; turn < 100; turn++) yield* yieldNow();
        log.push("busy is blocked");
        yield* sleep(10);
        log.push(`busy goes on at ${world.nowMs}`);
      });
      yield* settled();
      log.push(`settled at ${world.nowMs}`);
    });
    expect(log).toEqual(["busy is blocked", "settled at 0", "busy goes on at 10"]);
  });

  test("counts a task that waits for the host as blocked, once what can come at once has come", async () => {
    const log: string[] = [];
    await virtualTime(function* () {
      const gate = Promise.withResolvers<void>();
      yield* spawn(function* waiting() {
        yield* promise(Promise.resolve().then(() => Promise.resolve()));
        log.push("the first promise has settled");
        yield* promise(gate.promise);
        log.push("the second has, too");
      });
      yield* settled();
      log.push("settled");
      gate.resolve();
    });
    expect(log).toEqual(["the first promise has settled", "settled", "the second has, too"]);
  });

  test("lets several go on together", async () => {
    const log: string[] = [];
    await virtualTime(function* (world) {
      for (const name of ["one", "two", "three"]) {
        yield* spawn(function* () {
          yield* settled();
          log.push(`${name} at ${world.nowMs}`);
          yield* sleep(5);
        });
      }
    });
    expect(log).toEqual(["one at 0", "two at 0", "three at 0"]);
  });

  test("can be waited for again and again", async () => {
    let rounds = 0;
    const world = new VirtualWorld();
    await world.run(function* () {
      yield* spawn(() => sleep(1));
      for (; rounds < 100; rounds++) yield* settled();
      expect(world.nowMs).toBe(0);
    });
    expect(rounds).toBe(100);
  });

  test("is forgotten when its task is cancelled", async () => {
    const world = new VirtualWorld();
    await world.run(function* () {
      const waiting = yield* spawn(() => settled());
      yield* yieldNow();
      yield* cancel(waiting);
      yield* sleep(1);
    });
    expect(world.nowMs).toBe(1);
  });

  test("is refused where time is real, and in a thread that is blocked", async () => {
    const error = await rejectionOf(
      run(() => settled()),
      UnsupportedError,
    );
    expect(error.message).toContain("waits for settled()");
    const executor = new Executor(new VirtualDriver());
    thrownBy(() => executor.blockOn(() => settled()), UnsupportedError);
  });
});

describe("settled() of a world, outside tasks", () => {
  test("fulfils at once if nothing runs", async () => {
    await new VirtualWorld().settled();
  });

  test("fulfils when all tasks are blocked, and leaves the test the time to resume one", async () => {
    const world = new VirtualWorld();
    const resumptions: Resumption<string>[] = [];
    const log: string[] = [];
    const running = world.run(function* () {
      yield* spawn(function* beside() {
        yield* sleep(10);
        log.push("the clock has jumped");
      });
      for (let round = 0; round < 3; round++)
        log.push(yield* park<string>((resumption) => void resumptions.push(resumption)));
    });
    for (const word of ["first", "second", "third"]) {
      await world.settled();
      expect(world.nowMs).toBe(0);
      resumptions.pop()!.succeed(word);
    }
    await running;
    expect(log).toEqual(["first", "second", "third", "the clock has jumped"]);
  });

  test("keeps a run that the test resumes from being taken for a deadlock", async () => {
    const world = new VirtualWorld();
    const latch: { open: (() => void) | null } = { open: null };
    const running = world.run(function* () {
      const opener = yield* spawn(() => sleep(Infinity));
      latch.open = () => opener.cancel();
    });
    await world.settled();
    for (let turn = 0; turn < 100; turn++) await hostTurn();
    latch.open!();
    expect(await running).toBeUndefined();
  });

  test("comes after the tasks that wait for it themselves", async () => {
    const world = new VirtualWorld();
    const log: string[] = [];
    const running = world.run(function* () {
      yield* settled();
      log.push("task");
    });
    await world.settled();
    log.push("test");
    await running;
    expect(log).toEqual(["task", "test"]);
  });
});
