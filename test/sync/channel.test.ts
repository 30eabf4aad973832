import { describe, expect, test } from "bun:test";
import { ClosedError, OperationReusedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { contest, type Winner } from "../../src/core/first-of.ts";
import { isSingleRequest, type Operation, type TaskBody } from "../../src/core/operation.ts";
import type { Giver, SuspendRequest, Suspension } from "../../src/core/request.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { Channel } from "../../src/sync/channel.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>, driver = new VirtualDriver()): Promise<T> {
  return settled(driver, new Executor(driver).run(body));
}

/** Suspends the task until all others wait: the virtual clock moves only then. */
function untilAllWait(): Operation<void> {
  return sleep(1);
}

function* receiveAll<T>(channel: Channel<T>, count: number): Operation<T[]> {
  const items: T[] = [];
  while (items.length < count) items.push(yield* channel.receive());
  return items;
}

function drain<T>(channel: Channel<T>): T[] {
  const items: T[] = [];
  for (let box = channel.tryReceive(); box !== null; box = channel.tryReceive()) items.push(box.value);
  return items;
}

/** A task that receives once, and notes what. */
function spawnReceiver<T>(channel: Channel<T>, log: T[]): Operation<Task<void>> {
  return spawn(function* receiver() {
    log.push(yield* channel.receive());
  });
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
  return contest(operations.map(requestOf));
}

function requestOf(operation: Operation<unknown>): SuspendRequest {
  if (!isSingleRequest(operation)) throw new Error("the operation is not one of a single request");
  return operation.takeRequest();
}

function countsOf(channel: Channel<unknown>): Record<string, number> {
  const { size, waitingReceivers, waitingSenders } = channel;
  return { size, waitingReceivers, waitingSenders };
}

const NOBODY = { size: 0, waitingReceivers: 0, waitingSenders: 0 };

describe("a channel without capacity", () => {
  test("lets the sender wait until a receiver has come, and hands over", async () => {
    const channel = new Channel<string>();
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* sender() {
        yield* channel.send("item");
        log.push("sent");
      });
      yield* untilAllWait();
      log.push(`${channel.waitingSenders} waits with an item, ${channel.size} are stored`);
      log.push(yield* channel.receive());
      yield* untilAllWait();
    });
    expect(log).toEqual(["1 waits with an item, 0 are stored", "item", "sent"]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("lets the receiver wait for a sender, who then goes on at once", async () => {
    const channel = new Channel<string>();
    const log: string[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* receiver() {
        log.push(yield* channel.receive());
      });
      yield* untilAllWait();
      expect(channel.waitingReceivers).toBe(1);
      yield* channel.send("item");
      log.push("sent");
      yield* untilAllWait();
    });
    expect(log).toEqual(["sent", "item"]);
  });

  test("takes from waiting senders in the order in which they came", async () => {
    const channel = new Channel<number>();
    const items = await runVirtually(function* main() {
      for (const item of [1, 2, 3, 4]) yield* spawn(() => channel.send(item));
      yield* untilAllWait();
      return yield* receiveAll(channel, 4);
    });
    expect(items).toEqual([1, 2, 3, 4]);
  });

  test("passes any value, undefined among them", async () => {
    const channel = new Channel<unknown>();
    const values = [undefined, null, 0, "", false, Number.NaN, []];
    const received = await runVirtually(function* main() {
      for (const value of values) yield* spawn(() => channel.send(value));
      yield* untilAllWait();
      const boxes = [channel.tryReceive(), channel.tryReceive()];
      return [...boxes.map((box) => box!.value), ...(yield* receiveAll(channel, values.length - 2))];
    });
    expect(received).toEqual(values);
  });
});

describe("a channel with a capacity", () => {
  test("lets senders wait while it is full, and lets them in one by one, in their order", async () => {
    const channel = new Channel<number>(2);
    const log: string[] = [];
    await runVirtually(function* main() {
      for (const item of [1, 2, 3, 4, 5]) {
        yield* spawn(function* sender() {
          yield* channel.send(item);
          log.push(`sent ${item}`);
        });
      }
      yield* untilAllWait();
      expect(countsOf(channel)).toEqual({ size: 2, waitingReceivers: 0, waitingSenders: 3 });
      for (let round = 0; round < 5; round++) {
        log.push(`received ${yield* channel.receive()}`);
        yield* untilAllWait();
      }
    });
    expect(log).toEqual([
      "sent 1",
      "sent 2",
      "received 1",
      "sent 3",
      "received 2",
      "sent 4",
      "received 3",
      "sent 5",
      "received 4",
      "received 5",
    ]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("does not let a sender overtake one that waits", async () => {
    const channel = new Channel<number>(1);
    const items = await runVirtually(function* main() {
      yield* channel.send(1);
      yield* spawn(() => channel.send(2));
      yield* untilAllWait();
      const first = channel.tryReceive()!.value;
      const overtook = channel.trySend(3);
      return { first, overtook, rest: yield* receiveAll(channel, 1) };
    });
    expect(items).toEqual({ first: 1, overtook: false, rest: [2] });
  });

  test("serves waiting receivers in the order in which they came", async () => {
    const channel = new Channel<number>(1);
    const log: string[] = [];
    await runVirtually(function* main() {
      for (const name of ["a", "b", "c"]) {
        yield* spawn(function* receiver() {
          log.push(`${name}${yield* channel.receive()}`);
        });
      }
      yield* untilAllWait();
      for (const item of [1, 2, 3]) yield* channel.send(item);
      yield* untilAllWait();
    });
    expect(log).toEqual(["a1", "b2", "c3"]);
  });

  test("never lets a sender wait if it is Infinity, and keeps the order while it grows and shrinks", async () => {
    const channel = new Channel<number>(Infinity);
    const items = await runVirtually(function* main() {
      const received: number[] = [];
      let sent = 0;
      for (const burst of [3, 5_000, 1, 70]) {
        for (let index = 0; index < burst; index++) yield* channel.send(sent++);
        received.push(...(yield* receiveAll(channel, burst - 1)));
      }
      return [...received, ...(yield* receiveAll(channel, channel.size))];
    });
    expect(items).toEqual(Array.from({ length: 5_074 }, (_, index) => index));
  });

  test.each([-1, 1.5, Number.NaN, -Infinity, "3", null])("refuses %p as its capacity", (capacity) => {
    const error = thrownBy(() => new Channel(capacity as number), RangeError);
    expect(error.message).toStartWith("Channel: capacity must be an integer from 0");
  });
});

describe("a cancelled task", () => {
  test("leaves no item behind if it waited to send, and those around it keep their order", async () => {
    const channel = new Channel<number>();
    const items = await runVirtually(function* main() {
      const senders: Task<void>[] = [];
      for (const item of [1, 2, 3, 4, 5]) senders.push(yield* spawn(() => channel.send(item)));
      yield* untilAllWait();
      for (const index of [2, 0, 4]) yield* cancel(senders[index]!);
      expect(channel.waitingSenders).toBe(2);
      return yield* receiveAll(channel, 2);
    });
    expect(items).toEqual([2, 4]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("gets no item if it waited to receive, and those around it keep their order", async () => {
    const channel = new Channel<number>();
    const log: string[] = [];
    await runVirtually(function* main() {
      const receivers: Task<void>[] = [];
      for (const name of ["a", "b", "c", "d", "e"]) {
        const receiver = yield* spawn(function* receiver() {
          log.push(`${name}${yield* channel.receive()}`);
        });
        receivers.push(receiver);
      }
      yield* untilAllWait();
      for (const index of [2, 0, 4]) yield* cancel(receivers[index]!);
      expect(channel.waitingReceivers).toBe(2);
      yield* channel.send(1);
      yield* channel.send(2);
      yield* untilAllWait();
    });
    expect(log).toEqual(["b1", "d2"]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("passes the item that it was handed and has not taken to the receiver after it", async () => {
    const channel = new Channel<string>();
    const log: string[] = [];
    await runVirtually(function* main() {
      const first = yield* spawnReceiver(channel, log);
      yield* spawn(function* second() {
        log.push(`second: ${yield* channel.receive()}`);
      });
      yield* untilAllWait();
      yield* channel.send("item");
      first.cancel();
      yield* untilAllWait();
      expect(first.state).toBe("cancelled");
    });
    expect(log).toEqual(["second: item"]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("leaves the item that it was handed in the channel, in front, whose sender has sent it even without capacity", async () => {
    const channel = new Channel<number>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const receiver = yield* spawnReceiver(channel, []);
      yield* untilAllWait();
      yield* channel.send(1);
      receiver.cancel();
      log.push(countsOf(channel));
      yield* spawn(() => channel.send(2));
      yield* untilAllWait();
      log.push(countsOf(channel), yield* receiveAll(channel, 2));
    });
    expect(log).toEqual([
      { size: 1, waitingReceivers: 0, waitingSenders: 0 },
      { size: 1, waitingReceivers: 0, waitingSenders: 1 },
      [1, 2],
    ]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("gives an item back to a channel that is full by then, which lets nobody in until it has room", async () => {
    const channel = new Channel<number>(1);
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const receiver = yield* spawnReceiver(channel, []);
      yield* untilAllWait();
      expect([channel.trySend(1), channel.trySend(2), channel.trySend(3)]).toEqual([true, true, false]);
      receiver.cancel();
      log.push(channel.size);
      yield* spawn(() => channel.send(4));
      yield* untilAllWait();
      log.push(channel.tryReceive()?.value, countsOf(channel), channel.tryReceive()?.value, countsOf(channel));
      log.push(drain(channel));
    });
    const full = { size: 1, waitingReceivers: 0 };
    expect(log).toEqual([2, 1, { ...full, waitingSenders: 1 }, 2, { ...full, waitingSenders: 0 }, [4]]);
  });

  test.each([
    ["in the order of the items", [0, 1, 2, 3]],
    ["in the reverse order", [3, 2, 1, 0]],
    ["in any order", [1, 3, 0, 2]],
  ])("gives items back to their places: several, cancelled %s", async (_, order) => {
    const channel = new Channel<number>(10);
    const items = await runVirtually(function* main() {
      const receivers: Task<void>[] = [];
      for (let index = 0; index < order.length; index++) receivers.push(yield* spawnReceiver(channel, []));
      yield* untilAllWait();
      for (let item = 0; item < 7; item++) expect(channel.trySend(item)).toBe(true);
      for (const index of order) receivers[index]!.cancel();
      return drain(channel);
    });
    expect(items).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("gives an item back to its place though it had been given back before", async () => {
    const channel = new Channel<number>(10);
    const items = await runVirtually(function* main() {
      const receivers: Task<void>[] = [];
      for (let index = 0; index < 3; index++) receivers.push(yield* spawnReceiver(channel, []));
      yield* untilAllWait();
      channel.trySend(0);
      channel.trySend(1);
      // 0 goes to the third receiver, behind 1.
      receivers[0]!.cancel();
      channel.trySend(2);
      receivers[1]!.cancel();
      receivers[2]!.cancel();
      return drain(channel);
    });
    expect(items).toEqual([0, 1, 2]);
  });

  test("has sent its item if that was taken before, and ends at its next wait", async () => {
    const channel = new Channel<number>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const sender = yield* spawn(function* sender() {
        yield* channel.send(1);
        log.push("sent");
        yield* sleep(1);
        log.push("not reached");
      });
      yield* untilAllWait();
      log.push(channel.tryReceive()?.value);
      sender.cancel();
      yield* failureOf(join(sender));
    });
    expect(log).toEqual([1, "sent"]);
  });
});

describe("closing a channel", () => {
  test("lets what is in it be received, and then ends receivers; it fails senders from the beginning", async () => {
    const channel = new Channel<number>(3, { name: "jobs" });
    const reason = new Error("out of paper");
    const [items, late, send] = await runVirtually(function* main() {
      for (const item of [1, 2, 3]) yield* channel.send(item);
      channel.close(reason);
      const refused = yield* failureOf(channel.send(4));
      const received = yield* receiveAll(channel, 3);
      return [received, yield* failureOf(channel.receive()), refused];
    });
    expect(items).toEqual([1, 2, 3]);
    expect(late).toBeInstanceOf(ClosedError);
    expect(late).toMatchObject({ message: "receive: the channel jobs is closed", cause: reason });
    expect(send).toBeInstanceOf(ClosedError);
    expect(send).toMatchObject({ message: "send: the channel jobs is closed", cause: reason });
    expect(channel.isClosed).toBe(true);
  });

  test("ends those who wait to receive", async () => {
    const channel = new Channel<number>();
    const errors = await runVirtually(function* main() {
      const receivers: Task<unknown>[] = [];
      for (let index = 0; index < 2; index++) receivers.push(yield* spawn(() => failureOf(channel.receive())));
      yield* untilAllWait();
      channel.close();
      expect(countsOf(channel)).toEqual(NOBODY);
      return [yield* join(receivers[0]!), yield* join(receivers[1]!)];
    });
    for (const error of errors) expect(error).toBeInstanceOf(ClosedError);
    expect((errors[0] as Error).message).toBe("receive: a channel is closed");
    expect(errors[0]).not.toHaveProperty("cause");
  });

  test("fails those who wait to send, whose items are not received", async () => {
    const channel = new Channel<number>(1);
    const [error, items] = await runVirtually(function* main() {
      yield* channel.send(1);
      const sender = yield* spawn(() => failureOf(channel.send(2)));
      yield* untilAllWait();
      channel.close();
      return [yield* join(sender), drain(channel)];
    });
    expect(error).toBeInstanceOf(ClosedError);
    expect(items).toEqual([1]);
  });

  test("does nothing the second time: the first reason counts", async () => {
    const channel = new Channel<number>();
    channel.close("the first");
    channel.close("the second");
    const error = await rejectionOf(
      runVirtually(() => channel.receive()),
      ClosedError,
    );
    expect(error.cause).toBe("the first");
  });

  test("is what `using` does at the end of the block", () => {
    let outer: Channel<number>;
    {
      using channel = new Channel<number>(1);
      outer = channel;
      expect(channel.isClosed).toBe(false);
    }
    expect(outer.isClosed).toBe(true);
  });

  test("keeps an item that a cancelled receiver gives back afterwards", async () => {
    const channel = new Channel<number>();
    const items = await runVirtually(function* main() {
      const receiver = yield* spawnReceiver(channel, []);
      yield* untilAllWait();
      channel.trySend(1);
      channel.close();
      receiver.cancel();
      return drain(channel);
    });
    expect(items).toEqual([1]);
  });

  test("leaves an item with the receiver that was handed it before", async () => {
    const channel = new Channel<number>();
    const log: number[] = [];
    await runVirtually(function* main() {
      yield* spawnReceiver(channel, log);
      yield* untilAllWait();
      channel.trySend(1);
      channel.close();
    });
    expect(log).toEqual([1]);
  });
});

describe("code of the host", () => {
  test("wakes a task with trySend, which says whether the item was taken", async () => {
    const channel = new Channel<string>();
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(() => receiveAll(channel, 2));
    expect(channel.trySend("nobody waits yet")).toBe(false);
    await hostTurn();
    expect(channel.trySend("first")).toBe(true);
    expect(channel.trySend("nobody waits")).toBe(false);
    await hostTurn();
    expect(channel.trySend("second")).toBe(true);
    expect(await settled(driver, running)).toEqual(["first", "second"]);
  });

  test("lets a waiting sender in with tryReceive", async () => {
    const channel = new Channel<number>(1);
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(function* main() {
      yield* channel.send(1);
      yield* channel.send(2);
      return "sent";
    });
    await hostTurn();
    expect(channel.tryReceive()).toEqual({ value: 1 });
    expect(await settled(driver, running)).toBe("sent");
    expect([channel.tryReceive(), channel.tryReceive()]).toEqual([{ value: 2 }, null]);
  });

  test("ends a waiting task with close", async () => {
    const channel = new Channel<number>();
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(() => failureOf(channel.receive()));
    await hostTurn();
    channel.close();
    expect(await settled(driver, running)).toBeInstanceOf(ClosedError);
    expect([channel.trySend(1), channel.tryReceive()]).toEqual([false, null]);
  });
});

describe("a receive or a send among other requests", () => {
  test("that loses leaves no waiter behind, and takes or leaves no item", async () => {
    const empty = new Channel<number>();
    const full = new Channel<number>(1);
    const winner = new Channel<number>();
    await runVirtually(function* main() {
      full.trySend(1);
      const waiting = yield* spawn(() => firstOf([empty.receive(), full.send(2), winner.receive()]));
      yield* untilAllWait();
      expect([empty.waitingReceivers, full.waitingSenders]).toEqual([1, 1]);
      winner.trySend(3);
      expect(yield* join(waiting)).toEqual({ index: 2, value: 3 });
    });
    expect(countsOf(empty)).toEqual(NOBODY);
    expect(drain(full)).toEqual([1]);
  });

  test("takes one item when two are ready at once", async () => {
    const channels = [new Channel<string>(1), new Channel<string>(1)];
    const winner = await runVirtually(function* main() {
      yield* channels[0]!.send("first");
      yield* channels[1]!.send("second");
      return yield* firstOf(channels.map((channel) => channel.receive()));
    });
    expect(winner).toEqual({ index: 0, value: "first" });
    expect(channels.map(drain)).toEqual([[], ["second"]]);
  });

  test("takes one item when two get one in the same moment", async () => {
    const channels = [new Channel<string>(1), new Channel<string>(1)];
    const winner = await runVirtually(function* main() {
      const waiting = yield* spawn(() => firstOf(channels.map((channel) => channel.receive())));
      yield* untilAllWait();
      channels[1]!.trySend("second");
      channels[0]!.trySend("first");
      return yield* join(waiting);
    });
    expect(winner).toEqual({ index: 1, value: "second" });
    expect(channels.map(drain)).toEqual([["first"], []]);
  });

  test("takes one item when it waits twice in one channel", async () => {
    const channel = new Channel<number>(1);
    const winner = await runVirtually(function* main() {
      const waiting = yield* spawn(() => firstOf([channel.receive(), channel.receive()]));
      yield* untilAllWait();
      yield* channel.send(1);
      yield* channel.send(2);
      return yield* join(waiting);
    });
    expect(winner).toEqual({ index: 0, value: 1 });
    expect(drain(channel)).toEqual([2]);
  });

  test("gives back what it has won if the task is cancelled before it runs again", async () => {
    const channels = [new Channel<number>(), new Channel<number>()];
    await runVirtually(function* main() {
      const waiting = yield* spawn(() => firstOf(channels.map((channel) => channel.receive())));
      yield* untilAllWait();
      yield* channels[1]!.send(1);
      yield* cancel(waiting);
    });
    expect(channels.map(drain)).toEqual([[], [1]]);
    expect(channels.map(countsOf)).toEqual([NOBODY, NOBODY]);
  });

  test.each([
    ["send first", (channel: Channel<number>) => [channel.send(1), channel.receive()]],
    ["receive first", (channel: Channel<number>) => [channel.receive(), channel.send(1)]],
  ])("does not send to its own task: %s", async (_, operationsOf) => {
    const channel = new Channel<number>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      const operations = operationsOf(channel);
      const waiting = yield* spawn(() => firstOf(operations));
      yield* untilAllWait();
      log.push(countsOf(channel));
      log.push(channel.tryReceive()?.value);
      yield* join(waiting);
    });
    expect(log).toEqual([{ size: 0, waitingReceivers: 1, waitingSenders: 1 }, 1]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });

  test("sends at once if another task waits behind its own receive", async () => {
    const channel = new Channel<number>();
    const log: number[] = [];
    await runVirtually(function* main() {
      yield* spawnReceiver(channel, log);
      yield* untilAllWait();
      expect(yield* firstOf([channel.receive(), channel.send(1)])).toEqual({ index: 1, value: undefined });
      yield* untilAllWait();
    });
    expect(log).toEqual([1]);
    expect(countsOf(channel)).toEqual(NOBODY);
  });
});

describe("a request of a channel that is armed by hand", () => {
  /** Who waits for a request, and may give back later what it was handed. */
  class LateSuspension implements Suspension {
    readonly answers: unknown[] = [];
    giveBack: () => void = () => {};
    readonly scheduler = new Executor(new VirtualDriver());
    readonly task = this.scheduler.spawn(() => sleep(1)).task;

    resume(value: unknown): void {
      this.answers.push(value);
    }

    resumeLater(value: unknown): void {
      this.resume(value);
    }

    handOver<T>(value: T, giver: Giver<T>): void {
      this.resume(value);
      this.giveBack = () => giver.giveBack(value);
    }

    fail(error: unknown): void {
      this.resume(error);
    }

    arm(operation: Operation<unknown>): this {
      requestOf(operation).arm(this);
      return this;
    }
  }

  test("keeps the place of an item that it took at once, wherever that was", () => {
    const channel = new Channel<number>(3);
    for (const item of [0, 1, 2]) channel.trySend(item);
    const sender = new LateSuspension().arm(channel.send(3));
    const receivers = [0, 1, 2, 3].map(() => new LateSuspension().arm(channel.receive()));
    expect(receivers.flatMap(({ answers }) => answers)).toEqual([0, 1, 2, 3]);
    expect(sender.answers).toEqual([undefined]);
    for (const index of [1, 0]) receivers[index]!.giveBack();
    const again = [0, 1].map(() => new LateSuspension().arm(channel.subscribe().next()));
    for (const receiver of [receivers[3]!, again[1]!, receivers[2]!, again[0]!]) receiver.giveBack();
    expect(drain(channel)).toEqual([0, 1, 2, 3]);
  });

  test("keeps the place of an item that it took from a waiting sender", () => {
    const channel = new Channel<number>();
    for (const item of [0, 1, 2]) new LateSuspension().arm(channel.send(item));
    const receivers = [0, 1, 2].map(() => new LateSuspension().arm(channel.receive()));
    for (const receiver of receivers) receiver.giveBack();
    expect(drain(channel)).toEqual([0, 1, 2]);
  });

  test("is answered at once if the channel is closed", () => {
    const channel = new Channel<number>();
    channel.close();
    expect(new LateSuspension().arm(channel.receive()).answers[0]).toBeInstanceOf(ClosedError);
    expect(new LateSuspension().arm(channel.subscribe().next()).answers).toEqual([{ done: true, value: undefined }]);
    expect(thrownBy(() => new LateSuspension().arm(channel.send(1)), ClosedError).message).toStartWith("send:");
  });
});

describe("a million sends and receives that need no wait", () => {
  const COUNT = 1_000_000;

  /** Time passes while tasks run. */
  class HastyDriver extends VirtualDriver {
    override now(): number {
      return (this.nowNs += 100_000);
    }
  }

  test("starve neither the host nor other tasks", async () => {
    const channel = new Channel<number>(Infinity);
    let hostTurns = 0;
    let turnsOfOther = 0;
    let isDone = false;
    const countHostTurns = (): void => {
      hostTurns++;
      if (!isDone) setImmediate(countHostTurns);
    };
    countHostTurns();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* other() {
        while (!isDone) {
          turnsOfOther++;
          yield* yieldNow();
        }
      });
      for (let item = 0; item < COUNT; item++) yield* channel.send(item);
      log.push(channel.size, hostTurns > 1, turnsOfOther > 1000);
      const before = { hostTurns, turnsOfOther };
      let sum = 0;
      for (let count = 0; count < COUNT; count++) sum += yield* channel.receive();
      log.push(sum, hostTurns > before.hostTurns, turnsOfOther > before.turnsOfOther + 1000);
      isDone = true;
    }, new HastyDriver());
    expect(log).toEqual([COUNT, true, true, (COUNT * (COUNT - 1)) / 2, true, true]);
  });

  test("between two tasks overflow nothing", async () => {
    const channel = new Channel<number>();
    const sum = await runVirtually(function* main() {
      yield* spawn(function* sender() {
        for (let item = 0; item < COUNT / 10; item++) yield* channel.send(item);
        channel.close();
      });
      let total = 0;
      for (let count = 0; count < COUNT / 10; count++) total += yield* channel.receive();
      return total;
    });
    expect(sum).toBe(((COUNT / 10) * (COUNT / 10 - 1)) / 2);
  });
});

describe("an operation of a channel", () => {
  test("is used once", async () => {
    const channel = new Channel<number>(2);
    channel.trySend(0);
    for (const operation of [channel.send(1), channel.receive(), channel.subscribe().next()]) {
      await runVirtually(() => firstOf([operation]));
      expect(thrownBy(() => operation[Symbol.iterator](), OperationReusedError).message).toContain("used already");
    }
  });

  test("says what it waits for", async () => {
    const channels = [new Channel<number>(0, { name: "orders" }), new Channel<number>(1)];
    const words = await runVirtually(function* main() {
      channels[1]!.trySend(1);
      const operations: Operation<unknown>[] = [channels[0]!.receive(), channels[1]!.send(2)];
      const tasks: Task<unknown>[] = [];
      for (const operation of operations) tasks.push(yield* spawn(operation));
      yield* untilAllWait();
      tasks.push(yield* spawn(new Channel<number>(0, { name: "orders" }).send(1)));
      yield* untilAllWait();
      const waits = tasks.map(({ waitsFor }) => waitsFor);
      for (const task of tasks) yield* cancel(task);
      return waits;
    });
    expect(words).toEqual(["an item of the channel orders", "room in a channel", "a receiver of the channel orders"]);
  });
});
