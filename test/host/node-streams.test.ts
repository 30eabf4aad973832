/** Node's streams, both ways. */

import { describe, expect, test } from "bun:test";
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip, gunzipSync } from "node:zlib";
import { BusyError, ClosedError, UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { each } from "../../src/flow/each.ts";
import { fromNodeReadable, nodeReadableOf, type NodeReader } from "../../src/host/node-readable.ts";
import { fromNodeWritable, nodeWritableOf } from "../../src/host/node-writable.ts";
import type { Emit } from "../../src/host/producer.ts";
import type { ByteSource, ChunkSink } from "../../src/host/source-and-sink.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy, throwError } from "../support/failure.ts";
import { removeFolder } from "../support/temporary.ts";
import { listenersOf, virtualRunner } from "./virtually.ts";

const run = virtualRunner();

/** How many listen to the events that are used here. */
function listenersAt(stream: NodeJS.EventEmitter): number {
  return ["readable", "data", "end", "error", "close", "finish", "drain"].reduce(
    (count, name) => count + stream.listenerCount(name),
    0,
  );
}

/** Waits until the stream has closed, and has said so. */
async function closed(stream: Readable | Writable): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => void stream.once("close", resolve));
  await hostTurn();
}

/** The error that the stream is destroyed with. */
function errorOf(stream: Readable | Writable): Promise<Error> {
  return new Promise((resolve) => void stream.once("error", resolve));
}

function* upTo(end: number, emit: Emit<unknown>): Operation<void> {
  for (let item = 1; item <= end; item++) {
    yield* sleep(1);
    yield* emit(item);
  }
}

function* takeAll<T>(reader: NodeReader<T>): Operation<T[]> {
  const items: T[] = [];
  for (;;) {
    const item = yield* reader.next();
    if (item.done === true) return items;
    items.push(item.value);
  }
}

describe("a Readable of what a task emits", () => {
  test("gives the items, and ends when the task does", async () => {
    const stream = nodeReadableOf(run, (emit) => upTo(3, emit), { objectMode: true });
    expect(await Array.fromAsync(stream)).toEqual([1, 2, 3]);
  });

  test("gives bytes and strings as bytes", async () => {
    const stream = nodeReadableOf(run, function* produce(emit) {
      yield* emit("one ");
      yield* emit(new TextEncoder().encode("two"));
    });
    expect(Buffer.concat(await Array.fromAsync(stream)).toString()).toBe("one two");
  });

  test("produces nothing before it is read, and no further ahead than it may", async () => {
    const made: number[] = [];
    const stream = nodeReadableOf(
      run,
      function* produce(emit) {
        for (let item = 1; ; item++) {
          made.push(item);
          yield* emit(item);
        }
      },
      { objectMode: true, highWaterMark: 2 },
    );
    await hostTurn();
    expect(made).toEqual([]);
    stream.once("readable", () => {});
    for (let turn = 0; turn < 5; turn++) await hostTurn();
    expect(made).toEqual([1, 2]);
    stream.destroy();
    await closed(stream);
  });

  test("cancels the task when it is destroyed, and is closed once that has cleaned up", async () => {
    const log: string[] = [];
    const stream = nodeReadableOf(run, function* produce() {
      try {
        yield* sleep(Infinity);
      } finally {
        yield* sleep(1);
        log.push("cleaned up");
      }
    });
    stream.read();
    await hostTurn();
    stream.destroy();
    await closed(stream);
    expect(log).toEqual(["cleaned up"]);
    expect(stream.errored).toBe(null);
  });

  test("cancels the task at an early break of a loop", async () => {
    const log: string[] = [];
    const stream = nodeReadableOf(run, function* produce(emit) {
      try {
        for (;;) yield* emit("item");
      } finally {
        log.push("cleaned up");
      }
    });
    for await (const _item of stream) break;
    await closed(stream);
    expect(log).toEqual(["cleaned up"]);
  });

  test("is destroyed with what the task throws", async () => {
    const error = new Error("of the task");
    const stream = nodeReadableOf(run, function* produce(emit) {
      yield* emit("item");
      throw error;
    });
    expect(await rejectionOf(Array.fromAsync(stream))).toBe(error);
    await closed(stream);
    expect(stream.errored).toBe(error);
  });

  test("keeps the error that it was destroyed with beside one of the clean-up", async () => {
    const stream = nodeReadableOf(run, function* produce() {
      try {
        yield* sleep(Infinity);
      } finally {
        throwError("of the clean-up");
      }
    });
    stream.read();
    await hostTurn();
    const failure = errorOf(stream);
    const reason = new Error("the reason");
    stream.destroy(reason);
    const error = (await failure) as SuppressedError;
    expect(error).toBeInstanceOf(SuppressedError);
    expect(error.suppressed).toBe(reason);
    expect((error.error as Error).message).toBe("of the clean-up");
  });

  test("is destroyed with the reason of a signal that is aborted, and lets go of the signal", async () => {
    const controller = new AbortController();
    const stream = nodeReadableOf(run, () => sleep(Infinity), { signal: controller.signal });
    const failure = errorOf(stream);
    stream.read();
    await hostTurn();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await failure).toBe(reason);
    expect(listenersOf(controller.signal)).toBe(0);
  });

  test("goes through a pipeline of Node's", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-"));
    const path = join(folder, "numbers.gz");
    const stream = nodeReadableOf(run, function* produce(emit) {
      for (let line = 1; line <= 1000; line++) yield* emit(`line ${line}\n`);
    });
    await pipeline(stream, createGzip(), createWriteStream(path));
    expect(gunzipSync(readFileSync(path)).toString().split("\n")).toHaveLength(1001);
    removeFolder(folder);
  });
});

describe("a Readable of bytes", () => {
  const bytes = (text: string): ByteSource => {
    let left = Buffer.from(text);
    return {
      *read(buffer) {
        yield* sleep(1);
        const length = Math.min(3, left.byteLength);
        buffer.set(left.subarray(0, length));
        left = left.subarray(length);
        return length;
      },
    };
  };

  test("gives the bytes, and ends", async () => {
    const chunks: Buffer[] = await Array.fromAsync(nodeReadableOf(run, bytes("abcdefgh")));
    expect(Buffer.concat(chunks).toString()).toBe("abcdefgh");
  });

  test("tells its source only of an early end, and why", async () => {
    const log: unknown[] = [];
    const cancelled = (reason: unknown): void => void log.push(reason);
    await Array.fromAsync(nodeReadableOf(run, { ...bytes("abc"), cancel: cancelled }));
    expect(log).toEqual([]);
    const stream = nodeReadableOf(run, { ...bytes("abc"), cancel: cancelled });
    const failure = errorOf(stream);
    const reason = new Error("enough");
    stream.destroy(reason);
    expect(await failure).toBe(reason);
    expect(log).toEqual([reason]);
  });
});

describe("fromNodeReadable", () => {
  test("gives the chunks and the end, and leaves no listener", async () => {
    const stream = Readable.from(["a", "b", "c"]);
    const before = listenersAt(stream);
    const reader = fromNodeReadable<string>(stream);
    expect(listenersAt(stream)).toBeGreaterThan(before);
    expect(await run(() => takeAll(reader), {})).toEqual(["a", "b", "c"]);
    await closed(stream);
    expect(listenersAt(stream)).toBe(before);
    expect(await run(() => reader.next(), {})).toEqual({ done: true, value: undefined });
  });

  test("reads a file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-"));
    const path = join(folder, "bytes");
    const content = Buffer.alloc(300_000, "0123456789");
    writeFileSync(path, content);
    const chunks = await run(() => takeAll(fromNodeReadable(createReadStream(path))), {});
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    removeFolder(folder);
  });

  test("gives what comes later", async () => {
    const stream = new PassThrough();
    const reader = fromNodeReadable(stream);
    const texts = await run(function* main() {
      const received: string[] = [];
      for (const text of ["one", "two"]) {
        setImmediate(() => stream.write(text));
        received.push((yield* reader.next()).value!.toString());
      }
      setImmediate(() => stream.end());
      expect(yield* reader.next()).toEqual({ done: true, value: undefined });
      return received;
    }, {});
    expect(texts).toEqual(["one", "two"]);
  });

  test("gives a stream's end that came before anybody asked", async () => {
    const stream = new PassThrough();
    const reader = fromNodeReadable(stream);
    stream.end();
    await hostTurn();
    expect(await run(() => reader.next(), {})).toEqual({ done: true, value: undefined });
  });

  test("throws the stream's error, each time, whether a task waits or not", async () => {
    const error = new Error("of the stream");
    for (const isEarly of [true, false]) {
      const stream = new PassThrough();
      const reader = fromNodeReadable(stream);
      if (isEarly) {
        stream.destroy(error);
        await closed(stream);
      } else setImmediate(() => stream.destroy(error));
      expect(await rejectionOf(run(() => reader.next(), {}))).toBe(error);
      expect(await rejectionOf(run(() => reader.next(), {}))).toBe(error);
      await closed(stream);
      expect(listenersAt(stream)).toBe(listenersAt(new PassThrough()));
    }
  });

  test("throws the error of a stream that had failed before", async () => {
    const stream = new PassThrough();
    const error = new Error("of the stream");
    stream.on("error", () => {});
    stream.destroy(error);
    await closed(stream);
    const before = listenersAt(stream);
    expect(await rejectionOf(run(() => fromNodeReadable(stream).next(), {}))).toBe(error);
    await hostTurn();
    expect(listenersAt(stream)).toBe(before);
  });

  test("throws a ClosedError if somebody destroys the stream before its end", async () => {
    const stream = new PassThrough();
    const reader = fromNodeReadable(stream);
    setImmediate(() => stream.destroy());
    const failure = await rejectionOf(
      run(() => reader.next(), {}),
      ClosedError,
    );
    expect(failure.message).toBe("the stream was destroyed before its end");
  });

  test("loses no chunk when a task that waits for one is cancelled", async () => {
    const stream = new PassThrough();
    const reader = fromNodeReadable(stream);
    await run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* yieldNow();
      expect(child.waitsFor).toBe("a chunk of a stream");
      yield* cancel(child);
      stream.write("kept");
      expect((yield* reader.next()).value!.toString()).toBe("kept");
      reader.close();
    }, {});
  });

  test("close destroys the stream, ends a task's wait, and leaves no listener", async () => {
    const stream = new PassThrough();
    const before = listenersAt(stream);
    const reader = fromNodeReadable(stream);
    const result = await run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* yieldNow();
      reader.close();
      reader.close();
      yield* yieldNow();
      return child.value;
    }, {});
    expect(result).toEqual({ done: true, value: undefined });
    expect(stream.destroyed).toBe(true);
    await closed(stream);
    expect(listenersAt(stream)).toBe(before);
  });

  test("is iterated with each; an early break destroys the stream", async () => {
    const stream = Readable.from([1, 2, 3, 4, 5]);
    const received: number[] = [];
    await run(function* main() {
      for (const chunk of yield* each(fromNodeReadable<number>(stream))) {
        received.push(chunk);
        if (chunk === 3) break;
        yield* each.next();
      }
    }, {});
    expect(received).toEqual([1, 2, 3]);
    await closed(stream);
    expect(stream.destroyed).toBe(true);
  });

  test("an error while the stream closes does not end the process", async () => {
    const stream = new Readable({ read() {}, destroy: (_error, callback) => void callback(new Error("late")) });
    const uncaught: unknown[] = [];
    const note = (error: unknown): void => void uncaught.push(error);
    process.on("uncaughtException", note);
    try {
      fromNodeReadable(stream).close();
      await closed(stream);
      await hostTurn();
    } finally {
      process.off("uncaughtException", note);
    }
    expect(uncaught).toEqual([]);
    expect(listenersAt(stream)).toBe(0);
  });

  test("refuses a second task that reads", async () => {
    using reader = fromNodeReadable(new PassThrough());
    const failure = run(function* main() {
      const child = yield* spawn(() => reader.next());
      yield* yieldNow();
      try {
        yield* reader.next();
      } finally {
        child.cancel();
      }
    }, {});
    await rejectionOf(failure, BusyError);
  });

  test("lets others run while it reads what is there already", async () => {
    const stream = Readable.from(Array.from({ length: 1000 }, (_, index) => index));
    const reader = fromNodeReadable<number>(stream);
    let turns = 0;
    await run(function* main() {
      const other = yield* spawn(function* other() {
        for (;;) {
          turns++;
          yield* yieldNow();
        }
      });
      yield* takeAll(reader);
      other.cancel();
    }, {});
    expect(turns).toBeGreaterThan(1);
  });

  test("is refused in blockOn", () => {
    using reader = fromNodeReadable(new PassThrough());
    thrownBy(() => new Executor(new VirtualDriver()).blockOn(() => reader.next()), UnsupportedError);
  });

  test("refuses what is no stream", () => {
    expect(() => fromNodeReadable("text" as never)).toThrow(
      'fromNodeReadable() takes a readable stream of Node, but was given "text"',
    );
  });

  test("takes a stream of ours, through both", async () => {
    const stream = nodeReadableOf(run, (emit) => upTo(3, emit), { objectMode: true });
    expect(await run(() => takeAll(fromNodeReadable<number>(stream)), {})).toEqual([1, 2, 3]);
  });
});

/** A sink that takes a while, and notes what it is told. */
class Sink implements ChunkSink<Buffer> {
  readonly log: string[] = [];

  constructor(private readonly writingMs = 1) {}

  *write(chunk: Buffer): Operation<void> {
    this.log.push(`write ${chunk}`);
    try {
      yield* sleep(this.writingMs);
    } finally {
      yield* sleep(5);
      this.log.push(`end ${chunk}`);
    }
  }

  *close(): Operation<void> {
    yield* sleep(1);
    this.log.push("closed");
  }

  *abort(reason: unknown): Operation<void> {
    yield* sleep(1);
    this.log.push(`aborted: ${reason}`);
  }
}

describe("a Writable of a sink", () => {
  test("writes one chunk after the other, and finishes when the sink has closed", async () => {
    const sink = new Sink();
    await pipeline(Readable.from([Buffer.from("a"), Buffer.from("b")]), nodeWritableOf(run, sink));
    expect(sink.log).toEqual(["write a", "end a", "write b", "end b", "closed"]);
  });

  test("says that it is full, and drains", async () => {
    const stream = nodeWritableOf(run, new Sink(), { highWaterMark: 1 });
    expect(stream.write("a")).toBe(false);
    await new Promise<void>((resolve) => void stream.once("drain", resolve));
    stream.end();
    await closed(stream);
  });

  test("cancels the write that waits when it is destroyed, then tells the sink why, then closes", async () => {
    const sink = new Sink(Infinity);
    const stream = nodeWritableOf(run, sink);
    const failure = errorOf(stream);
    stream.write("a");
    await hostTurn();
    const reason = new Error("enough");
    stream.destroy(reason);
    expect(await failure).toBe(reason);
    await closed(stream);
    expect(sink.log).toEqual(["write a", "end a", "aborted: Error: enough"]);
  });

  test("tells the sink nothing more when it is destroyed after its end", async () => {
    const sink = new Sink();
    const stream = nodeWritableOf(run, sink);
    stream.end("a");
    await closed(stream);
    stream.destroy();
    await hostTurn();
    expect(sink.log).toEqual(["write a", "end a", "closed"]);
  });

  test("is destroyed with what the sink throws, and tells it nothing more", async () => {
    const error = new Error("connection reset");
    const log: string[] = [];
    const stream = nodeWritableOf(run, {
      *write(): Operation<void> {
        yield* sleep(1);
        throw error;
      },
      abort: () => void log.push("aborted"),
    });
    const failure = errorOf(stream);
    stream.write("a");
    expect(await failure).toBe(error);
    await closed(stream);
    expect(log).toEqual([]);
  });

  test("is destroyed with what the sink throws at its end", async () => {
    const error = new Error("disk full");
    const stream = nodeWritableOf(run, {
      write: () => sleep(1),
      *close(): Operation<void> {
        yield* sleep(1);
        throw error;
      },
    });
    const failure = errorOf(stream);
    stream.end("a");
    expect(await failure).toBe(error);
  });

  test("takes other values in object mode", async () => {
    const items: number[] = [];
    const sink: ChunkSink<number> = {
      *write(item) {
        yield* sleep(1);
        items.push(item);
      },
    };
    await pipeline(Readable.from([1, 2, 3]), nodeWritableOf(run, sink, { objectMode: true }));
    expect(items).toEqual([1, 2, 3]);
  });

  test("refuses what cannot be written to", () => {
    expect(() => nodeWritableOf(run, [] as never)).toThrow(
      "toNodeWritable() takes something with a method write, but was given a Array",
    );
  });
});

describe("fromNodeWritable", () => {
  test("writes the chunks, each before write ends, finishes, and leaves no listener", async () => {
    const log: string[] = [];
    const stream = new Writable({
      decodeStrings: false,
      write(chunk, _encoding, callback) {
        setImmediate(() => {
          log.push(chunk);
          callback();
        });
      },
      final(callback) {
        log.push("finished");
        callback();
      },
    });
    const before = listenersAt(stream);
    await run(function* main() {
      const writer = fromNodeWritable(stream);
      yield* writer.write("a");
      expect(log).toEqual(["a"]);
      yield* writer.write("b");
      yield* writer.close();
      yield* writer.close();
    }, {});
    expect(log).toEqual(["a", "b", "finished"]);
    await closed(stream);
    expect(listenersAt(stream)).toBe(before);
  });

  test("writes a file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-"));
    const path = join(folder, "bytes");
    await run(function* main() {
      using writer = fromNodeWritable(createWriteStream(path));
      const buffer = new Uint8Array(10_000);
      for (let index = 0; index < 20; index++) yield* writer.write(buffer.fill(index));
      yield* writer.close();
    }, {});
    const written = readFileSync(path);
    expect(written).toHaveLength(200_000);
    expect(written.every((byte, index) => byte === Math.floor(index / 10_000))).toBe(true);
    removeFolder(folder);
  });

  test("throws the stream's error at the chunk that it is about, and at later ones", async () => {
    const error = new Error("disk full");
    const stream = new Writable({
      write: (chunk, _encoding, callback) => void setImmediate(callback, chunk.toString() === "b" ? error : null),
    });
    const log: unknown[] = [];
    await run(function* main() {
      const writer = fromNodeWritable(stream);
      for (const chunk of ["a", "b", "c"]) {
        try {
          yield* writer.write(chunk);
          log.push(chunk);
        } catch (thrown) {
          log.push(thrown);
        }
      }
    }, {});
    expect(log).toEqual(["a", error, error]);
    await closed(stream);
    expect(listenersAt(stream)).toBe(0);
  });

  test("throws a ClosedError if the stream is destroyed while it writes", async () => {
    const stream = new Writable({ write() {} });
    const failure = run(function* main() {
      using writer = fromNodeWritable(stream);
      setImmediate(() => stream.destroy());
      yield* writer.write("a");
    }, {});
    const { message } = await rejectionOf(failure, ClosedError);
    expect(message).toBe("the stream was destroyed before it had written a chunk");
    expect(listenersAt(stream)).toBe(0);
  });

  test("keeps an error that comes while no task waits for the next that writes", async () => {
    const stream = new Writable({ write: (_chunk, _encoding, callback) => callback() });
    const error = new Error("gone");
    const failure = run(function* main() {
      const writer = fromNodeWritable(stream);
      yield* writer.write("a");
      stream.destroy(error);
      yield* promise(closed(stream));
      yield* writer.write("b");
    }, {});
    expect(await rejectionOf(failure)).toBe(error);
    expect(listenersAt(stream)).toBe(0);
  });

  test("abort destroys the stream and waits until it is closed", async () => {
    const log: unknown[] = [];
    const stream = new Writable({
      write() {},
      destroy(error, callback) {
        setImmediate(() => {
          log.push(error);
          callback(error);
        });
      },
    });
    const reason = new Error("enough");
    await run(function* main() {
      const writer = fromNodeWritable(stream);
      yield* writer.abort(reason);
      expect(stream.closed).toBe(true);
      yield* writer.abort();
    }, {});
    expect(log).toEqual([reason]);
    expect(listenersAt(stream)).toBe(0);
  });

  test("destroys the stream at the end of a block that has not closed it", async () => {
    const stream = new Writable({ write() {} });
    {
      using _writer = fromNodeWritable(stream);
    }
    expect(stream.destroyed).toBe(true);
    await closed(stream);
    expect(listenersAt(stream)).toBe(0);
  });

  test("leaves no listener when a write is cancelled", async () => {
    const stream = new Writable({ write() {} });
    using writer = fromNodeWritable(stream);
    const before = listenersAt(stream);
    await run(function* main() {
      const child = yield* spawn(() => writer.write("a"));
      yield* yieldNow();
      expect(listenersAt(stream)).toBeGreaterThan(before);
      yield* cancel(child);
    }, {});
    expect(listenersAt(stream)).toBe(before);
  });

  test("refuses to write after close", async () => {
    const failure = run(function* main() {
      const writer = fromNodeWritable(new PassThrough());
      yield* writer.close();
      yield* writer.write("late");
    }, {});
    expect((await rejectionOf(failure, ClosedError)).message).toBe("write: this side of the stream was closed");
  });

  test("is refused in blockOn, and hands nothing over", () => {
    const stream = new PassThrough();
    using writer = fromNodeWritable(stream);
    thrownBy(() => new Executor(new VirtualDriver()).blockOn(() => writer.write("a")), UnsupportedError);
    expect(stream.writableLength).toBe(0);
  });

  test("refuses what is no stream", () => {
    expect(() => fromNodeWritable({} as never)).toThrow(
      "fromNodeWritable() takes a writable stream of Node, but was given an object",
    );
  });

  test("takes a stream of ours, through both", async () => {
    const sink = new Sink();
    await run(function* main() {
      using writer = fromNodeWritable(nodeWritableOf(run, sink as ChunkSink<unknown>));
      yield* writer.write("a");
      yield* writer.close();
    }, {});
    expect(sink.log).toEqual(["write a", "end a", "closed"]);
  });
});
