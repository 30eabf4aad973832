/** Host code that consumes tasks of this thread's runtime: real connections through async iterables and streams. */

import { afterAll, describe, expect, test } from "bun:test";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, gzipSync } from "node:zlib";
import type { Operation } from "../../src/core/operation.ts";
import { promise } from "../../src/core/park.ts";
import { join, spawn } from "../../src/core/task-operations.ts";
import { fromNodeReadable, type NodeReader } from "../../src/host/node-readable.ts";
import { fromNodeWritable } from "../../src/host/node-writable.ts";
import { fromReadableStream, type StreamReader } from "../../src/host/web-readable.ts";
import { fromWritableStream } from "../../src/host/web-writable.ts";
import { listen } from "../../src/io/tcp-listener.ts";
import { connect } from "../../src/io/tcp-connect.ts";
import { run, shutdown } from "../../src/run.ts";
import {
  toAsyncIterable,
  toNodeReadable,
  toNodeWritable,
  toReadableStream,
  toWritableStream,
} from "../../src/to-host.ts";
import { rejectionOf } from "../support/failure.ts";
import { connectToSelf, leftSince, openSockets, patternOf, readAll } from "../support/loopback.ts";
import { testUnless } from "../support/platform.ts";
import { NEEDS_POSIX_PROGRAMS, NEEDS_RESETS } from "../support/needs.ts";

afterAll(() => shutdown());

/** More than the socket's buffers and one chunk hold. */
const MANY_BYTES = 3_000_000;

function* takeAll<T>(reader: StreamReader<T> | NodeReader<T>): Operation<T[]> {
  const items: T[] = [];
  for (;;) {
    const item = yield* reader.next();
    if (item.done === true) return items;
    items.push(item.value);
  }
}

describe("toAsyncIterable", () => {
  test("owns what its task opens: an early break closes the connection", async () => {
    const before = openSockets();
    const listening = Promise.withResolvers<number>();
    const serving = run(function* serve() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      listening.resolve(listener.address.port);
      using connection = yield* listener.accept();
      yield* connection.write("one\n");
      // The client closes it.
      return yield* readAll(connection);
    });
    const port = await listening.promise;
    const chunks = toAsyncIterable<string>(function* client(emit) {
      using connection = yield* connect({ port, host: "127.0.0.1" });
      const buffer = new Uint8Array(4);
      for (;;) {
        yield* connection.readExactly(buffer);
        yield* emit(Buffer.from(buffer).toString());
      }
    });
    for await (const chunk of chunks) {
      expect(chunk).toBe("one\n");
      break;
    }
    expect(await serving).toHaveLength(0);
    expect(leftSince(before)).toEqual([]);
  });

  test("lets Bun's loop and other iterations go on meanwhile", async () => {
    const numbers = toAsyncIterable<number>(function* produce(emit) {
      for (let item = 0; item < 1000; item++) yield* emit(item);
    });
    const timer = new Promise((resolve) => setTimeout(resolve, 0, "fired"));
    const sums = await Promise.all(
      [1, 2].map(async () => {
        let sum = 0;
        for await (const item of numbers) sum += item;
        return sum;
      }),
    );
    expect(sums).toEqual([499_500, 499_500]);
    expect(await timer).toBe("fired");
  });
});

describe("a TCP connection", () => {
  test("is a stream of bytes both ways, with as much under way as its buffers hold", async () => {
    const sent = patternOf(MANY_BYTES);
    const received = await run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _server = server;
      // The stream closes the client when all is written.
      const writing = new Blob([sent]).stream().pipeTo(toWritableStream<Uint8Array>(client));
      const bytes = yield* promise(new Response(toReadableStream(server)).bytes());
      yield* promise(writing);
      expect(client.isClosed).toBe(true);
      return bytes;
    });
    expect(Buffer.from(received).equals(Buffer.from(sent))).toBe(true);
  });

  test("is a stream of Node both ways", async () => {
    const sent = patternOf(MANY_BYTES);
    const received = await run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _server = server;
      const writing = pipeline(Readable.from([gzipSync(sent)]), toNodeWritable(client));
      const chunks: Buffer[] = [];
      yield* promise(
        pipeline(toNodeReadable(server), createGunzip(), async (unzipped: AsyncIterable<Buffer>) => {
          for await (const chunk of unzipped) chunks.push(chunk);
        }),
      );
      yield* promise(writing);
      return Buffer.concat(chunks);
    });
    expect(received.equals(Buffer.from(sent))).toBe(true);
  });

  test("does not read while nobody does, and a cancelled stream leaves the connection to its owner", async () => {
    await run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      using _server = server;
      const reader = toReadableStream(server).getReader();
      yield* client.write("first");
      expect(Buffer.from((yield* promise(reader.read())).value!).toString()).toBe("first");
      const waiting = reader.read();
      yield* promise(reader.cancel());
      expect((yield* promise(waiting)).done).toBe(true);
      yield* client.write("second");
      const buffer = new Uint8Array(6);
      yield* server.readExactly(buffer);
      expect(Buffer.from(buffer).toString()).toBe("second");
    });
  });

  testUnless(NEEDS_RESETS)("that breaks is told to whoever reads the stream", async () => {
    await run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _server = server;
      const reading = rejectionOf(new Response(toReadableStream(server)).text());
      client.reset();
      expect((yield* promise(reading)) as NodeJS.ErrnoException).toHaveProperty("code", "ECONNRESET");
    });
  });
});

describe("the host's streams", () => {
  test("of a response, chunk by chunk, and of a request, from tasks", async () => {
    const sent = patternOf(MANY_BYTES);
    await using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) => new Response(request.body),
    });
    const received = await run(function* main() {
      const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
      const response = yield* spawn(function* ask() {
        return yield* promise(fetch(server.url, { method: "POST", body: readable }));
      });
      using writer = fromWritableStream(writable);
      yield* spawn(function* send() {
        for (let start = 0; start < sent.byteLength; start += 100_000) {
          yield* writer.write(sent.subarray(start, start + 100_000));
        }
        yield* writer.close();
      });
      const { body } = yield* join(response);
      return Buffer.concat(yield* takeAll(fromReadableStream(body!)));
    });
    expect(received.equals(Buffer.from(sent))).toBe(true);
  });

  testUnless(NEEDS_POSIX_PROGRAMS)("of Node: a child process that is written to and read from", async () => {
    const { spawn: spawnProcess } = await import("node:child_process");
    const child = spawnProcess("cat", { stdio: ["pipe", "pipe", "inherit"] });
    const sent = Buffer.from(patternOf(300_000));
    const received = await run(function* main() {
      yield* spawn(function* send() {
        using writer = fromNodeWritable(child.stdin);
        yield* writer.write(sent);
        yield* writer.close();
      });
      return Buffer.concat(yield* takeAll(fromNodeReadable(child.stdout)));
    });
    expect(received.equals(sent)).toBe(true);
  });
});
