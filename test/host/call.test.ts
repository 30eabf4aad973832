/** `call`: host code with a signal that tells it to stop. */

import { describe, expect, test } from "bun:test";
import { UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { timeout } from "../../src/core/time-limit.ts";
import { call } from "../../src/host/call.ts";
import { run, shutdown } from "../../src/run.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { listenersOf, runVirtually } from "./virtually.ts";

/** Runs host code in a task and cancels it once it waits; returns the signal that the code was given. */
async function signalOfCancelled(reason: unknown, code: () => Promise<unknown>): Promise<AbortSignal> {
  let given: AbortSignal | undefined;
  await runVirtually(function* main() {
    const child = yield* spawn(() =>
      call((signal) => {
        given = signal;
        return code();
      }),
    );
    yield* sleep(1);
    expect(given!.aborted).toBe(false);
    yield* cancel(child, reason);
  });
  return given!;
}

const never = (): Promise<never> => new Promise(() => {});

describe("call", () => {
  test("returns what the promise of the host code fulfils with", async () => {
    expect(await runVirtually(() => call(async () => 42))).toBe(42);
  });

  test("returns at once what is no promise, ahead of tasks that are ready", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        log.push("other");
      });
      log.push(yield* call(() => "value"));
    });
    expect(log).toEqual(["value", "other"]);
  });

  test("throws what the promise rejects with", async () => {
    const error = new Error("rejected");
    expect(await rejectionOf(runVirtually(() => call(() => Promise.reject(error))))).toBe(error);
  });

  test("throws what the host code throws", async () => {
    const error = new Error("thrown");
    const caught = await runVirtually(function* main(): Operation<unknown> {
      try {
        return yield* call((): number => {
          throw error;
        });
      } catch (thrown) {
        return thrown;
      }
    });
    expect(caught).toBe(error);
  });

  test("aborts the signal with the cancel's reason", async () => {
    const reason = new Error("no longer wanted");
    expect((await signalOfCancelled(reason, never)).reason).toBe(reason);
  });

  test("aborts the signal with the platform's AbortError if the cancel gave no reason", async () => {
    const { reason } = await signalOfCancelled(undefined, never);
    expect(reason).toBeInstanceOf(DOMException);
    expect((reason as DOMException).name).toBe("AbortError");
  });

  test("aborts the signal before the finally blocks of the task run, and does not wait for the promise", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        try {
          yield* call((signal) => {
            signal.addEventListener("abort", () => log.push("aborted"), { once: true });
            return never();
          });
        } finally {
          log.push("finally");
        }
      });
      yield* sleep(1);
      yield* cancel(child);
      log.push("cancelled");
    });
    expect(log).toEqual(["aborted", "finally", "cancelled"]);
  });

  test("lets a task that cares wait for the promise in its finally block", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        let settling: Promise<void> | undefined;
        try {
          yield* call((signal) => {
            settling = new Promise((resolve) => {
              const stop = (): NodeJS.Immediate => setImmediate(() => resolve(void log.push("stopped")));
              signal.addEventListener("abort", stop, { once: true });
            });
            return settling;
          });
        } finally {
          yield* promise(settling!);
          log.push("finally");
        }
      });
      yield* sleep(1);
      yield* cancel(child);
    });
    expect(log).toEqual(["stopped", "finally"]);
  });

  test("ignores what the promise comes to after a cancel", async () => {
    const outcomes = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const rejections: unknown[] = [];
    const note = (reason: unknown): void => void rejections.push(reason);
    process.on("unhandledRejection", note);
    try {
      for (const { promise: outcome } of outcomes) await signalOfCancelled(undefined, () => outcome);
      outcomes[0]!.resolve("late");
      outcomes[1]!.reject(new Error("late"));
      for (let turn = 0; turn < 3; turn++) await hostTurn();
    } finally {
      process.off("unhandledRejection", note);
    }
    expect(rejections).toEqual([]);
  });

  test("aborts the signal when a time limit around it is up", async () => {
    let given: AbortSignal | undefined;
    const failure = await rejectionOf(
      runVirtually(() =>
        timeout(5, () =>
          call((signal) => {
            given = signal;
            return never();
          }),
        ),
      ),
    );
    expect(failure.name).toBe("TimeoutError");
    expect(given!.aborted).toBe(true);
  });

  test("leaves the signal alone when the promise has settled", async () => {
    let given: AbortSignal | undefined;
    await runVirtually(function* main() {
      yield* call(async (signal) => void (given = signal));
      yield* sleep(1);
    });
    expect(given!.aborted).toBe(false);
  });

  test("leaves the signal alone while the call is shielded", async () => {
    const outcome = Promise.withResolvers<string>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const child = yield* spawn(function* child() {
        yield* shield(function* shielded() {
          log.push(
            yield* call(async (signal) => {
              const value = await outcome.promise;
              return `${value}, aborted: ${signal.aborted}`;
            }),
          );
        });
      });
      yield* sleep(1);
      child.cancel();
      yield* sleep(1);
      outcome.resolve("done");
    });
    expect(log).toEqual(["done, aborted: false"]);
  });

  test("aborts the signal if the host code cancels its own task", async () => {
    let given: AbortSignal | undefined;
    await runVirtually(function* main() {
      const child = yield* spawn(() =>
        call((signal) => {
          given = signal;
          child.cancel("by itself");
          return never();
        }),
      );
      yield* sleep(1);
      expect(child.state).toBe("cancelled");
    });
    expect(given!.reason).toBe("by itself");
  });

  test("counts as a wait for the host, for as long as it waits", async () => {
    const executor = new Executor(new VirtualDriver());
    await executor.run(function* main() {
      const counts: number[] = [];
      const outcome = Promise.withResolvers<void>();
      const settling = yield* spawn(() => call(() => outcome.promise));
      const cancelled = yield* spawn(() => call(() => never()));
      yield* call(() => counts.push(executor.hostWaitCount));
      yield* sleep(1);
      counts.push(executor.hostWaitCount);
      yield* cancel(cancelled);
      counts.push(executor.hostWaitCount);
      outcome.resolve();
      yield* join(settling);
      counts.push(executor.hostWaitCount);
      expect(counts).toEqual([1, 2, 1, 0]);
    });
  });

  test("refuses to begin in blockOn, where no promise could settle", () => {
    let hasBegun = false;
    const error = thrownBy(
      () =>
        new Executor(new VirtualDriver()).blockOn(() =>
          call(() => {
            hasBegun = true;
          }),
        ),
      UnsupportedError,
    );
    expect(error.message).toContain("inside blockOn");
    expect(hasBegun).toBe(false);
  });

  test("refuses what is no function, and says what it was given", () => {
    expect(() => call(Promise.resolve(1) as never)).toThrow("call() takes a function, but was given a Promise");
  });

  test("says what its task waits for", async () => {
    const waits = await runVirtually(function* main() {
      const named = yield* spawn(() =>
        call(function lookUp() {
          return never();
        }),
      );
      const unnamed = yield* spawn(() => call(() => never()));
      yield* sleep(1);
      const words = [named.waitsFor, unnamed.waitsFor];
      named.cancel();
      unnamed.cancel();
      return words;
    });
    expect(waits).toEqual(["the call of lookUp", "a call"]);
  });
});

test("a cancelled call of fetch breaks the request off, and leaves no listener at the signal", async () => {
  const arrived = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const given: AbortSignal[] = [];
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      request.signal.addEventListener("abort", () => gone.resolve(), { once: true });
      arrived.resolve();
      await gone.promise;
      return new Response();
    },
  });
  await run(function* main() {
    const child = yield* spawn(() =>
      call((signal) => {
        given.push(signal);
        return fetch(server.url, { signal });
      }),
    );
    yield* promise(arrived.promise);
    yield* cancel(child);
    yield* promise(gone.promise);
  });
  expect(given[0]!.aborted).toBe(true);
  expect(listenersOf(given[0]!)).toBe(0);
  await shutdown();
});
