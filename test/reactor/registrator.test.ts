import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { SystemError } from "../../src/core/errors.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { Delivery, type Source } from "../../src/core/source.ts";
import { QueueCall, RING_ENTRIES } from "../../src/native/queue.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { duplicateTo, EventCounter, Pipe, readUntilEmpty, SocketPair, writeUntilFull } from "../support/libc.ts";
import { NO_DESCRIPTOR } from "../support/reactors.ts";
import { gap, testUnless } from "../support/platform.ts";
import { NEEDS_CHANGES, NEEDS_DUPLICATES, needs } from "../support/needs.ts";

type Event = readonly [source: Source, readiness: Readiness];

/** All that is ready at this moment. */
function takeReady(reactor: Reactor): Event[] {
  const events: Event[] = [];
  do reactor.fetch(0);
  while (reactor.drain((source, readiness) => void events.push([source, readiness])) > 0);
  return events;
}

describe("a registrator", () => {
  expectNothingLeftBehind();

  test("reports what is ready already when it is registered, and what becomes ready later", () => {
    using reactor = new Reactor();
    using ready = new EventCounter(1);
    using pipe = new Pipe();
    const counter = reactor.registrator().register(ready.descriptor, Interest.READABLE);
    const reader = reactor.registrator().register(pipe.readEnd, Interest.READABLE);
    expect(takeReady(reactor)).toEqual([[counter, Readiness.READABLE]]);
    writeUntilFull(pipe.writeEnd);
    expect(takeReady(reactor)).toEqual([[reader, Readiness.READABLE]]);
  });

  testUnless(NEEDS_CHANGES)("reports an edge source once for each change", () => {
    using reactor = new Reactor();
    using counter = new EventCounter(1);
    reactor.registrator().register(counter.descriptor, Interest.READABLE);
    expect(takeReady(reactor)).toHaveLength(1);
    expect(takeReady(reactor)).toHaveLength(0);
    counter.signal();
    expect(takeReady(reactor)).toHaveLength(1);
    expect(takeReady(reactor)).toHaveLength(0);
  });

  test("reports a level source at each poll while it is ready", () => {
    using reactor = new Reactor();
    using counter = new EventCounter(1);
    reactor.registrator().register(counter.descriptor, Interest.READABLE, { delivery: Delivery.LEVEL });
    for (let round = 0; round < 3; round++) {
      reactor.fetch(0);
      expect(reactor.drain(() => {})).toBe(1);
    }
    counter.take();
    reactor.fetch(0);
    expect(reactor.drain(() => {})).toBe(0);
  });

  test("reports a one-shot source once, until it is registered for interest again", () => {
    using reactor = new Reactor();
    using counter = new EventCounter(1);
    const registrator = reactor.registrator();
    const source = registrator.register(counter.descriptor, Interest.READABLE, { delivery: Delivery.ONE_SHOT });
    expect(takeReady(reactor)).toHaveLength(1);
    counter.signal();
    expect(takeReady(reactor)).toHaveLength(0);
    registrator.reregister(source, Interest.READABLE);
    expect(takeReady(reactor)).toEqual([[source, Readiness.READABLE]]);
  });

  test("replaces the interest, without a poll between", () => {
    using reactor = new Reactor();
    using pair = new SocketPair();
    const registrator = reactor.registrator();
    const source = registrator.register(pair.left, Interest.READABLE);
    registrator.reregister(source, Interest.WRITABLE);
    expect(takeReady(reactor)).toEqual([[source, Readiness.WRITABLE]]);
    writeUntilFull(pair.right);
    expect(takeReady(reactor).filter(([, readiness]) => (readiness & Readiness.READABLE) !== 0)).toEqual([]);
    registrator.reregister(source, Interest.READABLE);
    expect(takeReady(reactor)).toEqual([[source, Readiness.READABLE]]);
  });

  testUnless(gap({ win32: "the pairs of this test are TCP connections on win32, which end otherwise" }))(
    "reports the sides of a connection that the peer has closed",
    () => {
      using reactor = new Reactor();
      using pair = new SocketPair();
      reactor.registrator().register(pair.left, Interest.READABLE | Interest.WRITABLE);
      takeReady(reactor);
      pair.close(pair.right);
      const [[, readiness] = []] = takeReady(reactor);
      expect(readiness! & Readiness.READ_CLOSED).toBe(Readiness.READ_CLOSED);
      expect(readiness! & Readiness.WRITE_CLOSED).toBe(Readiness.WRITE_CLOSED);
    },
  );

  testUnless(needs("anyDescriptor"))("reports the end of either end of a pipe to the other", () => {
    using reactor = new Reactor();
    using readerLeaves = new Pipe();
    using writerLeaves = new Pipe();
    const writer = reactor.registrator().register(readerLeaves.writeEnd, Interest.WRITABLE);
    const reader = reactor.registrator().register(writerLeaves.readEnd, Interest.READABLE);
    takeReady(reactor);
    readerLeaves.close(readerLeaves.readEnd);
    writerLeaves.close(writerLeaves.writeEnd);
    const readiness = new Map(takeReady(reactor));
    expect(readiness.get(writer)! & Readiness.FAILED).toBe(Readiness.FAILED);
    expect(readiness.get(reader)! & Readiness.READ_CLOSED).toBe(Readiness.READ_CLOSED);
  });

  test("reports nothing of a source once it is deregistered", () => {
    using reactor = new Reactor();
    using counter = new EventCounter();
    const registrator = reactor.registrator();
    const source = registrator.register(counter.descriptor, Interest.READABLE);
    expect(registrator.size).toBe(1);
    registrator.deregister(source);
    registrator.deregister(source);
    expect(registrator.size).toBe(0);
    counter.signal();
    expect(takeReady(reactor)).toEqual([]);
  });

  test("drops the event of a source that a handler deregisters in the same batch", () => {
    using reactor = new Reactor();
    using first = new EventCounter(1);
    using second = new EventCounter(1);
    const registrator = reactor.registrator();
    const sources = [first, second].map(({ descriptor }) => registrator.register(descriptor, Interest.READABLE));
    reactor.fetch(0);
    const reported: Source[] = [];
    reactor.drain((source) => {
      reported.push(source);
      for (const other of sources) if (other !== source) registrator.deregister(other);
    });
    expect(reported).toHaveLength(1);
  });

  testUnless(NEEDS_DUPLICATES)(
    "does not give the late event of a source to the next owner of its slot and its number",
    () => {
      using reactor = new Reactor();
      using first = new EventCounter(1);
      using second = new EventCounter(1);
      const registrator = reactor.registrator();
      const original = [first, second].map(({ descriptor }) => registrator.register(descriptor, Interest.READABLE));
      reactor.fetch(0);
      const reported: Source[] = [];
      let successor: Source | undefined;
      using successorCounter = new EventCounter();
      reactor.drain((source) => {
        reported.push(source);
        const other = original.find((candidate) => candidate !== source)!;
        const { slot, descriptor } = other;
        registrator.deregister(other);
        duplicateTo(successorCounter.descriptor, descriptor);
        successor = registrator.register(descriptor, Interest.READABLE);
        expect(successor.slot).toBe(slot);
      });
      expect(reported).toHaveLength(1);
      expect(takeReady(reactor)).toEqual([]);
      successorCounter.signal();
      expect(takeReady(reactor)).toEqual([[successor!, Readiness.READABLE]]);
    },
  );

  test("keeps apart the many owners that one slot has in turn", () => {
    using reactor = new Reactor();
    using counter = new EventCounter(1);
    const registrator = reactor.registrator();
    for (let round = 0; round < 1000; round++) {
      const source = registrator.register(counter.descriptor, Interest.READABLE);
      expect(source.slot).toBe(0);
      reactor.fetch(0);
      // The event of this owner stays in the channel, and the next owner comes.
      registrator.deregister(source);
      if (round % 100 !== 0) continue;
      expect(reactor.drain(() => expect.unreachable("an event of an owner that has gone"))).toBe(1);
    }
    expect(registrator.size).toBe(0);
  });

  testUnless(gap({ wine: "wine 8 needs minutes for thousands of sockets" }))(
    "loses no event when more sources are ready than the channel has places",
    () => {
      using reactor = new Reactor();
      using stack = new DisposableStack();
      const count = 3 * RING_ENTRIES + 17;
      const expected = new Set<Source>();
      for (let index = 0; index < count; index++) {
        const counter = stack.use(new EventCounter(1));
        expected.add(reactor.registrator().register(counter.descriptor, Interest.READABLE));
      }
      const reported = takeReady(reactor).map(([source]) => source);
      expect(reported).toHaveLength(count);
      expect(new Set(reported)).toEqual(expected);
    },
  );

  testUnless(needs("anyDescriptor"))("refuses a descriptor that is registered, closed, or cannot be waited for", () => {
    using reactor = new Reactor();
    using counter = new EventCounter();
    const registrator = reactor.registrator();
    const file = openSync(import.meta.path, "r");
    registrator.register(counter.descriptor, Interest.READABLE);
    const codeFor = (descriptor: number): string =>
      thrownBy(() => registrator.register(descriptor, Interest.READABLE), SystemError).code;
    expect(codeFor(counter.descriptor)).toBe("EEXIST");
    expect(codeFor(NO_DESCRIPTOR)).toBe("EBADF");
    expect(codeFor(file)).toBe("EPERM");
    expect(registrator.size).toBe(1);
    closeSync(file);
  });

  testUnless(NEEDS_DUPLICATES)("says so if a source that is registered anew has been closed meanwhile", () => {
    using reactor = new Reactor();
    using counter = new EventCounter();
    using other = new EventCounter();
    const registrator = reactor.registrator();
    const source = registrator.register(counter.descriptor, Interest.READABLE);
    duplicateTo(other.descriptor, counter.descriptor);
    const error = thrownBy(() => registrator.reregister(source, Interest.READABLE), SystemError);
    expect(error.code).toBe("ENOENT");
    expect(error.syscall).toBe(QueueCall.CHANGE);
    registrator.deregister(source);
    expect(registrator.size).toBe(0);
  });

  test("lets one descriptor be registered with two reactors, which both report it", () => {
    using left = new Reactor();
    using right = new Reactor();
    using counter = new EventCounter();
    left.registrator().register(counter.descriptor, Interest.READABLE);
    right.registrator().register(counter.descriptor, Interest.READABLE);
    counter.signal();
    expect(takeReady(left)).toHaveLength(1);
    expect(takeReady(right)).toHaveLength(1);
  });

  test("lists its sources, and finds them by slot and generation only", () => {
    using reactor = new Reactor();
    using first = new EventCounter();
    using second = new EventCounter();
    const registrator = reactor.registrator();
    const one = registrator.register(first.descriptor, Interest.READABLE);
    const two = registrator.register(second.descriptor, Interest.READABLE);
    expect([...registrator]).toEqual([one, two]);
    expect(registrator.find(two.slot, 1)).toBe(two);
    expect(registrator.find(two.slot, 2)).toBeNull();
    expect(registrator.find(99, 1)).toBeNull();
    registrator.deregister(one);
    expect([...registrator]).toEqual([two]);
    readUntilEmpty(first.descriptor);
  });
});
