/**
 * Connections over real loopback sockets: what is written arrives, and every end of a connection is told as it should
 * be.
 */

import { describe, expect, test } from "bun:test";
import {
  BusyError,
  cancel,
  ClosedError,
  connect,
  join,
  listen,
  type Operation,
  OperationReusedError,
  spawn,
  SystemError,
  type TcpStream,
  UnexpectedEndError,
  yieldNow,
} from "../../src/index.ts";
import { SocketOption } from "../../src/core/system.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { sendUrgently } from "../support/kinds.ts";
import {
  type Connection,
  connectToSelf,
  errorOf,
  leftSince,
  openSockets,
  patternOf,
  readAll,
  WAYS,
  withConnection,
} from "../support/loopback.ts";
import { errno } from "../support/errno.ts";
import { gap, testUnless } from "../support/platform.ts";
import { NEEDS_RESETS, NEEDS_SHORT_READS } from "../support/needs.ts";

const MEBIBYTE = 1024 * 1024;

/** Makes the kernel take little before it says "would block". */
function shrinkBuffers({ client, server }: Connection): void {
  for (const { descriptor } of [client, server]) {
    nativeSystem().setOption(descriptor, SocketOption.SEND_BUFFER_BYTES, 131_072);
    nativeSystem().setOption(descriptor, SocketOption.RECEIVE_BUFFER_BYTES, 131_072);
  }
}

function hashOf(bytes: Uint8Array): string {
  return Bun.SHA1.hash(bytes, "hex");
}

/** Echoes until the peer ends. */
function* echo(stream: TcpStream): Operation<void> {
  const buffer = new Uint8Array(4096);
  for (;;) {
    const bytes = yield* stream.read(buffer);
    if (bytes === 0) return;
    yield* stream.write(buffer.subarray(0, bytes));
  }
}

describe.each(WAYS)("a connection under %s", (_name, way) => {
  test("echoes what was written, message after message", async () => {
    await withConnection(way, function* main({ client, server }) {
      const echoing = yield* spawn(() => echo(server));
      const answer = new Uint8Array(5);
      for (let round = 0; round < 100; round++) {
        const message = patternOf(5, round);
        yield* client.write(message);
        yield* client.readExactly(answer);
        expect(answer).toEqual(message);
      }
      yield* client.shutdown();
      yield* join(echoing);
    });
  });

  test("reads 0 at the peer's end, and 0 again each time", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("ab");
      client.close();
      const buffer = new Uint8Array(8);
      expect(yield* server.read(buffer)).toBe(2);
      for (let time = 0; time < 3; time++) expect(yield* server.read(buffer)).toBe(0);
    });
  });

  test("reads 0 when the peer ends while the task waits", async () => {
    await withConnection(way, function* main({ client, server }) {
      const reading = yield* spawn(() => server.read(new Uint8Array(8)));
      yield* yieldNow();
      expect(reading.state).toBe("suspended");
      client.close();
      expect(yield* join(reading)).toBe(0);
    });
  });

  test("leaves the rest of the buffer as it is", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("ab");
      const buffer = new Uint8Array(4).fill(7);
      expect(yield* server.read(buffer)).toBe(2);
      expect([...buffer]).toEqual([97, 98, 7, 7]);
    });
  });

  test("reads into a part of a larger buffer, and into a Buffer", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("abcd");
      const whole = new Uint8Array(16);
      expect(yield* server.read(whole.subarray(6, 8))).toBe(2);
      const node = Buffer.alloc(2);
      yield* server.readExactly(node);
      expect([...whole.subarray(5, 9)]).toEqual([0, 97, 98, 0]);
      expect(node.toString()).toBe("cd");
    });
  });

  test("readExactly fills the buffer from many small writes", async () => {
    await withConnection(way, function* main({ client, server }) {
      const whole = patternOf(1000);
      const writing = yield* spawn(function* write() {
        for (let at = 0; at < 1000; at += 7) {
          yield* client.write(whole.subarray(at, at + 7));
          yield* yieldNow();
        }
      });
      const buffer = new Uint8Array(1000);
      yield* server.readExactly(buffer);
      expect(buffer).toEqual(whole);
      yield* join(writing);
    });
  });

  test("readExactly says how many bytes came before the end", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("abc");
      yield* client.shutdown();
      const buffer = new Uint8Array(12);
      const error = yield* errorOf(server.readExactly(buffer));
      expect(error).toBeInstanceOf(UnexpectedEndError);
      expect(error).toMatchObject({ receivedBytes: 3, wantedBytes: 12, code: "ERR_UNEXPECTED_END" });
      expect(error.message).toContain("ended after 3 of 12 bytes");
      expect(new TextDecoder().decode(buffer.subarray(0, 3))).toBe("abc");
    });
  });

  test("readExactly of nothing takes nothing", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("a");
      yield* server.readExactly(new Uint8Array(0));
      expect(yield* server.read(new Uint8Array(2))).toBe(1);
    });
  });

  test("a big write waits for a slow reader, and everything arrives", async () => {
    await withConnection(way, function* main(connection) {
      const { client, server } = connection;
      shrinkBuffers(connection);
      const sent = patternOf(10 * MEBIBYTE);
      const writing = yield* spawn(
        function* write() {
          yield* client.write(sent);
          yield* client.shutdown();
        },
        { name: "writer" },
      );
      const buffer = new Uint8Array(50_000);
      const hash = new Bun.SHA1();
      let received = 0;
      let suspendedLooks = 0;
      for (;;) {
        if (writing.state === "suspended") suspendedLooks++;
        const bytes = yield* server.read(buffer);
        if (bytes === 0) break;
        received += bytes;
        hash.update(buffer.subarray(0, bytes));
        yield* yieldNow();
      }
      expect(received).toBe(sent.byteLength);
      expect(hash.digest("hex")).toBe(hashOf(sent));
      // The peer's window is a small part of the whole, so the writer was found waiting again and again.
      expect(suspendedLooks).toBeGreaterThan(20);
      yield* join(writing);
    });
  });

  test("a write that nobody reads stays suspended, and says what it waits for", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client } = connection;
      const writing = yield* spawn(() => client.write(new Uint8Array(4 * MEBIBYTE)));
      for (let round = 0; round < 100; round++) yield* yieldNow();
      expect(writing.state).toBe("suspended");
      expect(writing.waitsFor).toBe(`writing to connection 127.0.0.1:${client.remoteAddress.port}`);
      yield* cancel(writing);
    });
  });

  test("writes a string as UTF-8", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("grüß 🦊 \0 ok");
      yield* client.shutdown();
      expect(new TextDecoder().decode(yield* readAll(server))).toBe("grüß 🦊 \0 ok");
    });
  });

  test("writeAll sends strings and bytes in order, empty ones and none at all", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.writeAll([]);
      yield* client.writeAll(["", new Uint8Array(0), ""]);
      yield* client.writeAll(["a", "", new Uint8Array([98]), new Uint8Array(0), "ç", ""]);
      yield* client.write("");
      yield* client.write(new Uint8Array(0));
      yield* client.shutdown();
      expect(new TextDecoder().decode(yield* readAll(server))).toBe("abç");
    });
  });

  test("writeAll sends more parts than one call takes, some of them empty, through a slow reader", async () => {
    await withConnection(way, function* main(connection) {
      const { client, server } = connection;
      shrinkBuffers(connection);
      const parts = Array.from({ length: 500 }, (_, index) =>
        index % 5 === 0 ? new Uint8Array(0) : patternOf((index * 7919) % 9973, index),
      );
      const writing = yield* spawn(function* write() {
        yield* client.writeAll(parts);
        yield* client.shutdown();
      });
      yield* yieldNow();
      expect(writing.state).toBe("suspended");
      const received = yield* readAll(server, 1000);
      expect(hashOf(received)).toBe(hashOf(Buffer.concat(parts)));
      yield* join(writing);
    });
  });

  test("writeAll sends views that share one buffer", async () => {
    await withConnection(way, function* main({ client, server }) {
      const whole = patternOf(100);
      yield* client.writeAll([whole.subarray(90), whole.subarray(10, 20), Buffer.from(whole.buffer, 0, 5)]);
      yield* client.shutdown();
      const expected = Buffer.concat([whole.subarray(90), whole.subarray(10, 20), whole.subarray(0, 5)]);
      expect(Buffer.from(yield* readAll(server))).toEqual(expected);
    });
  });

  test("both sides write and read at the same time", async () => {
    await withConnection(way, function* main(connection) {
      const { client, server } = connection;
      shrinkBuffers(connection);
      const bytes = patternOf(MEBIBYTE);
      const send = (stream: TcpStream) =>
        function* send(): Operation<void> {
          yield* stream.write(bytes);
          yield* stream.shutdown();
        };
      yield* spawn(send(client));
      yield* spawn(send(server));
      const atServer = yield* spawn(() => readAll(server));
      const atClient = yield* spawn(() => readAll(client));
      expect(hashOf(yield* join(atServer))).toBe(hashOf(bytes));
      expect(hashOf(yield* join(atClient))).toBe(hashOf(bytes));
    });
  });

  test("after shutdown the peer reads the end and may still send; this side may not write", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* client.write("question");
      yield* client.shutdown();
      yield* client.shutdown();
      const error = yield* errorOf(client.write("more"));
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toContain("write after shutdown()");
      expect(new TextDecoder().decode(yield* readAll(server))).toBe("question");
      yield* server.write("answer");
      yield* server.shutdown();
      expect(new TextDecoder().decode(yield* readAll(client))).toBe("answer");
    });
  });

  test("the side that accepted may be the first to shut down", async () => {
    await withConnection(way, function* main({ client, server }) {
      yield* server.shutdown();
      expect(yield* client.read(new Uint8Array(1))).toBe(0);
      yield* client.write("still here");
      yield* client.shutdown();
      expect(new TextDecoder().decode(yield* readAll(server))).toBe("still here");
    });
  });

  test("a waiting write goes on after the peer has shut down its own half", async () => {
    await withConnection(way, function* main(connection) {
      const { client, server } = connection;
      shrinkBuffers(connection);
      const sent = patternOf(MEBIBYTE);
      const writing = yield* spawn(function* write() {
        yield* client.write(sent);
        yield* client.shutdown();
      });
      yield* yieldNow();
      expect(writing.state).toBe("suspended");
      yield* server.shutdown();
      expect(yield* client.read(new Uint8Array(1))).toBe(0);
      expect(hashOf(yield* readAll(server))).toBe(hashOf(sent));
      yield* join(writing);
    });
  });

  test("close ends another task's read with a ClosedError that names the connection", async () => {
    await withConnection(way, function* main({ client }) {
      const { remoteAddress } = client;
      const reading = yield* spawn(() => errorOf(client.read(new Uint8Array(1))));
      yield* yieldNow();
      client.close();
      const error = yield* join(reading);
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toBe(
        `connection ${remoteAddress.host}:${remoteAddress.port} was closed while a task waited for it`,
      );
    });
  });

  test("close ends another task's write with a ClosedError", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client } = connection;
      const writing = yield* spawn(() => errorOf(client.write(new Uint8Array(4 * MEBIBYTE))));
      yield* yieldNow();
      expect(writing.state).toBe("suspended");
      client.close();
      expect(yield* join(writing)).toBeInstanceOf(ClosedError);
    });
  });

  test("every use after close is refused by name, and a second close does nothing", async () => {
    await withConnection(way, function* main({ client }) {
      client.close();
      client.close();
      client.reset();
      expect(client.isClosed).toBe(true);
      for (const [verb, operation] of [
        ["read", client.read(new Uint8Array(1))],
        ["read", client.readable()],
        ["read", client.readExactly(new Uint8Array(1))],
        ["write", client.write("a")],
        ["write", client.write("")],
        ["write", client.writeAll(["a"])],
      ] as const) {
        const error = yield* errorOf(operation);
        expect(error).toBeInstanceOf(ClosedError);
        expect(error.message).toContain(`${verb} after close()`);
      }
      expect(yield* errorOf(client.shutdown())).toBeInstanceOf(ClosedError);
      expect(() => client.noDelay()).toThrow(ClosedError);
      expect(() => client.keepAlive()).toThrow(ClosedError);
      expect(() => client.localAddress).toThrow(ClosedError);
      expect(() => client.remoteAddress).toThrow(ClosedError);
    });
  });

  test("a connection that was closed does not touch the next one with its number", async () => {
    await withConnection(way, function* main({ client, server }) {
      const number = client.descriptor;
      client.close();
      yield* withoutEnd(number);
      client.close();
      client.reset();
      expect(yield* server.read(new Uint8Array(1))).toBe(0);
    });

    /** Takes the number again, and finds the connection whole afterwards. */
    function* withoutEnd(number: number): Operation<void> {
      const next = yield* connectToSelf();
      using _client = next.client;
      using _server = next.server;
      expect([next.client.descriptor, next.server.descriptor]).toContain(number);
      yield* next.client.write("x");
      expect(yield* next.server.read(new Uint8Array(1))).toBe(1);
    }
  });

  test("dispose closes", async () => {
    const before = openSockets();
    await withConnection(way, function* main({ client, server }) {
      {
        using stream = client;
        yield* stream.write("a");
      }
      expect(client.isClosed).toBe(true);
      expect(yield* server.read(new Uint8Array(2))).toBe(1);
      expect(yield* server.read(new Uint8Array(2))).toBe(0);
    });
    expect(leftSince(before)).toEqual([]);
  });

  test("a second reader is refused, and told which task reads", async () => {
    await withConnection(way, function* main({ client, server }) {
      const first = yield* spawn(() => client.read(new Uint8Array(1)), { name: "firstReader" });
      yield* yieldNow();
      for (const second of [client.read(new Uint8Array(1)), client.readable(), client.readExactly(new Uint8Array(1))]) {
        const error = yield* errorOf(second);
        expect(error).toBeInstanceOf(BusyError);
        expect(error.message).toContain(
          `connection 127.0.0.1:${client.remoteAddress.port} is being read by task firstReader (#`,
        );
      }
      yield* server.write("x");
      expect(yield* join(first)).toBe(1);
      yield* server.write("y");
      expect(yield* client.read(new Uint8Array(1))).toBe(1);
    });
  });

  test("a second writer is refused, and told which task writes", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client, server } = connection;
      const first = yield* spawn(() => client.write(patternOf(MEBIBYTE)), { name: "firstWriter" });
      yield* yieldNow();
      const error = yield* errorOf(client.write("x"));
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain("is being written to by task firstWriter (#");
      const received = new Uint8Array(MEBIBYTE);
      yield* server.readExactly(received);
      expect(hashOf(received)).toBe(hashOf(patternOf(MEBIBYTE)));
      yield* join(first);
      yield* client.write("x");
      expect(yield* server.read(new Uint8Array(2))).toBe(1);
    });
  });

  test("no second writer slips into the middle of a write, whenever it tries", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client, server } = connection;
      const first = yield* spawn(
        function* write() {
          yield* client.write(new Uint8Array(MEBIBYTE).fill(1));
        },
        { name: "firstWriter" },
      );
      yield* yieldNow();
      yield* spawn(
        function* intrude() {
          while (!first.hasEnded) {
            try {
              yield* client.write(new Uint8Array([2]));
            } catch (error) {
              expect(error).toBeInstanceOf(BusyError);
            }
            yield* yieldNow();
          }
          yield* client.shutdown();
        },
        { name: "intruder" },
      );
      const received = yield* readAll(server, 10_000);
      // What the intruder wrote after the end is his right; before it, his bytes would tear the message apart.
      expect(received.subarray(0, MEBIBYTE).indexOf(2)).toBe(-1);
    });
  });

  test("a reader and a writer do not disturb each other", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client, server } = connection;
      const reading = yield* spawn(() => client.read(new Uint8Array(1)));
      const writing = yield* spawn(() => client.write(new Uint8Array(MEBIBYTE)));
      yield* yieldNow();
      expect([reading.state, writing.state]).toEqual(["suspended", "suspended"]);
      yield* cancel(reading);
      yield* server.readExactly(new Uint8Array(MEBIBYTE));
      yield* join(writing);
    });
  });

  testUnless(NEEDS_RESETS)("a reset gives the peer ECONNRESET, in the shape of Node.js's errors", async () => {
    await withConnection(way, function* main({ client, server }) {
      const reading = yield* spawn(() => errorOf(server.read(new Uint8Array(1))));
      yield* yieldNow();
      client.reset();
      expect(client.isClosed).toBe(true);
      const error = yield* join(reading);
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "ECONNRESET", errno: -errno.ECONNRESET, syscall: "read" });
      expect(error.message).toStartWith("read ECONNRESET");
    });
  });

  testUnless(NEEDS_RESETS)(
    "a reset that came before the read is told by the read, with the peer's address if it is known",
    async () => {
      await withConnection(way, function* main({ client, server }) {
        const { host, port } = server.remoteAddress;
        client.reset();
        const error = yield* errorOf(server.readExactly(new Uint8Array(1)));
        expect(error).toMatchObject({ code: "ECONNRESET", address: host, port });
        expect(error.message).toContain(`read ECONNRESET ${host}:${port}`);
      });
    },
  );

  testUnless(NEEDS_RESETS)("a reset in the middle of a big write ends the write", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client, server } = connection;
      const writing = yield* spawn(() => errorOf(client.write(new Uint8Array(8 * MEBIBYTE))));
      yield* server.readExactly(new Uint8Array(100_000));
      expect(writing.hasEnded).toBe(false);
      server.reset();
      const error = yield* join(writing);
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "ECONNRESET", errno: -errno.ECONNRESET, syscall: "write" });
      expect(yield* errorOf(client.write("again"))).toMatchObject({
        code: "EPIPE",
        errno: -errno.EPIPE,
        syscall: "write",
      });
    });
  });

  test("a peer that closes with bytes unread resets the writer", async () => {
    await withConnection(way, function* main(connection) {
      shrinkBuffers(connection);
      const { client, server } = connection;
      const writing = yield* spawn(() => errorOf(client.write(new Uint8Array(4 * MEBIBYTE))));
      yield* yieldNow();
      server.close();
      expect(["ECONNRESET", "EPIPE"]).toContain((yield* join(writing))["code"] as string);
    });
  });

  testUnless(gap({ win32: "this test sends by libc" }))(
    "a read that out-of-band data cuts short is not taken for the last one",
    async () => {
      await withConnection(way, function* ({ client, server }) {
        const received = new Uint8Array(6);
        const reading = yield* spawn(() => server.readExactly(received));
        yield* yieldNow();
        // All of it is there before the reader runs again, and no more comes that could wake it once more.
        yield* client.write("one");
        sendUrgently(client.descriptor, 33);
        yield* client.write("two");
        yield* join(reading);
        expect(new TextDecoder().decode(received)).toBe("onetwo");
      });
    },
  );

  testUnless(NEEDS_SHORT_READS)("readable waits for bytes and leaves them there", async () => {
    await withConnection(way, function* main({ client, server }) {
      // The first call cannot know, so it returns at once; what it cannot know a read finds out.
      yield* server.readable();
      const reading = yield* spawn(() => server.read(new Uint8Array(1)));
      yield* client.write("a");
      expect(yield* join(reading)).toBe(1);
      const emptied = yield* spawn(() => server.read(new Uint8Array(10)));
      yield* client.write("b");
      expect(yield* join(emptied)).toBe(1);
      const waiting = yield* spawn(() => server.readable());
      yield* yieldNow();
      expect(waiting.state).toBe("suspended");
      yield* client.write("cd");
      yield* join(waiting);
      yield* server.readable();
      expect(yield* server.read(new Uint8Array(10))).toBe(2);
    });
  });

  test("an operation can be used once", async () => {
    await withConnection(way, function* main({ client, server }) {
      const writing = client.write("a");
      yield* writing;
      expect(yield* errorOf(writing)).toBeInstanceOf(OperationReusedError);
      expect(yield* server.read(new Uint8Array(2))).toBe(1);
    });
  });

  test("refuses what is no buffer and what is no data, by name", async () => {
    await withConnection(way, function* main({ client }) {
      expect(() => client.read(new Uint8Array(0))).toThrow(
        new RangeError("read: buffer is empty, so nothing could be read into it"),
      );
      expect(() => client.read("x" as never)).toThrow(new TypeError('read: buffer must be a Uint8Array, but is "x"'));
      expect(() => client.read(new DataView(new ArrayBuffer(1)) as never)).toThrow("but is a DataView");
      expect(() => client.write(7 as never)).toThrow(
        new TypeError("write: data must be a Uint8Array or a string, but is 7"),
      );
      expect(() => client.writeAll(["a", undefined as never])).toThrow("but is undefined");
      expect(yield* errorOf(client.readExactly([] as never))).toBeInstanceOf(TypeError);
    });
  });

  test("knows its own address and its peer's", async () => {
    await withConnection(way, function* main({ client, server }) {
      expect(client.localAddress).toEqual(server.remoteAddress);
      expect(server.localAddress).toEqual(client.remoteAddress);
      expect(client.localAddress).toMatchObject({ host: "127.0.0.1", family: "IPv4" });
      expect(client.localAddress.port).toBeGreaterThan(0);
      expect(client.label).toBe(`connection 127.0.0.1:${client.remoteAddress.port}`);
    });
  });

  testUnless(NEEDS_RESETS)(
    "messages name the peer, of an accepted connection while it is there, though nobody has asked for it",
    async () => {
      await withConnection(way, function* main({ client, server }) {
        const [here, there] = [client.localAddress, server.localAddress];
        expect(client.label).toBe(`connection 127.0.0.1:${there.port}`);
        yield* client.write("x");
        yield* client.shutdown();
        const error = yield* errorOf(server.readExactly(new Uint8Array(2)));
        expect(error.message).toContain(`connection 127.0.0.1:${here.port}`);
        server.reset();
        expect(yield* errorOf(client.read(new Uint8Array(1)))).toMatchObject({
          address: "127.0.0.1",
          port: there.port,
        });
      });
    },
  );

  testUnless(NEEDS_RESETS)(
    "an accepted connection that was reset before anybody asked has no address in its messages",
    async () => {
      await withConnection(way, function* main({ client, server }) {
        client.reset();
        const error = yield* errorOf(server.read(new Uint8Array(1)));
        expect(error).toMatchObject({ code: "ECONNRESET" });
        expect(error.message).toStartWith("read ECONNRESET");
        expect(server.label).toBe(`connection on descriptor ${server.descriptor}`);
      });
    },
  );

  test("what was connected to 0.0.0.0 is called so in messages, and knows its peer", async () => {
    await way(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      const { port } = listener.address;
      using stream = yield* connect({ port, host: "0.0.0.0" });
      expect(stream.label).toBe(`connection 0.0.0.0:${port}`);
      expect(stream.remoteAddress.host).toBe("127.0.0.1");
      expect(stream.label).toBe(`connection 127.0.0.1:${port}`);
      (yield* listener.accept()).close();
    });
  });

  testUnless(gap({ wine: "wine 8 does not know how many probes end a connection" }))(
    "noDelay and keepAlive reach the socket",
    async () => {
      await withConnection(way, function* main({ client }) {
        const option = (name: keyof typeof SocketOption): number =>
          nativeSystem().getOption(client.descriptor, SocketOption[name]);
        expect([option("NO_DELAY"), option("KEEP_ALIVE")]).toEqual([0, 0]);
        client.noDelay();
        expect(option("NO_DELAY")).toBe(1);
        client.noDelay(false);
        expect(option("NO_DELAY")).toBe(0);
        client.keepAlive({ idleMs: 30_001, intervalMs: 5000, probes: 4 });
        expect(option("KEEP_ALIVE")).toBe(1);
        expect(option("KEEP_ALIVE_IDLE_S")).toBe(31);
        expect(option("KEEP_ALIVE_INTERVAL_S")).toBe(5);
        expect(option("KEEP_ALIVE_COUNT")).toBe(4);
        client.keepAlive(false);
        expect(option("KEEP_ALIVE")).toBe(0);
        client.keepAlive();
        expect([option("KEEP_ALIVE"), option("KEEP_ALIVE_IDLE_S")]).toEqual([1, 31]);
      });
    },
  );

  test("keepAlive refuses times and counts that are none", async () => {
    await withConnection(way, function* main({ client }) {
      for (const idleMs of [-1, 0, NaN, Infinity, "5", 32_768_000]) {
        expect(() => client.keepAlive({ idleMs: idleMs as number })).toThrow(RangeError);
        expect(() => client.keepAlive({ intervalMs: idleMs as number })).toThrow("keepAlive: intervalMs");
      }
      for (const probes of [0, 128, 1.5, NaN]) expect(() => client.keepAlive({ probes })).toThrow("keepAlive: probes");
    });
  });
});
