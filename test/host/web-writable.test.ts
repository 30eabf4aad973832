/** The web's `WritableStream`, both ways. */

import { describe, expect, test } from "bun:test";
import { ClosedError, UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";
import { cancel, spawn } from "../../src/core/task-operations.ts";
import { fromWritableStream, writableStreamOf } from "../../src/host/web-writable.ts";
import type { ChunkSink } from "../../src/host/source-and-sink.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { virtualRunner } from "./virtually.ts";

const run = virtualRunner();

/** A sink that takes a while, and notes what it is told. */
class Sink implements ChunkSink<string> {
  readonly log: string[] = [];

  constructor(private readonly writingMs = 1) {}

  *write(chunk: string): Operation<void> {
    this.log.push(`write ${chunk}`);
    try {
      yield* sleep(this.writingMs);
      this.log.push(`wrote ${chunk}`);
    } finally {
      yield* sleep(1);
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

describe("a WritableStream of a sink", () => {
  test("writes one chunk after the other, each in a task, and closes when all is written", async () => {
    const sink = new Sink();
    const writer = writableStreamOf(run, sink).getWriter();
    void writer.write("a");
    void writer.write("b");
    await writer.close();
    expect(sink.log).toEqual(["write a", "wrote a", "end a", "write b", "wrote b", "end b", "closed"]);
  });

  test("says that it has no room while a chunk is being written", async () => {
    const writer = writableStreamOf(run, new Sink()).getWriter();
    expect(writer.desiredSize).toBe(1);
    const writing = writer.write("a");
    expect(writer.desiredSize).toBe(0);
    await writing;
    await writer.ready;
    expect(writer.desiredSize).toBe(1);
    await writer.close();
  });

  test("cancels the write that waits when it is aborted, and then tells the sink why", async () => {
    const sink = new Sink(Infinity);
    const writer = writableStreamOf(run, sink).getWriter();
    const writing = rejectionOf(writer.write("a"));
    await hostTurn();
    const reason = new Error("enough");
    await writer.abort(reason);
    expect(await writing).toBe(reason);
    expect(sink.log).toEqual(["write a", "end a", "aborted: Error: enough"]);
  });

  test("fails with what the sink throws", async () => {
    const error = new Error("connection reset");
    const writer = writableStreamOf(run, {
      *write(): Operation<void> {
        yield* sleep(1);
        throw error;
      },
    }).getWriter();
    expect(await rejectionOf(writer.write("a"))).toBe(error);
    expect(await rejectionOf(writer.write("b"))).toBe(error);
    expect(await rejectionOf(writer.closed)).toBe(error);
  });

  test("fails with what a write throws before it is an operation", async () => {
    const error = new TypeError("no such chunk");
    const writer = writableStreamOf(run, {
      write(): Operation<void> {
        throw error;
      },
    }).getWriter();
    expect(await rejectionOf(writer.write("a"))).toBe(error);
  });

  test("needs neither close nor abort of its sink, and takes those that are no operations", async () => {
    const log: string[] = [];
    const write = (): Operation<void> => sleep(1);
    await writableStreamOf(run, { write }).close();
    await writableStreamOf(run, { write }).abort();
    await writableStreamOf(run, { write, close: () => void log.push("closed") }).close();
    await writableStreamOf(run, { write, abort: (reason) => void log.push(`aborted: ${reason}`) }).abort("enough");
    expect(log).toEqual(["closed", "aborted: enough"]);
  });

  test("lets what the sink throws at its end come out of close", async () => {
    const error = new Error("disk full");
    const stream = writableStreamOf(run, {
      write: () => sleep(1),
      *close(): Operation<void> {
        yield* sleep(1);
        throw error;
      },
    });
    expect(await rejectionOf(stream.close())).toBe(error);
  });

  test("can be piped to", async () => {
    const sink = new Sink();
    await new ReadableStream({
      start(controller) {
        controller.enqueue("a");
        controller.close();
      },
    }).pipeTo(writableStreamOf(run, sink));
    expect(sink.log).toEqual(["write a", "wrote a", "end a", "closed"]);
  });

  test("refuses what cannot be written to", () => {
    expect(() => writableStreamOf(run, {} as never)).toThrow(
      "toWritableStream() takes something with a method write, but was given an object",
    );
  });
});

describe("fromWritableStream", () => {
  test("writes the chunks, each before write ends, closes and unlocks the stream", async () => {
    const log: string[] = [];
    const stream = new WritableStream<string>({
      async write(chunk) {
        await hostTurn();
        log.push(chunk);
      },
      close: () => void log.push("closed"),
    });
    await run(function* main() {
      const writer = fromWritableStream(stream);
      expect(stream.locked).toBe(true);
      yield* writer.write("a");
      expect(log).toEqual(["a"]);
      yield* writer.write("b");
      yield* writer.close();
      yield* writer.close();
    }, {});
    expect(log).toEqual(["a", "b", "closed"]);
    expect(stream.locked).toBe(false);
  });

  test("does not hand a chunk over before the stream has room", async () => {
    const { promise: starting, resolve: start } = Promise.withResolvers<void>();
    const log: string[] = [];
    const stream = new WritableStream<string>(
      { start: () => starting, write: (chunk) => void log.push(chunk) },
      { highWaterMark: 0 },
    );
    await run(function* main() {
      using writer = fromWritableStream(stream);
      const child = yield* spawn(() => writer.write("a"));
      yield* sleep(1);
      expect(child.waitsFor).toBe("a stream to have room");
      // It was not handed over yet, so a cancel takes it back.
      yield* cancel(child);
      start();
      yield* sleep(1);
    }, {});
    expect(log).toEqual([]);
  });

  test("throws the stream's error at the chunk that it is about, and at later ones", async () => {
    const error = new Error("disk full");
    const stream = new WritableStream<string>({
      write(chunk) {
        if (chunk === "b") throw error;
      },
    });
    const log: unknown[] = [];
    await run(function* main() {
      const writer = fromWritableStream(stream);
      for (const chunk of ["a", "b", "c"]) {
        try {
          yield* writer.write(chunk);
          log.push(chunk);
        } catch (thrown) {
          log.push(thrown);
        }
      }
      try {
        yield* writer.close();
      } catch (thrown) {
        log.push(thrown instanceof Error);
      }
    }, {});
    expect(log).toEqual(["a", error, error, true]);
    expect(stream.locked).toBe(false);
  });

  test("abort tells the other side why, and waits for it", async () => {
    const log: unknown[] = [];
    const stream = new WritableStream<string>({
      async abort(reason) {
        await hostTurn();
        log.push(reason);
      },
    });
    await run(function* main() {
      const writer = fromWritableStream(stream);
      yield* writer.abort("enough");
      expect(log).toEqual(["enough"]);
      expect(stream.locked).toBe(false);
      yield* writer.abort();
    }, {});
  });

  test("breaks the stream off at the end of a block that has not closed it", async () => {
    const log: string[] = [];
    const underlying = { close: () => void log.push("closed"), abort: () => void log.push("aborted") };
    await run(function* main() {
      {
        using writer = fromWritableStream(new WritableStream(underlying));
        yield* writer.close();
      }
      using _left = fromWritableStream(new WritableStream(underlying));
      yield* sleep(1);
    }, {});
    await hostTurn();
    expect(log).toEqual(["closed", "aborted"]);
  });

  test("refuses to write after close", async () => {
    const failure = run(function* main() {
      const writer = fromWritableStream(new WritableStream());
      yield* writer.close();
      yield* writer.write("late");
    }, {});
    expect((await rejectionOf(failure, ClosedError)).message).toBe("write: this side of the stream was closed");
  });

  test("makes no unhandled rejection of a stream that fails while nobody waits", async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown): void => void rejections.push(reason);
    process.on("unhandledRejection", note);
    try {
      let fail: (error: Error) => void = () => {};
      using _writer = fromWritableStream(
        new WritableStream({
          start(controller) {
            fail = (error) => controller.error(error);
          },
        }),
      );
      fail(new Error("gone"));
      for (let turn = 0; turn < 3; turn++) await hostTurn();
    } finally {
      process.off("unhandledRejection", note);
    }
    for (let turn = 0; turn < 3; turn++) await hostTurn();
    expect(rejections).toEqual([]);
  });

  test("refuses a locked stream, and what is no stream", () => {
    const stream = new WritableStream();
    stream.getWriter();
    expect(() => fromWritableStream(stream)).toThrow(TypeError);
    expect(() => fromWritableStream(null as never)).toThrow(
      "fromWritableStream() takes a WritableStream, but was given null",
    );
  });

  test("is refused in blockOn, and hands nothing over", () => {
    const log: string[] = [];
    using writer = fromWritableStream(new WritableStream<string>({ write: (chunk) => void log.push(chunk) }));
    const blockOn = (): unknown => new Executor(new VirtualDriver()).blockOn(() => writer.write("a"));
    thrownBy(blockOn, UnsupportedError);
    expect(log).toEqual([]);
  });

  test("takes a stream of ours, through both", async () => {
    const sink = new Sink();
    await run(function* main() {
      using writer = fromWritableStream(writableStreamOf(run, sink));
      yield* writer.write("a");
      yield* writer.close();
    }, {});
    expect(sink.log).toEqual(["write a", "wrote a", "end a", "closed"]);
  });
});
