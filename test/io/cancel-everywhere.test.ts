/** Streams of bytes, cancelled at each of their suspend points: nothing may be left, whenever it comes. */

import { describe, expect, test } from "bun:test";
import {
  all,
  bindUdp,
  ClosedError,
  connect,
  connectUdp,
  fdStream,
  join,
  listen,
  makeNamedPipe,
  openNamedPipe,
  openPipe,
  type Operation,
  readable,
  ready,
  Interest,
  source,
  spawn,
  SystemError,
  tlsAccept,
  tlsConnect,
  UnexpectedEndError,
  writable,
  yieldNow,
  type ByteReader,
  type ByteWriter,
} from "../../src/index.ts";
import { AUTHORITY, SERVER } from "../support/certificates.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { EventCounter, Pipe, SocketPair } from "../support/libc.ts";
import { temporaryPath } from "../support/temporary.ts";

/** More than a pipe or a socket holds, so that the writer has to wait. */
const MESSAGE = new Uint8Array(1_000_000);

describe("cancelled at every suspend point, nothing is left of", () => {
  test("a TCP server and its client", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        const serving = yield* spawn(function* serve() {
          using stream = yield* listener.accept();
          yield* stream.readUntil("\n");
          yield* transfer(stream, stream);
        });
        using client = yield* connect({ port: listener.address.port, host: "localhost" });
        yield* client.write("question\n");
        yield* transfer(client, client);
        yield* join(serving);
      },
      { leastPoints: 8, isFair: isOfPeer },
    ));

  test("a TLS server and its client", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        const serving = yield* spawn(function* serve() {
          const below = yield* listener.accept();
          using stream = yield* tlsAccept(below, { ...SERVER, selectCertificate });
          yield* stream.readUntil("\n");
          yield* transfer(stream, stream);
          expect(yield* stream.read(new Uint8Array(1))).toBe(0);
          yield* stream.shutdown();
        });
        const below = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
        using client = yield* tlsConnect(below, { serverName: "localhost", ca: AUTHORITY.cert });
        yield* client.write("question\n");
        yield* transfer(client, client);
        yield* client.shutdown();
        expect(yield* client.read(new Uint8Array(1))).toBe(0);
        yield* join(serving);
      },
      { leastPoints: 14, isFair: isOfPeer },
    ));

  test("a pipe", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pipe = yield* openPipe();
        yield* transfer(pipe.writer, pipe.reader);
      },
      { leastPoints: 4, isFair: isOfPeer },
    ));

  test("a named pipe", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using path = temporaryPath("pipe");
        yield* makeNamedPipe(path.name);
        using reader = yield* openNamedPipe(path.name, "read");
        const reading = yield* spawn(() => reader.readUntil("\n"));
        yield* yieldNow();
        using writer = yield* openNamedPipe(path.name, "write");
        yield* writer.write("line\n");
        yield* join(reading);
        yield* transfer(writer, reader);
      },
      { leastPoints: 6, isFair: isOfPeer },
    ));

  test("UDP sockets, one datagram after the other and in batches", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using server = yield* bindUdp({ host: "127.0.0.1" });
        const serving = yield* spawn(function* serve() {
          const buffer = new Uint8Array(64);
          const { bytes, from } = yield* server.receive(buffer);
          yield* server.send(buffer.subarray(0, bytes), from);
          const batch = server.createBatch();
          yield* server.sendBatch(batch, yield* server.receiveBatch(batch));
        });
        using client = yield* connectUdp({ port: server.address.port, host: "localhost" });
        yield* yieldNow();
        yield* client.send("question", { host: "localhost", port: server.address.port });
        yield* client.receive(new Uint8Array(64));
        const batch = client.createBatch();
        batch.set(0, "more");
        yield* yieldNow();
        yield* client.sendBatch(batch, 1);
        yield* client.receiveBatch(batch);
        yield* join(serving);
      },
      { leastPoints: 6, isFair: isOfPeer },
    ));

  test("streams on descriptors of others", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pair = new SocketPair();
        using left = yield* fdStream(pair.left, { keepOpen: true });
        using right = yield* fdStream(pair.right, { keepOpen: true });
        yield* all([() => transfer(left, right), () => transfer(right, left)]);
      },
      { leastPoints: 6, isFair: isOfPeer },
    ));

  test("waits for descriptors of others", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pipe = new Pipe();
        using counter = new EventCounter();
        const reading = yield* spawn(() => readable(pipe.readEnd));
        const counting = yield* spawn(function* count() {
          using kept = yield* source(counter.descriptor);
          yield* kept.readable();
          return yield* ready(counter.descriptor, Interest.READABLE | Interest.WRITABLE);
        });
        yield* writable(pipe.writeEnd);
        yield* yieldNow();
        pipe.close(pipe.writeEnd);
        counter.signal();
        yield* join(reading);
        yield* join(counting);
      },
      { leastPoints: 4, isFair: isOfPeer },
    ));
});

function* selectCertificate(): Operation<null> {
  yield* yieldNow();
  return null;
}

function* transfer(writer: ByteWriter, reader: ByteReader): Operation<void> {
  const writing = yield* spawn(() => writer.writeAll([MESSAGE, "end"]));
  yield* reader.readExactly(new Uint8Array(MESSAGE.byteLength + 3));
  yield* join(writing);
}

function isOfPeer(error: unknown): boolean {
  return [SystemError, ClosedError, UnexpectedEndError].some((errorClass) => error instanceof errorClass);
}
