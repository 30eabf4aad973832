/** The web's `ReadableStream`, both ways. */

import { describe, expect, test } from "bun:test";
import { BusyError, UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { each } from "../../src/flow/each.ts";
import type { Emit, Producer, ProducerOptions } from "../../src/host/producer.ts";
import type { ByteSource } from "../../src/host/source-and-sink.ts";
import { fromReadableStream, readableStreamOf } from "../../src/host/web-readable.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy, throwError } from "../support/failure.ts";
import { listenersOf, virtualRunner } from "./virtually.ts";

const run = virtualRunner();

const streamOf = (source: Producer<unknown> | ByteSource, options?: ProducerOptions): ReadableStream =>
  readableStreamOf(run, source, options);

/** Bytes that come after a wait, a few at a time. */
class Bytes implements ByteSource {
  readonly log: string[] = [];
  private sent = 0;

  constructor(
    private readonly text: string,
    private readonly bytesAtATime = 3,
  ) {}

  *read(buffer: Uint8Array): Operation<number> {
    this.log.push(`read ${buffer.byteLength}`);
    yield* sleep(1);
    const bytes = Buffer.from(this.text).subarray(
      this.sent,
      this.sent + Math.min(this.bytesAtATime, buffer.byteLength),
    );
    buffer.set(bytes);
    this.sent += bytes.byteLength;
    return bytes.byteLength;
  }
}

/** Bytes that never come. */
class Silence implements ByteSource {
  readonly log: string[] = [];

  *read(): Operation<number> {
    this.log.push("reading");
    try {
      yield* sleep(Infinity);
    } finally {
      yield* sleep(1);
      this.log.push("cleaned up");
    }
    return 0;
  }

  *cancel(reason: unknown): Operation<void> {
    yield* sleep(1);
    this.log.push(`cancelled: ${reason}`);
  }
}

function* upTo(end: number, emit: Emit<unknown>): Operation<void> {
  for (let item = 1; item <= end; item++) {
    yield* sleep(1);
    yield* emit(item);
  }
}

describe("a ReadableStream of what a task emits", () => {
  test("gives the items, and closes when the task has ended", async () => {
    expect(await Array.fromAsync(streamOf((emit) => upTo(3, emit)))).toEqual([1, 2, 3]);
  });

  test("is the body of a response", async () => {
    const stream = streamOf(function* produce(emit) {
      for (const text of ["one ", "two"]) yield* emit(new TextEncoder().encode(text));
    });
    expect(await new Response(stream).text()).toBe("one two");
  });

  test("produces nothing before it is read, and nothing ahead of the reader", async () => {
    const log: string[] = [];
    const stream = streamOf(function* produce(emit) {
      for (const item of ["a", "b"]) {
        log.push(`make ${item}`);
        yield* emit(item);
      }
    });
    await hostTurn();
    expect(log).toEqual([]);
    const reader = stream.getReader();
    await reader.read();
    await hostTurn();
    expect(log).toEqual(["make a"]);
    await reader.cancel();
  });

  test("cancels the task when it is cancelled, and its cancel waits for the clean-up", async () => {
    const log: string[] = [];
    const stream = streamOf(function* produce(emit) {
      try {
        yield* emit(1);
      } finally {
        yield* sleep(1);
        log.push("cleaned up");
      }
    });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel("enough");
    expect(log).toEqual(["cleaned up"]);
  });

  test("cancels a task that waits while a reader does", async () => {
    const log: string[] = [];
    const reader = streamOf(function* produce() {
      try {
        yield* sleep(Infinity);
      } finally {
        log.push("cleaned up");
      }
    }).getReader();
    const reading = reader.read();
    await hostTurn();
    await reader.cancel();
    expect(await reading).toEqual({ done: true, value: undefined });
    expect(log).toEqual(["cleaned up"]);
  });

  test("lets an error of the clean-up come out of cancel", async () => {
    const reader = streamOf(function* produce(emit) {
      try {
        yield* emit(1);
      } finally {
        throwError("of the clean-up");
      }
    }).getReader();
    await reader.read();
    expect((await rejectionOf(reader.cancel())).message).toBe("of the clean-up");
  });

  test("fails with what the task throws, after the items before it", async () => {
    const error = new Error("of the task");
    const reader = streamOf(function* produce(emit) {
      yield* emit(1);
      throw error;
    }).getReader();
    expect((await reader.read()).value).toBe(1);
    expect(await rejectionOf(reader.read())).toBe(error);
    expect(await rejectionOf(reader.closed)).toBe(error);
  });

  test("fails with the reason of a signal that is aborted, and lets go of the signal", async () => {
    const controller = new AbortController();
    const reader = streamOf((emit) => upTo(9, emit), { signal: controller.signal }).getReader();
    await reader.read();
    const reading = reader.read();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejectionOf(reading)).toBe(reason);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("can be teed and piped", async () => {
    const [left, right] = streamOf((emit) => upTo(3, emit)).tee();
    const doubled = new TransformStream({ transform: (item: number, controller) => controller.enqueue(item * 2) });
    const [leftItems, rightItems] = await Promise.all([
      Array.fromAsync(left),
      Array.fromAsync(right.pipeThrough(doubled)),
    ]);
    expect(leftItems).toEqual([1, 2, 3]);
    expect(rightItems).toEqual([2, 4, 6]);
  });

  test("refuses what produces nothing", () => {
    expect(() => streamOf({} as never)).toThrow("toReadableStream takes a generator function (function*), a channel");
  });
});

describe("a ReadableStream of bytes", () => {
  test("gives the bytes as they come, in chunks of their own", async () => {
    const chunks: Uint8Array[] = await Array.fromAsync(streamOf(new Bytes("abcdefgh")));
    expect(chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(["abc", "def", "gh"]);
    expect(new Set(chunks.map(({ buffer }) => buffer)).size).toBe(3);
    expect(chunks.every(({ buffer }) => buffer.byteLength <= 3)).toBe(true);
  });

  test("is the body of a response", async () => {
    expect(await new Response(streamOf(new Bytes("abcdefgh"))).text()).toBe("abcdefgh");
  });

  test("reads right into the buffer that a reader brings", async () => {
    const source = new Bytes("abcdefgh");
    const reader = streamOf(source).getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(5));
    expect(Buffer.from(first.value!).toString()).toBe("abc");
    expect(first.value!.buffer.byteLength).toBe(5);
    const second = await reader.read(new Uint8Array(2));
    expect(Buffer.from(second.value!).toString()).toBe("de");
    expect(source.log).toEqual(["read 5", "read 2"]);
    reader.releaseLock();
  });

  test("ends for a reader that brings its buffer, which gets it back", async () => {
    const reader = streamOf(new Bytes("")).getReader({ mode: "byob" });
    const { done, value } = await reader.read(new Uint8Array(5));
    expect(done).toBe(true);
    expect(value!.byteLength).toBe(0);
    expect(value!.buffer.byteLength).toBe(5);
  });

  test("serves one kind of reader after the other", async () => {
    const stream = streamOf(new Bytes("abcdefgh"));
    const plain = stream.getReader();
    expect(Buffer.from((await plain.read()).value).toString()).toBe("abc");
    plain.releaseLock();
    const byob = stream.getReader({ mode: "byob" });
    expect(Buffer.from((await byob.read(new Uint8Array(2))).value!).toString()).toBe("de");
    byob.releaseLock();
    expect(await Array.fromAsync(stream)).toEqual([new Uint8Array(Buffer.from("fgh"))]);
  });

  test("reads nothing before it is asked", async () => {
    const source = new Bytes("abc");
    const stream = streamOf(source);
    await hostTurn();
    expect(source.log).toEqual([]);
    await stream.cancel();
    expect(source.log).toEqual([]);
  });

  test("cancels a read that waits, then tells the source why", async () => {
    const source = new Silence();
    const reader = streamOf(source).getReader();
    const reading = reader.read();
    await hostTurn();
    await reader.cancel("enough");
    expect(source.log).toEqual(["reading", "cleaned up", "cancelled: enough"]);
    expect((await reading).done).toBe(true);
  });

  test("fails with what a read throws", async () => {
    const error = new Error("connection reset");
    const stream = streamOf({
      *read(): Operation<number> {
        yield* sleep(1);
        throw error;
      },
    });
    expect(await rejectionOf(new Response(stream).text())).toBe(error);
  });

  test("fails with the reason of a signal that is aborted", async () => {
    const controller = new AbortController();
    const source = new Silence();
    const reading = streamOf(source, { signal: controller.signal }).getReader().read();
    await hostTurn();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejectionOf(reading)).toBe(reason);
    expect(source.log).toEqual(["reading", "cleaned up"]);
    expect(listenersOf(controller.signal)).toBe(0);
  });
});

describe("fromReadableStream", () => {
  const numbers = (end: number): ReadableStream<number> => {
    let next = 1;
    return new ReadableStream({
      pull: (controller) => (next > end ? controller.close() : controller.enqueue(next++)),
    });
  };

  function* takeAll<T>(reader: { next(): Operation<IteratorResult<T, void>> }): Operation<T[]> {
    const items: T[] = [];
    for (;;) {
      const item = yield* reader.next();
      if (item.done === true) return items;
      items.push(item.value);
    }
  }

  test("gives the chunks and the end, and unlocks the stream", async () => {
    const stream = numbers(3);
    const reader = fromReadableStream(stream);
    expect(stream.locked).toBe(true);
    expect(await run(() => takeAll(reader), {})).toEqual([1, 2, 3]);
    expect(stream.locked).toBe(false);
    expect(await run(() => reader.next(), {})).toEqual({ done: true, value: undefined });
  });

  test("throws the stream's error, each time, and unlocks the stream", async () => {
    const error = new Error("of the stream");
    const stream = new ReadableStream({ pull: (controller) => controller.error(error) });
    const reader = fromReadableStream(stream);
    expect(await rejectionOf(run(() => reader.next(), {}))).toBe(error);
    expect(await rejectionOf(run(() => reader.next(), {}))).toBe(error);
    expect(stream.locked).toBe(false);
  });

  test("loses no chunk when a task that waits for one is cancelled", async () => {
    const { readable, writable } = new TransformStream<string, string>();
    const reader = fromReadableStream(readable);
    const writer = writable.getWriter();
    await run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* sleep(1);
      yield* cancel(child);
      const written = writer.write("kept");
      yield* sleep(1);
      expect((yield* reader.next()).value).toBe("kept");
      yield* promise(written);
      reader.close();
    }, {});
  });

  test("loses no chunk that came for a task that was cancelled before it went on", async () => {
    const { readable, writable } = new TransformStream<string, string>();
    const reader = fromReadableStream(readable);
    const writer = writable.getWriter();
    await run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* sleep(1);
      const written = writer.write("kept");
      // Comes right after the child's own reaction to the chunk, which makes it ready, and before it runs.
      yield* promise(reader["pending"]!.then(() => child.cancel()));
      expect(child.state).toBe("cancelled");
      yield* promise(written);
      expect((yield* reader.next()).value).toBe("kept");
      reader.close();
    }, {});
  });

  test("loses no error when a task that waits is cancelled", async () => {
    let fail: (error: Error) => void = () => {};
    const stream = new ReadableStream({
      start(controller) {
        fail = (error) => controller.error(error);
      },
    });
    const reader = fromReadableStream(stream);
    const failure = run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* sleep(1);
      yield* cancel(child);
      fail(new Error("kept"));
      yield* sleep(1);
      yield* reader.next();
    }, {});
    expect((await rejectionOf(failure)).message).toBe("kept");
  });

  test("cancels and unlocks the stream when it is closed, and ends a task's wait", async () => {
    const reasons: unknown[] = [];
    const stream = new ReadableStream({ cancel: (reason) => void reasons.push(reason) });
    const result = await run(function* main() {
      const reader = fromReadableStream(stream);
      const child = yield* spawn(function* child() {
        return yield* reader.next();
      });
      yield* yieldNow();
      reader.close();
      reader.close();
      yield* sleep(1);
      return child.value;
    }, {});
    expect(result).toEqual({ done: true, value: undefined });
    expect(reasons).toEqual([undefined]);
    expect(stream.locked).toBe(false);
  });

  test("cancel tells the other side why, waits for it and throws what it throws", async () => {
    const log: unknown[] = [];
    const stream = new ReadableStream({
      async cancel(reason) {
        await hostTurn();
        log.push(reason);
        throw new Error("could not");
      },
    });
    const reader = fromReadableStream(stream);
    const failure = await rejectionOf(run(() => reader.cancel("enough"), {}));
    expect(failure.message).toBe("could not");
    expect(log).toEqual(["enough"]);
    expect(stream.locked).toBe(false);
    await run(() => reader.cancel(), {});
  });

  test("close does not make an unhandled rejection of what the other side throws", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown): void => void rejections.push(reason);
    process.on("unhandledRejection", note);
    try {
      fromReadableStream(
        new ReadableStream({
          cancel() {
            throw new Error("could not");
          },
        }),
      ).close();
      for (let turn = 0; turn < 3; turn++) await hostTurn();
    } finally {
      process.off("unhandledRejection", note);
    }
    expect(rejections).toEqual([]);
  });

  test("refuses a second task that reads", async () => {
    using reader = fromReadableStream(new ReadableStream());
    const failure = run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* yieldNow();
      try {
        yield* reader.next();
      } finally {
        child.cancel();
      }
    }, {});
    expect((await rejectionOf(failure, BusyError)).message).toBe("another task is reading this stream");
  });

  test("refuses a locked stream, and what is no stream", () => {
    const stream = numbers(1);
    stream.getReader();
    expect(() => fromReadableStream(stream)).toThrow(TypeError);
    expect(() => fromReadableStream([] as never)).toThrow(
      "fromReadableStream() takes a ReadableStream, but was given a Array",
    );
  });

  test("is refused in blockOn, and asks the stream for nothing", () => {
    let hasPulled = false;
    const stream = new ReadableStream({ pull: () => void (hasPulled = true) }, { highWaterMark: 0 });
    using reader = fromReadableStream(stream);
    thrownBy(() => new Executor(new VirtualDriver()).blockOn(() => reader.next()), UnsupportedError);
    expect(hasPulled).toBe(false);
  });

  test("is slowed down by a slow reader", async () => {
    let pulled = 0;
    const stream = new ReadableStream({ pull: (controller) => controller.enqueue(++pulled) }, { highWaterMark: 0 });
    using reader = fromReadableStream(stream);
    await run(function* main() {
      yield* sleep(1);
      expect(pulled).toBe(0);
      yield* reader.next();
      yield* sleep(1);
      expect(pulled).toBe(1);
    }, {});
  });

  test("is iterated with each; an early break cancels and unlocks the stream", async () => {
    const reasons: unknown[] = [];
    let next = 1;
    const stream = new ReadableStream<number>({
      pull: (controller) => controller.enqueue(next++),
      cancel: (reason) => void reasons.push(reason),
    });
    const received: number[] = [];
    await run(function* main() {
      for (const chunk of yield* each(fromReadableStream(stream))) {
        received.push(chunk);
        if (chunk === 3) break;
        yield* each.next();
      }
    }, {});
    expect(received).toEqual([1, 2, 3]);
    expect(reasons).toEqual([undefined]);
    expect(stream.locked).toBe(false);
  });

  test("takes a stream of ours, through both", async () => {
    const reader = fromReadableStream(streamOf((emit) => upTo(3, emit)));
    expect(await run(() => takeAll(reader), {})).toEqual([1, 2, 3]);
  });
});
