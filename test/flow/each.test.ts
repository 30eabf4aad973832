import { describe, expect, test } from "bun:test";
import { CancelledError, ClosedError, UnsupportedError } from "../../src/core/errors.ts";
import { taskPathOf } from "../../src/core/error-trace.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation, TaskBody } from "../../src/core/operation.ts";
import { scope } from "../../src/core/scope-region.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import type { Task } from "../../src/core/task.ts";
import { moveOnAfter } from "../../src/core/time-limit.ts";
import { each, type EachSource, type Subscription } from "../../src/flow/each.ts";
import { race } from "../../src/flow/race.ts";
import { Broadcast, OverflowError } from "../../src/sync/broadcast.ts";
import { Channel } from "../../src/sync/channel.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { runScript } from "../support/child.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { settled } from "../support/settled.ts";

function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** Suspends the task until all others wait: the virtual clock moves only then. */
function untilAllWait(): Operation<void> {
  return sleep(1);
}

function* collect<T>(source: EachSource<T>): Operation<T[]> {
  const items: T[] = [];
  for (const item of yield* each(source)) {
    items.push(item);
    yield* each.next();
  }
  return items;
}

function* failureOf(operation: Operation<unknown>): Operation<unknown> {
  try {
    return yield* operation;
  } catch (error) {
    return error;
  }
}

/** A channel that holds items, and is closed behind them. */
function channelOf<T>(...items: T[]): Channel<T> {
  const channel = new Channel<T>(Infinity);
  for (const item of items) channel.trySend(item);
  channel.close();
  return channel;
}

/** Counts from 0, with a wait before each number, and notes when it is closed. */
class Counter implements Subscription<number> {
  closed = 0;
  private count = 0;

  constructor(
    private readonly end = Infinity,
    private readonly failAt = -1,
  ) {}

  *next(): Operation<IteratorResult<number, void>> {
    yield* sleep(1);
    if (this.count === this.end) return { done: true, value: undefined };
    const value = this.count++;
    if (value === this.failAt) throw new Error(`no ${value}`);
    return { done: false, value };
  }

  close(): void {
    this.closed++;
  }
}

describe("a loop over each", () => {
  test("has every item of a channel, and ends when that is closed and empty", async () => {
    const channel = new Channel<number>(1);
    const items = await runVirtually(function* main() {
      const loop = yield* spawn(() => collect(channel));
      for (const item of [1, 2, 3, 4]) yield* channel.send(item);
      channel.close("no more");
      return yield* join(loop);
    });
    expect(items).toEqual([1, 2, 3, 4]);
  });

  test("has none of a source that has ended already", async () => {
    expect(await runVirtually(() => collect(channelOf()))).toEqual([]);
  });

  test("has what a broadcast sends from the loop's beginning, and unsubscribes when it is left", async () => {
    const broadcast = new Broadcast<number>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      broadcast.trySend(0);
      yield* spawn(function* listener() {
        for (const item of yield* each(broadcast)) {
          log.push(item);
          if (item === 2) break;
          yield* each.next();
        }
        log.push(broadcast.subscribers);
      });
      yield* untilAllWait();
      for (const item of [1, 2, 3]) yield* broadcast.send(item);
    });
    expect(log).toEqual([1, 2, 0]);
  });

  test("throws what its subscription ends with", async () => {
    const broadcast = new Broadcast<number>();
    const seen: number[] = [];
    const error = await runVirtually(() =>
      failureOf(
        (function* () {
          const subscription = broadcast.subscribe({ capacity: 1, overflow: "fail" });
          for (const item of [1, 2]) broadcast.trySend(item);
          for (const item of yield* each(subscription)) {
            seen.push(item);
            yield* each.next();
          }
        })(),
      ),
    );
    expect(error).toBeInstanceOf(OverflowError);
    expect(seen).toEqual([1]);
  });

  test("shares a channel's items with other loops, and leaves the channel open when it is left", async () => {
    const channel = new Channel<number>();
    const log: string[] = [];
    await runVirtually(function* main() {
      for (const name of ["a", "b"]) {
        yield* spawn(function* worker() {
          for (const item of yield* each(channel)) {
            log.push(`${name}${item}`);
            if (item === 2) break;
            yield* each.next();
          }
        });
      }
      yield* untilAllWait();
      for (const item of [1, 2, 3, 4]) yield* channel.send(item);
      expect(channel.isClosed).toBe(false);
      channel.close();
    });
    expect(log.toSorted()).toEqual(["a1", "a3", "a4", "b2"]);
  });

  test("may be in another: each.next() is the inner one's in the inner one, and in generators that it calls", async () => {
    const log: string[] = [];
    await runVirtually(function* main() {
      for (const outer of yield* each(channelOf("a", "b"))) {
        for (const inner of yield* each(channelOf(1, 2, 3))) {
          if (inner === 3) break;
          log.push(outer + inner);
          log.push(...(yield* collect(channelOf(`${outer}${inner}-`))));
          yield* each.next();
        }
        yield* each.next();
      }
    });
    expect(log).toEqual(["a1", "a1-", "a2", "a2-", "b1", "b1-", "b2", "b2-"]);
  });

  test("does not mix with those of other tasks", async () => {
    const lists = await runVirtually(function* main() {
      const tasks: Task<number[]>[] = [];
      for (const end of [3, 5]) tasks.push(yield* spawn(() => collect(new Counter(end))));
      return [yield* join(tasks[0]!), yield* join(tasks[1]!)];
    });
    expect(lists).toEqual([
      [0, 1, 2],
      [0, 1, 2, 3, 4],
    ]);
  });

  test("may wait for its next item among other things", async () => {
    const channel = new Channel<number>();
    const log: unknown[] = [];
    await runVirtually(function* main() {
      yield* spawn(function* sender() {
        yield* channel.send(1);
        yield* sleep(25);
        yield* channel.send(2);
        channel.close();
      });
      for (const item of yield* each(channel)) {
        log.push(item);
        while ((yield* race([waitFor(each.next(), "item"), waitFor(sleep(10), "silence")])) === "silence") {
          log.push("silence");
          expect(channel.waitingReceivers).toBe(0);
        }
      }
    });
    expect(log).toEqual([1, "silence", "silence", 2]);

    function* waitFor(operation: Operation<void>, name: string): Operation<string> {
      yield* operation;
      return name;
    }
  });

  test("can be destructured to its first item", async () => {
    const counter = new Counter();
    const first = await runVirtually(function* main() {
      const [item] = yield* each(counter);
      return item;
    });
    expect(first).toBe(0);
    expect(counter.closed).toBe(1);
  });
});

describe("a loop over each that is left early", () => {
  const leave: Record<string, (counter: Counter) => Operation<unknown>> = {
    *"by break"(counter) {
      for (const item of yield* each(counter)) {
        if (item === 1) break;
        yield* each.next();
      }
    },
    *"by return"(counter) {
      for (const item of yield* each(counter)) {
        if (item === 1) return item;
        yield* each.next();
      }
      return null;
    },
    *"by an error in its body"(counter) {
      for (const item of yield* each(counter)) {
        if (item === 1) throw new Error("enough");
        yield* each.next();
      }
    },
    *"by a cancel while its body waits"(counter) {
      const task = yield* spawn(function* () {
        for (const _ of yield* each(counter)) yield* sleep(Infinity);
      });
      yield* sleep(5);
      yield* cancel(task);
    },
    *"by a cancel while it waits for the next item"(counter) {
      const task = yield* spawn(() => collect(counter));
      yield* sleep(2.5);
      yield* cancel(task);
    },
    *"by a cancel while it waits for the first item"(counter) {
      const task = yield* spawn(() => collect(counter));
      yield* sleep(0.5);
      yield* cancel(task);
    },
    *"by a time limit"(counter) {
      yield* moveOnAfter(3.5, () => collect(counter));
    },
    *"because a turn forgot each.next()"(counter) {
      for (const _ of yield* each(counter));
    },
  };

  test.each(Object.keys(leave))("closes its subscription once: %s", async (how) => {
    const counter = new Counter();
    await runVirtually(() => failureOf(leave[how]!(counter)));
    expect(counter.closed).toBe(1);
  });

  test("closes its subscription if that fails, at first or later, or ends with its task's clean-up", async () => {
    const counters = [new Counter(Infinity, 0), new Counter(Infinity, 2)];
    for (const counter of counters) {
      const error = await runVirtually(() => failureOf(collect(counter)));
      expect((error as Error).message).toStartWith("no ");
    }
    expect(counters.map(({ closed }) => closed)).toEqual([1, 1]);
  });

  test("does not close what has come to its end", async () => {
    const counter = new Counter(2);
    expect(await runVirtually(() => collect(counter))).toEqual([0, 1]);
    expect(counter.closed).toBe(0);
  });

  test("leaves an item that it was given, and has not taken, in the channel", async () => {
    const channel = new Channel<number>();
    await runVirtually(function* main() {
      const task = yield* spawn(() => collect(channel));
      yield* untilAllWait();
      yield* channel.send(1);
      yield* cancel(task);
    });
    expect(channel.tryReceive()).toEqual({ value: 1 });
  });

  test("leaves the loop around it as it was", async () => {
    const log: unknown[] = [];
    await runVirtually(function* main() {
      for (const item of yield* each(channelOf("a", "b"))) {
        const inner = new Counter(Infinity, 1);
        log.push(item, ((yield* failureOf(collect(inner))) as Error).message);
        yield* moveOnAfter(5, () => collect(new Counter()));
        yield* each.next();
      }
    });
    expect(log).toEqual(["a", "no 1", "b", "no 1"]);
  });

  test("may try again if its subscription failed for once", async () => {
    const items: number[] = [];
    const errors = await runVirtually(function* main() {
      const failures: unknown[] = [];
      for (const item of yield* each(new Counter(4, 2))) {
        items.push(item);
        const error = yield* failureOf(each.next());
        if (error === undefined) continue;
        failures.push((error as Error).message);
        yield* each.next();
      }
      return failures;
    });
    expect(items).toEqual([0, 1, 3]);
    expect(errors).toEqual(["no 2"]);
  });
});

describe("a mistake with each", () => {
  test("is to go round without each.next(), also by continue", async () => {
    const seen: number[] = [];
    const error = await runVirtually(() =>
      failureOf(
        (function* () {
          for (const item of yield* each(channelOf(1, 2, 3))) {
            seen.push(item);
            if (item === 2) continue;
            yield* each.next();
          }
        })(),
      ),
    );
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe(
      "a loop over each(…) went round without yield* each.next(): it comes last, and before continue",
    );
    expect(seen).toEqual([1, 2]);
  });

  test("is to call each.next() twice, which would lose an item", async () => {
    const channel = channelOf(1, 2, 3);
    const error = await runVirtually(() =>
      failureOf(
        (function* () {
          for (const _ of yield* each(channel)) {
            yield* each.next();
            yield* each.next();
          }
        })(),
      ),
    );
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toStartWith("each.next() was called twice");
    expect(channel.size).toBe(1);
  });

  test("is to call each.next() where no loop is: in another task, after the loop, in code of the host", async () => {
    const message = "each.next() is called in no loop over each(…)";
    expect(thrownBy(() => each.next(), TypeError).message).toBe(message);
    const errors = await runVirtually(function* main() {
      const failures: unknown[] = [];
      const nextOne = function* (): Operation<void> {
        yield* each.next();
      };
      for (const _ of yield* each(channelOf(1))) {
        const other = yield* spawn(() => failureOf(nextOne()));
        failures.push(yield* join(other));
        yield* each.next();
      }
      failures.push(yield* failureOf(nextOne()));
      return failures;
    });
    expect(errors.map((error) => (error as Error).message)).toEqual([message, message]);
  });

  test("is to loop twice over what each gave, or to spread it", async () => {
    const errors = await runVirtually(function* main() {
      const items = yield* each(channelOf(1));
      for (const _ of items) yield* each.next();
      const [again, spread] = [() => [...items], yield* each(channelOf(1, 2))];
      return [thrownBy(again, TypeError), thrownBy(() => [...spread], TypeError)];
    });
    expect(errors.map(({ message }) => message)).toEqual([
      "what each(…) gave was iterated already: it serves one loop",
      "a loop over each(…) went round without yield* each.next(): it comes last, and before continue",
    ]);
  });

  test.each([[[1, 2]], ["text"], [null], [undefined], [{}], [function* () {}]])("is to give it %p", (source) => {
    const error = thrownBy(() => each(source as unknown as EachSource<number>), TypeError);
    expect(error.message).toStartWith(
      "each takes a channel, a broadcast, a subscription or an async iterable, but was",
    );
  });
});

describe("the tasks of loops", () => {
  test("are not kept by them, however the loops ended", async () => {
    const tasks: WeakRef<Task<unknown>>[] = [];
    await runVirtually(function* main() {
      for (let count = 0; count < 200; count++) {
        const task: Task<unknown> = yield* spawn(function* () {
          for (const item of yield* each(new Counter(3))) {
            if (item === count % 4) break;
            yield* each.next();
          }
        });
        if (count % 5 === 0) task.cancel();
        tasks.push(new WeakRef(task));
      }
    });
    const countKept = (): number => tasks.filter((task) => task.deref() !== undefined).length;
    // The collector may take a few words on the stack for references, mostly other ones each time.
    for (let turn = 0; turn < 50 && countKept() >= 20; turn++) {
      await hostTurn();
      Bun.gc(true);
    }
    expect(countKept()).toBeLessThan(20);
  });
});

/** An async iterable that notes what is asked of it; its answers come when the test gives them, or at once. */
class Stream implements AsyncIterable<number> {
  readonly log: string[] = [];
  private count = 0;
  private readonly pending: PromiseWithResolvers<unknown>[] = [];

  constructor(
    private readonly answers: {
      readonly next?: "at once" | "when told";
      readonly return?: "at once" | "when told";
      readonly end?: number;
    } = {},
  ) {}

  [Symbol.asyncIterator](): AsyncIterator<number> {
    this.log.push("begun");
    return {
      next: () => {
        this.log.push("next");
        const isEnd = this.count === this.answers.end;
        return this.answer(
          this.answers.next,
          isEnd ? { done: true, value: undefined } : { done: false, value: this.count++ },
        );
      },
      return: () => {
        this.log.push("return");
        return this.answer(this.answers.return, { done: true, value: undefined });
      },
    };
  }

  /** Lets the oldest answer come that waits for that, or an error in its place. */
  tell(error?: Error): void {
    const { resolve, reject } = this.pending.shift()!;
    if (error === undefined) resolve({ done: false, value: this.count++ });
    else reject(error);
  }

  private answer(when: "at once" | "when told" = "at once", result: IteratorResult<number>): Promise<never> {
    if (when === "at once") return Promise.resolve(result) as Promise<never>;
    const pending = Promise.withResolvers<unknown>();
    this.pending.push(pending);
    return pending.promise as Promise<never>;
  }
}

function* takeTwo(source: EachSource<number>, log: string[]): Operation<void> {
  for (const item of yield* each(source)) {
    log.push(`item ${item}`);
    if (item === 1) break;
    yield* each.next();
  }
  log.push("after the loop");
}

describe("a loop over an async iterable", () => {
  test("has what an async generator yields, and throws what it throws", async () => {
    const error = new Error("the generator's own");
    const generator = async function* (): AsyncGenerator<number> {
      yield 1;
      await hostTurn();
      yield 2;
      throw error;
    };
    const items: number[] = [];
    const failure = await runVirtually(() =>
      failureOf(
        (function* () {
          for (const item of yield* each(generator())) {
            items.push(item);
            yield* each.next();
          }
        })(),
      ),
    );
    expect(failure).toBe(error);
    expect(items).toEqual([1, 2]);
  });

  test("has the chunks of a web stream, whose lock it gives up when it is left", async () => {
    const stream = new ReadableStream<number>({
      start(controller) {
        for (const chunk of [0, 1, 2]) controller.enqueue(chunk);
      },
    });
    const log: string[] = [];
    await runVirtually(() => takeTwo(stream, log));
    expect(log).toEqual(["item 0", "item 1", "after the loop"]);
    expect(stream.locked).toBe(false);
  });

  test("does not call return() at the end", async () => {
    const stream = new Stream({ end: 2 });
    expect(await runVirtually(() => collect(stream))).toEqual([0, 1]);
    expect(stream.log).toEqual(["begun", "next", "next", "next"]);
  });

  test("does not call return() at the end, even if it is left there", async () => {
    const stream = new Stream({ end: 1 });
    await runVirtually(function* main() {
      for (const _ of yield* each(stream)) {
        yield* each.next();
        break;
      }
    });
    expect(stream.log).toEqual(["begun", "next", "next"]);
  });

  test("calls return() when it is left, and its task does not end before that has come", async () => {
    const stream = new Stream({ return: "when told" });
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(() => takeTwo(stream, stream.log));
    running.then(
      () => stream.log.push("ended"),
      () => stream.log.push("failed"),
    );
    for (let turn = 0; turn < 10; turn++) await hostTurn();
    stream.log.push("told");
    stream.tell();
    await settled(driver, running);
    expect(stream.log).toEqual([
      "begun",
      "next",
      "item 0",
      "next",
      "item 1",
      "return",
      "after the loop",
      "told",
      "ended",
    ]);
  });

  test("is left with an error of its scope if return() rejects, or throws", async () => {
    const error = new Error("cannot close");
    for (const answer of [() => Promise.reject(error), () => throwIt(error)]) {
      const iterator = { next: () => Promise.resolve({ done: false, value: 1 }), return: answer };
      const log: string[] = [];
      const failure = await rejectionOf(
        runVirtually(function* main() {
          try {
            yield* scope(() => takeTwo({ [Symbol.asyncIterator]: () => iterator as AsyncIterator<number> }, log));
          } finally {
            log.push("after the scope");
          }
        }),
      );
      expect(failure).toBe(error);
      expect(taskPathOf(failure)).toEqual(["task the end of an async iterable (#2)", "task main (#1)"]);
      expect(log).toEqual(["item 1", "after the loop", "after the scope"]);
    }
  });

  test("loses neither the error of its body nor that of return()", async () => {
    const iterator = {
      next: () => Promise.resolve({ done: false, value: 1 }),
      return: () => Promise.reject(new Error("cannot close")),
    };
    const failure = await rejectionOf(
      runVirtually(function* main() {
        for (const _ of yield* each({ [Symbol.asyncIterator]: () => iterator as AsyncIterator<number> })) {
          throw new Error("in the body");
        }
      }),
      AggregateError,
    );
    expect(failure.errors.map(({ message }: Error) => message)).toEqual(["in the body", "cannot close"]);
  });

  test("waits for return() if the task is cancelled in its body, and reports its rejection", async () => {
    for (const error of [undefined, new Error("cannot close")]) {
      const stream = new Stream({ return: "when told" });
      const driver = new VirtualDriver();
      let task: Task<void> | undefined;
      const running = new Executor(driver).run(function* main() {
        task = yield* spawn(
          function* () {
            for (const _ of yield* each(stream)) yield* sleep(Infinity);
          },
          { supervised: true },
        );
        return yield* failureOf(join(task));
      });
      while (stream.log.length < 2) await hostTurn();
      for (let turn = 0; turn < 5; turn++) await hostTurn();
      task!.cancel();
      for (let turn = 0; turn < 5; turn++) await hostTurn();
      expect(stream.log).toEqual(["begun", "next", "return"]);
      expect(task!.hasEnded).toBe(false);
      stream.tell(error);
      const outcome = await settled(driver, running);
      if (error === undefined) expect(outcome).toBeInstanceOf(CancelledError);
      else expect(outcome).toBe(error);
    }
  });

  test("does not wait for a return() behind a next() that may never come, and ignores what that comes to", async () => {
    const stream = new Stream({ next: "when told", return: "when told" });
    const driver = new VirtualDriver();
    const running = new Executor(driver).run(function* main() {
      const task = yield* spawn(() => collect(stream));
      yield* sleep(1);
      yield* cancel(task);
      return task.state;
    });
    expect(await settled(driver, running)).toBe("cancelled");
    expect(stream.log).toEqual(["begun", "next", "return"]);
    stream.tell(new Error("next() was broken off"));
    stream.tell();
    await hostTurn();
  });

  test("that was cancelled while next() was awaited, and whose return() then rejects, ends the program with the reason", async () => {
    const { exitCode, stderr, wasKilled } = await runScript(`
      import { each, run, sleep, spawn } from "./src/index.ts";
      const iterator = {
        next: () => new Promise(() => {}),
        return: () => Promise.reject(new Error("cannot close")),
      };
      await run(function* main() {
        const listener = yield* spawn(function* listener() {
          for (const item of yield* each({ [Symbol.asyncIterator]: () => iterator })) yield* each.next();
        });
        yield* sleep(1);
        listener.cancel();
      });
    `);
    expect({ exitCode, wasKilled }).toEqual({ exitCode: 1, wasKilled: false });
    expect(stderr).toContain("task listener (#2) was cancelled in a loop over an async iterable");
    expect(stderr).toContain("cannot close");
  });

  test("ignores a rejection of next() that comes when the task is cancelled already", async () => {
    const stream = new Stream({ next: "when told" });
    await runVirtually(function* main() {
      const task: Task<unknown> = yield* spawn(function* () {
        task.cancel();
        // What waits next ends here, before the promise of next() is waited for.
        yield* collect(stream);
      });
      yield* untilAllWait();
    });
    expect(stream.log).toEqual(["begun", "next", "return"]);
    stream.tell(new Error("nobody waits for it"));
    await hostTurn();
  });

  test("needs no return() of its iterator", async () => {
    const log: string[] = [];
    let count = 0;
    const iterator = { next: () => Promise.resolve({ done: false, value: count++ }) };
    await runVirtually(() => takeTwo({ [Symbol.asyncIterator]: () => iterator as AsyncIterator<number> }, log));
    expect(log).toEqual(["item 0", "item 1", "after the loop"]);
  });

  test("throws what begins it, and what its next() throws, without a return()", async () => {
    const error = new Error("not today");
    const log: string[] = [];
    const iterator = { next: () => throwIt(error), return: () => void log.push("return") };
    for (const begin of [() => throwIt(error), () => iterator as unknown as AsyncIterator<number>]) {
      expect(await runVirtually(() => failureOf(collect({ [Symbol.asyncIterator]: begin })))).toBe(error);
    }
    expect(log).toEqual([]);
  });

  test("refuses an iterator whose next() comes to no result", async () => {
    const iterator = { next: () => Promise.resolve(7) };
    const error = await runVirtually(() =>
      failureOf(collect({ [Symbol.asyncIterator]: () => iterator as unknown as AsyncIterator<number> })),
    );
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe("each: the next() of an async iterator came to 7, which is no result");
  });

  test("is refused in blockOn, where no promise can settle, before the iterable is touched", () => {
    const stream = new Stream();
    const error = thrownBy(() => new Executor(new VirtualDriver()).blockOn(() => collect(stream)), UnsupportedError);
    expect(error.message).toContain("each over an async iterable inside blockOn");
    expect(stream.log).toEqual([]);
  });
});

describe("a loop over a channel", () => {
  test("works in blockOn", () => {
    const items = new Executor(new VirtualDriver()).blockOn(function* main() {
      const channel = new Channel<number>();
      yield* spawn(function* () {
        for (const item of [1, 2, 3]) yield* channel.send(item);
        channel.close();
      });
      return yield* collect(channel);
    });
    expect(items).toEqual([1, 2, 3]);
  });

  test("has no end while the channel is open, and then ends without an error, which receive does not", async () => {
    const channel = channelOf(1);
    const log = await runVirtually(function* main() {
      return [yield* collect(channel), yield* failureOf(channel.receive())];
    });
    expect(log[0]).toEqual([1]);
    expect(log[1]).toBeInstanceOf(ClosedError);
  });
});

function throwIt(error: Error): never {
  throw error;
}
