import { describe, expect, test } from "bun:test";
import { CleanupTimeoutError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { disposeOperation, type OperationDisposable, use } from "../../src/flow/use.ts";
import { virtualTime, VirtualWorld } from "../../src/testing/virtual-world.ts";
import { rejectionOf } from "../support/failure.ts";

/** A connection whose end takes a farewell. */
class Connection implements OperationDisposable {
  readonly log: string[] = [];

  constructor(
    private readonly farewellMs = 2,
    private readonly error?: Error,
  ) {}

  *[disposeOperation](): Operation<void> {
    this.log.push("says goodbye");
    yield* sleep(this.farewellMs);
    if (this.error !== undefined) throw this.error;
    this.log.push("is closed");
  }
}

describe("use", () => {
  test("gives the body the resource, disposes of it by its operation, and returns what the body returned", () =>
    virtualTime(function* (world) {
      const connection = new Connection();
      const value = yield* use(connection, function* (own) {
        own.log.push("is used");
        yield* sleep(1);
        return "a value";
      });
      expect([value, connection.log, world.nowMs]).toEqual(["a value", ["is used", "says goodbye", "is closed"], 3]);
    }));

  test("takes an operation that comes to the resource", () =>
    virtualTime(function* () {
      const log: string[] = [];
      function* open(): Operation<Disposable> {
        yield* sleep(1);
        log.push("opened");
        return { [Symbol.dispose]: () => void log.push("disposed") };
      }
      yield* use(open(), function* () {
        log.push("used");
      });
      expect(log).toEqual(["opened", "used", "disposed"]);
    }));

  test("disposes of what the language disposes of, at once or asynchronously", () =>
    virtualTime(function* () {
      const log: string[] = [];
      yield* use({ [Symbol.dispose]: () => void log.push("dispose") }, () => sleep(1));
      const disposeLater = async (): Promise<void> => {
        await Promise.resolve();
        log.push("asyncDispose");
      };
      yield* use({ [Symbol.asyncDispose]: disposeLater }, () => sleep(1));
      log.push("after");
      expect(log).toEqual(["dispose", "asyncDispose", "after"]);
    }));

  test("prefers its own way to the asynchronous one, and that to the other", () =>
    virtualTime(function* () {
      const log: string[] = [];
      const both = {
        [Symbol.dispose]: () => void log.push("dispose"),
        [Symbol.asyncDispose]: async () => void log.push("asyncDispose"),
      };
      yield* use(both, () => sleep(1));
      const all = {
        ...both,
        *[disposeOperation](): Operation<void> {
          log.push("disposeOperation");
        },
      };
      yield* use(all, () => sleep(1));
      expect(log).toEqual(["asyncDispose", "disposeOperation"]);
    }));

  test("calls the methods on the resource itself", () =>
    virtualTime(function* () {
      class Counter implements Disposable {
        disposals = 0;
        [Symbol.dispose](): void {
          this.disposals++;
        }
      }
      const counter = new Counter();
      yield* use(counter, () => sleep(1));
      expect(counter.disposals).toBe(1);
    }));

  test("disposes if the body fails, and throws the body's error", async () => {
    const connection = new Connection();
    const error = new Error("broken");
    const running = virtualTime(() =>
      use(connection, function* () {
        throw error;
      }),
    );
    expect(await rejectionOf(running)).toBe(error);
    expect(connection.log.at(-1)).toBe("is closed");
  });

  test("throws what the disposal threw, and both if the body had failed before", async () => {
    const disposalError = new Error("cannot be closed");
    const alone = virtualTime(() => use(new Connection(1, disposalError), () => sleep(1)));
    expect(await rejectionOf(alone)).toBe(disposalError);

    const error = new Error("broken");
    const both = virtualTime(() =>
      use(new Connection(1, disposalError), function* () {
        throw error;
      }),
    );
    const suppressed = await rejectionOf(both, SuppressedError);
    expect([suppressed.error, suppressed.suppressed]).toEqual([disposalError, error]);
  });

  test("throws both if an asynchronous disposal rejects, or does not even give a promise", async () => {
    const rejection = new Error("rejected");
    const rejecting = { [Symbol.asyncDispose]: () => Promise.reject(rejection) };
    expect(await rejectionOf(virtualTime(() => use(rejecting, () => sleep(1))))).toBe(rejection);
    const careless = { [Symbol.asyncDispose]: () => undefined as unknown as Promise<void> };
    await virtualTime(() => use(careless, () => sleep(1)));
  });

  test("disposes, and waits for that, if its task is cancelled", () =>
    virtualTime(function* (world) {
      const connection = new Connection();
      const task = yield* spawn(() => use(connection, () => sleep(1000)));
      yield* sleep(1);
      yield* cancel(task);
      expect([connection.log.at(-1), world.nowMs, task.state]).toEqual(["is closed", 3, "cancelled"]);
    }));

  test("waits for the disposal even if its task is cancelled in the middle of it, and is cancelled afterwards", () =>
    virtualTime(function* (world) {
      const connection = new Connection(5);
      let value: unknown;
      const task = yield* spawn(function* () {
        value = yield* use(connection, function* () {
          return "a value";
        });
        yield* sleep(1);
        value = "not reached";
      });
      yield* sleep(1);
      yield* cancel(task);
      expect([connection.log.at(-1), value, world.nowMs]).toEqual(["is closed", "a value", 5]);
    }));

  test("disposes of nested resources from the inside out, when a limit of time ends them", () =>
    virtualTime(function* (world) {
      const log: string[] = [];
      const resource = (name: string): OperationDisposable => ({
        *[disposeOperation]() {
          yield* sleep(1);
          log.push(name);
        },
      });
      yield* moveOnAfter(3, () => use(resource("outer"), () => use(resource("inner"), () => sleep(9))));
      expect([log, world.nowMs]).toEqual([["inner", "outer"], 5]);
    }));

  test("does not wait longer for the disposal of a cancelled task than its grace period", async () => {
    const world = new VirtualWorld();
    const running = world.run(
      function* () {
        const task = yield* spawn(() => use(new Connection(1000), () => sleep(1000)));
        yield* sleep(1);
        yield* cancel(task);
      },
      { cleanupMs: 50 },
    );
    await rejectionOf(running, CleanupTimeoutError);
    expect(world.nowMs).toBe(51);
  });

  test("has nothing to dispose of if it is cancelled before the resource is there", () =>
    virtualTime(function* () {
      let isOpen = false;
      function* open(): Operation<Disposable> {
        yield* sleep(10);
        isOpen = true;
        return { [Symbol.dispose]: () => {} };
      }
      const task = yield* spawn(() => use(open(), () => sleep(1)));
      yield* sleep(1);
      yield* cancel(task);
      expect([isOpen, task.state]).toEqual([false, "cancelled"]);
    }));

  test("refuses what it cannot dispose of, before the body runs", async () => {
    for (const [resource, words] of [
      [{}, "an object"],
      [undefined, "undefined"],
      [new Date(0), "a Date"],
    ] as const) {
      const running = virtualTime(() =>
        use(resource as unknown as Disposable, function* () {
          throw new Error("not reached");
        }),
      );
      expect((await rejectionOf(running, TypeError)).message).toEndWith(`but was given ${words}`);
    }
  });
});
