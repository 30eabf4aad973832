/** Datagram sockets of the unix domain. */

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import {
  bindUnixDatagram,
  BusyError,
  cancel,
  ClosedError,
  Executor,
  join,
  listenUnix,
  openUnixDatagram,
  type OpenUnixDatagramOptions,
  type Operation,
  showUnixName,
  spawn,
  SystemError,
  type Task,
  type UnixDatagram,
  unixDatagramPair,
  type UnixName,
  yieldNow,
} from "../../src/index.ts";
import { toNameBytes } from "../../src/io/unix-name.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { TestReactor } from "../support/reactors.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, onePoll, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { abstractName, leaveSocketFile, NAMES, pathName } from "../support/unix.ts";
import { UnixKind, type UnixSystem } from "../../src/core/unix-system.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

const { ENOBUFS } = errno;

testUnless(needs("unixDatagrams"))(
  "ENOBUFS, the kernel's memory, is an error of the message that met it, and the next may go",
  async () => {
    const results = [-ENOBUFS, 1];
    const unix: Partial<UnixSystem> = { create: () => 7, connect: () => 0, send: () => results.shift()! };
    const world = new ScriptedWorld({}, {}, { unix: unix as UnixSystem });
    world.open.set(7, "the socket");
    await settled(
      world,
      new Executor(world).run(function* main() {
        using socket = yield* openUnixDatagram();
        socket.connect({ path: "/receiver" });
        expect(yield* errorOf(socket.send("x"))).toMatchObject({
          code: "ENOBUFS",
          syscall: "sendmsg",
          path: "/receiver",
        });
        yield* socket.send("x");
      }),
    );
    expect(results).toEqual([]);
  },
);

describeUnless(needs("unixDatagrams")).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  describe.each(NAMES)("at %s", (_kind, makeName) => {
    test("a message says where it is from, and is answered there", () =>
      way(function* main() {
        using name = makeName();
        using receiver = yield* bindUnixDatagram(name);
        using sender = yield* openUnixDatagram({ autobind: true });
        expect(receiver.localName).toEqual(plain(name));
        expect(receiver.label).toBe(`datagram socket ${showUnixName(name)}`);
        expect(sender.label).toBe(`datagram socket on descriptor ${sender.descriptor}`);
        const waiting = yield* spawn(() => receive(receiver));
        yield* yieldNow();
        yield* sender.sendTo(name, "question");
        const question = yield* join(waiting);
        expect(question).toEqual({ text: "question", from: sender.localName });
        yield* receiver.sendTo(question.from!, "answer");
        expect(yield* receive(sender)).toEqual({ text: "answer", from: plain(name) });
      }));

    test("a sender without a name has none", () =>
      way(function* main() {
        using name = makeName();
        using receiver = yield* bindUnixDatagram(name);
        using sender = yield* openUnixDatagram();
        expect(sender.localName).toBeNull();
        yield* sender.sendTo(name, new Uint8Array([104, 105]));
        expect(yield* receive(receiver)).toEqual({ text: "hi", from: null });
      }));

    test("a connected socket sends there, and hears from there only", () =>
      way(function* main() {
        using name = makeName();
        using own = makeName();
        using receiver = yield* bindUnixDatagram(name);
        using client = yield* bindUnixDatagram(own);
        client.connect(name);
        yield* client.send("hello");
        expect(yield* receive(receiver)).toEqual({ text: "hello", from: plain(own) });
        using stranger = yield* openUnixDatagram();
        const error = yield* errorOf(stranger.sendTo(own, "psst"));
        expect(error).toMatchObject({ code: "EPERM", syscall: "sendmsg", path: showUnixName(own) });
        expect(error.message).toEndWith("that socket is connected to another one, and takes messages from there only");
        expect((yield* errorOf(connecting(stranger, own))).message).toContain(
          "that socket is connected to another one",
        );
        yield* receiver.sendTo(own, "welcome");
        expect((yield* receive(client)).text).toBe("welcome");
      }));

    test("a name that nobody has is refused by it, and so is one whose owner has gone", () =>
      way(function* main() {
        using name = makeName();
        using sender = yield* openUnixDatagram();
        const code = name.path === undefined ? "ECONNREFUSED" : "ENOENT";
        const error = yield* errorOf(sender.sendTo(name, "x"));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code, syscall: "sendmsg", path: showUnixName(name) });
        expect(yield* errorOf(connecting(sender, name))).toMatchObject({ code, syscall: "connect" });
        const receiver = yield* bindUnixDatagram(name);
        sender.connect(name);
        receiver.close();
        const gone = yield* errorOf(sender.send("x"));
        expect(gone).toMatchObject({ code: "ECONNREFUSED", path: showUnixName(name) });
      }));
  });

  test("messages keep their bounds and their order, empty ones too", () =>
    way(function* main() {
      using pair = yield* unixDatagramPair();
      const texts = ["one", "", "three".repeat(1000), "x"];
      for (const text of texts) yield* pair.left.send(text);
      for (const text of texts) expect((yield* receive(pair.right)).text).toBe(text);
    }));

  test("a message that is longer than the buffer is cut off, and that is told", () =>
    way(function* main() {
      using pair = yield* unixDatagramPair();
      yield* pair.left.send("0123456789");
      yield* pair.left.send("next");
      const buffer = new Uint8Array(4);
      using message = yield* pair.right.receive(buffer);
      expect(message).toMatchObject({ bytes: 4, wholeBytes: 10, isTruncated: true });
      expect(new TextDecoder().decode(buffer)).toBe("0123");
      using next = yield* pair.right.receive(buffer);
      expect(next).toMatchObject({ bytes: 4, wholeBytes: 4, isTruncated: false });
    }));

  test("a message of 100,000 bytes goes whole, and one that is too long is refused with the limit", () =>
    way(function* main() {
      using pair = yield* unixDatagramPair();
      const sent = patternOf(100_000);
      yield* pair.left.send(sent);
      const buffer = new Uint8Array(200_000);
      using message = yield* pair.right.receive(buffer);
      expect(Buffer.compare(buffer.subarray(0, message.bytes), sent)).toBe(0);
      const error = yield* errorOf(pair.left.send(new Uint8Array(10_000_000)));
      expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "sendmsg" });
      expect(error.message).toMatch(
        /a message of 10000000 bytes is too long for the socket's send buffer of \d+ bytes/,
      );
    }));

  test("credentials come with each message if they were asked for, and from a socket that asks for them too", () =>
    way(function* main() {
      using name = abstractName();
      using receiver = yield* bindUnixDatagram({ ...plain(name), passCredentials: true });
      using sender = yield* openUnixDatagram({ passCredentials: true });
      yield* sender.sendTo(name, "x");
      const own = { processId: process.pid, userId: process.getuid!(), groupId: process.getgid!() };
      {
        using message = yield* receiver.receive(new Uint8Array(8), { mostDescriptors: 2 });
        expect(message.credentials).toEqual(own);
        // unix(7): such a socket gets a name when it sends.
        expect(message.from).toEqual(sender.localName!);
        expect(message.areDescriptorsTruncated).toBe(false);
      }
      using plainReceiver = yield* openUnixDatagram({ autobind: true });
      yield* sender.sendTo(plainReceiver.localName!, "x");
      using message = yield* plainReceiver.receive(new Uint8Array(8));
      expect(message.credentials).toBeNull();
      expect(message.areDescriptorsTruncated).toBe(false);
    }));

  test("a second receiver is refused while the first waits; closing ends the wait", () =>
    way(function* main() {
      using name = abstractName();
      const receiver = yield* bindUnixDatagram(name);
      const first = yield* spawn(() => errorOf(receiver.receive(new Uint8Array(1))), { name: "first" });
      yield* yieldNow();
      const second = yield* errorOf(receiver.receive(new Uint8Array(1)));
      expect(second).toBeInstanceOf(BusyError);
      expect(second.message).toContain(`${receiver.label} is being read by task first`);
      receiver.close();
      receiver.close();
      expect(yield* join(first)).toBeInstanceOf(ClosedError);
      expect(receiver.isClosed).toBe(true);
      for (const late of [
        () => receiver.receive(new Uint8Array(1)),
        () => receiver.send("x"),
        () => receiver.sendTo(name, "x"),
      ]) {
        const error = yield* errorOf(late());
        expect(error).toBeInstanceOf(ClosedError);
        expect(error.message).toContain(`${receiver.label}: `);
      }
      expect(() => receiver.localName).toThrow(ClosedError);
      expect(() => receiver.connect(name)).toThrow(ClosedError);
    }));

  test("a receiver that was cancelled takes nothing away", () =>
    way(function* main() {
      using pair = yield* unixDatagramPair();
      const waiting = yield* spawn(() => pair.right.receive(new Uint8Array(1)));
      yield* yieldNow();
      yield* cancel(waiting);
      yield* pair.left.send("x");
      expect((yield* receive(pair.right)).text).toBe("x");
    }));

  test("what is not connected says so, with what to do", () =>
    way(function* main() {
      using socket = yield* openUnixDatagram();
      const error = yield* errorOf(socket.send("x"));
      expect(error).toMatchObject({ code: "ENOTCONN" });
      expect(error.message).toBe("sendmsg ENOTCONN: the socket is not connected: use sendTo, or connect it first");
    }));

  test("a stream socket, and a file without permission, are refused with the path", () =>
    way(function* main() {
      using name = pathName();
      using _listener = yield* listenUnix(name);
      using sender = yield* openUnixDatagram();
      const error = yield* errorOf(sender.sendTo(name, "x"));
      expect(error).toMatchObject({ code: "EPROTOTYPE", path: name.path });
      expect(error.message).toEndWith("that is a stream socket, and no datagram socket");

      using forbidden = pathName();
      chmodSync(dirname(forbidden.path!), 0o755);
      using _receiver = yield* bindUnixDatagram({ path: forbidden.path!, mode: 0 });
      if (process.getuid!() === 0) process.seteuid!(65_534);
      try {
        expect(yield* errorOf(sender.sendTo(forbidden, "x"))).toMatchObject({ code: "EACCES", path: forbidden.path });
      } finally {
        if (process.getuid!() === 0) process.seteuid!(0);
      }
    }));

  test("the file of a dead one refuses", () =>
    way(function* main() {
      using name = pathName();
      leaveSocketFile(name.path!, UnixKind.DATAGRAM);
      using sender = yield* openUnixDatagram();
      expect(yield* errorOf(sender.sendTo(name, "x"))).toMatchObject({ code: "ECONNREFUSED", path: name.path });
    }));

  test.each([
    [
      (socket: UnixDatagram): Operation<unknown> => socket.sendTo("/a" as unknown as UnixName, "x"),
      TypeError,
      "sendTo: a name is",
    ],
    [(socket: UnixDatagram) => socket.sendTo({ path: "x".repeat(109) }, "x"), RangeError, "sendTo: path has 109 bytes"],
    [
      (socket: UnixDatagram) => socket.sendTo({ abstract: "x" }, 5 as unknown as string),
      TypeError,
      "sendTo: data must be",
    ],
    [(socket: UnixDatagram) => socket.send(null as unknown as string), TypeError, "send: data must be"],
    [(socket: UnixDatagram) => socket.receive(new Uint8Array(0)), RangeError, "receive: buffer is empty"],
    [(socket: UnixDatagram) => socket.receive("x" as unknown as Uint8Array), TypeError, "receive: buffer must be"],
    [(socket: UnixDatagram) => connecting(socket, {} as UnixName), TypeError, "connect: a name has either"],
  ])("refuses what is no argument: %p", (act, errorClass, message) =>
    way(function* main() {
      using socket = yield* openUnixDatagram();
      const error = yield* errorOf(deferred(() => act(socket)));
      expect(error).toBeInstanceOf(errorClass as unknown as new () => Error);
      expect(error.message).toStartWith(message);
      const options = { passCredentials: 1 } as unknown as OpenUnixDatagramOptions;
      expect((yield* errorOf(openUnixDatagram(options))).message).toBe(
        "openUnixDatagram: passCredentials must be true or false, but is 1",
      );
    }),
  );

  test("an operation can be used once", () =>
    way(function* main() {
      using pair = yield* unixDatagramPair();
      const sending = pair.left.send("x");
      yield* sending;
      expect(yield* errorOf(sending)).toBeInstanceOf(TypeError);
    }));
});

describeUnless(needs("unixDatagrams")).each(WAYS)("a receiver that is slow, in %s", (_name, way) => {
  expectNothingLeftBehind();

  test.each(["connected", "not connected"])("makes a sender wait that is %s, and gets all in order", (how) =>
    way(function* main() {
      using name = abstractName();
      using receiver = yield* bindUnixDatagram(name);
      using sender = yield* openUnixDatagram();
      if (how === "connected") sender.connect(name);
      let sent = 0;
      const sending = yield* spawn(function* send() {
        for (; sent < 500; sent++) yield* how === "connected" ? sender.send(`${sent}`) : sender.sendTo(name, `${sent}`);
      });
      for (let index = 0; index < 500; index++) {
        expect((yield* receive(receiver)).text).toBe(`${index}`);
        expect(sent - index).toBeLessThan(MOST_QUEUED);
      }
      yield* join(sending);
    }),
  );

  test("makes a sender wait whose buffer is full, while the queue is not", () =>
    way(function* main() {
      using name = abstractName();
      using receiver = yield* bindUnixDatagram(name);
      using sender = yield* openUnixDatagram();
      const message = patternOf(60_000);
      let sent = 0;
      const sending = yield* spawn(function* send() {
        for (; sent < 50; sent++) yield* sender.sendTo(name, message);
      });
      while (sending.waitsFor !== `writing to ${sender.label}`) yield* yieldNow();
      const buffer = new Uint8Array(60_000);
      for (let index = 0; index < 50; index++) {
        using received = yield* receiver.receive(buffer);
        expect(received.bytes).toBe(60_000);
        expect(Buffer.compare(buffer, message)).toBe(0);
      }
      yield* join(sending);
    }));

  test("keeps many senders waiting at once, and each gets through", () =>
    way(function* main() {
      using name = abstractName();
      using receiver = yield* bindUnixDatagram(name);
      const tasks = [];
      for (let number = 0; number < 30; number++) {
        tasks.push(
          yield* spawn(function* send() {
            using sender = yield* openUnixDatagram();
            if (number % 2 === 0) sender.connect(name);
            for (let index = 0; index < 20; index++) {
              if (number % 2 === 0) yield* sender.send(`${number} ${index}`);
              else yield* sender.sendTo(name, `${number} ${index}`);
            }
          }),
        );
      }
      const next = Array.from({ length: 30 }, () => 0);
      for (let count = 0; count < 600; count++) {
        const [number, index] = (yield* receive(receiver)).text.split(" ").map(Number);
        expect(index).toBe(next[number!]!++);
      }
      for (const task of tasks) yield* join(task);
      expect(next.every((count) => count === 20)).toBe(true);
    }));

  test("does not keep messages for others back", () =>
    way(function* main() {
      using slowName = abstractName();
      using quickName = abstractName();
      using slow = yield* bindUnixDatagram(slowName);
      using quick = yield* bindUnixDatagram(quickName);
      using sender = yield* openUnixDatagram();
      const waiting = yield* spawn(() => sendUntilFull(sender, slowName));
      while (!waiting.waitsFor.includes("is full")) yield* yieldNow();
      expect(waiting.waitsFor).toBe(`writing to ${sender.label}, whose receiver ${showUnixName(slowName)} is full`);
      const second = yield* errorOf(sender.sendTo(quickName, "now"));
      expect(second).toBeInstanceOf(BusyError);
      using other = yield* openUnixDatagram();
      yield* other.sendTo(quickName, "now");
      expect((yield* receive(quick)).text).toBe("now");
      yield* cancel(waiting);
      yield* sender.sendTo(quickName, "now");
      expect((yield* receive(quick)).text).toBe("now");
      expect(slow.isClosed).toBe(false);
    }));

  test("to which a socket is connected does not keep its messages for others back", () =>
    way(function* main() {
      using slowName = abstractName();
      using quickName = abstractName();
      using _slow = yield* bindUnixDatagram(slowName);
      using quick = yield* bindUnixDatagram(quickName);
      using sender = yield* openUnixDatagram();
      sender.connect(slowName);
      const waiting = yield* spawn(() => sendUntilFull(sender, null));
      while (waiting.waitsFor === "" || waiting.waitsFor === "its turn") yield* yieldNow();
      yield* cancel(waiting);
      yield* sender.sendTo(quickName, "now");
      expect((yield* receive(quick)).text).toBe("now");
    }));

  test.each(["connected", "not connected"])("and goes away ends the wait of a sender that is %s", (how) =>
    way(function* main() {
      using name = abstractName();
      const receiver = yield* bindUnixDatagram(name);
      using sender = yield* openUnixDatagram();
      if (how === "connected") sender.connect(name);
      const waiting = yield* spawn(() => errorOf(sendUntilFull(sender, how === "connected" ? null : name)));
      while (waiting.waitsFor === "" || waiting.waitsFor === "its turn") yield* yieldNow();
      receiver.close();
      expect(yield* join(waiting)).toMatchObject({ code: "ECONNREFUSED", path: showUnixName(name) });
    }),
  );

  test.each(["connected", "not connected"])("closing a sender that is %s ends its wait", (how) =>
    way(function* main() {
      using name = abstractName();
      using _receiver = yield* bindUnixDatagram(name);
      const sender = yield* openUnixDatagram();
      if (how === "connected") sender.connect(name);
      const waiting = yield* spawn(() => errorOf(sendUntilFull(sender, how === "connected" ? null : name)));
      while (waiting.waitsFor === "" || waiting.waitsFor === "its turn") yield* yieldNow();
      expect(() => sender.connect(name)).toThrow(BusyError);
      sender.close();
      const error = yield* join(waiting);
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toContain("was closed while a task waited for it");
    }),
  );
});

testUnless(needs("unixDatagrams")).each(["connected", "not connected"])(
  "a sender that is %s and waits is asleep: it is resumed once for each room",
  async (how) => {
    await using reactor = new TestReactor();
    let resumes = 0;
    using name = abstractName();
    let sender: UnixDatagram | undefined;
    let sending: Task<void> | undefined;
    const remove = reactor.executor.addInstrument({
      resumed: (task) => {
        if (task === sending) resumes++;
      },
    });
    const done = reactor.run(function* main() {
      using receiver = yield* bindUnixDatagram(name);
      using own = yield* openUnixDatagram();
      sender = own;
      if (how === "connected") own.connect(name);
      sending = yield* spawn(() => sendUntilFull(own, how === "connected" ? null : name));
      while (sending.waitsFor === "" || sending.waitsFor === "its turn") yield* yieldNow();
      for (let round = 0; round < 20; round++) {
        resumes = 0;
        // Each turn looks at what is ready: a sender that is told that it may write would be resumed.
        for (let turn = 0; turn < 50; turn++) yield* yieldNow();
        expect(resumes).toBe(0);
        yield* receive(receiver);
        while (resumes === 0) yield* yieldNow();
        for (let turn = 0; turn < 50; turn++) yield* yieldNow();
        expect(resumes).toBe(1);
      }
      yield* cancel(sending);
    });
    await done;
    remove();
    expect(sender!.isClosed).toBe(true);
  },
);

testUnless(needs("unixDatagrams"))(
  "a sender whose receiver is gone, and whose name a new one has, full as well, waits for that one",
  async () => {
    await using reactor = new TestReactor();
    let resumes = 0;
    let sending: Task<void> | undefined;
    const remove = reactor.executor.addInstrument({
      resumed: (task) => {
        if (task === sending) resumes++;
      },
    });
    await reactor.run(function* main() {
      using name = abstractName();
      const first = yield* bindUnixDatagram(name);
      using sender = yield* openUnixDatagram();
      sending = yield* spawn(() => sendUntilFull(sender, name));
      while (sending.waitsFor === "" || sending.waitsFor === "its turn") yield* yieldNow();
      // Nothing suspends between the two, so the sender finds the new one, full, when it looks.
      resumes = 0;
      first.close();
      using second = yield* bindUnixDatagram(name);
      fill(name);
      while (resumes === 0) yield* yieldNow();
      // Each poll of the event queue would tell a sender that still waits for the old one that it may write.
      for (let poll = 0; poll < 20; poll++) yield* onePoll();
      expect(resumes).toBe(1);
      yield* receive(second);
      while (resumes === 0) yield* yieldNow();
      yield* cancel(sending);
    });
    remove();
  },
);

/** Above what `net.unix.max_dgram_qlen` is anywhere. */
const MOST_QUEUED = 2_000;

/** Sends until the receiver is full, without a wait. */
function fill(name: UnixName): void {
  const system = nativeSystem();
  const descriptor = system.unix.create(UnixKind.DATAGRAM);
  const to = toNameBytes("fill", name);
  let result = 0;
  while (result >= 0) result = system.unix.send(descriptor, Uint8Array.of(1), to, []);
  system.close(descriptor);
  expect(system.meaningOf(result)).toBe("wouldBlock");
}

/** Sends on and on, so that it waits for the receiver; to the peer if there is no name. */
function* sendUntilFull(socket: UnixDatagram, name: UnixName | null): Operation<void> {
  for (;;) yield* name === null ? socket.send("x") : socket.sendTo(name, "x");
}

function* receive(socket: UnixDatagram): Operation<{ readonly text: string; readonly from: UnixName | null }> {
  const buffer = new Uint8Array(10_000);
  using message = yield* socket.receive(buffer);
  return { text: new TextDecoder().decode(buffer.subarray(0, message.bytes)), from: message.from };
}

function* connecting(socket: UnixDatagram, name: UnixName): Operation<void> {
  socket.connect(name);
}

function* deferred<T>(act: () => Operation<T>): Operation<T> {
  return yield* act();
}

function plain({ path, abstract }: UnixName): UnixName {
  return path === undefined ? { abstract } : { path };
}
