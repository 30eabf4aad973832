/**
 * What a network over the loopback interface does not do: sends that would block, queues that are full, batches that go
 * in part. A scripted system does it, in virtual time.
 */

import { describe, expect, test } from "bun:test";
import {
  bindUdp,
  BusyError,
  cancel,
  ClosedError,
  connectUdp,
  DatagramError,
  Executor,
  join,
  Readiness,
  spawn,
  SystemError,
  timeout,
  TimeoutError,
  type UdpSocket,
  yieldNow,
  type Operation,
} from "../../src/index.ts";
import { DatagramOption, type DatagramSystem } from "../../src/core/datagram-system.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { errorOf } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";

const { EAGAIN, ENOBUFS, ENOMEM, ENETUNREACH, ENETDOWN, ECONNREFUSED, EMFILE, EADDRINUSE } = errno;
const HOST = "192.0.2.1";
const TO = { host: "192.0.2.2", port: 9 };
const DESCRIPTOR = 100;

/** Runs `body` with a socket whose native calls are `calls`; what is not there is the real thing's. */
async function withScript<T>(
  calls: Partial<DatagramSystem>,
  body: (socket: UdpSocket, world: ScriptedWorld) => Operation<T>,
): Promise<T> {
  const world: ScriptedWorld = new ScriptedWorld(
    { peer: ["2001:db8::2", "192.0.2.2"] },
    {},
    { datagrams: { ...nativeSystem().datagrams, create: () => open(world), ...calls } },
  );
  const running = new Executor(world).run(function* main() {
    using socket = yield* bindUdp({ host: HOST });
    return yield* body(socket, world);
  });
  const result = await settled(world, running);
  expect(world.open.size).toBe(0);
  return result;
}

function open(world: ScriptedWorld): number {
  world.open.set(DESCRIPTOR, "udp");
  return DESCRIPTOR;
}

/** Takes the results in turn. */
function inTurn(results: readonly number[]): () => number {
  const left = [...results];
  return () => left.shift()!;
}

describe("sending", () => {
  test("waits while the system has no room, and sends when it has", async () => {
    let calls = 0;
    const results = inTurn([-EAGAIN, -EAGAIN, 1]);
    const send = (): number => {
      calls++;
      return results();
    };
    await withScript({ send }, function* (socket, world) {
      const sending = yield* spawn(() => socket.send("x", TO));
      yield* yieldNow();
      expect(sending.state).toBe("suspended");
      world.declareReady(DESCRIPTOR, Readiness.WRITABLE);
      while (calls < 2) yield* yieldNow();
      // It was woken for nothing, and waits for the next change.
      world.declareIdle(DESCRIPTOR);
      world.declareReady(DESCRIPTOR, Readiness.WRITABLE);
      yield* join(sending);
    });
  });

  test("a socket has no other peer while a message waits for the one that it has", async () => {
    await withScript({ send: () => -EAGAIN }, function* (socket) {
      const sending = yield* spawn(() => socket.send("x", TO));
      yield* yieldNow();
      expect(yield* errorOf(socket.connect(TO))).toBeInstanceOf(BusyError);
      expect(() => socket.disconnect()).toThrow(BusyError);
      yield* cancel(sending);
    });
  });

  test("what is known to have no room is not tried again", async () => {
    let calls = 0;
    const send = (): number => (++calls === 1 ? -EAGAIN : 1);
    await withScript({ send }, function* (socket, world) {
      const first = yield* spawn(() => socket.send("x", TO));
      yield* yieldNow();
      first.cancel();
      yield* yieldNow();
      const second = yield* spawn(() => socket.send("y", TO));
      yield* yieldNow();
      expect(calls).toBe(1);
      world.declareReady(DESCRIPTOR, Readiness.WRITABLE);
      yield* join(second);
      expect(calls).toBe(2);
    });
  });

  test.each([
    ["ENOBUFS", ENOBUFS],
    ["ENOMEM", ENOMEM],
  ])("tries again every millisecond while a queue is full (%s)", async (_name, errno) => {
    const times: number[] = [];
    await withScript({}, function* (socket, world) {
      const results = inTurn([-errno, -errno, 1]);
      world.system.datagrams.send = () => {
        times.push(world.nowNs / 1e6);
        return results();
      };
      yield* socket.send("x", TO);
    });
    expect(times).toEqual([0, 1, 2]);
  });

  test("a full queue ends neither a cancel nor a close", async () => {
    await withScript({ send: () => -ENOBUFS }, function* (socket) {
      const cancelled = yield* spawn(() => socket.send("x", TO));
      yield* yieldNow();
      cancelled.cancel();
      yield* yieldNow();
      expect(cancelled.state).toBe("cancelled");
      const closed = yield* spawn(errorOf(socket.send("x", TO)));
      yield* yieldNow();
      socket.close();
      expect(yield* join(closed)).toBeInstanceOf(ClosedError);
    });
  });

  test("an error names the call and the destination, and the next send is tried", async () => {
    await withScript({ send: inTurn([-ENETUNREACH, 1]) }, function* (socket) {
      const error = yield* errorOf(socket.send("x", TO));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "ENETUNREACH", syscall: "send", address: TO.host, port: TO.port });
      yield* socket.send("x", TO);
    });
  });

  test("a name goes to its first address that the socket can send to", async () => {
    const sentTo: string[] = [];
    const { readAddress } = nativeSystem().datagrams;
    const send: DatagramSystem["send"] = (_descriptor, _families, _bytes, to) => {
      sentTo.push(readAddress(to!, 0).host);
      return 1;
    };
    await withScript({ send }, function* (socket) {
      yield* socket.send("x", { host: "peer", port: 9 });
    });
    expect(sentTo).toEqual(["192.0.2.2"]);
  });
});

describe("a name that is looked up for ever", () => {
  /** Runs `body` with a socket in a world in which no name look-up ends. */
  async function withoutNames<T>(body: (socket: UdpSocket) => Operation<T>): Promise<T> {
    return withScript({ send: () => 1 }, function* (socket, world) {
      world.system.resolve = () => new Promise(() => {});
      return yield* body(socket);
    });
  }

  test("a send to it can be cancelled, and others send meanwhile", async () => {
    await withoutNames(function* (socket) {
      const sending = yield* spawn(() => socket.send("x", { host: "peer", port: 9 }));
      yield* yieldNow();
      expect(sending.state).toBe("suspended");
      yield* socket.send("y", TO);
      sending.cancel();
      yield* yieldNow();
      expect(sending.state).toBe("cancelled");
    });
  });

  test("a limit of time ends a connect to it, and leaves the socket as it was", async () => {
    await withoutNames(function* (socket) {
      const error = yield* errorOf(timeout(1000, () => socket.connect({ host: "peer", port: 9 })));
      expect(error).toBeInstanceOf(TimeoutError);
      expect(socket.remoteAddress).toBeNull();
      yield* socket.send("y", TO);
    });
  });
});

test("a socket that is closed while a name is looked up is not used any more", async () => {
  const found = Promise.withResolvers<readonly string[]>();
  await withScript({}, function* (socket, world) {
    world.system.resolve = () => found.promise;
    const sending = yield* spawn(errorOf(socket.send("x", { host: "peer", port: 9 })));
    const connecting = yield* spawn(errorOf(socket.connect({ host: "peer", port: 9 })));
    yield* yieldNow();
    socket.close();
    found.resolve(["192.0.2.2"]);
    expect(yield* join(sending)).toBeInstanceOf(ClosedError);
    expect(yield* join(connecting)).toBeInstanceOf(ClosedError);
  });
});

describe("sending a batch", () => {
  test("goes on behind what the system took, and waits in between", async () => {
    const asked: [number, number][] = [];
    const results = inTurn([2, -EAGAIN, 1, -ENOBUFS, 1]);
    const sendBatch: DatagramSystem["sendBatch"] = (_descriptor, _families, _memory, first, count) => {
      asked.push([first, count]);
      return results();
    };
    await withScript({ sendBatch }, function* (socket, world) {
      const batch = socket.createBatch({ slots: 5 });
      const sending = yield* spawn(() => socket.sendBatch(batch, 4));
      yield* yieldNow();
      expect(sending.state).toBe("suspended");
      world.declareReady(DESCRIPTOR, Readiness.WRITABLE);
      yield* join(sending);
      expect(world.nowNs).toBe(1e6);
    });
    expect(asked).toEqual([
      [0, 4],
      [2, 2],
      [2, 2],
      [3, 1],
      [3, 1],
    ]);
  });

  test("names the datagram that failed behind those that went", async () => {
    await withScript({ sendBatch: inTurn([3, -ENETDOWN]) }, function* (socket) {
      const batch = socket.createBatch({ slots: 5 });
      for (let slot = 0; slot < 5; slot++) batch.set(slot, "x", { host: `192.0.2.${slot}`, port: 9 });
      const error = yield* errorOf(socket.sendBatch(batch));
      expect(error).toBeInstanceOf(DatagramError);
      expect(error).toMatchObject({ code: "ENETDOWN", slot: 3, address: "192.0.2.3", port: 9 });
    });
  });

  test("of no slots does nothing", async () => {
    const sendBatch = (): number => {
      throw new Error("nothing was to be sent");
    };
    await withScript({ sendBatch }, function* (socket) {
      yield* socket.sendBatch(socket.createBatch(), 0);
      yield* socket.sendBatch(socket.createBatch(), 3, 3);
    });
  });
});

describe("receiving", () => {
  test("an error alone ends a wait, is told once, and leaves the socket waiting", async () => {
    const receive = inTurn([-EAGAIN, -ECONNREFUSED, -EAGAIN, 0]);
    await withScript({ receive }, function* (socket, world) {
      const refused = yield* spawn(errorOf(socket.receive(new Uint8Array(1))));
      yield* yieldNow();
      world.declareReady(DESCRIPTOR, Readiness.FAILED);
      expect(yield* join(refused)).toMatchObject({ code: "ECONNREFUSED", syscall: "receive" });
      world.declareIdle(DESCRIPTOR);
      const waiting = yield* spawn(() => socket.receive(new Uint8Array(1)));
      yield* yieldNow();
      expect(waiting.state).toBe("suspended");
      world.declareReady(DESCRIPTOR, Readiness.READABLE);
      expect((yield* join(waiting)).bytes).toBe(0);
    });
  });

  test("a batch that is not full has emptied the queue, and a full one has not", async () => {
    let calls = 0;
    const results = inTurn([2, 1, 1]);
    const receiveBatch = (): number => {
      calls++;
      return results();
    };
    await withScript({ receiveBatch }, function* (socket, world) {
      const batch = socket.createBatch({ slots: 2 });
      expect(yield* socket.receiveBatch(batch)).toBe(2);
      expect(yield* socket.receiveBatch(batch)).toBe(1);
      const waiting = yield* spawn(() => socket.receiveBatch(batch));
      yield* yieldNow();
      expect(calls).toBe(2);
      world.declareReady(DESCRIPTOR, Readiness.READABLE);
      expect(yield* join(waiting)).toBe(1);
    });
  });
});

test.each([
  ["192.0.2.1", ["IPv4"]],
  ["2001:db8::1", ["IPv6"]],
  ["::", ["IPv6", "IPv4"]],
  ["::ffff:192.0.2.1", ["IPv6", "IPv4"]],
])("a setting of a socket on %s is made for each family that it sends to", async (host, families) => {
  const made: string[] = [];
  const world: ScriptedWorld = new ScriptedWorld(
    {},
    {},
    {
      datagrams: {
        ...nativeSystem().datagrams,
        create: () => open(world),
        setOption: (_descriptor, family, option, value) => {
          made.push(`${family} ${option} ${value}`);
          return 0;
        },
      },
    },
  );
  const running = new Executor(world).run(function* main() {
    using socket = yield* bindUdp({ host });
    socket.ttl(7);
    socket.multicastTtl(0);
    socket.multicastLoopback(false);
    socket.multicastInterface(3);
    socket.broadcast();
  });
  await settled(world, running);
  const { HOPS, MULTICAST_HOPS, MULTICAST_LOOPBACK, MULTICAST_INTERFACE, BROADCAST } = DatagramOption;
  expect(made).toEqual([
    ...families.map((family) => `${family} ${HOPS} 7`),
    ...families.map((family) => `${family} ${MULTICAST_HOPS} 0`),
    ...families.map((family) => `${family} ${MULTICAST_LOOPBACK} 0`),
    ...families.map((family) => `${family} ${MULTICAST_INTERFACE} 3`),
    `IPv4 ${BROADCAST} 1`,
  ]);
});

describe("opening", () => {
  test("closes what it has opened when a later step fails", async () => {
    for (const failing of ["bind", "setOption", "localAddress"] as const) {
      const world: ScriptedWorld = new ScriptedWorld(
        {},
        {},
        {
          datagrams: { ...nativeSystem().datagrams, create: () => open(world) },
          [failing]: () => {
            if (failing !== "localAddress") return -EADDRINUSE;
            throw nativeSystem().errorOf(-EADDRINUSE, "getsockname");
          },
        },
      );
      const running = new Executor(world).run(() => errorOf(bindUdp({ host: HOST, port: 9, reusePort: true })));
      const error = await settled(world, running);
      expect(error).toMatchObject({ code: "EADDRINUSE" });
      expect(world.open.size).toBe(0);
    }
  });

  test("without descriptors it is an error", async () => {
    const world = new ScriptedWorld({}, {}, { datagrams: { ...nativeSystem().datagrams, create: () => -EMFILE } });
    const error = await settled(
      world,
      new Executor(world).run(() => errorOf(bindUdp({ host: HOST }))),
    );
    expect(error).toMatchObject({ code: "EMFILE", syscall: "socket" });
  });

  test("on a machine without IPv6 the default is IPv4", async () => {
    const families: string[] = [];
    const world: ScriptedWorld = new ScriptedWorld(
      {},
      {},
      {
        datagrams: {
          ...nativeSystem().datagrams,
          create: (family) => {
            families.push(family);
            return family === "IPv6" ? -errno.EAFNOSUPPORT : open(world);
          },
        },
      },
    );
    const running = new Executor(world).run(function* main() {
      using _socket = yield* bindUdp();
      return yield* errorOf(bindUdp({ ipv6Only: true }));
    });
    expect(await settled(world, running)).toMatchObject({ code: "EAFNOSUPPORT" });
    expect(families).toEqual(["IPv6", "IPv4", "IPv6"]);
  });

  test("a connection goes to the first address to which there is a route, and closes the others", async () => {
    const tried: string[] = [];
    const world: ScriptedWorld = new ScriptedWorld(
      { peer: ["2001:db8::2", "192.0.2.2", "192.0.2.3"] },
      {},
      {
        datagrams: { ...nativeSystem().datagrams, create: () => open(world) },
        connect: (_descriptor, { host }) => {
          tried.push(host);
          return host === "2001:db8::2" ? -ENETUNREACH : 0;
        },
      },
    );
    const running = new Executor(world).run(function* main() {
      using socket = yield* connectUdp({ host: "peer", port: 9 });
      return socket.remoteAddress;
    });
    expect(await settled(world, running)).toMatchObject({ host: "192.0.2.2", port: 9 });
    expect(tried).toEqual(["2001:db8::2", "192.0.2.2"]);
    expect(world.open.size).toBe(0);
  });
});
