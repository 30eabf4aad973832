/** A reactor that cannot go on: whoever waits is told why, and the next run has another one. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { ReactorError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { join, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { readable } from "../../src/io/fd.ts";
import { nativeLibrary } from "../../src/native/library.ts";
import { blockOn, run, shutdown } from "../../src/run.ts";
import type { Reactor } from "../../src/reactor/reactor.ts";
import { runScript } from "../support/child.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { EventCounter } from "../support/libc.ts";
import { patient } from "../support/patience.ts";
import { removeFolder } from "../support/temporary.ts";
import { breakEventQueue, internalsOf, TestReactor, untilParked } from "../support/reactors.ts";
import { describeUnless, gap, testUnless } from "../support/platform.ts";

const AN_HOUR_MS = 3_600_000;

/** The reactor that the runs of this thread share. */
function sharedReactor(): Reactor {
  const host = globalThis as unknown as Record<symbol, { readonly reactor: Reactor }>;
  return host[Symbol.for("bun-reactor.runtime")]!.reactor;
}

describeUnless(gap({ win32: "the event queue of win32 cannot be broken from outside" }))(
  "an event queue that fails",
  () => {
    afterEach(shutdown);
    expectNothingLeftBehind();

    test("under the thread ends every wait with a ReactorError, and the next run works again", async () => {
      using wakes = new EventCounter();
      using counter = new EventCounter();
      const errors: unknown[] = [];
      const running = run(function* main() {
        const waits = [() => sleep(AN_HOUR_MS), () => readable(counter.descriptor), () => readable(wakes.descriptor)];
        for (const wait of waits) {
          yield* spawn(function* waiter() {
            for (;;) {
              try {
                yield* wait();
                yield* sleep(AN_HOUR_MS);
              } catch (error) {
                errors.push(error);
                return;
              }
            }
          });
        }
      });
      const broken = sharedReactor();
      await untilParked(broken);
      breakEventQueue(broken);
      wakes.signal();
      await running;
      expect(errors).toHaveLength(3);
      for (const error of errors) {
        expect(error).toBeInstanceOf(ReactorError);
        expect((error as Error).message).toContain("the event queue failed");
        expect((error as Error).message).toContain("EINVAL");
      }
      expect(broken.hasEnded).toBe(true);
      const value = await run(function* () {
        yield* sleep(0.1);
        return "again";
      });
      expect(value).toBe("again");
      expect(sharedReactor()).not.toBe(broken);
      await broken.closed;
    });

    test("under the thread reaches tasks that wait for nothing but deadlines", async () => {
      await using own = new TestReactor();
      const running = own.run(() => sleep(AN_HOUR_MS));
      await own.untilParked();
      breakEventQueue(own.reactor);
      internalsOf(own.reactor).queue.wake();
      await rejectionOf(running, ReactorError);
    });

    test("while the executor polls itself tells the tasks too", async () => {
      using counter = new EventCounter();
      await using own = new TestReactor();
      const error = await rejectionOf(
        own.run(function* main() {
          yield* spawn(function* breaker() {
            breakEventQueue(own.reactor);
          });
          yield* readable(counter.descriptor);
        }),
        ReactorError,
      );
      expect(error.message).toContain("the event queue failed");
    });

    test("comes out of blockOn, for tasks that wait for sources and for deadlines", async () => {
      using counter = new EventCounter();
      const waits: (() => Operation<unknown>)[] = [() => sleep(AN_HOUR_MS), () => readable(counter.descriptor)];
      for (const wait of waits) {
        await using own = new TestReactor();
        const error = thrownBy(
          () =>
            own.executor.blockOn(function* main() {
              const waiter = yield* spawn(wait);
              yield* yieldNow();
              breakEventQueue(own.reactor);
              yield* join(waiter);
            }),
          ReactorError,
        );
        expect(error.message).toContain("the event queue failed");
      }
    });

    test("leaves tasks their clean-up, which may not wait for the reactor any more", async () => {
      await using own = new TestReactor();
      const log: string[] = [];
      const error = await rejectionOf(
        own.run(function* main() {
          try {
            breakEventQueue(own.reactor);
            own.reactor.poll(0);
            yield* sleep(AN_HOUR_MS);
          } finally {
            try {
              yield* sleep(1);
            } catch (caught) {
              log.push((caught as Error).name);
            }
          }
        }),
      );
      expect(error).toBeInstanceOf(ReactorError);
      expect(log).toEqual(["ReactorError"]);
    });
  },
);

describe("shutdown", () => {
  afterEach(shutdown);
  expectNothingLeftBehind();

  test("ends the runs that are still going on with a ClosedError, and everything is gone when it is done", async () => {
    using counter = new EventCounter();
    const waiting = rejectionOf(run(() => readable(counter.descriptor)));
    const sleeping = rejectionOf(run(() => sleep(AN_HOUR_MS)));
    await untilParked(sharedReactor());
    await shutdown();
    expect([(await waiting).name, (await sleeping).name]).toEqual(["ClosedError", "ClosedError"]);
  });

  test("does nothing if there was no run, or the second time", async () => {
    await shutdown();
    await run(() => sleep(0));
    await shutdown();
    await shutdown();
  });

  test("may be followed by another run, again and again", async () => {
    for (let round = 0; round < 3; round++) {
      const value = await run(function* () {
        yield* sleep(0.1);
        return round;
      });
      expect(value).toBe(round);
      await shutdown();
    }
  });

  test("right after run, before its thread is up, ends it as well", async () => {
    const sleeping = rejectionOf(run(() => sleep(AN_HOUR_MS)));
    await shutdown();
    expect((await sleeping).name).toBe("ClosedError");
  });

  test("may be asked for by a task, which then ends", async () => {
    const value = await run(function* () {
      yield* sleep(0.1);
      return { shutdown: shutdown(), words: "last words" };
    });
    await value.shutdown;
    expect(value.words).toBe("last words");
  });
});

describe("run on the shared reactor", () => {
  afterEach(shutdown);
  expectNothingLeftBehind();

  test("uses one reactor for all runs of the thread", async () => {
    const first = run(() => sleep(1));
    const reactor = sharedReactor();
    const second = run(() => sleep(1));
    expect(sharedReactor()).toBe(reactor);
    await Promise.all([first, second]);
    await run(() => sleep(0));
    expect(sharedReactor()).toBe(reactor);
  });

  test.each([-1, Number.NaN, "50", null, 1001, Infinity])(
    "refuses a linger of %p, and names the option",
    async (lingerUs) => {
      const error = await rejectionOf(
        run(() => sleep(0), { lingerUs: lingerUs as number }),
        RangeError,
      );
      expect(error.message).toContain("lingerUs");
      expect(error.message).not.toContain("milliseconds");
    },
  );

  test("leaves the host its turns, with the longest linger", async () => {
    const { exitCode, stdout, wasKilled } = await runScript(
      `
      import { run, sleep } from "./src/index.ts";
      void run(() => sleep(3_600_000), { lingerUs: 1000 });
      const { reactor } = globalThis[Symbol.for("bun-reactor.runtime")];
      let turns = 0;
      function count() {
        if (reactor.thread?.isUp && ++turns === 20) {
          console.log("the host has had its turns");
          process.exit(0);
        }
        setImmediate(count);
      }
      count();
      `,
      { limitMs: patient(4_000) },
    );
    expect({ exitCode, stdout, wasKilled }).toEqual({
      exitCode: 0,
      stdout: "the host has had its turns\n",
      wasKilled: false,
    });
  });

  test("has a blockOn beside it that refuses promises, which could not settle there", () => {
    const error = thrownBy(() =>
      blockOn(function* impatient() {
        yield* promise(Promise.resolve());
      }),
    );
    expect(error.name).toBe("UnsupportedError");
    expect(error.message).toContain("task impatient (#1)");
  });
});

describe("a native library that the thread cannot load", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(joinPath(tmpdir(), "bun-reactor-test-"));
  });

  afterAll(() => {
    removeFolder(folder);
  });

  testUnless(gap({ win32: "win32 keeps the file of a library that is loaded" }))(
    "reaches every waiting task as a ReactorError that says what to do, and a run works once it is there",
    async () => {
      const original = nativeLibrary().path;
      const copy = joinPath(folder, "library.so");
      copyFileSync(original, copy);
      const { exitCode, stdout, stderr, wasKilled } = await runScript(
        `
      import { copyFileSync, unlinkSync } from "node:fs";
      import { run, sleep, spawn } from "./src/index.ts";
      const waiting = run(function* main() {
        for (const name of ["one", "two"]) {
          yield* spawn(function* () {
            try {
              yield* sleep(3_600_000);
            } catch (error) {
              console.log(name, error.name, error.message);
            }
          });
        }
      });
      unlinkSync(process.env.BUN_REACTOR_LIBRARY);
      await waiting;
      copyFileSync(process.env.ORIGINAL, process.env.BUN_REACTOR_LIBRARY);
      await run(() => sleep(0.1));
      console.log("works again");
      `,
        { environment: { BUN_REACTOR_LIBRARY: copy, ORIGINAL: original } },
      );
      expect({ exitCode, stderr, wasKilled }).toEqual({ exitCode: 0, stderr: "", wasKilled: false });
      const lines = stdout.trim().split("\n");
      expect(lines).toHaveLength(3);
      for (const [index, name] of ["one", "two"].entries()) {
        expect(lines[index]).toStartWith(`${name} ReactorError the reactor thread failed`);
        expect(lines[index]).toContain(copy);
        expect(lines[index]).toContain("does not exist");
        expect(lines[index]).toContain("bun run build");
      }
      expect(lines[2]).toBe("works again");
    },
  );
});

test("a thread that cannot be started is told to who waits, and the next run tries again", async () => {
  const { exitCode, stdout, stderr } = await runScript(`
    import { run, sleep } from "./src/index.ts";
    const threads = process.getBuiltinModule("node:worker_threads");
    const { Worker } = threads;
    threads.Worker = class { constructor() { throw new Error("no threads left"); } };
    await run(() => sleep(3_600_000)).catch(({ name, message }) => console.log(name + ": " + message));
    threads.Worker = Worker;
    await run(() => sleep(0.1));
    console.log("works again");
  `);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).toBe("ReactorError: the reactor thread could not be started: Error: no threads left\nworks again\n");
});
