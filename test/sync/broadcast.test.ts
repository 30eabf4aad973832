import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ClosedError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest, type Winner } from "../../src/core/first-of.ts";
import { isSingleRequest, type Operation, type TaskBody } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { Broadcast, type BroadcastSubscription, type Overflow, OverflowError } from "../../src/sync/broadcast.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";
import { effort } from "../support/effort.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Suspends the task until all others wait: the virtual clock moves only then. */
function untilAllWait(): Operation<void> {
  return sleep(1);
}

function drain<T>(subscription: BroadcastSubscription<T>): T[] {
  const items: T[] = [];
  for (let box = subscription.tryReceive(); box !== null; box = subscription.tryReceive()) items.push(box.value);
  return items;
}

/** What `next` tells, up to the end. */
function* readToEnd<T>(subscription: BroadcastSubscription<T>): Operation<T[]> {
  const items: T[] = [];
  for (;;) {
    const { done, value } = yield* subscription.next();
    if (done === true) return items;
    items.push(value as T);
  }
}

function* failureOf(operation: Operation<unknown>): Operation<unknown> {
  try {
    return yield* operation;
  } catch (error) {
    return error;
  }
}

/** What `race` and `select` do with operations of a single request. */
function firstOf(operations: readonly Operation<unknown>[]): Operation<Winner> {
  const requests = operations.map((operation) => {
    if (!isSingleRequest(operation)) throw new Error("the operation is not one of a single request");
    return operation.takeRequest();
  });
  return contest(requests);
}

describe("a broadcast", () => {
  test("gives every subscriber every item that is sent after it has subscribed", async () => {
    const broadcast = new Broadcast<number>();
    const received = await runVirtually(function* main() {
      yield* broadcast.send(0);
      const early = broadcast.subscribe();
      yield* broadcast.send(1);
      const late = broadcast.subscribe();
      yield* broadcast.send(2);
      const tasks: Task<number[]>[] = [];
      for (const subscription of [early, late]) tasks.push(yield* spawn(() => readToEnd(subscription)));
      yield* untilAllWait();
      yield* broadcast.send(3);
      broadcast.close();
      return [yield* join(tasks[0]!), yield* join(tasks[1]!)];
    });
    expect(received).toEqual([
      [1, 2, 3],
      [2, 3],
    ]);
  });

  test("lets a sender wait for the slowest subscriber, and gives nobody the item before", async () => {
    const broadcast = new Broadcast<string>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const quick = broadcast.subscribe({ capacity: 10 });
      const slow = broadcast.subscribe({ capacity: 1 });
      yield* broadcast.send("first");
      const sender = yield* spawn(() => broadcast.send("second"));
      yield* untilAllWait();
      log.push(sender.state, broadcast.waitingSenders, broadcast.trySend("third"), drain(quick), slow.size);
      log.push(slow.tryReceive()?.value);
      log.push(drain(quick), drain(slow));
      yield* join(sender);
    });
    expect(log).toEqual(["suspended", 1, false, ["first"], 1, "first", ["second"], ["second"]]);
  });

  test("lets waiting senders in, in the order in which they came, whoever of the subscribers is the slowest", async () => {
    const broadcast = new Broadcast<number>();
    const subscriptions = [1, 3, 2].map((capacity) => broadcast.subscribe({ capacity }));
    const received = await runVirtually(function* main() {
      const tasks: Task<number[]>[] = [];
      for (let item = 0; item < 8; item++) yield* spawn(() => broadcast.send(item));
      for (const [index, subscription] of subscriptions.entries()) {
        const reader = yield* spawn(function* reader() {
          const items: number[] = [];
          while (items.length < 8) {
            yield* sleep((items.length + index) % 3);
            items.push(yield* subscription.receive());
          }
          return items;
        });
        tasks.push(reader);
      }
      const lists: number[][] = [];
      for (const task of tasks) lists.push(yield* join(task));
      return lists;
    });
    expect(received).toEqual(Array.from({ length: 3 }, () => [0, 1, 2, 3, 4, 5, 6, 7]));
  });

  test("has sent an item to nobody whose sender is cancelled while it waits", async () => {
    const broadcast = new Broadcast<number>();
    const subscriptions = [broadcast.subscribe({ capacity: 1 }), broadcast.subscribe()];
    await runVirtually(function* main() {
      yield* broadcast.send(1);
      const sender = yield* spawn(() => broadcast.send(2));
      yield* spawn(() => broadcast.send(3));
      yield* untilAllWait();
      yield* cancel(sender);
      expect(subscriptions[0]!.tryReceive()).toEqual({ value: 1 });
      yield* untilAllWait();
    });
    expect(subscriptions.map(drain)).toEqual([[3], [1, 3]]);
    expect(broadcast.waitingSenders).toBe(0);
  });

  test("does not wait for a subscriber that goes", async () => {
    const broadcast = new Broadcast<number>();
    const stays = broadcast.subscribe();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      {
        using goes = broadcast.subscribe({ capacity: 1 });
        yield* broadcast.send(1);
        const sender = yield* spawn(() => broadcast.send(2));
        yield* untilAllWait();
        log.push(sender.state, broadcast.subscribers, goes.size);
      }
      yield* untilAllWait();
    });
    expect([...log, broadcast.subscribers, drain(stays)]).toEqual(["suspended", 2, 1, 1, [1, 2]]);
  });

  test("loses no item of a subscriber whose task is cancelled before it has taken it", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 1 });
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const receiver = yield* spawn(() => subscription.receive());
      yield* untilAllWait();
      yield* broadcast.send(1);
      yield* broadcast.send(2);
      receiver.cancel();
      log.push(subscription.size, broadcast.trySend(3));
      yield* spawn(() => broadcast.send(3));
      yield* untilAllWait();
      log.push(subscription.tryReceive()?.value, broadcast.waitingSenders);
      log.push(subscription.tryReceive()?.value, broadcast.waitingSenders);
    });
    expect([...log, drain(subscription)]).toEqual([2, false, 1, 1, 2, 0, [3]]);
  });
});

describe("an item that a cancelled task gives back", () => {
  test("takes the room that it had left", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 1 });
    await runVirtually(function* main() {
      const receiver = yield* spawn(() => subscription.receive());
      yield* untilAllWait();
      yield* broadcast.send(1);
      receiver.cancel();
      expect(broadcast.trySend(2)).toBe(false);
      expect(subscription.tryReceive()).toEqual({ value: 1 });
      expect(broadcast.trySend(3)).toBe(true);
    });
    expect(drain(subscription)).toEqual([3]);
  });
});

describe("a subscriber without room", () => {
  test("loses its oldest items with dropOldest, and knows how many", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 3, overflow: "dropOldest" });
    await runVirtually(function* main() {
      for (let item = 0; item < 10; item++) yield* broadcast.send(item);
    });
    expect(subscription.dropped).toBe(7);
    expect(drain(subscription)).toEqual([7, 8, 9]);
  });

  test("loses with dropOldest what a cancelled receiver gave back, and no newer item", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 1, overflow: "dropOldest" });
    await runVirtually(function* main() {
      const receiver = yield* spawn(() => subscription.receive());
      yield* untilAllWait();
      yield* broadcast.send(1);
      yield* broadcast.send(2);
      receiver.cancel();
      yield* broadcast.send(3);
    });
    expect(subscription.dropped).toBe(2);
    expect(drain(subscription)).toEqual([3]);
  });

  test("ends with an OverflowError with fail, after what it held; the others go on", async () => {
    const broadcast = new Broadcast<number>({ name: "prices" });
    const failing = broadcast.subscribe({ capacity: 2, overflow: "fail" });
    const other = broadcast.subscribe();
    const errors = await runVirtually(function* main() {
      for (const item of [1, 2, 3, 4]) yield* broadcast.send(item);
      expect(failing.isClosed).toBe(true);
      expect(drain(failing)).toEqual([1, 2]);
      return [
        yield* failureOf(failing.next()),
        yield* failureOf(failing.receive()),
        yield* failureOf(firstOf([failing.next()])),
      ];
    });
    expect(errors[0]).toBeInstanceOf(OverflowError);
    expect(errors[0]).toMatchObject({
      code: "ERR_OVERFLOW",
      capacity: 2,
      message: "a subscriber of the broadcast prices fell behind: it holds 2 items and had no room for another",
    });
    expect(errors[1]).toBe(errors[0]);
    expect(errors[2]).toBe(errors[0]);
    expect(drain(other)).toEqual([1, 2, 3, 4]);
    expect(broadcast.subscribers).toBe(1);
  });

  test("does not make anybody wait, with dropOldest or fail", async () => {
    const broadcast = new Broadcast<number>();
    broadcast.subscribe({ capacity: 1, overflow: "dropOldest" });
    broadcast.subscribe({ capacity: 1, overflow: "fail" });
    const sent = [1, 2, 3].map((item) => broadcast.trySend(item));
    expect(sent).toEqual([true, true, true]);
  });

  test.each([0, -1, 1.5, "2"])("cannot have the capacity %p", (capacity) => {
    const error = thrownBy(() => new Broadcast().subscribe({ capacity: capacity as number }), RangeError);
    expect(error.message).toStartWith("subscribe: capacity must be an integer from 1");
  });

  test("cannot be treated in a way that is none", () => {
    const error = thrownBy(() => new Broadcast().subscribe({ overflow: "dropNewest" as Overflow }), TypeError);
    expect(error.message).toBe('subscribe: overflow must be one of wait, dropOldest, fail, but is "dropNewest"');
  });

  test("does not exist with a capacity of Infinity", () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: Infinity });
    for (let item = 0; item < 1_000; item++) expect(broadcast.trySend(item)).toBe(true);
    expect(subscription.size).toBe(1_000);
  });
});

describe("closing a broadcast", () => {
  test("lets subscribers have what they hold, and then ends them; it fails senders", async () => {
    const broadcast = new Broadcast<number>({ name: "news" });
    const reason = new Error("the end of the day");
    const results = await runVirtually(function* main() {
      const holding = broadcast.subscribe({ capacity: 1 });
      const waiting = broadcast.subscribe();
      yield* broadcast.send(1);
      const reader = yield* spawn(() => readToEnd(waiting));
      const sender = yield* spawn(() => failureOf(broadcast.send(2)));
      yield* untilAllWait();
      broadcast.close(reason);
      const late = yield* failureOf(broadcast.send(3));
      return {
        held: yield* readToEnd(holding),
        read: yield* join(reader),
        failures: [yield* join(sender), late, yield* failureOf(holding.receive())],
      };
    });
    expect(results.held).toEqual([1]);
    expect(results.read).toEqual([1]);
    for (const failure of results.failures) {
      expect(failure).toBeInstanceOf(ClosedError);
      expect((failure as Error).cause).toBe(reason);
    }
    expect((results.failures[0] as Error).message).toBe("send: the broadcast news is closed");
    expect([broadcast.trySend(4), broadcast.subscribers, broadcast.isClosed]).toEqual([false, 0, true]);
  });

  test("does nothing the second time, and is what `using` does at the end of the block", async () => {
    const subscription = (() => {
      using broadcast = new Broadcast<number>();
      const open = broadcast.subscribe();
      broadcast.close("the first");
      return open;
    })();
    const error = await rejectionOf(
      runVirtually(() => subscription.receive()),
      ClosedError,
    );
    expect(error.cause).toBe("the first");
  });

  test("lets those who subscribe afterwards find the end", async () => {
    const broadcast = new Broadcast<number>();
    broadcast.close();
    const items = await runVirtually(() => readToEnd(broadcast.subscribe()));
    expect(items).toEqual([]);
    expect(broadcast.subscribers).toBe(0);
  });
});

describe("closing a subscription", () => {
  test("ends the tasks that wait for it, and what it held is gone", async () => {
    const broadcast = new Broadcast<number>();
    const waiting = broadcast.subscribe();
    const holding = broadcast.subscribe();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const reader = yield* spawn(() => readToEnd(waiting));
      yield* untilAllWait();
      waiting.close();
      waiting.close();
      yield* broadcast.send(1);
      holding.close();
      log.push(yield* join(reader), yield* readToEnd(holding), drain(holding));
    });
    expect(log).toEqual([[], [], []]);
    expect(broadcast.subscribers).toBe(0);
  });
});

describe("a subscription that was closed", () => {
  test("makes nobody wait, though a cancelled receiver gives an item back to it", async () => {
    const broadcast = new Broadcast<number>();
    const closed = broadcast.subscribe({ capacity: 1 });
    await runVirtually(function* main() {
      const receiver = yield* spawn(() => closed.receive());
      yield* untilAllWait();
      yield* broadcast.send(1);
      closed.close();
      receiver.cancel();
    });
    expect([broadcast.trySend(2), broadcast.trySend(3)]).toEqual([true, true]);
  });
});

describe("code of the host", () => {
  test("sends with trySend, and wakes the subscribers' tasks", async () => {
    const broadcast = new Broadcast<number>();
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(function* main() {
      const subscriptions = [broadcast.subscribe(), broadcast.subscribe()];
      const tasks: Task<number>[] = [];
      for (const subscription of subscriptions) tasks.push(yield* spawn(() => subscription.receive()));
      return [yield* join(tasks[0]!), yield* join(tasks[1]!)];
    });
    await hostTurn();
    expect(broadcast.trySend(7)).toBe(true);
    expect(await settled(driver, running)).toEqual([7, 7]);
  });

  test("lets a waiting sender in by receiving", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 1 });
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(function* main() {
      yield* broadcast.send(1);
      yield* broadcast.send(2);
      return "sent";
    });
    await hostTurn();
    expect(subscription.tryReceive()).toEqual({ value: 1 });
    expect(await settled(driver, running)).toBe("sent");
  });
});

describe("an operation of a broadcast", () => {
  test("that sends among other requests, to its own task too, has sent or has not", async () => {
    const broadcast = new Broadcast<number>();
    const subscription = broadcast.subscribe({ capacity: 1 });
    const winners = await runVirtually(function* main() {
      // There is room: it is sent, and not received by the same wait.
      const first = yield* firstOf([subscription.receive(), broadcast.send(1)]);
      // There is none: what is there is received, and nothing is sent.
      const second = yield* firstOf([broadcast.send(2), subscription.receive()]);
      return [first, second];
    });
    expect(winners).toEqual([
      { index: 1, value: undefined },
      { index: 1, value: 1 },
    ]);
    expect(drain(subscription)).toEqual([]);
    expect(broadcast.waitingSenders).toBe(0);
  });

  test("that waits to send among other requests does not send to its own task", async () => {
    const broadcast = new Broadcast<number>();
    const own = broadcast.subscribe({ capacity: 2 });
    const full = broadcast.subscribe({ capacity: 1 });
    const winner = await runVirtually(function* main() {
      yield* broadcast.send(1);
      expect(own.tryReceive()).toEqual({ value: 1 });
      const waiting = yield* spawn(() => firstOf([own.receive(), broadcast.send(2)]));
      yield* untilAllWait();
      expect(full.tryReceive()).toEqual({ value: 1 });
      return yield* join(waiting);
    });
    expect(winner).toEqual({ index: 1, value: undefined });
    expect([own, full].map(drain)).toEqual([[2], [2]]);
  });

  test("is used once, and says what it waits for", async () => {
    const broadcast = new Broadcast<number>({ name: "prices" });
    const operation = broadcast.send(1);
    const words = await runVirtually(function* main() {
      yield* operation;
      const subscription = broadcast.subscribe({ capacity: 1 });
      yield* broadcast.send(2);
      const sender = yield* spawn(() => broadcast.send(3));
      yield* untilAllWait();
      const sends = sender.waitsFor;
      subscription.close();
      const receiver = yield* spawn(() => broadcast.subscribe().receive());
      yield* untilAllWait();
      const receives = receiver.waitsFor;
      yield* cancel(receiver);
      return [sends, receives];
    });
    expect(words[0]).toBe("room for each subscriber of the broadcast prices");
    expect(words[1]).toBe("an item of the channel of a subscriber of the broadcast prices");
    expect(() => operation[Symbol.iterator]()).toThrow(OperationReusedError);
  });

  test("refuses to send at once if the broadcast is closed", async () => {
    const broadcast = new Broadcast<number>();
    broadcast.close();
    const error = await runVirtually(() => failureOf(firstOf([broadcast.send(1)])));
    expect(error).toBeInstanceOf(ClosedError);
  });
});

describe("subscribers that come, read, wait, and go at any time", () => {
  interface Reader {
    readonly comesAtMs: number;
    readonly capacity: number;
    readonly pausesMs: readonly number[];
    readonly cancelledAfterMs: number;
  }

  const readers: fc.Arbitrary<Reader> = fc.record({
    comesAtMs: fc.nat(10),
    capacity: fc.integer({ min: 1, max: 3 }),
    pausesMs: fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }),
    cancelledAfterMs: fc.nat(10),
  });
  const pauses = fc.array(fc.nat(2), { minLength: 1, maxLength: 15 });

  test("all get the same items from the one on that was sent first after they came, without a gap", () => {
    fc.assert(
      fc.property(
        fc.array(readers, { minLength: 1, maxLength: 5 }),
        fc.array(pauses, { maxLength: 3 }),
        (plans, senders) => {
          const { sent, lists } = new Executor(new VirtualDriver()).blockOn(() => play(plans, senders));
          for (const { before, items } of lists) expect(items).toEqual(sent.slice(before, before + items.length));
        },
      ),
      { numRuns: effort(300) },
    );
  });

  interface Received {
    readonly before: number;
    readonly items: number[];
  }

  function* play(
    plans: readonly Reader[],
    senders: readonly number[][],
  ): Operation<{ sent: number[]; lists: Received[] }> {
    const broadcast = new Broadcast<number>();
    const everything = broadcast.subscribe({ capacity: Infinity });
    const lists: Received[] = [];
    for (const { comesAtMs, capacity, pausesMs, cancelledAfterMs } of plans) {
      yield* spawn(function* reader() {
        yield* sleep(comesAtMs);
        using subscription = broadcast.subscribe({ capacity });
        const items: number[] = [];
        lists.push({ before: everything.size, items });
        const receive = function* (): Operation<void> {
          for (const pauseMs of pausesMs) {
            items.push(yield* subscription.receive());
            yield* sleep(pauseMs);
          }
        };
        const first = yield* spawn(receive);
        yield* sleep(cancelledAfterMs);
        first.cancel();
        const second = yield* spawn(receive);
        yield* sleep(20);
        second.cancel();
      });
    }
    let nextItem = 0;
    for (const pausesMs of senders) {
      yield* spawn(function* sender() {
        for (const pauseMs of pausesMs) {
          yield* broadcast.send(nextItem++);
          yield* sleep(pauseMs);
        }
      });
    }
    yield* sleep(200);
    expect([broadcast.subscribers, broadcast.waitingSenders]).toEqual([1, 0]);
    return { sent: drain(everything), lists };
  }
});
