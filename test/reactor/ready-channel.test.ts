import { describe, expect, test } from "bun:test";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { Delivery } from "../../src/core/source.ts";
import { nativeLibrary } from "../../src/native/library.ts";
import { allocateQueue, NativeQueue, PollResult, RING_ENTRIES, RingWord } from "../../src/native/queue.ts";
import { Holder, ReadyChannel } from "../../src/reactor/ready-channel.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";

/** A channel whose positions begin anywhere, with its native producer. */
class Line implements Disposable {
  readonly channel: ReadyChannel;
  readonly queue: NativeQueue;
  private readonly counters = new DisposableStack();

  constructor(position = 0) {
    const { memory } = ReadyChannel.allocate();
    const words = new Int32Array(memory.ring);
    words[RingWord.TAIL] = position;
    words[RingWord.HEAD] = position;
    this.channel = new ReadyChannel(memory);
    this.queue = new NativeQueue(allocateQueue(), memory.ring, nativeLibrary().functions);
    expect(this.queue.open()).toBe(0);
  }

  /** Registers new eventfds that are readable all the time, so that each poll reports them all. */
  registerReady(count: number): void {
    for (let slot = 0; slot < count; slot++) {
      const { descriptor } = this.counters.use(new EventCounter(1));
      expect(this.queue.register(descriptor, slot, 1000 + slot, Interest.READABLE, Delivery.LEVEL)).toBe(0);
    }
  }

  /** Each event as the slot and the generation that came with it. */
  drain(): [slot: number, generation: number, readiness: number][] {
    const events: [number, number, number][] = [];
    const count = this.channel.drain((...event) => void events.push(event));
    expect(count).toBe(events.length);
    return events;
  }

  [Symbol.dispose](): void {
    this.queue.close();
    this.counters.dispose();
  }
}

describe("the ready channel", () => {
  expectNothingLeftBehind();

  test("carries the slot, the generation and the readiness of each event", () => {
    using line = new Line();
    line.registerReady(3);
    expect(line.queue.poll(0)).toBe(3);
    expect(line.channel.hasEvents).toBe(true);
    const events = line.drain().sort(([left], [right]) => left - right);
    expect(events).toEqual([
      [0, 1000, Readiness.READABLE],
      [1, 1001, Readiness.READABLE],
      [2, 1002, Readiness.READABLE],
    ]);
    expect(line.channel.hasEvents).toBe(false);
  });

  test.each([
    ["where a signed position turns negative", 0x7fff_ffff - 6],
    ["where an unsigned position begins again", 0xffff_ffff - 6],
    ["at the end of the ring's memory", RING_ENTRIES - 7],
  ])("goes on %s", (_, position) => {
    using line = new Line(position | 0);
    line.registerReady(5);
    for (let round = 0; round < 6; round++) {
      expect(line.queue.poll(0)).toBe(5);
      const slots = line.drain().map(([slot]) => slot);
      expect(slots.sort()).toEqual([0, 1, 2, 3, 4]);
    }
    expect(line.channel.hasEvents).toBe(false);
  });

  test.each([
    ["at first", 0],
    ["where a signed position turns negative", 0x7fff_ffff - 500],
    ["where an unsigned position begins again", 0xffff_ffff - 500],
  ])("is full after as many events as it has entries, and loses none: %s", (_, position) => {
    using line = new Line(position | 0);
    line.registerReady(300);
    const results = Array.from({ length: 5 }, () => line.queue.poll(0));
    expect(results).toEqual([300, 300, 300, RING_ENTRIES - 900, PollResult.RING_FULL]);
    expect(line.drain()).toHaveLength(RING_ENTRIES);
    expect(line.queue.poll(0)).toBe(300);
    expect(line.drain()).toHaveLength(300);
  });

  test("gives a handler that drains in its turn the rest, and each event to one of them only", () => {
    using line = new Line();
    line.registerReady(10);
    line.queue.poll(0);
    const seen: string[] = [];
    line.channel.drain((slot) => {
      seen.push(`outer ${slot}`);
      line.channel.drain((inner) => void seen.push(`inner ${inner}`));
    });
    expect(seen).toHaveLength(10);
    expect(seen.filter((entry) => entry.startsWith("outer"))).toHaveLength(1);
    expect(line.queue.poll(0)).toBe(10);
  });

  test("does not deliver an event twice if a handler throws, nor lose those after it", () => {
    using line = new Line();
    line.registerReady(5);
    line.queue.poll(0);
    const seen: number[] = [];
    expect(() =>
      line.channel.drain((slot) => {
        seen.push(slot);
        if (seen.length === 2) throw new Error("a handler's defect");
      }),
    ).toThrow("a handler's defect");
    line.channel.drain((slot) => void seen.push(slot));
    expect(seen.sort()).toEqual([0, 1, 2, 3, 4]);
    expect(line.drain()).toEqual([]);
  });

  test("has an executor that holds the baton at first, and no deadline", () => {
    const channel = ReadyChannel.allocate();
    expect(channel.holder).toBe(Holder.EXECUTOR);
    expect(channel.deadlineNs).toBe(Infinity);
    expect(channel.isWanted).toBe(false);
  });

  test("passes the baton on only if it is its holder who does", () => {
    const channel = ReadyChannel.allocate();
    channel.pass(Holder.REACTOR, Holder.EXECUTOR);
    expect(channel.holder).toBe(Holder.EXECUTOR);
    channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    expect(channel.holder).toBe(Holder.REACTOR);
    channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    expect(channel.holder).toBe(Holder.REACTOR);
    expect(channel.waitWhile(Holder.EXECUTOR)).toBe(Holder.REACTOR);
  });

  test("lets nobody have the baton again once it was retired", () => {
    const channel = ReadyChannel.allocate();
    channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    expect(channel.retire()).toBe(Holder.REACTOR);
    channel.pass(Holder.REACTOR, Holder.EXECUTOR);
    channel.pass(Holder.EXECUTOR, Holder.REACTOR);
    expect(channel.holder).toBe(Holder.NOBODY);
    expect(channel.waitWhile(Holder.REACTOR)).toBe(Holder.NOBODY);
  });

  test("rings one bell until it is answered", () => {
    const channel = ReadyChannel.allocate();
    expect([channel.takeBell(), channel.takeBell(), channel.takeBell()]).toEqual([true, false, false]);
    channel.answerBell();
    expect([channel.takeBell(), channel.takeBell()]).toEqual([true, false]);
  });

  test("shows the same words to whoever has its memory", () => {
    const ours = ReadyChannel.allocate();
    const theirs = new ReadyChannel(ours.memory);
    ours.deadlineNs = 12_345.5;
    ours.isWanted = true;
    ours.pass(Holder.EXECUTOR, Holder.REACTOR);
    expect([theirs.deadlineNs, theirs.isWanted, theirs.holder]).toEqual([12_345.5, true, Holder.REACTOR]);
    theirs.markLeft();
    ours.waitUntilLeft();
  });
});
