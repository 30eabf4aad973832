/** Streams of bytes, cancelled at each of their suspend points: nothing may be left, whenever it comes. */

import { describe, expect, test } from "bun:test";
import { writeSync } from "node:fs";
import {
  all,
  any,
  bindUdp,
  bindUnixDatagram,
  BufferedReader,
  ClosedError,
  connect,
  connectUdp,
  connectUnix,
  fdStream,
  join,
  listen,
  listenUnix,
  lookup,
  makeNamedPipe,
  notifyClosing,
  openNamedPipe,
  openPipe,
  openUnixDatagram,
  openPty,
  openSerial,
  type Operation,
  promise,
  race,
  select,
  signal,
  signals,
  sleep,
  readable,
  ready,
  run,
  Interest,
  source,
  spawn,
  SystemError,
  type TcpStream,
  tlsAccept,
  tlsConnect,
  UnexpectedEndError,
  unixDatagramPair,
  unixPair,
  type UnixStream,
  writable,
  yieldNow,
  type ByteReader,
  type ByteWriter,
} from "../../src/index.ts";
import { AUTHORITY, SERVER } from "../support/certificates.ts";
import { expectNothingLeftWhenCancelled } from "../support/cancel-everywhere.ts";
import { rejectionOf } from "../support/failure.ts";
import { KINDS, PtyPair } from "../support/kinds.ts";
import { EventCounter, Pipe, SocketPair } from "../support/libc.ts";
import { errorOf } from "../support/loopback.ts";
import { temporaryPath } from "../support/temporary.ts";
import { pathName } from "../support/unix.ts";
import { settingsOf } from "../support/terminals.ts";
import {
  firstOf,
  NEEDS_EXACT_DESCRIPTORS,
  NEEDS_POSIX_PROGRAMS,
  NEEDS_SIGNALS,
  NEEDS_UNIX_SOCKETS,
  needs,
} from "../support/needs.ts";
import { gap, testUnless } from "../support/platform.ts";

/** More than a pipe or a socket holds, so that the writer has to wait. */
const MESSAGE = new Uint8Array(1_000_000);

/** Met only by what hangs. */
const A_LONG_TIME_MS = 60_000;

/** More than a terminal holds, which is little. */
const SHORT = new Uint8Array(50_000);

describe("cancelled at every suspend point, nothing is left of", () => {
  testUnless(
    gap({
      wine: "under wine 8 a connection to this machine is there at once, so that fewer waits are to be cancelled",
    }),
  )("a TCP server and its client", () =>
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
    ),
  );

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

  test("contests of which each arm opens something", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        const { port } = listener.address;
        const attempt = (): Operation<TcpStream> => connect({ port, host: "localhost" });
        for (let index = 0; index < 2; index++) {
          using client = yield* any([attempt, attempt]);
          using accepted = yield* race([() => listener.accept(), () => never()]);
          const { value } = yield* select({ other: () => listener.accept(), stop: sleep(A_LONG_TIME_MS) });
          using _other = value as TcpStream;
          yield* all([() => client.write("x"), () => errorOrBytes(accepted)]);
        }
      },
      { leastPoints: 10, isFair: isOfPeer },
    ));

  test("look-ups of names, and sockets that are opened by one", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        yield* lookup("localhost");
        using listener = yield* listen({ port: 0, host: "localhost" });
        using _socket = yield* bindUdp({ port: 0, host: "localhost" });
        using _connected = yield* connectUdp({ port: listener.address.port, host: "localhost" });
      },
      { leastPoints: 4 },
    ));

  testUnless(NEEDS_SIGNALS)("waits for signals", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using received = signals("SIGUSR2");
        const waiting = yield* spawn(() => signal(["SIGUSR2", "SIGHUP"]));
        const next = yield* spawn(() => received.next());
        yield* yieldNow();
        process.kill(process.pid, "SIGUSR2");
        yield* join(waiting);
        yield* join(next);
      },
      { leastPoints: 3 },
    ),
  );

  testUnless(needs("unixDatagrams"))("pairs of datagram sockets", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pair = yield* unixDatagramPair();
        const receiving = yield* spawn(() => pair.left.receive(new Uint8Array(8)));
        yield* yieldNow();
        yield* pair.right.send("message");
        yield* join(receiving);
      },
      { leastPoints: 2, isFair: isOfPeer },
    ),
  );

  testUnless(needs("pipes"))("a pipe", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pipe = yield* openPipe();
        yield* transfer(pipe.writer, pipe.reader);
      },
      { leastPoints: 4, isFair: isOfPeer },
    ),
  );

  testUnless(needs("namedPipes"))("a named pipe", () =>
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
    ),
  );

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

  testUnless(NEEDS_UNIX_SOCKETS)("a unix server and its client, which waits for the backlog", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using name = pathName();
        using listener = yield* listenUnix({ path: name.path!, backlog: 1, mode: 0o600 });
        const clients = [];
        for (let index = 0; index < 4; index++) {
          clients.push(
            yield* spawn(function* ask() {
              using client = yield* connectUnix(name);
              yield* transfer(client, client);
            }),
          );
        }
        yield* yieldNow();
        for (let index = 0; index < 4; index++) {
          yield* spawn(function* serve() {
            using stream = yield* listener.accept();
            yield* transfer(stream, stream);
          });
          yield* yieldNow();
          yield* join(clients[index]!);
        }
      },
      { leastPoints: 12, isFair: isOfPeer },
    ),
  );

  testUnless(needs("descriptorPassing"))("descriptors that are passed over a unix stream, both ways", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pair = yield* unixPair();
        yield* all([() => passAlong(pair.left, pair.right), () => passAlong(pair.right, pair.left)]);
      },
      { leastPoints: 8, isFair: isOfPeer },
    ),
  );

  testUnless(firstOf(needs("unixDatagrams"), NEEDS_EXACT_DESCRIPTORS))(
    "datagrams with descriptors, whose receiver is slow",
    () =>
      expectNothingLeftWhenCancelled(
        function* job() {
          using name = pathName();
          using receiver = yield* bindUnixDatagram({ path: name.path!, passCredentials: true });
          using connected = yield* openUnixDatagram({ autobind: true });
          connected.connect(name);
          using other = yield* openUnixDatagram();
          using counter = new EventCounter();
          const descriptors = [counter.descriptor, counter.descriptor];
          yield* spawn(function* send() {
            for (let index = 0; index < 20; index++) yield* connected.send("one", { descriptors });
          });
          yield* spawn(function* send() {
            for (let index = 0; index < 20; index++) yield* other.sendTo(name, "two", { descriptors });
          });
          yield* yieldNow();
          for (let index = 0; index < 40; index++) {
            using message = yield* receiver.receive(new Uint8Array(8), { mostDescriptors: 1 });
            (yield* fdStream(message.descriptors.take())).close();
            yield* yieldNow();
          }
        },
        { leastPoints: 20, isFair: isOfPeer },
      ),
  );

  testUnless(needs("terminals"))("a pseudo-terminal", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pty = yield* openPty({ raw: true });
        using terminal = yield* pty.openTerminal();
        using _descriptor = yield* pty.openDescriptor();
        using _raw = terminal.rawMode();
        const { controller } = pty;
        yield* all([() => transfer(controller, terminal, SHORT), () => transfer(terminal, controller, SHORT)]);
      },
      { leastPoints: 10, isFair: isOfPeer },
    ),
  );

  testUnless(needs("serialPorts"))("a serial port, and what it was set to", async () => {
    using pty = await run(() => openPty());
    const before = await settingsOf(pty.path);
    await expectNothingLeftWhenCancelled(
      function* job() {
        using port = yield* openSerial(pty.path, { baud: 9600 });
        const reading = yield* spawn(() => port.readExactly(new Uint8Array(3)));
        yield* port.write("text");
        yield* port.drain();
        yield* port.sendBreak(0.5);
        yield* yieldNow();
        writeSync(pty.controller.descriptor, "abc");
        yield* join(reading);
      },
      { leastPoints: 3, isFair: isOfPeer },
    );
    expect(await settingsOf(pty.path)).toBe(before);
  });

  testUnless(needs("fdStream"))("streams on descriptors of others", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pair = new SocketPair();
        using left = yield* fdStream(pair.left, { keepOpen: true });
        using right = yield* fdStream(pair.right, { keepOpen: true });
        yield* all([() => transfer(left, right), () => transfer(right, left)]);
      },
      { leastPoints: 6, isFair: isOfPeer },
    ),
  );

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

  test.each(KINDS)("waits for %s, by number and by source", (_name, open) =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using kind = open();
        const waiting = yield* spawn(() => readable(kind.descriptor));
        yield* yieldNow();
        kind.makeReady();
        yield* join(waiting);
        using kept = yield* source(kind.descriptor);
        yield* kept.ready(Interest.READABLE | Interest.PRIORITY);
        yield* kept.readable();
      },
      { leastPoints: 3 },
    ),
  );

  testUnless(needs("anyDescriptor"))("waits that notifyClosing ends", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pair = new SocketPair();
        using stream = yield* fdStream(pair.left, { keepOpen: true });
        const reading = yield* spawn(() => errorOf(stream.read(new Uint8Array(1))));
        const waiting = yield* spawn(() => errorOf(writable(pair.right)));
        yield* yieldNow();
        yield* notifyClosing(pair.left);
        yield* notifyClosing(pair.right);
        yield* join(reading);
        yield* join(waiting);
      },
      { leastPoints: 3, isFair: isOfPeer },
    ),
  );

  testUnless(needs("terminals"))("a terminal whose mode is to be restored", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pty = new PtyPair();
        using line = yield* fdStream(pty.line, { keepOpen: true });
        using master = yield* fdStream(pty.master, { keepOpen: true });
        const reading = yield* spawn(() => line.readUntil("\n"));
        yield* yieldNow();
        yield* master.write("a line\n");
        yield* join(reading);
      },
      { leastPoints: 2, isFair: isOfPeer },
    ),
  );

  testUnless(needs("pipes"))("a reader that reads ahead", () =>
    expectNothingLeftWhenCancelled(
      function* job() {
        using pipe = yield* openPipe();
        const reader = new BufferedReader(pipe.reader, { bufferBytes: 4 });
        const reading = yield* spawn(function* read() {
          yield* reader.readUntil("\r\n");
          yield* reader.lines().next();
          yield* reader.fill();
          yield* reader.readToEnd();
        });
        for (const piece of ["one\r", "\ntw", "o\n", "and the rest"]) {
          yield* pipe.writer.write(piece);
          yield* yieldNow();
        }
        yield* pipe.writer.shutdown();
        yield* join(reading);
      },
      { leastPoints: 6, isFair: isOfPeer },
    ),
  );
});

describe("cancelling at every suspend point finds out a job that leaves", () => {
  testUnless(needs("anyDescriptor"))("a descriptor", async () => {
    const pairs: SocketPair[] = [];
    await expectFoundOut("socket:", function* leaky() {
      const pair = new SocketPair();
      pairs.push(pair);
      yield* sleep(1);
      pair[Symbol.dispose]();
    });
    for (const pair of pairs) pair[Symbol.dispose]();
  });

  test("a registration", () =>
    expectFoundOut('"registrations": 1', function* leaky() {
      using counter = new EventCounter(1);
      const kept = yield* source(counter.descriptor);
      yield* kept.readable();
      yield* sleep(1);
      kept.close();
    }));

  test("a listener of the process", async () => {
    const listener = (): void => {};
    await expectFoundOut("listeners", function* leaky() {
      process.on("bun-reactor test", listener);
      yield* sleep(1);
      process.removeListener("bun-reactor test", listener);
    });
    process.removeAllListeners("bun-reactor test");
  });

  testUnless(NEEDS_POSIX_PROGRAMS)("a child", async () => {
    const children: Bun.Subprocess[] = [];
    await expectFoundOut("children", function* leaky() {
      const child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
      children.push(child);
      yield* sleep(1);
      child.kill();
      yield* promise(child.exited);
    });
    for (const child of children) {
      child.kill();
      await child.exited;
    }
  });

  test("nothing, but fails where it is not cancelled, or is shorter than it should be", async () => {
    let runs = 0;
    await expectFoundOut("the second run fails", function* failing() {
      yield* yieldNow();
      if (runs++ > 0) throw new Error("the second run fails");
    });
    const tooShort = expectNothingLeftWhenCancelled(() => yieldNow(), { leastPoints: 5 });
    expect((await rejectionOf(tooShort)).message).toContain("toBeGreaterThan");
  });
});

async function expectFoundOut(words: string, job: () => Operation<unknown>): Promise<void> {
  const error = await rejectionOf(expectNothingLeftWhenCancelled(job, { leastPoints: 1 }));
  expect(Bun.stripANSI(error.message)).toContain(words);
}

function* selectCertificate(): Operation<null> {
  yield* yieldNow();
  return null;
}

function* transfer(writer: ByteWriter, reader: ByteReader, message = MESSAGE): Operation<void> {
  const writing = yield* spawn(() => writer.writeAll([message, "end"]));
  yield* reader.readExactly(new Uint8Array(message.byteLength + 3));
  yield* join(writing);
}

/** More bytes than fit at once, with descriptors; the receiver takes one and leaves the other. */
function* passAlong(from: UnixStream, to: UnixStream): Operation<void> {
  const sending = yield* spawn(function* send() {
    using counter = new EventCounter();
    yield* from.sendDescriptors(MESSAGE, [counter.descriptor, counter.descriptor]);
  });
  const buffer = new Uint8Array(MESSAGE.byteLength);
  for (let received = 0; received < MESSAGE.byteLength;) {
    using message = yield* to.receiveDescriptors(buffer.subarray(received), { mostDescriptors: 2 });
    if (received === 0) {
      using stream = yield* fdStream(message.descriptors.take());
      yield* stream.write(new Uint8Array(new BigUint64Array([1n]).buffer));
      yield* yieldNow();
    }
    received += message.bytes;
  }
  yield* join(sending);
}

/** Which of the connections the listener accepted first is not known. */
function* errorOrBytes(stream: TcpStream): Operation<void> {
  try {
    yield* stream.read(new Uint8Array(1));
  } catch (error) {
    if (!isOfPeer(error)) throw error;
  }
}

function* never(): Operation<never> {
  yield* sleep(Infinity);
  throw new Error("it never ends");
}

function isOfPeer(error: unknown): boolean {
  return [SystemError, ClosedError, UnexpectedEndError].some((errorClass) => error instanceof errorClass);
}
