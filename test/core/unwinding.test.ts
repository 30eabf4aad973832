import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park } from "../../src/core/park.ts";
import type { SuspendRequest } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { throwError } from "../support/failure.ts";
import { settled } from "../support/settled.ts";
import { effort } from "../support/effort.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Runs a task, cancels it while it waits, and returns what it was when it had ended. */
function cancelled(body: TaskBody<unknown>): Promise<{ state: string; error: unknown }> {
  return runVirtually(function* main() {
    const task = yield* spawn(body);
    yield* sleep(1);
    try {
      yield* cancel(task);
    } catch (error) {
      return { state: task.state, error };
    }
    return { state: task.state, error: null };
  });
}

const PRISTINE_RETURN: unknown = Reflect.get(Object.getPrototypeOf(function* () {}).prototype as object, "return");

describe("the clean-up of a chain of generators", () => {
  test("runs every finally once, from the inside out, however often each of them suspends", async () => {
    const levels = fc.array(fc.record({ suspensions: fc.nat(3), hasFinally: fc.boolean() }), {
      minLength: 1,
      maxLength: 12,
    });
    const extraCancels = fc.array(fc.nat(5), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(levels, extraCancels, async (chain, cancels) => {
        const log: string[] = [];
        const descend = function* (level: number): Operation<string> {
          const here = chain[level];
          if (here === undefined) return yield* park<never>(() => {});
          if (!here.hasFinally) {
            const value = yield* descend(level + 1);
            log.push(`${level} goes on as if nothing had happened`);
            return value;
          }
          try {
            const value = yield* descend(level + 1);
            log.push(`${level} goes on as if nothing had happened`);
            return value;
          } finally {
            for (let count = 0; count < here.suspensions; count++) {
              log.push(`${level} tidies ${count}`);
              if (count % 2 === 0) yield* sleep(1);
              else yield* yieldNow();
            }
            log.push(`${level} is tidy`);
          }
        };
        const state = await runVirtually(function* main() {
          const task = yield* spawn(() => descend(0));
          yield* yieldNow();
          task.cancel();
          for (const turns of cancels) {
            for (let turn = 0; turn < turns; turn++) yield* yieldNow();
            task.cancel();
          }
          yield* cancel(task);
          return task.state;
        });
        const expected = [...chain.entries()].reverse().flatMap(([level, { hasFinally, suspensions }]) => {
          if (!hasFinally) return [];
          const steps = Array.from({ length: suspensions }, (_, count) => `${level} tidies ${count}`);
          return [...steps, `${level} is tidy`];
        });
        expect(log).toEqual(expected);
        expect(state).toBe("cancelled");
      }),
      { numRuns: effort(200) },
    );
  });

  test("throws the error of an inner finally that has suspended into the next one outward, whose catch may see it", async () => {
    const log: string[] = [];
    const inner = function* (): Operation<void> {
      try {
        yield* sleep(1000);
      } finally {
        yield* sleep(1);
        throwError("cannot tidy up");
      }
    };
    const { state } = await cancelled(function* outer() {
      try {
        yield* inner();
        log.push("not reached");
      } catch (error) {
        log.push((error as Error).message);
      } finally {
        yield* sleep(1);
        log.push("outer is tidy");
      }
    });
    expect(log).toEqual(["cannot tidy up", "outer is tidy"]);
    expect(state).toBe("cancelled");
  });

  test("lets the error of an inner finally that nobody catches come out, after the outer ones have run", async () => {
    const log: string[] = [];
    const inner = function* (): Operation<void> {
      try {
        yield* sleep(1000);
      } finally {
        yield* sleep(1);
        throwError("cannot tidy up");
      }
    };
    const { state, error } = await cancelled(function* outer() {
      try {
        yield* inner();
      } finally {
        yield* sleep(1);
        log.push("outer is tidy");
      }
    });
    expect(state).toBe("failed");
    expect((error as Error).message).toBe("cannot tidy up");
    expect(log).toEqual(["outer is tidy"]);
  });

  test("delivers values and errors to the operations within it", async () => {
    const log: unknown[] = [];
    await cancelled(function* outer() {
      try {
        yield* (function* inner(): Operation<void> {
          try {
            yield* sleep(1000);
          } finally {
            log.push(yield* park<string>(({ succeed }) => void queueMicrotask(() => succeed("a value"))));
            try {
              yield* park<void>(({ fail }) => void queueMicrotask(() => fail(new Error("an error"))));
            } catch (error) {
              log.push((error as Error).message);
            }
            const child = yield* spawn(function* () {
              yield* sleep(1);
              return "a child's value";
            });
            log.push(yield* join(child));
          }
        })();
      } finally {
        log.push(yield* park<string>(({ succeed }) => succeed("at once")));
      }
    });
    expect(log).toEqual(["a value", "an error", "a child's value", "at once"]);
  });

  test("reaches through a generator in the finally of another", async () => {
    const log: string[] = [];
    const close = function* (name: string): Operation<void> {
      try {
        yield* sleep(1);
        log.push(`${name} flushed`);
      } finally {
        yield* sleep(1);
        log.push(`${name} closed`);
      }
    };
    await cancelled(function* outer() {
      try {
        try {
          yield* sleep(1000);
        } finally {
          yield* close("file");
        }
        log.push("not reached");
      } finally {
        yield* close("folder");
      }
    });
    expect(log).toEqual(["file flushed", "file closed", "folder flushed", "folder closed"]);
  });

  test("works with an iterator in the chain that is no generator", async () => {
    const log: string[] = [];
    const wrapped = function (): Operation<void> {
      const generator = (function* (): Generator<SuspendRequest, void, unknown> {
        try {
          yield* sleep(1000);
        } finally {
          yield* sleep(1);
          log.push("wrapped is tidy");
        }
      })();
      return {
        [Symbol.iterator]: () => ({
          next: (answer) => generator.next(answer),
          throw: (error) => generator.throw(error),
          return: () => generator.return(),
        }),
      };
    };
    const { state } = await cancelled(function* outer() {
      try {
        yield* wrapped();
        log.push("not reached");
      } finally {
        yield* sleep(1);
        log.push("outer is tidy");
      }
    });
    expect(log).toEqual(["wrapped is tidy", "outer is tidy"]);
    expect(state).toBe("cancelled");
  });

  test("leaves the language as it found it", async () => {
    await cancelled(function* () {
      try {
        yield* sleep(1000);
      } finally {
        yield* sleep(1);
      }
    });
    await cancelled(function* () {
      try {
        yield* sleep(1000);
      } finally {
        JSON.parse("no JSON");
      }
    });
    const prototype = Object.getPrototypeOf(function* () {}).prototype as object;
    expect(Reflect.get(prototype, "return")).toBe(PRISTINE_RETURN);
    // A generator that has nothing to do with tasks, and is ended in a clean-up, ends as ever.
    const ended: string[] = [];
    await cancelled(function* () {
      try {
        yield* sleep(1000);
      } finally {
        for (const value of (function* numbers() {
          try {
            yield 1;
            yield 2;
          } finally {
            ended.push("numbers");
          }
        })()) {
          ended.push(String(value));
          break;
        }
      }
    });
    expect(ended).toEqual(["1", "numbers"]);
  });

  test("goes 1,000 generators deep", async () => {
    let tidied = 0;
    const descend = function* (levels: number): Operation<void> {
      try {
        if (levels > 0) yield* descend(levels - 1);
        else yield* sleep(1000);
      } finally {
        yield* yieldNow();
        tidied++;
      }
    };
    expect((await cancelled(() => descend(1000))).state).toBe("cancelled");
    expect(tidied).toBe(1001);
  });
});
