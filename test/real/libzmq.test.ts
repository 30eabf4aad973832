/** ZeroMQ through libzmq: sockets whose descriptor only hints, and must be asked until nothing is left. */

import { beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import {
  all,
  cancel,
  CancelledError,
  ClosedError,
  join,
  type Operation,
  run,
  sleep,
  spawn,
  timeout,
  TimeoutError,
  yieldNow,
} from "../../src/index.ts";
import { SocketKind, ZeroMQ, ZeroMQError, type ZeroMQSocket } from "../../tasks/support/libzmq.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { blockUntilReadable } from "../support/libc.ts";
import { openReactor } from "../support/loopback.ts";
import { temporaryFolder, temporaryPath } from "../support/temporary.ts";
import { withVariable } from "../support/variable.ts";
import { Program, runToEnd } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";

describeReal("ZeroMQ through libzmq", { libraries: ["libzmq.so.5"] }, () => {
  beforeAll(async () => {
    await openReactor();
    // The reactor's thread is up when it has told of something.
    await withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PAIR), context.socket(SocketKind.PAIR)];
      left.bind("tcp://127.0.0.1:*");
      right.connect(left.endpoint);
      for (let n = 0; n < 100; n++) {
        yield* left.send("hello");
        yield* right.receive();
      }
    });
  });
  expectNothingLeftBehind();

  test.each(["tcp://127.0.0.1:*", "ipc"])("REQ asks and REP answers, 5,000 times over %s", async (kind) => {
    using path = temporaryPath("socket");
    await withContext(function* main(context) {
      const server = context.socket(SocketKind.REP);
      server.bind(kind === "ipc" ? `ipc://${path.name}` : kind);
      const answering = yield* spawn(function* answer() {
        for (let round = 0; round < 5_000; round++) yield* server.send(`${yield* server.receiveText()}!`);
      });
      const client = context.socket(SocketKind.REQ);
      client.connect(server.endpoint);
      for (let round = 0; round < 5_000; round++) {
        yield* client.send(`question ${round}`);
        expect(yield* client.receiveText()).toBe(`question ${round}!`);
      }
      yield* join(answering);
    });
  });

  test("PUB reaches every SUB that has asked for it, in order", () =>
    withContext(function* main(context) {
      const publisher = context.socket(SocketKind.PUB);
      publisher.highWaterMark(0);
      publisher.bind("tcp://127.0.0.1:*");
      const subscribers: ZeroMQSocket[] = [];
      for (let index = 0; index < 3; index++) {
        const subscriber = context.socket(SocketKind.SUB);
        subscriber.highWaterMark(0);
        subscriber.subscribe(index === 2 ? "odd" : "");
        subscriber.connect(publisher.endpoint);
        subscribers.push(subscriber);
      }
      yield* untilSubscribed(publisher, subscribers);
      const sending = yield* spawn(function* send() {
        for (let n = 0; n < 10_000; n++) yield* publisher.send(n % 2 === 1 ? "odd" : "even", String(n));
        yield* publisher.send("odd", "end");
      });
      const counts = yield* all(subscribers.map((subscriber) => countToEnd(subscriber)));
      expect(counts).toEqual([10_000, 10_000, 5_000]);
      yield* join(sending);
    }));

  test("a sender waits while its peer is slow, and a sender and a receiver share a socket", () =>
    withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PAIR), context.socket(SocketKind.PAIR)];
      for (const socket of [left, right]) socket.highWaterMark(10);
      left.bind("tcp://127.0.0.1:*");
      right.connect(left.endpoint);
      const large = new Uint8Array(50_000);
      const work = (socket: ZeroMQSocket): (() => Operation<void>)[] => [
        function* send() {
          for (let n = 0; n < 2_000; n++) yield* socket.send(large);
        },
        function* receive() {
          for (let n = 0; n < 2_000; n++) expect((yield* socket.receive())[0]!.byteLength).toBe(50_000);
        },
      ];
      yield* all([...work(left), ...work(right)]);
    }));

  test("a message has as many parts as it was sent with, empty ones included", () =>
    withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PUSH), context.socket(SocketKind.PULL)];
      right.bind("tcp://127.0.0.1:*");
      left.connect(right.endpoint);
      yield* left.send("a", "", new Uint8Array([1, 2]));
      yield* left.send("b");
      expect(yield* right.receive()).toEqual([new Uint8Array([97]), new Uint8Array(0), new Uint8Array([1, 2])]);
      expect(yield* right.receive()).toEqual([new Uint8Array([98])]);
    }));

  test("a wait ends at its deadline or with its task, and the socket goes on", () =>
    withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PUSH), context.socket(SocketKind.PULL)];
      right.bind("tcp://127.0.0.1:*");
      left.connect(right.endpoint);
      expect(yield* errorOf(timeout(5, () => right.receive()))).toBeInstanceOf(TimeoutError);
      const waiting = yield* spawn(() => right.receive());
      yield* yieldNow();
      yield* cancel(waiting);
      expect(yield* errorOf(join(waiting))).toBeInstanceOf(CancelledError);
      yield* left.send("still here");
      expect(yield* right.receiveText()).toBe("still here");
    }));

  test("a task that is cancelled while it receives has its message, or leaves it to the next", () =>
    withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PUSH), context.socket(SocketKind.PULL)];
      right.bind("tcp://127.0.0.1:*");
      left.connect(right.endpoint);
      for (let n = 0; n < 200; n++) yield* left.send(String(n));
      const received: string[] = [];
      while (received.length < 200) {
        const receiving = yield* spawn(() => right.receiveText());
        yield* yieldNow();
        yield* cancel(receiving);
        if (receiving.state === "completed") received.push(yield* join(receiving));
      }
      expect(received).toEqual(Array.from({ length: 200 }, (_, n) => String(n)));
    }));

  test("one who looks in vain tells the other what there was: its look has taken the signal", () =>
    withContext(function* main(context) {
      const [left, right] = [context.socket(SocketKind.PAIR), context.socket(SocketKind.PAIR)];
      for (const socket of [left, right]) socket.highWaterMark(1);
      left.bind("tcp://127.0.0.1:*");
      right.connect(left.endpoint);
      const large = new Uint8Array(4_000_000);
      let sent = 0;
      const sending = yield* spawn(function* send() {
        for (; sent < 30; sent++) yield* left.send(large);
      });
      // No more fits: the sender waits for the descriptor. (If it still comes further, the test only sees less.)
      for (let before = -1; before !== sent || sent === 0; yield* sleep(1)) before = sent;
      const receiving = yield* spawn(() => left.receiveText());
      yield* right.receive();
      blockUntilReadable(left.descriptor);
      // The task that receives looks before the reactor does, and finds nothing for itself.
      for (let n = 1; n < 30; n++) yield* right.receive();
      yield* join(sending);
      yield* right.send("the end");
      expect(yield* join(receiving)).toBe("the end");
    }));

  test("a socket that is closed ends the waits for it, and refuses what comes after", () =>
    withContext(function* main(context) {
      const socket = context.socket(SocketKind.PAIR);
      socket.bind("tcp://127.0.0.1:*");
      const waiting = [
        yield* spawn(() => errorOf(socket.receive())),
        yield* spawn(() => errorOf(socket.receive())),
        yield* spawn(() => errorOf(socket.send("nobody is there"))),
      ];
      yield* yieldNow();
      socket.close();
      for (const task of waiting) expect(yield* join(task)).toBeInstanceOf(ClosedError);
      expect(yield* errorOf(socket.receive())).toBeInstanceOf(ClosedError);
      expect(yield* errorOf(socket.send("x"))).toBeInstanceOf(ClosedError);
      expect(() => socket.bind("tcp://127.0.0.1:*")).toThrow(ClosedError);
      expect(yield* errorOf(context.socket(SocketKind.PAIR).send())).toBeInstanceOf(TypeError);
    }));

  test("what is out of turn, and an endpoint that is none, is an error with words", () =>
    withContext(function* main(context) {
      const client = context.socket(SocketKind.REQ);
      const error = yield* errorOf(client.receive());
      expect(error).toBeInstanceOf(ZeroMQError);
      expect(() => client.connect("nonsense")).toThrow("zmq_connect nonsense: Invalid argument");
    }));

  test("who sends a part that is longer than allowed is disconnected, and others are heard", () =>
    withContext(function* main(context) {
      const server = context.socket(SocketKind.PULL);
      server.limitParts(1_000);
      server.bind("tcp://127.0.0.1:*");
      const [long, short] = [context.socket(SocketKind.PUSH), context.socket(SocketKind.PUSH)];
      long.connect(server.endpoint);
      short.connect(server.endpoint);
      yield* long.send("x".repeat(1_001));
      // Messages are taken from all peers in turn, so the long one would be among these.
      for (let count = 0; count < 100; count++) {
        yield* short.send("short");
        expect(yield* server.receiveText()).toBe("short");
      }
    }));

  test("tasks/zmq.ts refuses what is no endpoint with exit code 2", async () => {
    const { exitCode, stderr } = await runToEnd("zmq.ts", "--reply", "5555");
    expect(exitCode).toBe(2);
    expect(stderr).toStartWith('--reply must be an endpoint such as tcp://127.0.0.1:5555, but is "5555"\n');
  });

  test.each([
    ["zmq.ts", "libzmq", []],
    ["pg-listen.ts", "libpq", ["--channel", "news"]],
  ])("tasks/%s says in a line which library cannot be loaded, and how to install it", async (file, library, args) => {
    using folder = temporaryFolder();
    writeFileSync(joinPath(folder.name, `${library}.so.5`), "no library");
    using _environment = withVariable("LD_LIBRARY_PATH", folder.name);
    const { exitCode, stderr } = await runToEnd(file, ...args);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(new RegExp(`^.*${library}\\.so\\.5.*apt install ${library}5\\)\n$`));
  });

  test("tasks/zmq.ts answers and publishes", async () => {
    await using program = Program.start("zmq.ts");
    const [, reply, publish] = /^answering on (\S+), publishing on (\S+)$/.exec(await program.line())!;
    await withContext(function* main(context) {
      const news = context.socket(SocketKind.SUB);
      news.subscribe("");
      news.connect(publish!);
      const client = context.socket(SocketKind.REQ);
      client.connect(reply!);
      const listening = yield* spawn(() => news.receive());
      // A subscription takes effect some time after it was made, so the question is repeated until it is heard.
      while (listening.state !== "completed") {
        yield* client.send("hello");
        expect(yield* client.receiveText()).toBe("HELLO");
      }
      expect((yield* join(listening)).map((part) => new TextDecoder().decode(part))).toEqual(["question", "hello"]);
    });
    program.signal("SIGINT");
    expect((await program.end()).exitCode).toBe(130);
  });
});

function withContext(body: (context: ZeroMQ) => Operation<void>): Promise<void> {
  return run(function* main() {
    using context = new ZeroMQ();
    yield* body(context);
  });
}

/** A subscription takes effect some time after it was made: a first message is repeated until all have it. */
function* untilSubscribed(publisher: ZeroMQSocket, subscribers: readonly ZeroMQSocket[]): Operation<void> {
  for (const subscriber of subscribers) {
    const hearing = yield* spawn(() => subscriber.receive());
    while (hearing.state !== "completed") {
      yield* publisher.send("odd", "hello");
      yield* yieldNow();
    }
    yield* join(hearing);
  }
  yield* publisher.send("odd", "begin");
  for (const subscriber of subscribers) {
    for (;;) if (textOf((yield* subscriber.receive())[1]) === "begin") break;
  }
}

function* countToEnd(subscriber: ZeroMQSocket): Operation<number> {
  for (let count = 0; ; count++) {
    const [topic, text] = yield* subscriber.receive();
    if (textOf(text) === "end") return count;
    expect(textOf(topic)).toBe(Number(textOf(text)) % 2 === 1 ? "odd" : "even");
  }
}

function textOf(part: Uint8Array | undefined): string {
  return new TextDecoder().decode(part);
}

function* errorOf(operation: Operation<unknown>): Operation<unknown> {
  try {
    yield* operation;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}
