import { describe, expect, test } from "bun:test";
import { DeadlockError, UnsupportedError } from "../../src/core/errors.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import type { Operation } from "../../src/core/operation.ts";
import { park, promise } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep, sleepUntil } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { StalledError, virtualTime, VirtualDriver, VirtualWorld } from "../../src/test.ts";
import { connect } from "../../src/io/tcp.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { runScript } from "../support/child.ts";
import { rejectionOf, throwError, thrownBy } from "../support/failure.ts";

/** A promise that fulfils after so many turns of the host's event loop. */
async function afterHostTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await hostTurn();
}

/** Two tasks that wait for each other's end. */
function* embrace(): Operation<void> {
  let second: Task<void> | null = null;
  const first = yield* spawn(function* first() {
    yield* yieldNow();
    yield* join(second!);
  });
  second = yield* spawn(() => join(first), { name: "second" });
}

describe("the clock of a virtual world", () => {
  test("begins at 0, and jumps over an hour of sleep", async () => {
    const times = await virtualTime(function* (world) {
      const before = world.nowMs;
      yield* sleep(3_600_000);
      return [before, world.nowMs];
    });
    expect(times).toEqual([0, 3_600_000]);
  });

  test("stands still while a task can run", async () => {
    await virtualTime(function* (world) {
      yield* spawn(() => sleep(1));
      for (let turn = 0; turn < 1_000; turn++) {
        yield* yieldNow();
        expect(world.nowMs).toBe(0);
      }
    });
  });

  test("stands still while tasks resume one another", async () => {
    const world = new VirtualWorld();
    await world.run(function* () {
      yield* spawn(() => sleep(1));
      for (let round = 0; round < 1_000; round++) yield* join(yield* spawn(() => yieldNow()));
      expect(world.nowMs).toBe(0);
    });
    expect(world.nowMs).toBe(1);
  });

  test("jumps from deadline to deadline, and passes none", async () => {
    const log: string[] = [];
    await virtualTime(function* (world) {
      for (const durationMs of [30, 10, 20, 10.5]) {
        yield* spawn(function* () {
          yield* sleep(durationMs);
          log.push(`${durationMs} at ${world.nowMs}`);
          if (durationMs === 10) yield* sleep(5);
          log.push(`${durationMs} ends at ${world.nowMs}`);
        });
      }
    });
    expect(log.filter((line) => !line.includes("ends"))).toEqual(["10 at 10", "10.5 at 10.5", "20 at 20", "30 at 30"]);
    expect(log).toContain("10 ends at 15");
  });

  test("waits for a chain of promises that a task waits for", async () => {
    const world = new VirtualWorld();
    await world.run(function* () {
      yield* spawn(() => sleep(1));
      yield* promise((async () => await Promise.resolve().then(async () => await Promise.resolve()))());
      expect(world.nowMs).toBe(0);
    });
  });

  test("waits for what the host has under way while a task waits for it, however long that takes", async () => {
    const log: string[] = [];
    await virtualTime(function* (world) {
      yield* spawn(function* beside() {
        yield* sleep(10);
        log.push(`slept until ${world.nowMs}`);
      });
      yield* promise(afterHostTurns(100));
      log.push(`promise at ${world.nowMs}`);
      yield* park<void>(({ succeed }) => void afterHostTurns(100).then(succeed));
      log.push(`callback at ${world.nowMs}`);
    });
    expect(log).toEqual(["promise at 0", "callback at 0", "slept until 10"]);
  });

  test("goes on when the task that waits for the host is cancelled", async () => {
    const world = new VirtualWorld();
    await world.run(function* () {
      const stuck = yield* spawn(() => promise(new Promise(() => {})));
      yield* yieldNow();
      stuck.cancel();
      yield* sleep(7);
    });
    expect(world.nowMs).toBe(7);
  });

  test("does not wait for the host if it is told so", async () => {
    const world = new VirtualWorld({ waitsForHost: false });
    const gate = Promise.withResolvers<string>();
    const value = await world.run(function* () {
      yield* spawn(function* () {
        yield* sleep(1_000);
        gate.resolve(`opened at ${world.nowMs}`);
      });
      return yield* promise(gate.promise);
    });
    expect(value).toBe("opened at 1000");
  });

  test("waits for a task that the host resumes again and again", async () => {
    const world = new VirtualWorld({ waitsForHost: false });
    await world.run(function* () {
      yield* spawn(() => sleep(1));
      for (let round = 0; round < 1_000; round++) yield* promise(Promise.resolve());
      expect(world.nowMs).toBe(0);
    });
    expect(world.nowMs).toBe(1);
  });

  test("may be moved by a test before anything runs", async () => {
    const world = new VirtualWorld();
    world.driver.nowNs = 50e6;
    await world.run(() => sleepUntil(80));
    expect(world.nowMs).toBe(80);
  });
});

describe("a clock that does not jump", () => {
  test("moves by advance alone, from deadline to deadline", async () => {
    const world = new VirtualWorld({ jumps: false });
    const ticks: number[] = [];
    const running = world.run(function* () {
      for (let tick = 0; tick < 4; tick++) {
        yield* sleep(10);
        ticks.push(world.nowMs);
      }
    });
    await world.advance(0);
    await afterHostTurns(20);
    expect(ticks).toEqual([]);
    await world.advance(25);
    expect(ticks).toEqual([10, 20]);
    expect(world.nowMs).toBe(25);
    await world.advance(5);
    expect(ticks).toEqual([10, 20, 30]);
    await world.advance(100);
    await running;
    expect(ticks).toEqual([10, 20, 30, 40]);
    expect(world.nowMs).toBe(130);
  });

  test("does one advance after the other", async () => {
    const world = new VirtualWorld({ jumps: false });
    const slept = world.run(() => sleep(30));
    await Promise.all([world.advance(10), world.advance(20)]);
    expect(world.nowMs).toBe(30);
    await slept;
  });

  test("lets a sleep of no time go on", async () => {
    const world = new VirtualWorld({ jumps: false });
    await world.run(function* () {
      for (let round = 0; round < 10; round++) yield* sleep(0);
    });
    expect(world.nowMs).toBe(0);
  });

  test("says what is missing if nobody advances it", async () => {
    const world = new VirtualWorld({ jumps: false, patienceMs: 1 });
    const { message } = await rejectionOf(
      world.run(() => sleep(42)),
      StalledError,
    );
    expect(message).toContain("the next deadline is at 42 ms, and this clock moves by advance() alone");
  });

  test.each([-1, Infinity, Number.NaN, "5"])("refuses to advance by %p", (durationMs) => {
    const world = new VirtualWorld({ jumps: false });
    expect(thrownBy(() => world.advance(durationMs as number), RangeError).message).toStartWith("advance: durationMs");
  });

  test("is what advance needs", () => {
    expect(thrownBy(() => new VirtualWorld().advance(1), TypeError).message).toContain("{ jumps: false }");
  });
});

describe("a deadlock", () => {
  test("ends the run at once with an error that lists every task with what it waits for", async () => {
    const { message, waits } = await rejectionOf(
      virtualTime(function* main() {
        yield* embrace();
      }),
      DeadlockError,
    );
    expect(waits).toContainEqual({ taskName: "task first (#2)", waitsFor: "the end of task second (#3)" });
    expect(waits.map(({ taskName }) => taskName)).toEqual(["task main (#1)", "task first (#2)", "task second (#3)"]);
    expect(message).toMatch(/task first \(#2\): .* waits for the end of task second \(#3\)/);
    expect(message).toMatch(/task second \(#3\): .* waits for the end of task first \(#2\)/);
    expect(message).toContain("settled()");
  });

  test("is found when the clock has nothing left to jump to, and not before", async () => {
    const world = new VirtualWorld();
    const running = world.run(function* () {
      yield* spawn(() => sleep(1_000));
      yield* embrace();
    });
    await rejectionOf(running, DeadlockError);
    expect(world.nowMs).toBe(1_000);
  });

  test("lets the tasks clean up, in virtual time, before the run rejects", async () => {
    const log: string[] = [];
    const world = new VirtualWorld();
    const running = world.run(function* () {
      try {
        yield* sleep(Infinity);
      } finally {
        yield* sleep(20);
        log.push(`cleaned up at ${world.nowMs}`);
      }
    });
    await rejectionOf(running, DeadlockError);
    expect(log).toEqual(["cleaned up at 20"]);
  });

  test("comes out together with the error of the clean-up", async () => {
    const error = await rejectionOf(
      virtualTime(function* () {
        try {
          yield* sleep(Infinity);
        } finally {
          throwError("from the clean-up");
        }
      }),
      SuppressedError,
    );
    expect(error.error).toHaveProperty("message", "from the clean-up");
    expect(error.suppressed).toBeInstanceOf(DeadlockError);
    expect(error.message).toContain("from the clean-up");
    expect(error.message).toContain("every task waits");
  });

  test("of a child comes out although the main task has returned", async () => {
    const running = virtualTime(function* () {
      yield* spawn(() => sleep(Infinity));
      return "returned";
    });
    await rejectionOf(running, DeadlockError);
  });

  test("comes out although a shield keeps the task from being cancelled", async () => {
    const running = virtualTime(() => shield(sleep(Infinity)));
    await rejectionOf(running, DeadlockError);
  });

  test("of one run is none while another run goes on", async () => {
    const world = new VirtualWorld();
    const blocked = world.run(function* () {
      yield* sleep(Infinity);
    });
    const working = world.run(function* () {
      yield* sleep(500);
      return "done";
    });
    expect(await working).toBe("done");
    await rejectionOf(blocked, DeadlockError);
    expect(world.nowMs).toBe(500);
  });

  test("leaves the world in order for the next run", async () => {
    const world = new VirtualWorld();
    await rejectionOf(
      world.run(() => sleep(Infinity)),
      DeadlockError,
    );
    expect(await world.run(() => sleep(3))).toBeUndefined();
    expect(world.nowMs).toBe(3);
  });
});

describe("a run that somebody outside could resume", () => {
  test("goes on when the test declares a descriptor ready", async () => {
    const world = new VirtualWorld();
    const source = new Source(7, Delivery.EDGE, { label: "descriptor 7" });
    const running = world.run(() => ready(source, Interest.READABLE));
    await world.settled();
    expect(world.driver.watched).toEqual([source]);
    world.driver.declareReady(7, Readiness.READABLE);
    expect(await running).toBe(Readiness.READABLE);
  });

  test.each([
    ["a descriptor", "nobody has declared ready", () => ready(newSource(), Interest.READABLE)],
    ["the host", "from the host does not come", () => promise(new Promise(() => {}))],
  ] as const)("and that waits for %s in vain ends when patience does", async (_, words, wait) => {
    const running = virtualTime(() => wait() as Operation<unknown>, { patienceMs: 1 });
    const { message } = await rejectionOf(running, StalledError);
    expect(message).toContain("nothing has happened for 1 ms of real time (patienceMs)");
    expect(message).toContain(words);
    expect(message).toMatch(/task #1: .* waits for /);
  });

  test("and holds the clock in vain is told of the option that lets it go", async () => {
    const running = virtualTime(
      function* () {
        yield* spawn(() => sleep(1));
        yield* promise(new Promise(() => {}));
      },
      { patienceMs: 1 },
    );
    expect((await rejectionOf(running, StalledError)).message).toContain("{ waitsForHost: false }");
  });

  test("is waited for without end if patience has none", async () => {
    const world = new VirtualWorld({ patienceMs: Infinity });
    const gate = Promise.withResolvers<string>();
    const running = world.run(() => promise(gate.promise));
    await afterHostTurns(50);
    gate.resolve("opened");
    expect(await running).toBe("opened");
  });

  test("leaves no timer of its patience behind when it ends", async () => {
    const end = await runScript(`
      import { promise } from "./src/index.ts";
      import { VirtualWorld } from "./src/test.ts";
      const world = new VirtualWorld({ patienceMs: 1_000_000 });
      const gate = Promise.withResolvers();
      const running = world.run(() => promise(gate.promise));
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      gate.resolve();
      await running;
      console.log("ended");
    `);
    expect(end).toMatchObject({ stdout: "ended\n", exitCode: 0, wasKilled: false });
  });
});

describe("a run that repeats something for ever", () => {
  test("ends when the clock has jumped often enough", async () => {
    const world = new VirtualWorld({ mostJumps: 100 });
    const running = world.run(function* main() {
      for (;;) yield* sleep(10);
    });
    const { message } = await rejectionOf(running, StalledError);
    expect(message).toContain("the clock has jumped 100 times (mostJumps), to 1000 ms");
    expect(message).toMatch(/task main \(#1\): .* waits for a deadline/);
  });

  test("is not taken for one that ended, although a shield let it return", async () => {
    const world = new VirtualWorld({ mostJumps: 5 });
    const running = world.run(function* () {
      yield* shield(function* () {
        for (let count = 0; count < 10; count++) yield* sleep(1);
      });
      return "returned";
    });
    await rejectionOf(running, StalledError);
  });

  test("gets all its jumps, whatever an earlier run has used", async () => {
    const world = new VirtualWorld({ mostJumps: 10 });
    for (let round = 0; round < 5; round++) {
      await world.run(function* () {
        for (let count = 0; count < 9; count++) yield* sleep(1);
      });
    }
    expect(world.nowMs).toBe(45);
  });
});

describe("run", () => {
  test("gives the body the world, and names the task after it", async () => {
    const world = new VirtualWorld();
    let name = "";
    const given = await world.run(function* gardener(its) {
      name = (yield* spawn(function* () {})).name;
      return its;
    });
    expect(given).toBe(world);
    expect(name).toContain("#2");
    const failure = await rejectionOf(
      world.run(function* gardener() {
        yield 5 as never;
      }),
    );
    expect(failure.message).toContain("task gardener (#3)");
  });

  test("takes an operation, and the options of a run", async () => {
    const world = new VirtualWorld();
    expect(await world.run(sleep(5))).toBeUndefined();
    const controller = new AbortController();
    const running = world.run(() => sleep(Infinity), { signal: controller.signal });
    await world.settled();
    controller.abort(new Error("enough"));
    expect((await rejectionOf(running)).message).toBe("enough");
  });

  test("rejects with what the body throws, and refuses what is no task", async () => {
    const error = new RangeError("too far");
    await expect(
      virtualTime(function* () {
        yield* sleep(1);
        throw error;
      }),
    ).rejects.toBe(error);
    const { message } = await rejectionOf(virtualTime((async () => {}) as never), TypeError);
    expect(message).toContain("async function");
  });

  test("lets tasks outside any run wait for ever", async () => {
    const world = new VirtualWorld();
    const task = world.executor.spawn(() => sleep(Infinity));
    const sleeper = world.executor.spawn(() => sleep(10));
    await world.settled();
    await afterHostTurns(20);
    expect([task.state, sleeper.state]).toEqual(["suspended", "completed"]);
    task.cancel();
    await world.settled();
    expect(task.state).toBe("cancelled");
  });
});

describe("the options of a virtual world", () => {
  test.each([-1, 1.5, 2 ** 32, "7"])("refuse the seed %p", (seed) => {
    expect(thrownBy(() => new VirtualWorld({ seed: seed as number }), RangeError).message).toStartWith(
      "VirtualWorld: seed must be an integer from 0 to 4294967295",
    );
  });

  test("refuse a patience and a number of jumps that are none", () => {
    expect(thrownBy(() => new VirtualWorld({ patienceMs: -1 }), RangeError).message).toContain("patienceMs");
    expect(thrownBy(() => new VirtualWorld({ mostJumps: 0 }), RangeError).message).toContain("mostJumps");
  });

  test("give the driver's system to the tasks; without one they are told", async () => {
    const system = {
      parseAddress: (host: string) => ({ host, family: "IPv4" }),
      createSocket: (family: string) => throwError(`no socket for ${family}`),
    };
    const driver = (): VirtualDriver => new VirtualDriver({ system: system as never });
    const call = (): Operation<unknown> => connect({ host: "192.0.2.7", port: 9 });
    expect((await rejectionOf(virtualTime(call, { driver }))).message).toContain("no socket for IPv4");
    await rejectionOf(virtualTime(call), UnsupportedError);
  });
});

function newSource(): Source {
  return new Source(9, Delivery.EDGE, { label: "descriptor 9" });
}
