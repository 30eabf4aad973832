import { describe, expect, test } from "bun:test";
import { BusyError, ClosedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { DriverClient } from "../../src/core/driver.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { park, type Resumption } from "../../src/core/park.ts";
import { ready } from "../../src/core/ready.ts";
import { sleep } from "../../src/core/sleep.ts";
import { Delivery } from "../../src/core/source.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { blockOn } from "../../src/run.ts";
import { readable } from "../../src/io/fd.ts";
import { RING_ENTRIES } from "../../src/native/queue.ts";
import { Holder } from "../../src/reactor/ready-channel.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { sendUrgently } from "../support/kinds.ts";
import { EventCounter, readUntilEmpty } from "../support/libc.ts";
import { connectToSelf } from "../support/loopback.ts";
import { internalsOf, TestReactor, untilParked } from "../support/reactors.ts";
import { gap, testUnless } from "../support/platform.ts";

/** A wait that nothing in these tests outlasts. */
const AN_HOUR_MS = 3_600_000;

function holderOf(reactor: Reactor): Holder {
  return internalsOf(reactor).channel.holder;
}

/** An executor without tasks: it parks whenever it is called, and tells when it is called with something to do. */
class Waiter implements DriverClient {
  calls = 0;
  failure: Error | null = null;
  private onCall: (() => void) | null = null;

  constructor(private readonly reactor: Reactor) {
    reactor.attach(this);
  }

  /** Parks until the reactor's thread has the baton. */
  async untilParked(): Promise<void> {
    for (;;) {
      const called = this.nextCall();
      if (!this.reactor.park(Infinity, true)) throw new Error("there was something to do already");
      if (holderOf(this.reactor) === Holder.REACTOR) return untilParked(this.reactor);
      await called;
    }
  }

  nextCall(): Promise<void> {
    return new Promise((resolve) => (this.onCall = resolve));
  }

  onReady(): void {
    this.calls++;
    this.onCall?.();
  }

  onFailure(error: Error): void {
    this.failure = error;
    this.onCall?.();
  }
}

describe("a parked reactor", () => {
  expectNothingLeftBehind();

  test("is woken by an earlier deadline than the one that it was parked with", async () => {
    await using own = new TestReactor();
    let resumption: Resumption<void> | undefined;
    const order: string[] = [];
    const running = own.run(function* main() {
      const long = yield* spawn(function* long() {
        yield* sleep(AN_HOUR_MS);
        order.push("long");
      });
      yield* park<void>((given) => void (resumption = given));
      yield* sleep(1);
      order.push("short");
      yield* cancel(long);
    });
    await own.untilParked();
    resumption!.succeed();
    await running;
    expect(order).toEqual(["short"]);
  });

  test("takes a later deadline than the one that it was parked with without waking anybody before", async () => {
    await using own = new TestReactor();
    let resumption: Resumption<void> | undefined;
    const running = own.run(function* main() {
      const short = yield* spawn(() => sleep(AN_HOUR_MS));
      yield* park<void>((given) => void (resumption = given));
      short.cancel();
      yield* sleep(3);
      return "slept";
    });
    await own.untilParked();
    resumption!.succeed();
    expect(await running).toBe("slept");
  });

  test("never wakes a task before its deadline of 0.3 ms", async () => {
    await using own = new TestReactor();
    const sleptNs = await own.run(function* main() {
      const durations: number[] = [];
      for (let count = 0; count < 50; count++) {
        const beforeMs = performance.now();
        yield* sleep(0.3);
        durations.push(Math.round((performance.now() - beforeMs) * 1e6));
      }
      return durations;
    });
    expect(sleptNs.filter((durationNs) => durationNs < 300_000)).toEqual([]);
  });

  test("neither does blockOn", () => {
    const sleptNs = blockOn(function* main() {
      const durations: number[] = [];
      for (let count = 0; count < 50; count++) {
        const beforeMs = performance.now();
        yield* sleep(0.3);
        durations.push(Math.round((performance.now() - beforeMs) * 1e6));
      }
      return durations;
    });
    expect(sleptNs.filter((durationNs) => durationNs < 300_000)).toEqual([]);
  });

  test("reports a source that is registered while its thread is blocked", async () => {
    using counter = new EventCounter(1);
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    await waiter.untilParked();
    const called = waiter.nextCall();
    const source = own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    await called;
    const reported: unknown[] = [];
    own.reactor.drain((...event) => void reported.push(event));
    expect(reported).toEqual([[source, Readiness.READABLE]]);
  });

  test("reports a source whose interest is changed while its thread is blocked", async () => {
    using counter = new EventCounter(0);
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    const source = own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    await waiter.untilParked();
    const called = waiter.nextCall();
    own.reactor.registrator().reregister(source, Interest.WRITABLE);
    await called;
    expect(own.reactor.drain(() => {})).toBe(1);
  });

  test("resumes every one of more tasks than the channel has places, whose sources become ready together", async () => {
    const count = RING_ENTRIES + 500;
    using stack = new DisposableStack();
    const counters = Array.from({ length: count }, () => stack.use(new EventCounter()));
    await using own = new TestReactor();
    let resumed = 0;
    const running = own.run(function* main() {
      for (const { descriptor } of counters) {
        yield* spawn(function* reader() {
          yield* readable(descriptor);
          resumed++;
        });
      }
    });
    await own.untilParked();
    for (const counter of counters) counter.signal();
    await running;
    expect(resumed).toBe(count);
    expect(own.reactor.registrator().size).toBe(0);
  });

  test("keeps an event that came while no task waited, for a source that was registered by hand", async () => {
    using counter = new EventCounter();
    using other = new EventCounter();
    await using own = new TestReactor();
    const source = own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    const running = own.run(function* main() {
      yield* readable(other.descriptor);
      return yield* ready(source, Interest.READABLE);
    });
    await own.untilParked();
    counter.signal();
    other.signal();
    expect(await running).toBe(Readiness.READABLE);
  });

  testUnless(gap({ win32: "this test sends by libc" }))(
    "tells a source that was registered by hand for reading of out-of-band data as well, once it is waited for",
    async () => {
      await using own = new TestReactor();
      await own.run(function* main() {
        const { client, server } = yield* connectToSelf();
        using _client = client;
        using _server = server;
        const source = own.reactor.registrator().register(server.descriptor, Interest.READABLE);
        yield* client.write("x");
        yield* ready(source, Interest.READABLE);
        const waiting = yield* spawn(() => ready(source, Interest.PRIORITY));
        yield* yieldNow();
        // Bytes that are known do not end the wait.
        expect(waiting.state).toBe("suspended");
        sendUrgently(client.descriptor, 33);
        expect((yield* join(waiting)) & Readiness.PRIORITY).toBe(Readiness.PRIORITY);
        // Nor does out-of-band data end a wait for bytes, of which there are none once they are read.
        readUntilEmpty(server.descriptor);
        source.clearReadable();
        const reading = yield* spawn(() => ready(source, Interest.READABLE));
        yield* yieldNow();
        expect(reading.state).toBe("suspended");
        yield* client.write("y");
        expect((yield* join(reading)) & Readiness.READABLE).toBe(Readiness.READABLE);
      });
    },
  );

  test("survives the event of a one-shot source that was registered by hand and that no task waits for", async () => {
    using counter = new EventCounter(1);
    using other = new EventCounter(1);
    await using own = new TestReactor();
    own.reactor.registrator().register(counter.descriptor, Interest.READABLE, { delivery: Delivery.ONE_SHOT });
    const running = own.run(() => readable(other.descriptor));
    expect(await running).toBe(Readiness.READABLE);
  });

  testUnless(gap({ win32: "no signal interrupts a poll of win32" }))(
    "goes on when signals interrupt its poll",
    async () => {
      using counter = new EventCounter();
      await using own = new TestReactor();
      let signals = 0;
      const note = (): void => void signals++;
      process.on("SIGUSR2", note);
      const running = own.run(() => readable(counter.descriptor));
      await own.untilParked();
      for (let count = 1; count <= 20; count++) {
        process.kill(process.pid, "SIGUSR2");
        while (signals < count) await hostTurn();
      }
      process.off("SIGUSR2", note);
      counter.signal();
      expect(await running).toBe(Readiness.READABLE);
    },
  );
});

describe("the baton", () => {
  expectNothingLeftBehind();

  test("stays with the reactor's thread when traffic is sparse", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    await waiter.untilParked();
    const called = waiter.nextCall();
    counter.signal();
    await called;
    expect(holderOf(own.reactor)).toBe(Holder.REACTOR);
    expect(own.reactor.drain(() => {})).toBe(1);
  });

  test("comes back with the event when traffic is dense", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    const { linger, channel } = internalsOf(own.reactor);
    own.reactor.lingerUs = 0;
    for (let nowNs = 1; nowNs < 50; nowNs++) {
      linger.becameIdle(nowNs);
      linger.sawEvent(nowNs);
    }
    await waiter.untilParked();
    const called = waiter.nextCall();
    counter.signal();
    await called;
    expect(channel.holder).toBe(Holder.EXECUTOR);
    expect(own.reactor.drain(() => {})).toBe(1);
  });

  test("comes back when the deadline has come", async () => {
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    await waiter.untilParked();
    const called = waiter.nextCall();
    const deadlineNs = own.reactor.now() + 1e6;
    expect(own.reactor.park(deadlineNs, true)).toBe(true);
    await called;
    expect(holderOf(own.reactor)).toBe(Holder.EXECUTOR);
  });

  test("is taken back by a fetch that may wait, and not by one that may not", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    own.reactor.detach();
    const waiter = new Waiter(own.reactor);
    const { channel } = internalsOf(own.reactor);
    const source = own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    await waiter.untilParked();
    own.reactor.fetch(0);
    expect(channel.holder).toBe(Holder.REACTOR);
    own.reactor.fetch(1);
    expect(channel.holder).toBe(Holder.EXECUTOR);
    counter.signal();
    own.reactor.fetch(Infinity);
    const reported: unknown[] = [];
    own.reactor.drain((...event) => void reported.push(event));
    expect(reported).toEqual([[source, Readiness.READABLE]]);
  });

  test("that comes back along with events is enough: the fetch that asked for it does not wait for more", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    const { channel, queue } = internalsOf(own.reactor);
    own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    // The thread's part is played here, in the moment in which the wake reaches it together with an event.
    channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    const waits: number[] = [];
    const { wake, poll } = queue;
    queue.wake = () => {
      counter.signal();
      wake.call(queue);
      expect(poll.call(queue, 0)).toBe(1);
      channel.pass(Holder.REACTOR, Holder.EXECUTOR);
      return 0;
    };
    queue.poll = (timeoutNs) => {
      waits.push(timeoutNs);
      return poll.call(queue, 0);
    };
    own.reactor.fetch(Infinity);
    expect(waits.filter((timeoutNs) => timeoutNs > 0)).toEqual([]);
    expect(own.reactor.drain(() => {})).toBe(1);
  });

  testUnless(gap({ win32: "a poll of win32 brings 512 events at most" }))(
    "that comes back along with a full channel is no failure of the event queue",
    async () => {
      using stack = new DisposableStack();
      await using own = new TestReactor();
      const { channel, queue } = internalsOf(own.reactor);
      for (let count = 0; count < RING_ENTRIES; count++) {
        const { descriptor } = stack.use(new EventCounter(1));
        own.reactor.registrator().register(descriptor, Interest.READABLE);
      }
      channel.pass(Holder.EXECUTOR, Holder.REACTOR);
      const { poll } = queue;
      queue.wake = () => {
        expect(poll.call(queue, 0)).toBe(RING_ENTRIES);
        channel.pass(Holder.REACTOR, Holder.EXECUTOR);
        return 0;
      };
      own.reactor.fetch(1);
      expect(own.reactor.hasEnded).toBe(false);
      expect(own.reactor.drain(() => {})).toBe(RING_ENTRIES);
    },
  );

  test("goes to and fro between run and blockOn on one executor", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    const running = own.run(function* patient() {
      yield* readable(counter.descriptor);
      yield* sleep(1);
      return "run";
    });
    await own.untilParked();
    const blocked = own.executor.blockOn(function* urgent() {
      yield* sleep(1);
      return "blocked";
    });
    expect(blocked).toBe("blocked");
    counter.signal();
    expect(await running).toBe("run");
  });
});

describe("a reactor that is closed", () => {
  expectNothingLeftBehind();

  test("while parked ends every wait with a ClosedError, and its thread", async () => {
    using counter = new EventCounter();
    const reactor = new Reactor();
    const errors: unknown[] = [];
    const running = new Executor(reactor).run(function* main() {
      for (const wait of [(): ReturnType<typeof sleep> => sleep(AN_HOUR_MS), () => readable(counter.descriptor)]) {
        yield* spawn(function* () {
          try {
            yield* wait();
          } catch (error) {
            errors.push(error);
          }
        });
      }
    });
    const internals = internalsOf(reactor);
    while (internals.channel.holder !== Holder.REACTOR) await hostTurn();
    reactor.close();
    expect(reactor.hasEnded).toBe(true);
    await running;
    await reactor.closed;
    expect(errors.map((error) => error instanceof ClosedError)).toEqual([true, true]);
  });

  test("twice is closed once", async () => {
    const reactor = new Reactor();
    const executor = new Executor(reactor);
    const running = executor.run(() => sleep(AN_HOUR_MS));
    reactor.close();
    reactor.close();
    reactor[Symbol.dispose]();
    await rejectionOf(running, ClosedError);
    await reactor.closed;
    await reactor.closed;
  });

  test("before it was used has no thread to wait for", async () => {
    const reactor = new Reactor();
    reactor.close();
    await reactor.closed;
    expect(reactor.hasEnded).toBe(true);
  });

  test("before its thread is up waits for the thread to end all the same", async () => {
    const reactor = new Reactor();
    reactor.attach({ onReady: () => {}, onFailure: () => {} });
    expect(reactor.park(Infinity, true)).toBe(true);
    reactor.close();
    await reactor.closed;
  });

  test("by one of its own tasks lets the others end with the error, and the closer with its value", async () => {
    const reactor = new Reactor();
    let error: unknown;
    const value = await new Executor(reactor).run(function* closer() {
      const other = yield* spawn(function* other() {
        try {
          yield* sleep(AN_HOUR_MS);
        } catch (caught) {
          error = caught;
        }
      });
      yield* sleep(0);
      reactor.close();
      yield* join(other);
      return "closed";
    });
    expect(value).toBe("closed");
    expect(error).toBeInstanceOf(ClosedError);
    await reactor.closed;
  });

  test("refuses every later wait", async () => {
    using counter = new EventCounter(1);
    const reactor = new Reactor();
    const executor = new Executor(reactor);
    reactor.close();
    expect(thrownBy(() => reactor.fetch(0))).toBeInstanceOf(ClosedError);
    expect(await rejectionOf(executor.run(() => sleep(60_000)))).toBeInstanceOf(ClosedError);
    expect(await rejectionOf(executor.run(() => readable(counter.descriptor)))).toBeInstanceOf(ClosedError);
    expect(thrownBy(() => executor.blockOn(() => sleep(60_000)))).toBeInstanceOf(ClosedError);
  });

  test("leaves the descriptors of its sources open", () => {
    using counter = new EventCounter();
    const reactor = new Reactor();
    reactor.registrator().register(counter.descriptor, Interest.READABLE);
    reactor.close();
    counter.signal();
    expect(counter.take()).toBe(1n);
  });
});

describe("a reactor", () => {
  expectNothingLeftBehind();

  test("serves one executor at a time, and the next after detach", () => {
    using reactor = new Reactor();
    expect(new Executor(reactor).driver).toBe(reactor);
    const error = thrownBy(() => new Executor(reactor), BusyError);
    expect(error.message).toContain("open a Reactor for each");
    reactor.detach();
    expect(new Executor(reactor).blockOn(() => sleep(0))).toBeUndefined();
  });

  test("starts no thread for blockOn, nor for a run in which nobody waits for it", async () => {
    await using own = new TestReactor();
    own.executor.blockOn(() => sleep(0.1));
    await own.run(function* () {
      yield* park<void>(({ succeed }) => void setImmediate(succeed as () => void));
    });
    expect((own.reactor as unknown as { thread: unknown }).thread).toBeNull();
  });

  test("waits in a blockOn inside a task of run, which has a reactor of its own", async () => {
    using counter = new EventCounter(1);
    await using own = new TestReactor();
    const value = await own.run(function* outer() {
      yield* sleep(0.1);
      const inner = blockOn(function* inner() {
        yield* sleep(0.1);
        return yield* readable(counter.descriptor);
      });
      yield* sleep(0.1);
      return inner;
    });
    expect(value).toBe(Readiness.READABLE);
  });

  test("does not let a task of another one wait for its sources", async () => {
    using counter = new EventCounter();
    await using home = new TestReactor();
    await using abroad = new TestReactor();
    const source = home.reactor.registrator().register(counter.descriptor, Interest.READABLE);
    const error = await rejectionOf(
      abroad.run(() => ready(source, Interest.READABLE)),
      BusyError,
    );
    expect(error.message).toContain("belongs to another reactor");
  });
});
