/** `toAsyncIterable`: a task that produces items for the host's `for await`. */

import { describe, expect, test } from "bun:test";
import { ClosedError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { spawn } from "../../src/core/task-operations.ts";
import { asyncIterableOf } from "../../src/host/async-iterable.ts";
import { Iteration } from "../../src/host/iteration.ts";
import type { Emit, Producer } from "../../src/host/producer.ts";
import { Channel } from "../../src/sync/channel.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { rejectionOf, throwError } from "../support/failure.ts";
import { listenersOf, virtualRunner } from "./virtually.ts";

const run = virtualRunner();

const iterable = <T>(producer: Producer<T>, signal?: AbortSignal): AsyncIterable<T, undefined, undefined> =>
  asyncIterableOf(run, producer, { signal });

/** Items that a test can look at the life of. */
class Source {
  readonly log: string[] = [];

  *produce(emit: Emit<number>): Operation<void> {
    this.log.push("begin");
    try {
      for (let item = 1; ; item++) {
        this.log.push(`make ${item}`);
        yield* emit(item);
      }
    } finally {
      yield* sleep(1);
      this.log.push("cleaned up");
    }
  }
}

function* upTo(end: number, emit: Emit<number>): Operation<void> {
  for (let item = 1; item <= end; item++) yield* emit(item);
}

/** A subscription to items that are there already. */
function subscriptionTo<T>(items: T[], log: string[] = []) {
  return {
    *next(): Operation<IteratorResult<T, void>> {
      yield* sleep(1);
      return items.length === 0 ? { done: true, value: undefined } : { done: false, value: items.shift()! };
    },
    close: () => void log.push("closed"),
  };
}

describe("an async iterable of a task", () => {
  test("gives the items that the task emits, and ends when the task does", async () => {
    expect(await Array.fromAsync(iterable<number>((emit) => upTo(3, emit)))).toEqual([1, 2, 3]);
  });

  test("gives the items after waits of the task", async () => {
    const items = iterable<string>(function* produce(emit) {
      for (const item of ["a", "b"]) {
        yield* sleep(1);
        yield* emit(item);
      }
    });
    expect(await Array.fromAsync(items)).toEqual(["a", "b"]);
  });

  test("starts a task of its own for each iteration, when its first item is asked for", async () => {
    const source = new Source();
    const items = iterable<number>((emit) => source.produce(emit));
    const first = items[Symbol.asyncIterator]();
    const second = items[Symbol.asyncIterator]();
    await hostTurn();
    expect(source.log).toEqual([]);
    expect([await first.next(), await second.next(), await first.next()].map(({ value }) => value)).toEqual([1, 1, 2]);
    await first.return!();
    await second.return!();
    expect(source.log.filter((line) => line === "begin")).toHaveLength(2);
  });

  test("makes no item before it is asked for", async () => {
    const source = new Source();
    const iterator = iterable<number>((emit) => source.produce(emit))[Symbol.asyncIterator]();
    await iterator.next();
    await hostTurn();
    expect(source.log).toEqual(["begin", "make 1"]);
    await iterator.next();
    expect(source.log).toEqual(["begin", "make 1", "make 2"]);
    await iterator.return!();
  });

  test("answers items that were asked for at once in order, and the end after them", async () => {
    const iterator = iterable<number>((emit) => upTo(2, emit))[Symbol.asyncIterator]();
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
    expect(results.map(({ value }) => value)).toEqual([1, 2, undefined, undefined]);
    expect(results.map(({ done }) => done)).toEqual([false, false, true, true]);
  });

  test("cancels the task at an early break, and awaits its clean-up", async () => {
    const source = new Source();
    for await (const item of iterable<number>((emit) => source.produce(emit))) {
      if (item === 2) break;
    }
    expect(source.log).toEqual(["begin", "make 1", "make 2", "cleaned up"]);
  });

  test("cancels the task when the loop's body throws, and the error comes out of the loop", async () => {
    const source = new Source();
    const loop = async (): Promise<void> => {
      for await (const _item of iterable<number>((emit) => source.produce(emit))) throwError("of the loop");
    };
    expect((await rejectionOf(loop())).message).toBe("of the loop");
    expect(source.log.at(-1)).toBe("cleaned up");
  });

  test("lets what the task throws come out of next, once, and then is at its end", async () => {
    const error = new Error("of the task");
    const iterator = iterable<number>(function* produce(emit) {
      yield* emit(1);
      throw error;
    })[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 1 });
    expect(await rejectionOf(iterator.next())).toBe(error);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
  });

  test("tells the first of several that wait of an error, and the others of the end", async () => {
    const iterator = iterable<number>(function* produce() {
      yield* sleep(1);
      throwError("of the task");
    })[Symbol.asyncIterator]();
    const [first, second] = [iterator.next(), iterator.next()];
    expect((await rejectionOf(first)).message).toBe("of the task");
    expect(await second).toEqual({ done: true, value: undefined });
  });

  test("keeps an error that comes between two items for the next that is asked for", async () => {
    const failing = Promise.withResolvers<void>();
    const iterator = iterable<number>(function* produce(emit) {
      yield* spawn(function* child() {
        yield* promise(failing.promise);
      });
      yield* emit(1);
    })[Symbol.asyncIterator]();
    await iterator.next();
    const error = new Error("of a child");
    failing.reject(error);
    for (let turn = 0; turn < 3; turn++) await hostTurn();
    expect(await rejectionOf(iterator.next())).toBe(error);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  test("lets an error that came between two items come out of an early break", async () => {
    const failing = Promise.withResolvers<void>();
    const iterator = iterable<number>(function* produce(emit) {
      yield* spawn(() => promise(failing.promise));
      yield* emit(1);
    })[Symbol.asyncIterator]();
    await iterator.next();
    failing.reject(new Error("of a child"));
    for (let turn = 0; turn < 3; turn++) await hostTurn();
    expect((await rejectionOf(iterator.return!())).message).toBe("of a child");
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
  });

  test("lets an error of the clean-up come out of an early break", async () => {
    const loop = async (): Promise<void> => {
      const items = iterable<number>(function* produce(emit) {
        try {
          yield* emit(1);
        } finally {
          throwError("of the clean-up");
        }
      });
      for await (const _item of items) break;
    };
    expect((await rejectionOf(loop())).message).toBe("of the clean-up");
  });

  test("ends the waits of a consumer that returns meanwhile", async () => {
    const log: string[] = [];
    const iterator = iterable<number>(function* produce() {
      try {
        yield* sleep(Infinity);
      } finally {
        log.push("cleaned up");
      }
    })[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await hostTurn();
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(log).toEqual(["cleaned up"]);
  });

  test("never starts a task whose consumer returns before it asks", async () => {
    const source = new Source();
    const iterator = iterable<number>((emit) => source.produce(emit))[Symbol.asyncIterator]();
    await iterator.return!();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(source.log).toEqual([]);
  });

  test("refuses to emit while the task of a consumer that has left cleans up", async () => {
    let refused: unknown;
    const items = iterable<number>(function* produce(emit) {
      try {
        yield* emit(1);
      } finally {
        try {
          yield* emit(2);
        } catch (error) {
          refused = error;
        }
      }
    });
    for await (const _item of items) break;
    expect(refused).toBeInstanceOf(ClosedError);
  });

  test("lets several tasks emit: every item comes once", async () => {
    const items = iterable<string>(function* produce(emit) {
      for (const name of ["a", "b", "c"]) {
        yield* spawn(function* emitter() {
          for (let index = 1; index <= 3; index++) yield* emit(`${name}${index}`);
        });
      }
    });
    const received = await Array.fromAsync(items);
    expect(received.toSorted()).toEqual(["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3"]);
  });

  test("waits for the children of the task before its end", async () => {
    const items = iterable<string>(function* produce(emit) {
      yield* spawn(function* late() {
        yield* sleep(5);
        yield* emit("late");
      });
      yield* emit("early");
    });
    expect(await Array.fromAsync(items)).toEqual(["early", "late"]);
  });

  test("is disposed of with await using", async () => {
    const source = new Source();
    {
      await using iteration = new Iteration<number>(run, (emit) => source.produce(emit));
      await iteration.next();
    }
    expect(source.log.at(-1)).toBe("cleaned up");
  });
});

describe("an async iterable with a signal", () => {
  test("cancels the task when the signal is aborted, and the consumer gets the reason", async () => {
    const controller = new AbortController();
    const source = new Source();
    const iterator = iterable<number>((emit) => source.produce(emit), controller.signal)[Symbol.asyncIterator]();
    await iterator.next();
    expect(listenersOf(controller.signal)).toBe(1);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejectionOf(iterator.next())).toBe(reason);
    expect(source.log.at(-1)).toBe("cleaned up");
    expect(listenersOf(controller.signal)).toBe(0);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  test("does not start if the signal was aborted before", async () => {
    const source = new Source();
    const items = iterable<number>((emit) => source.produce(emit), AbortSignal.abort("too late"));
    const iterator = items[Symbol.asyncIterator]();
    expect(await rejectionOf<unknown>(iterator.next().catch((reason) => Promise.reject(new Error(reason))))).toEqual(
      new Error("too late"),
    );
    expect(source.log).toEqual([]);
  });

  test("leaves no listener behind, however an iteration ends", async () => {
    const { signal } = new AbortController();
    await Array.fromAsync(iterable<number>((emit) => upTo(2, emit), signal));
    for await (const _item of iterable<number>((emit) => upTo(2, emit), signal)) break;
    const failing = iterable<number>(function* produce() {
      throwError("of the task");
    }, signal);
    await rejectionOf(Array.fromAsync(failing));
    expect(listenersOf(signal)).toBe(0);
  });
});

describe("an async iterable of a subscription", () => {
  test("gives its items, and closes it at the end", async () => {
    const log: string[] = [];
    expect(await Array.fromAsync(iterable(subscriptionTo([1, 2], log)))).toEqual([1, 2]);
    expect(log).toEqual(["closed"]);
  });

  test("closes it at an early break, and takes no item more than was asked for", async () => {
    const log: string[] = [];
    const items = [1, 2, 3];
    for await (const _item of iterable(subscriptionTo(items, log))) break;
    expect(log).toEqual(["closed"]);
    expect(items).toEqual([2, 3]);
  });

  test("subscribes anew for each iteration of what can be subscribed to", async () => {
    let count = 0;
    const items = iterable({ subscribe: () => subscriptionTo([++count]) });
    expect(count).toBe(0);
    expect([...(await Array.fromAsync(items)), ...(await Array.fromAsync(items))]).toEqual([1, 2]);
  });

  test("receives from a channel, and leaves it to its owner", async () => {
    const channel = new Channel<number>(2);
    const numbers = iterable(channel);
    const received = await run(function* main() {
      yield* spawn(function* sender() {
        for (let item = 1; item <= 5; item++) yield* channel.send(item);
        channel.close();
      });
      return yield* promise(
        (async () => {
          const items: number[] = [];
          for await (const item of numbers) {
            items.push(item);
            if (item === 2) break;
          }
          return [...items, ...(await Array.fromAsync(numbers))];
        })(),
      );
    }, {});
    expect(received).toEqual([1, 2, 3, 4, 5]);
  });

  test("loses no item of a channel to a consumer that leaves while it waits", async () => {
    const channel = new Channel<string>(0);
    const iterator = iterable(channel)[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await hostTurn();
    await iterator.return!();
    expect((await waiting).done).toBe(true);
    const item = await run(function* main() {
      yield* spawn(() => channel.send("kept"));
      return yield* channel.receive();
    }, {});
    expect(item).toBe("kept");
  });

  test.each([
    ["an object", {}],
    ["a DeadlineOperation", sleep(1)],
    ["null", null],
  ])("refuses %s, which is none", (words, wrong) => {
    expect(() => iterable(wrong as never)).toThrow(
      new TypeError(
        `toAsyncIterable takes a generator function (function*), a channel or a subscription, but was given ${words}`,
      ),
    );
  });
});
