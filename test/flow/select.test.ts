import { describe, expect, test } from "bun:test";
import { ClosedError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { race } from "../../src/flow/race.ts";
import { select } from "../../src/flow/select.ts";
import { Channel } from "../../src/sync/channel.ts";
import { Latch } from "../../src/sync/latch.ts";
import { Mutex } from "../../src/sync/mutex.ts";
import type { Random } from "../../src/testing/random.ts";
import { underSeeds } from "../../src/testing/under-seeds.ts";
import { virtualTime } from "../../src/testing/virtual-world.ts";
import { arm } from "../support/arms.ts";
import { rejectionOf } from "../support/failure.ts";
import { effort } from "../support/effort.ts";

/** A channel that holds items. */
function filled<T>(...items: T[]): Channel<T> {
  const channel = new Channel<T>(items.length);
  for (const item of items) channel.trySend(item);
  return channel;
}

/** All that can be received from the channel without a wait. */
function rest<T>(channel: Channel<T>): T[] {
  const items: T[] = [];
  for (let next = channel.tryReceive(); next !== null; next = channel.tryReceive()) items.push(next.value);
  return items;
}

describe("select", () => {
  test("tells which operation was first, and its value", () =>
    virtualTime(function* () {
      const jobs = new Channel<string>();
      const stopped = new Latch();
      yield* spawn(function* () {
        yield* sleep(1);
        yield* jobs.send("sweep");
        yield* sleep(1);
        stopped.set();
      });
      const wait = (): ReturnType<typeof select> => select({ job: jobs.receive(), stop: stopped.wait() });
      expect(yield* wait()).toEqual({ key: "job", value: "sweep" });
      expect(yield* wait()).toEqual({ key: "stop", value: undefined });
    }));

  test("takes generator functions, generators, promises and sleeps beside channels", () =>
    virtualTime(function* () {
      const never = new Channel<string>();
      const arms = () => ({ item: never.receive(), limit: sleep(9), work: arm([], "done", { workMs: 3 }) });
      expect(yield* select(arms())).toEqual({ key: "work", value: "done" });
      expect(yield* select({ ...arms(), quick: sleep(2) })).toEqual({ key: "quick", value: undefined });
      expect(yield* select({ ...arms(), host: promise(Promise.resolve(5)) })).toEqual({ key: "host", value: 5 });
    }));

  test("of several that are ready takes the one that was named first, and leaves the others alone", () =>
    virtualTime(function* () {
      const [left, right] = [filled("l"), filled("r")];
      expect(yield* select({ left: left.receive(), right: right.receive() })).toEqual({ key: "left", value: "l" });
      expect([rest(left), rest(right)]).toEqual([[], ["r"]]);
    }));

  test("sends as well as receives, and sends nothing if another was first", () =>
    virtualTime(function* () {
      const [input, output] = [filled("in"), new Channel<string>(1)];
      const selected = yield* select({ received: input.receive(), sent: output.send("out") });
      expect([selected.key, output.size]).toEqual(["received", 0]);
      expect((yield* select({ received: input.receive(), sent: output.send("out") })).key).toBe("sent");
      expect(rest(output)).toEqual(["out"]);
    }));

  test("does not send to itself", () =>
    virtualTime(function* () {
      const channel = new Channel<string>();
      const selecting = yield* spawn(() =>
        select({ receive: channel.receive(), send: channel.send("mine"), limit: sleep(5) }),
      );
      expect((yield* join(selecting)).key).toBe("limit");
      expect([channel.waitingReceivers, channel.waitingSenders]).toEqual([0, 0]);
      const other = yield* spawn(() => select({ receive: channel.receive(), limit: sleep(9) }));
      const both = yield* spawn(() => select({ receive: channel.receive(), send: channel.send("yours") }));
      expect([yield* join(other), (yield* join(both)).key]).toEqual([{ key: "receive", value: "yours" }, "send"]);
    }));

  test("throws what the first throws: of a closed channel its ClosedError", async () => {
    const channel = new Channel<string>();
    const running = virtualTime(function* () {
      yield* spawn(function* () {
        yield* sleep(1);
        channel.close();
      });
      yield* select({ item: channel.receive(), limit: sleep(9) });
    });
    await rejectionOf(running, ClosedError);
  });

  test("leaves no waiter and no deadline behind", () =>
    virtualTime(function* (world) {
      const [channel, mutex] = [new Channel<string>(), new Mutex()];
      using _guard = yield* mutex.lock();
      yield* select({
        item: channel.receive(),
        lock: () => mutex.lock(),
        sent: () => channel.send("x"),
        limit: sleep(1),
        long: sleep(99),
      });
      expect([channel.waitingReceivers, channel.waitingSenders, mutex.waiting]).toEqual([0, 0, 0]);
      expect(world.executor.timers.size).toBe(0);
    }));

  test("refuses an empty object, what is no object of operations, and an arm that is no operation", async () => {
    const refusal = async (arms: unknown): Promise<string> =>
      (
        await rejectionOf(
          virtualTime(() => select(arms as {})),
          TypeError,
        )
      ).message;
    expect(await refusal({})).toStartWith("select takes at least one operation");
    expect(await refusal([sleep(1)])).toBe("select takes an object of operations, but was given a Array");
    expect(await refusal(sleep(1))).toEndWith("but was given a DeadlineOperation");
    expect(await refusal(null)).toEndWith("but was given null");
    expect(await refusal({ limit: sleep(1), other: 5 })).toContain("but was given 5");
  });
});

describe("what a select has not chosen", () => {
  /** Each way of waiting for the two channels: as single requests, as tasks, mixed, and within a race. */
  const ways: Record<string, (left: Channel<string>, right: Channel<string>) => Operation<unknown>> = {
    "two requests": (left, right) => select({ left: left.receive(), right: right.receive() }),
    "two tasks": (left, right) => select({ left: () => left.receive(), right: () => right.receive() }),
    "a task and a request": (left, right) => select({ left: () => left.receive(), right: right.receive() }),
    "a request and a task": (left, right) => select({ left: left.receive(), right: () => right.receive() }),
    "with a sleep among them": (left, right) =>
      select({ limit: sleep(99), left: left.receive(), nap: () => sleep(99), right: () => right.receive() }),
    "a race within": (left, right) => race([race([left.receive(), sleep(99)]), race([() => right.receive()])]),
    "two subscriptions": (left, right) =>
      select({ left: left.subscribe().next(), right: () => right.subscribe().next() }),
  };

  for (const [name, wait] of Object.entries(ways)) {
    describe(`(${name})`, () => {
      test("stays in its channel if both have an item at once", () =>
        virtualTime(function* () {
          const [left, right] = [filled("l"), filled("r")];
          yield* wait(left, right);
          expect([...rest(left), ...rest(right)]).toHaveLength(1);
        }));

      test("stays in its channel if both get one in the same turn", () =>
        virtualTime(function* () {
          const [left, right] = [new Channel<string>(1), new Channel<string>(1)];
          const task = yield* spawn(() => wait(left, right));
          yield* sleep(1);
          left.trySend("l");
          right.trySend("r");
          yield* join(task);
          expect([...rest(left), ...rest(right)]).toHaveLength(1);
          expect([left.waitingReceivers, right.waitingReceivers]).toEqual([0, 0]);
        }));

      test("is in its channel again, and what was chosen too, if the task is cancelled before it has run", () =>
        virtualTime(function* () {
          const [left, right] = [new Channel<string>(1), new Channel<string>(1)];
          const task = yield* spawn(() => wait(left, right));
          yield* sleep(1);
          left.trySend("l");
          right.trySend("r");
          task.cancel();
          yield* cancel(task);
          expect([rest(left), rest(right)]).toEqual([["l"], ["r"]]);
        }));

      test("comes before what is sent later", () =>
        virtualTime(function* () {
          const [left, right] = [new Channel<string>(3), new Channel<string>(3)];
          const task = yield* spawn(() => wait(left, right));
          yield* sleep(1);
          for (const channel of [left, right]) {
            channel.trySend("1");
            channel.trySend("2");
          }
          task.cancel();
          yield* cancel(task);
          expect([rest(left), rest(right)]).toEqual([
            ["1", "2"],
            ["1", "2"],
          ]);
        }));

      test("goes to another that waits for it", () =>
        virtualTime(function* () {
          const [left, right] = [new Channel<string>(), new Channel<string>()];
          const task = yield* spawn(() => wait(left, right));
          yield* sleep(1);
          const others = [yield* spawn(() => left.receive()), yield* spawn(() => right.receive())];
          yield* sleep(1);
          left.trySend("l");
          right.trySend("r");
          yield* join(task);
          yield* sleep(1);
          const states = others.map(({ state }) => state).toSorted();
          expect(states).toEqual(["completed", "suspended"]);
          for (const other of others) other.cancel();
        }));
    });
  }

  test("is kept by the task though a limit of time passes while the losers clean up", () =>
    virtualTime(function* () {
      const channel = new Channel<string>(1);
      const received: string[] = [];
      yield* spawn(function* () {
        yield* sleep(3);
        channel.trySend("item");
      });
      yield* moveOnAfter(5, function* () {
        const selected = yield* select({
          item: channel.receive(),
          slow: arm([], "slow", { workMs: 99, cleanupMs: 9 }),
        });
        received.push(selected.value);
      });
      expect([...received, ...rest(channel)]).toEqual(["item"]);
    }));
});

describe("items that many tasks select, with others that are cancelled and give up", () => {
  test("all arrive, once each, and in the order of each sender, in any order of tasks", async () => {
    await underSeeds(effort(300), function* ({ random }) {
      const channels = Array.from({ length: 3 }, () => new Channel<number>(random.below(3)));
      const received: number[][] = channels.map(() => []);
      const itemsEach = 1 + random.below(8);
      const senders: Task<void>[] = [];
      yield* scope(function* (own) {
        for (const channel of channels) senders.push(yield* own.spawn(() => sendAll(channel, itemsEach, random)));
        for (let count = 0; count < 5; count++) {
          yield* own.spawn(() => selectAll(channels, received, random), { daemon: true });
        }
        yield* own.spawn(() => quitters(channels, received, random), { daemon: true });
      });
      // What was sent and not yet received when the last sender had ended.
      for (const [index, channel] of channels.entries()) received[index]!.push(...rest(channel));
      const sent = Array.from({ length: itemsEach }, (_, item) => item);
      expect(received.map((items) => items.toSorted((a, b) => a - b))).toEqual(channels.map(() => sent));
    });
  });

  test("arrive in order where one after the other selects, and mostly gives up", async () => {
    await underSeeds(effort(200), function* ({ random }) {
      const [channel, other] = [new Channel<number>(random.below(3)), new Channel<number>()];
      const received: number[] = [];
      yield* scope(function* (own) {
        yield* own.spawn(() => quitAgainAndAgain(channel, other, received, random), { daemon: true });
        yield* sendAll(channel, 10, random);
      });
      received.push(...rest(channel));
      expect(received).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });
  });
});

function* sendAll(channel: Channel<number>, count: number, random: Random): Operation<void> {
  for (let item = 0; item < count; item++) {
    if (random.below(3) === 0) yield* sleep(random.below(2));
    yield* channel.send(item);
  }
}

/** Receives from whichever channel has something, for ever; nothing is between the receive and the note of it. */
function* selectAll(channels: readonly Channel<number>[], received: number[][], random: Random): Operation<void> {
  for (;;) {
    const [first, second, third] = channels.map((channel) => armOf(channel, random));
    const selected = yield* select({ 0: first!, 1: second!, 2: third!, limit: sleep(random.below(3)) });
    if (selected.key !== "limit") received[Number(selected.key)]!.push(selected.value);
    if (random.below(3) === 0) yield* yieldNow();
  }
}

function armOf(channel: Channel<number>, random: Random): Operation<number> | (() => Operation<number>) {
  return random.below(2) === 0 ? channel.receive() : () => channel.receive();
}

/** Starts tasks that select, and cancels them at any moment. */
function* quitters(channels: readonly Channel<number>[], received: number[][], random: Random): Operation<void> {
  for (;;) {
    const task = yield* spawn(() => selectAll(channels, received, random));
    yield* random.below(2) === 0 ? yieldNow() : sleep(random.below(3));
    yield* cancel(task);
  }
}

function* quitAgainAndAgain(
  channel: Channel<number>,
  other: Channel<number>,
  received: number[],
  random: Random,
): Operation<void> {
  for (;;) {
    const quitter = yield* spawn(function* () {
      const arms = { item: armOf(channel, random), other: armOf(other, random), limit: sleep(1) };
      const selected = yield* select(arms);
      if (selected.key === "item") received.push(selected.value);
    });
    if (random.below(2) === 0) yield* sleep(random.below(2));
    yield* cancel(quitter);
  }
}
