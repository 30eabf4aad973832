import { describe, expect, test } from "bun:test";
import { ClosedError, TimeoutError } from "../../src/core/errors.ts";
import { taskPathOf } from "../../src/core/error-trace.ts";
import { Executor } from "../../src/core/executor.ts";
import { Interest } from "../../src/core/interest.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { park, promise, type Resumption } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery, Source } from "../../src/core/source.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { timeout } from "../../src/core/time-limit.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

function* failAfter(durationMs: number, error: unknown): Operation<never> {
  yield* sleep(durationMs);
  throw error;
}

function* explode(): Operation<never> {
  yield* sleep(1);
  throw new Error("broken");
}

/** The lines of an error's stack that name tasks. */
function taskLines({ stack = "" }: Error): string[] {
  return stack.split("\n").filter((line) => /^ +(in|of) task /.test(line));
}

describe("an error's path", () => {
  test("names the task in which it came up and those around it, and so does its stack", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* scope(function* () {
          yield* spawn(function* server() {
            yield* spawn(function* connection() {
              yield* explode();
            });
          });
        });
      }),
    );
    const path = ["task connection (#3)", "task server (#2)", "task main (#1)"];
    expect(taskPathOf(error)).toEqual(path);
    expect(taskLines(error)).toEqual([
      "    in task connection (#3)",
      "    of task server (#2)",
      "    of task main (#1)",
    ]);
    expect(error.stack).toContain("at explode (");
  });

  test("is shown when the error is printed", async () => {
    const error = await rejectionOf(
      runVirtually(() => spawn(() => failAfter(1, new Error("broken")), { name: "child" })),
    );
    expect(Bun.inspect(error)).toContain("task child (#2) of task #1");
  });

  test("is that of the innermost task, however many tasks pass the error on", async () => {
    const failure = new Error("broken");
    const error = await rejectionOf(
      runVirtually(function* main() {
        const inner = yield* spawn(() => failAfter(1, failure), { name: "inner" });
        const joiner = yield* spawn(() => join(inner), { name: "joiner" });
        yield* join(joiner);
      }),
    );
    expect(error).toBe(failure);
    expect(taskPathOf(error)).toEqual(["task inner (#2)", "task main (#1)"]);
    expect(taskLines(error)).toHaveLength(2);
  });

  test("is the main task's own if it came up there, in a scope or in a limit of it", async () => {
    for (const body of [
      () => failAfter(1, new Error("broken")),
      () => scope(() => failAfter(1, new Error("broken"))),
      () => timeout(10, () => failAfter(1, new Error("broken"))),
      () => timeout(1, () => sleep(5)),
    ]) {
      const error = await rejectionOf(
        runVirtually(function* main() {
          yield* body();
        }),
      );
      expect(taskPathOf(error)).toEqual(["task main (#1)"]);
      expect(taskLines(error)).toEqual(["    in task main (#1)"]);
    }
  });

  test("of several errors is that of the task whose scope made them one; each of them has its own", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* group() {
          for (const name of ["a", "b"]) yield* spawn(() => failAfter(1, new Error(name)), { name });
        });
      }),
      AggregateError,
    );
    expect(taskPathOf(error)).toEqual(["task group (#2)", "task main (#1)"]);
    expect(error.errors.map((each: Error) => taskPathOf(each)[0])).toEqual(["task a (#3)", "task b (#4)"]);
  });

  test("is empty of what came up in no task, and of what cannot have one", () => {
    for (const value of [new Error("of the host"), undefined, null, 0, "text", Symbol("symbol"), {}])
      expect(taskPathOf(value)).toEqual([]);
  });

  test("is kept of any object that is thrown, and nothing is lost of what else is", async () => {
    const thrown = { code: "E_PLAIN" };
    let seen: unknown;
    await runVirtually(function* main() {
      for (const value of [thrown, undefined, "text"]) {
        try {
          yield* scope(() => spawn(() => failAfter(1, value), { name: "child" }));
        } catch (error) {
          expect(error).toBe(value);
          seen ??= error;
        }
      }
    });
    expect(taskPathOf(seen)).toEqual(["task child (#2)", "task main (#1)"]);
    expect(Object.keys(thrown)).toEqual(["code"]);
  });

  test("is kept apart from an error that cannot be changed", async () => {
    const frozen = Object.freeze(new Error("frozen"));
    const ownStack = Object.defineProperty(new Error("own stack"), "stack", { get: () => "a stack of its own making" });
    const noStack = Object.defineProperty(new Error("no stack"), "stack", { value: undefined });
    for (const failure of [frozen, ownStack, noStack]) {
      const stack = failure.stack;
      const error = await rejectionOf(runVirtually(() => failAfter(1, failure)));
      expect(error).toBe(failure);
      expect(error.stack).toBe(stack as string);
      expect(taskPathOf(error)).toEqual(["task #1"]);
    }
  });

  test("ends after 32 tasks, where nobody reads on", async () => {
    const chain = function* (length: number): Operation<void> {
      if (length === 0) yield* failAfter(1, new Error("at the bottom"));
      else yield* spawn(() => chain(length - 1));
    };
    const path = taskPathOf(await rejectionOf(runVirtually(() => chain(50))));
    expect(path).toHaveLength(33);
    expect(path.at(0)).toBe("task #51");
    expect(path.at(-1)).toBe("more tasks");
  });

  test("does not keep the tasks from being told apart when an error is thrown again in another run", async () => {
    const failure = new Error("thrown twice");
    const first = await rejectionOf(runVirtually(() => failAfter(1, failure)));
    const second = await rejectionOf(
      runVirtually(function* again() {
        yield* failAfter(1, failure);
      }),
    );
    expect(second).toBe(first);
    expect(taskPathOf(second)).toEqual(["task #1"]);
  });

  test("is there in what blockOn throws", () => {
    const error = thrownBy(() =>
      new Executor(new VirtualDriver()).blockOn(function* main() {
        yield* failAfter(1, new Error("broken"));
      }),
    );
    expect(taskPathOf(error)).toEqual(["task main (#1)"]);
  });
});

describe("an error that is thrown into a task from outside", () => {
  /** Waits in nested generators, so that their frames can be told. */
  function* outermost(wait: () => Operation<unknown>): Operation<void> {
    yield* middle(wait);
  }
  function* middle(wait: () => Operation<unknown>): Operation<void> {
    yield* wait();
  }

  const frames = ["middle", "outermost"];

  test.each<[string, () => Operation<unknown>]>([
    ["a promise that rejects", () => promise(Promise.reject(new Error("from outside")))],
    ["a callback", () => park<void>(({ fail }) => void queueMicrotask(() => fail(new Error("from outside"))))],
    [
      "another task's end",
      function* () {
        yield* join(yield* spawn(() => failAfter(1, new Error("from outside"))));
      },
    ],
    [
      "the arming itself",
      () =>
        park<void>(() => {
          throw new Error("from outside");
        }),
    ],
  ])("shows where the task waited: for %s", async (_, wait) => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* outermost(wait);
      }),
    );
    const { stack = "" } = error;
    expect(stack).toContain("thrown into a task that waited:");
    const lines = stack.slice(stack.indexOf("thrown into")).split("\n");
    expect(lines.flatMap((line) => frames.filter((name) => line.includes(`at ${name} (`)))).toEqual(frames);
    for (const line of lines) expect(line).not.toMatch(/core\/(task|region|unwinding|executor)\.ts/);
    expect(lines.filter((line) => line.includes("error-trace.test.ts")).length).toBeGreaterThan(2);
  });

  test("shows so through limits and scopes, and in a clean-up", async () => {
    const failing = (): Operation<unknown> => promise(Promise.reject(new Error("from outside")));
    const nested = await rejectionOf(
      runVirtually(function* main() {
        yield* timeout(10, () => scope(() => outermost(failing)));
      }),
    );
    expect(nested.stack).toMatch(/thrown into a task that waited:\n +at middle/);
    const inCleanup = await rejectionOf(
      runVirtually(function* main() {
        const task = yield* spawn(function* () {
          try {
            yield* sleep(1_000);
          } finally {
            yield* outermost(failing);
          }
        });
        yield* sleep(1);
        yield* cancel(task);
      }),
    );
    expect(inCleanup.stack).toMatch(/thrown into a task that waited:\n +at middle/);
  });

  test("shows so once for each place, when one error is thrown into several tasks", async () => {
    let fail: ((error: unknown) => void)[] = [];
    const wait = (): Operation<void> => park<void>((resumption: Resumption<void>) => void fail.push(resumption.fail));
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* scope(function* () {
          for (let count = 0; count < 3; count++) yield* spawn(() => outermost(wait));
          yield* sleep(1);
          const failure = new Error("from outside");
          for (const failOne of fail) failOne(failure);
          fail = [];
        });
      }),
    );
    expect(error.message).toBe("from outside");
    expect(error.stack!.match(/thrown into a task that waited/g)).toHaveLength(1);
  });

  test("keeps the stack with which it came", async () => {
    const failure = new Error("from outside");
    const stack = failure.stack!;
    const error = await rejectionOf(runVirtually(() => outermost(() => promise(Promise.reject(failure)))));
    expect(error.stack).toStartWith(`${stack}\n    thrown into a task that waited:\n    at middle`);
    expect(error.stack).toEndWith("    in task #1");
  });

  test("may be that of a source that was closed", async () => {
    const source = new Source(7, Delivery.EDGE, { label: "the serial port" });
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* spawn(function* () {
          yield* sleep(1);
          source.close();
        });
        yield* outermost(() => ready(source, Interest.READABLE));
      }),
      ClosedError,
    );
    expect(error.stack).toMatch(/thrown into a task that waited:\n +at middle/);
  });

  test("may be no Error, and is passed on as it is", async () => {
    for (const value of ["text", undefined, { code: 1 }]) {
      const promised = runVirtually(() => outermost(() => promise(Promise.reject(value))));
      expect(
        await promised.then(
          () => "fulfilled",
          (error: unknown) => error,
        ),
      ).toBe(value);
    }
  });
});

describe("the error of a limit", () => {
  test("has the frames of the operation that was limited, not of the clock that ended it", async () => {
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* (function* fetchGreeting(): Operation<void> {
          yield* timeout(10, () => sleep(1_000));
        })();
      }),
      TimeoutError,
    );
    expect(error.stack).toContain("fetchGreeting");
    expect(error.stack).not.toContain("timers.ts");
  });
});

describe("an error of a stack that overflowed", () => {
  test("has the original one as its cause, and the path", async () => {
    const dive = function* (): Operation<void> {
      yield* dive();
    };
    const error = await rejectionOf(
      runVirtually(function* main() {
        yield* dive();
      }),
      RangeError,
    );
    expect(error.name).toBe("NestingError");
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(taskPathOf(error)).toEqual(["task main (#1)"]);
  });
});
