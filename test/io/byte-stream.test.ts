/** The suite that every stream of bytes must pass (`bun-reactor/test`), against each kind that this package has. */

import { beforeAll, describe, expect, test } from "bun:test";
import type { ByteReader, Operation } from "../../src/index.ts";
import {
  connectUnix,
  fdStream,
  listenUnix,
  makeNamedPipe,
  openNamedPipe,
  openPipe,
  openPty,
  openSerial,
  run,
  startProcess,
  unixPair,
} from "../../src/index.ts";
import { checkByteStream, checkOneWayStream, type OneWayPair, type StreamPair } from "../../src/test.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf } from "../support/failure.ts";
import { SocketPair } from "../support/libc.ts";
import { connectToSelf, openReactor, type Way, WAYS } from "../support/loopback.ts";
import { temporaryPath } from "../support/temporary.ts";
import { NAMES, type TemporaryName } from "../support/unix.ts";
import { tlsOver, tlsToSelf } from "../support/tls.ts";
import { gap, testUnless } from "../support/platform.ts";
import { NEEDS_UNIX_SOCKETS, firstOf, needs } from "../support/needs.ts";

beforeAll(openReactor);

describe.each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  test("TCP connections pass", () => way(() => checkByteStream(tcpPair)));

  testUnless(NEEDS_UNIX_SOCKETS).each(NAMES)("unix connections by %s pass", (_kind, makeName) =>
    way(() => checkByteStream(() => unixConnection(makeName))),
  );

  testUnless(firstOf(NEEDS_UNIX_SOCKETS, needs("unixPairs")))("pairs of unix sockets pass", () =>
    way(() => checkByteStream(unixPair)),
  );

  testUnless(needs("pipes"))("pipes pass", () => way(() => checkOneWayStream(openPipe)));

  testUnless(needs("namedPipes"))("named pipes pass", () => way(() => checkOneWayStream(namedPipe)));

  testUnless(wayLacksChildren(way))("the standard input and output of a child pass", () =>
    way(() => checkOneWayStream(childPipes)),
  );

  testUnless(needs("fdStream"))("sockets of others pass", () => way(() => checkByteStream(foreignSockets)));

  testUnless(needs("terminals"))("pseudo-terminals pass, raw, except that only a close ends them", () =>
    way(() => checkByteStream(terminalPair, TERMINALS)),
  );

  testUnless(needs("serialPorts"))(
    "serial ports pass likewise, at a speed that only a pseudo-terminal does not keep to",
    () => way(() => checkByteStream(serialPair, TERMINALS)),
  );

  testUnless(needs("pipes", "fdStream"))("pipes of others pass, except that only a close ends them", () =>
    way(() => checkOneWayStream(foreignPipe, { canShutDown: false })),
  );
});

describe("in run", () => {
  expectNothingLeftBehind();

  test("TLS over TCP passes, except that an end ends both halves", () =>
    run(() => checkByteStream(tlsPair, { canAnswerAfterEnd: false })));

  test("TLS within TLS passes likewise", () => run(() => checkByteStream(tlsWithinTls, { canAnswerAfterEnd: false })));
});

testUnless(needs("pipes"))("a stream that breaks a rule fails, with the scenario's name", async () => {
  const error = await rejectionOf(
    run(() =>
      checkOneWayStream(function* broken() {
        const { reader, writer } = yield* openPipe();
        return { writer, reader: withReads(reader, 1) };
      }),
    ),
  );
  expect(error.message).toContain("the stream fails where");
  expect(error.message).toContain('"bytes come out as they went in"');
});

function* tcpPair(): Operation<StreamPair> {
  const { client, server } = yield* connectToSelf();
  return { left: client, right: server };
}

function* unixConnection(makeName: () => TemporaryName): Operation<StreamPair> {
  using name = makeName();
  using listener = yield* listenUnix(name);
  const left = yield* connectUnix(name);
  return { left, right: yield* listener.accept() };
}

function* tlsPair(): Operation<StreamPair> {
  const { client, server } = yield* tlsToSelf();
  return { left: client, right: server };
}

function* tlsWithinTls(): Operation<StreamPair> {
  const outer = yield* tlsToSelf();
  const { client, server } = yield* tlsOver(outer.client, outer.server);
  return { left: client, right: server };
}

function* namedPipe(): Operation<OneWayPair> {
  using path = temporaryPath("pipe");
  yield* makeNamedPipe(path.name);
  const reader = yield* openNamedPipe(path.name, "read");
  return { reader, writer: yield* openNamedPipe(path.name, "write") };
}

function* terminalPair(): Operation<StreamPair> {
  const pty = yield* openPty({ raw: true });
  return { left: pty.controller, right: yield* pty.openTerminal() };
}

function* serialPair(): Operation<StreamPair> {
  const pty = yield* openPty({ raw: true });
  return { left: pty.controller, right: yield* openSerial(pty.path, { baud: 31_250 }) };
}

/** The system holds 14 KiB on its way through a terminal, and 4 KiB in it. */
const TERMINALS = { canShutDown: false, mostInFlightBytes: 32_768 } as const;

/** What goes into the child comes out of it. */
function* childPipes(): Operation<OneWayPair> {
  const { stdin, stdout } = yield* startProcess(COPYING, { stdin: "pipe" });
  return { writer: stdin, reader: stdout };
}

/** Writes what it reads, and reads no more before that is done: streams of Bun's would read ahead without a limit. */
const COPY_BY_HAND = `
const { readSync, writeSync } = require("node:fs");
const buffer = Buffer.alloc(65_536);
for (let bytes; (bytes = read()) > 0; ) for (let at = 0; at < bytes; ) at += writeSync(1, buffer, at, bytes - at);
function read() { try { return readSync(0, buffer); } catch (error) { if (error.code === "EOF") return 0; throw error; } }
`;
const COPYING = process.platform === "win32" ? [process.execPath, "--eval", COPY_BY_HAND] : ["cat"];

/** `blockOn` has children only where a descriptor tells of their end. */
function wayLacksChildren(way: Way): string | null {
  if (way === WAYS[1]![1] && needs("processesInBlockOn") !== null) return needs("processesInBlockOn");
  return gap({ win32: "Bun 1.4.5 does not tell on win32 when a pipe has taken what was written" });
}

function* foreignSockets(): Operation<StreamPair> {
  const pair = new SocketPair();
  return { left: yield* fdStream(pair.left), right: yield* fdStream(pair.right) };
}

function* foreignPipe(): Operation<OneWayPair> {
  const { reader, writer } = yield* openPipe();
  return { reader: yield* fdStream(reader.descriptor), writer: yield* fdStream(writer.descriptor) };
}

/** A reader that drops the first bytes of each read. */
function withReads(reader: ByteReader, dropped: number): ByteReader {
  return new Proxy(reader, {
    get(target, key) {
      if (key === "readExactly")
        return function* readExactly(buffer: Uint8Array): Operation<void> {
          yield* target.readExactly(buffer);
          buffer.copyWithin(0, dropped);
        };
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
