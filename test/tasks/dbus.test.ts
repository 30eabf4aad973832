/** The client of D-Bus against a bus that misbehaves, and its messages against bytes that are none. */

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import {
  listenUnix,
  type Operation,
  run,
  spawn,
  SystemError,
  type UnixName,
  type UnixStream,
} from "../../src/index.ts";
import { socketsOf } from "../../tasks/dbus/address.ts";
import { DBusDisconnectedError, openDBus } from "../../tasks/dbus/connection.ts";
import {
  type DBusMessage,
  decode,
  encode,
  lengthOf,
  MessageKind,
  type MessageToSend,
} from "../../tasks/dbus/message.ts";
import { DBusProtocolError, type Value, Variant } from "../../tasks/dbus/values.ts";
import { Random } from "../../src/testing/random.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";
import { errorOf, openReactor } from "../support/loopback.ts";
import { pathName } from "../support/unix.ts";
import { describeUnless } from "../support/platform.ts";
import { NEEDS_UNIX_SOCKETS } from "../support/needs.ts";

const SIGNAL: MessageToSend = { kind: MessageKind.SIGNAL, path: "/p", interface: "i.i", member: "M" };

describeUnless(NEEDS_UNIX_SOCKETS)("a bus", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test.each([
    ["a refusal", "REJECTED EXTERNAL\r\n", 'the bus was expected to answer "OK", but answered "REJECTED EXTERNAL"'],
    [
      "that it passes no descriptors",
      "OK 1234\r\nERROR no descriptors\r\n",
      'expected to answer "AGREE_UNIX_FD", but answered "ERROR no descriptors"',
    ],
    ["nothing", "", 'the bus was expected to answer "OK", but answered ""'],
    ["no line", "x".repeat(2_000), "readUntil found no end within 1024 bytes"],
  ])("that answers %s is refused", (_what, answer, message) =>
    withFakeBus(
      function* bus(stream) {
        yield* stream.write(answer);
        yield* stream.shutdown();
        yield* untilGone(stream);
      },
      function* main(name) {
        const error = yield* errorOf(openDBus(`unix:path=${name.path}`));
        expect(error.message).toContain(message);
      },
    ),
  );

  test.each([
    ["garbage", new TextEncoder().encode("this is no message of D-Bus at all"), [], "is no message of D-Bus"],
    ["another version", withByte(encode(SIGNAL, 1).bytes, 3, 2), [], "has version 2 of the protocol"],
    ["too long a message", withByte(encode(SIGNAL, 1).bytes, 7, 0x7f), [], "is too long for D-Bus"],
    ["half a message", encode(SIGNAL, 1).bytes.subarray(0, 40), [], "ended after 24 of"],
    ["fewer descriptors than it says", sendingDescriptors(3), [1], "a message has 3 descriptors, but 1 have come"],
  ])("that sends %s ends the connection, with the reason", (_what, bytes, descriptorCounts, message) =>
    withFakeBus(
      function* bus(stream) {
        yield* letIn(stream);
        using counter = new EventCounter();
        const count: number = descriptorCounts[0] ?? 0;
        yield* stream.sendDescriptors(
          bytes,
          Array.from({ length: count }, () => counter.descriptor),
        );
        yield* stream.shutdown();
        yield* untilGone(stream);
      },
      function* main(name) {
        using bus = yield* openDBus(`unix:path=${name.path}`);
        const error = yield* errorOf(bus.callBus("ListNames"));
        expect(error).toBeInstanceOf(DBusDisconnectedError);
        expect(error.message).toContain(message);
        expect(yield* errorOf(bus.receive())).toBe(error);
      },
    ),
  );

  test("that sends more descriptors than its message has keeps the rest for the next", () =>
    withFakeBus(
      function* bus(stream) {
        yield* letIn(stream);
        using first = new EventCounter(1);
        using second = new EventCounter(2);
        yield* stream.sendDescriptors(sendingDescriptors(1), [first.descriptor, second.descriptor]);
        yield* stream.write(sendingDescriptors(1));
        yield* untilGone(stream);
      },
      function* main(name) {
        using bus = yield* openDBus(`unix:path=${name.path}`);
        for (let index = 0; index < 2; index++) {
          using message = yield* bus.receive();
          expect(message.body).toEqual([[0]]);
          closeSync(message.takeDescriptor(0));
        }
      },
    ));
});

describe("a message", () => {
  const BODY: readonly Value[] = [
    [7, new Map<Value, Value>([["key", new Variant("(sx)", ["text", -5n])]]), "żółw", new Uint8Array([1, 2]), true],
  ];
  const message: MessageToSend = { ...SIGNAL, destination: "a.b", signature: "(ya{sv}sayb)", body: BODY };

  test("comes back as it was", () => {
    const { bytes } = encode(message, 42);
    expect(lengthOf(bytes.subarray(0, 16))).toBe(bytes.byteLength);
    const read = decode(bytes, none);
    expect(read.serial).toBe(42);
    expect(read.body).toEqual(BODY);
    expect(read.facts).toMatchObject({ kind: MessageKind.SIGNAL, path: "/p", member: "M", destination: "a.b" });
  });

  test("may be of a machine with the other order of bytes", () => {
    // A reply of the bus as a big-endian machine would write it: REPLY_SERIAL 3, SIGNATURE "s", and ":1.7".
    const fields = [5, 1, 0x75, 0, 0, 0, 0, 3, 8, 1, 0x67, 0, 1, 0x73, 0];
    const body = [0, 0, 0, 4, ...new TextEncoder().encode(":1.7"), 0];
    const start = [0x42, 2, 1, 1, 0, 0, 0, body.length, 0, 0, 0, 9, 0, 0, 0, fields.length];
    const bytes = Uint8Array.from([...start, ...fields, 0, ...body]);
    expect(lengthOf(bytes.subarray(0, 16))).toBe(bytes.byteLength);
    const read = decode(bytes, none);
    expect([read.serial, read.facts.replySerial, read.facts.wantsNoReply, ...read.body]).toEqual([9, 3, true, ":1.7"]);
  });

  test("that is cut off anywhere is refused", () => {
    const { bytes } = encode(message, 42);
    for (let length = 0; length < bytes.byteLength; length++)
      expectRefused(() => decode(bytes.subarray(0, length), none));
  });

  test("with any byte changed is read or refused, and nothing else", () => {
    const random = new Random(0x5eed);
    const { bytes } = encode(message, 42);
    let refused = 0;
    for (let round = 0; round < 5_000; round++) {
      const changed = bytes.slice();
      for (let change = 0; change <= random.below(3); change++)
        changed[random.below(changed.length)] = random.below(256);
      try {
        decode(changed, none);
      } catch (error) {
        if (!(error instanceof DBusProtocolError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(500);
    expect(refused).toBeLessThan(5_000);
  });

  test("that is nested too deep is refused", () => {
    let value: Variant = new Variant("y", 1);
    for (let depth = 0; depth < 70; depth++) value = new Variant("v", value);
    expectRefused(() => decode(encode({ ...SIGNAL, signature: "v", body: [value] }, 1).bytes, none));
  });
});

test("an address has paths, abstract names and escaped bytes", () => {
  expect(socketsOf("unix:path=/run/bus,guid=1234")).toEqual([{ path: "/run/bus" }]);
  expect(socketsOf("tcp:host=x;unix:abstract=/tmp/dbus-%41b;unix:path=/b")).toEqual([
    { abstract: "/tmp/dbus-Ab" },
    { path: "/b" },
  ]);
  for (const address of ["", "unix:", "tcp:host=x", "unix:path=%zz"])
    expect(() => socketsOf(address)).toThrow(DBusProtocolError);
});

/** The part of the handshake that the bus has, and its answer to Hello. */
function* letIn(stream: UnixStream): Operation<void> {
  yield* stream.readUntil("\r\n");
  yield* stream.write("OK 1234deadbeef\r\n");
  yield* stream.readUntil("\r\n");
  yield* stream.write("AGREE_UNIX_FD\r\n");
  yield* stream.readUntil("BEGIN\r\n");
  const hello = yield* readMessage(stream);
  expect(hello.facts).toMatchObject({ kind: MessageKind.CALL, member: "Hello" });
  const reply = { kind: MessageKind.REPLY, replySerial: hello.serial, signature: "s", body: [":1.1"] };
  yield* stream.write(encode(reply, 1).bytes);
}

/** The client may go without having read all, which is a reset. */
function* untilGone(stream: UnixStream): Operation<void> {
  try {
    yield* stream.readToEnd();
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ECONNRESET") throw error;
  }
}

function* readMessage(stream: UnixStream): Operation<DBusMessage> {
  const start = new Uint8Array(16);
  yield* stream.readExactly(start);
  const bytes = new Uint8Array(lengthOf(start));
  bytes.set(start);
  yield* stream.readExactly(bytes.subarray(16));
  return decode(bytes, none);
}

async function withFakeBus(
  bus: (stream: UnixStream) => Operation<void>,
  body: (name: UnixName) => Operation<void>,
): Promise<void> {
  await run(function* main() {
    using name = pathName();
    using listener = yield* listenUnix(name);
    yield* spawn(function* serve() {
      using stream = yield* listener.accept();
      yield* bus(stream);
    });
    yield* body(name);
  });
}

/** A signal that says that it has so many descriptors. */
function sendingDescriptors(count: number): Uint8Array {
  return encode({ ...SIGNAL, signature: "ah", body: [Array.from({ length: count }, () => 0)] }, 1).bytes;
}

function withByte(bytes: Uint8Array, place: number, value: number): Uint8Array {
  const changed = bytes.slice();
  changed[place] = value;
  return changed;
}

function none(): number[] {
  return [];
}

function expectRefused(act: () => unknown): void {
  expect(act).toThrow(DBusProtocolError);
}
