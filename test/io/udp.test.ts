/** UDP sockets: datagrams one by one, connections, addresses of both families, and what is refused. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  bindUdp,
  BusyError,
  cancel,
  ClosedError,
  connectUdp,
  join,
  OperationReusedError,
  race,
  run,
  sleep,
  spawn,
  SystemError,
  timeout,
  TimeoutError,
  UdpSocket,
  UnsupportedError,
  yieldNow,
  type UdpDestination,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, NO_IPV6, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { openUdpPair, receiveText, receiveWhole, withUdpPair } from "../support/udp.ts";
import { gap, testUnless } from "../support/platform.ts";
import { firstOf, needs } from "../support/needs.ts";

const HERE = "127.0.0.1";
/** A host, and how a socket for both families shows it. */
const FAMILIES = [
  [HERE, "::ffff:127.0.0.1"],
  ["::1", "::1"],
] as const;
describe.each(WAYS)("a UDP socket under %s", (_name, way) => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("gets a datagram whole, with its sender, who can be answered", async () => {
    await way(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using client = yield* bindUdp({ host: HERE });
      yield* client.send("question", server.address);
      const { data, from, ...rest } = yield* receiveWhole(server);
      expect(new TextDecoder().decode(data)).toBe("question");
      expect(rest).toEqual({ bytes: 8, wholeBytes: 8, isTruncated: false });
      expect(from).toEqual(client.address);
      yield* server.send(new Uint8Array([1, 2, 3]), from);
      const answer = yield* receiveWhole(client);
      expect([...answer.data]).toEqual([1, 2, 3]);
      expect(answer.from).toEqual(server.address);
    });
  });

  test("waits for a datagram without keeping others from going on", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const receiving = yield* spawn(() => receiveText(server));
      yield* yieldNow();
      expect(receiving.state).toBe("suspended");
      yield* client.send("late");
      expect(yield* join(receiving)).toBe("late");
    });
  });

  test("keeps datagrams apart and in order", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      for (const text of ["a", "", "bc", "def"]) yield* client.send(text);
      for (const text of ["a", "", "bc", "def"]) expect(yield* receiveText(server)).toBe(text);
    });
  });

  test("an empty datagram is one, and no end", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      yield* client.send(new Uint8Array(0));
      expect(yield* server.receive(new Uint8Array(4))).toMatchObject({ bytes: 0, wholeBytes: 0, isTruncated: false });
      yield* client.send("more");
      expect(yield* receiveText(server)).toBe("more");
    });
  });

  test("says that a datagram was truncated, and how long it was", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      yield* client.send(patternOf(1000));
      yield* client.send("next");
      const { data, ...datagram } = yield* receiveWhole(server, 10);
      expect(datagram).toMatchObject({ bytes: 10, wholeBytes: 1000, isTruncated: true });
      expect(data).toEqual(patternOf(10));
      const exact = yield* receiveWhole(server, 4);
      expect(exact).toMatchObject({ bytes: 4, wholeBytes: 4, isTruncated: false });
    });
  });

  test("sends the longest datagram that there is", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      yield* client.send(patternOf(65_507));
      const { data } = yield* receiveWhole(server);
      expect(data).toEqual(patternOf(65_507));
    });
  });

  test("a datagram that is too long is refused with its length, and the socket goes on", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const error = yield* errorOf(client.send(new Uint8Array(70_000)));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "send", port: server.address.port });
      expect(error.message).toContain("A datagram of 70000 bytes is too long");
      yield* client.send("short");
      expect(yield* receiveText(server)).toBe("short");
    });
  });

  test("sends to a name that both ways know", async () => {
    await way(function* main() {
      using server = yield* bindUdp({ host: HERE });
      using client = yield* bindUdp({ host: HERE });
      yield* client.send("hello", { host: "localhost", port: server.address.port });
      expect(yield* receiveText(server)).toBe("hello");
    });
  });

  test("one that is connected needs no destination, hears its peer alone, and can still name another", async () => {
    await way(function* main() {
      const { server, client } = yield* openUdpPair();
      using _server = server;
      using _client = client;
      using other = yield* bindUdp({ host: HERE });
      expect(client.remoteAddress).toEqual(server.address);
      yield* other.send("from another", client.address);
      yield* client.send("to the peer");
      yield* client.send("to another", other.address);
      expect(yield* receiveText(other)).toBe("to another");
      const { from } = yield* receiveWhole(server);
      yield* server.send("from the peer", from);
      expect(yield* receiveText(client)).toBe("from the peer");
    });
  });

  testUnless(gap({ wine: "wine 8 loses the port of a socket that is disconnected" }))(
    "disconnect takes a connection back, and the port stays",
    async () => {
      await way(function* main() {
        const { server, client } = yield* openUdpPair();
        using _server = server;
        using _client = client;
        using other = yield* bindUdp({ host: HERE });
        const { port } = client.address;
        client.disconnect();
        expect(client.remoteAddress).toBeNull();
        expect(client.address).toEqual({ host: "0.0.0.0", port, family: "IPv4" });
        client.disconnect();
        yield* other.send("anybody", { host: HERE, port });
        expect(yield* receiveText(client)).toBe("anybody");
        expect(yield* errorOf(client.send("to whom?"))).toMatchObject({ code: "EDESTADDRREQ" });
      });
    },
  );

  testUnless(gap({ wine: "wine 8 loses the port of a socket that is disconnected" }))(
    "connects to one peer after the other",
    async () => {
      await way(function* main() {
        using first = yield* bindUdp({ host: HERE });
        using second = yield* bindUdp({ host: HERE });
        using socket = yield* bindUdp({ host: HERE });
        const { port } = socket.address;
        for (const peer of [first, second, first]) {
          yield* socket.connect(peer.address);
          yield* socket.send("hello");
          expect((yield* receiveWhole(peer)).from).toEqual({ host: HERE, port, family: "IPv4" });
        }
      });
    },
  );

  testUnless(gap({ wine: "wine 8 loses the port of a socket that is disconnected" }))(
    "a connect that fails leaves it connected to none, with its port",
    async () => {
      await way(function* main() {
        using peer = yield* bindUdp({ host: HERE });
        using socket = yield* bindUdp({ host: HERE });
        const { address } = socket;
        yield* socket.connect(peer.address);
        const error = yield* errorOf(socket.connect({ host: "127.255.255.255", port: 9 }));
        expect(error).toMatchObject({ code: "EACCES", syscall: "connect", address: "127.255.255.255", port: 9 });
        expect(error.message).toContain("call broadcast() first");
        expect(socket.remoteAddress).toBeNull();
        expect(socket.address).toEqual(address);
        yield* socket.connect(peer.address);
        yield* socket.send("again");
        expect(yield* receiveText(peer)).toBe("again");
      });
    },
  );

  testUnless(gap({ wine: "wine 8 says EINVAL of a datagram to nobody" }))(
    "without a destination, one that is not connected says what to do",
    async () => {
      await way(function* main() {
        using socket = yield* bindUdp({ host: HERE });
        const error = yield* errorOf(socket.send("x"));
        expect(error).toMatchObject({ code: "EDESTADDRREQ" });
        expect(error.message).toContain(`${socket.label} is not connected: say where to send to, or connect it first`);
      });
    },
  );

  testUnless(gap({ wine: "wine 8 does not tell that nobody is there" }))(
    "that nobody is there is an error of the next call, once, and the socket goes on",
    async () => {
      await way(function* main() {
        const { server, client } = yield* openUdpPair();
        using _client = client;
        const { port } = server.address;
        server.close();
        yield* client.send("a");
        const error = yield* errorOf(client.receive(new Uint8Array(1)));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "ECONNREFUSED", address: HERE, port });
        yield* client.send("b");
        expect(yield* errorOf(client.send("c"))).toMatchObject({ code: "ECONNREFUSED", address: HERE, port });
        using again = yield* bindUdp({ host: HERE, port });
        yield* client.send("d");
        expect(yield* receiveText(again)).toBe("d");
        yield* again.send("e", client.address);
        expect(yield* receiveText(client)).toBe("e");
      });
    },
  );

  testUnless(gap({ wine: "wine 8 does not tell that nobody is there" }))(
    "that nobody is there ends a receive that waits, and the next one waits again",
    async () => {
      await way(function* main() {
        const { server, client } = yield* openUdpPair();
        using _client = client;
        const { port } = server.address;
        server.close();
        for (let round = 0; round < 2; round++) {
          const receiving = yield* spawn(errorOf(client.receive(new Uint8Array(1))));
          yield* yieldNow();
          yield* client.send("x");
          expect(yield* join(receiving)).toMatchObject({ code: "ECONNREFUSED" });
        }
        const receiving = yield* spawn(() => receiveText(client));
        yield* yieldNow();
        expect(receiving.state).toBe("suspended");
        using again = yield* bindUdp({ host: HERE, port });
        yield* again.send("there now", client.address);
        expect(yield* join(receiving)).toBe("there now");
      });
    },
  );

  test("a cancelled receive loses no datagram, not even one that had just come", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const waiting = yield* spawn(() => receiveText(server));
      yield* yieldNow();
      waiting.cancel();
      yield* client.send("first");
      const winner = yield* race([
        function* () {
          yield* yieldNow();
          return "another";
        },
        () => receiveText(server),
      ]);
      if (winner === "another") expect(yield* receiveText(server)).toBe("first");
      else expect(winner).toBe("first");

      const woken = yield* spawn(() => receiveText(server));
      yield* yieldNow();
      yield* client.send("second");
      const canceller = yield* spawn(function* () {
        yield* cancel(woken);
      });
      yield* join(canceller);
      if (woken.state === "cancelled") expect(yield* receiveText(server)).toBe("second");
      else expect(yield* join(woken)).toBe("second");
    });
  });

  test("a limit of time ends a receive", async () => {
    await withUdpPair(way, function* ({ server }) {
      const error = yield* errorOf(timeout(1, () => receiveText(server)));
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error.message).toContain(`reading from ${server.label}`);
    });
  });

  test("one task at a time receives, and the refused one is told who does", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const receiving = yield* spawn(() => receiveText(server), { name: "first reader" });
      yield* yieldNow();
      const error = yield* errorOf(server.receive(new Uint8Array(1)));
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain("first reader");
      const batch = server.createBatch({ slots: 1 });
      expect(yield* errorOf(server.receiveBatch(batch))).toBeInstanceOf(BusyError);
      yield* client.send("x");
      expect(yield* join(receiving)).toBe("x");
    });
  });

  test("close ends a waiting receive, and every call after it is refused", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const receiving = yield* spawn(errorOf(server.receive(new Uint8Array(1))));
      yield* yieldNow();
      const batch = server.createBatch();
      server.close();
      server.close();
      expect(server.isClosed).toBe(true);
      expect(yield* join(receiving)).toBeInstanceOf(ClosedError);
      const operations = [
        server.receive(new Uint8Array(1)),
        server.receiveBatch(batch),
        server.send("x", client.address),
        server.send("x", { host: "localhost", port: 9 }),
        server.sendBatch(batch, 1),
        server.connect({ host: HERE, port: 9 }),
      ];
      for (const operation of operations) expect(yield* errorOf(operation)).toBeInstanceOf(ClosedError);
      const settings = [
        () => server.disconnect(),
        () => server.broadcast(),
        () => server.ttl(1),
        () => server.multicastTtl(1),
        () => server.multicastLoopback(),
        () => server.multicastInterface("lo"),
        () => server.joinGroup("239.1.1.1"),
        () => server.leaveGroup("239.1.1.1"),
        () => server.resizeBuffers(),
      ];
      for (const setting of settings) expect(setting).toThrow(ClosedError);
    });
  });

  test("a socket that is closed between the event and the step of the task that waited", async () => {
    await way(function* main() {
      const first = yield* openUdpPair();
      const second = yield* openUdpPair();
      const closer = yield* spawn(function* () {
        yield* first.server.receive(new Uint8Array(1));
        second.server.close();
      });
      const reader = yield* spawn(errorOf(second.server.receive(new Uint8Array(1))));
      yield* yieldNow();
      yield* first.client.send("x");
      yield* second.client.send("y");
      yield* join(closer);
      expect(yield* join(reader)).toBeInstanceOf(ClosedError);
      for (const socket of [first.server, first.client, second.client]) socket.close();
    });
  });

  test("a task that always finds a datagram lets others run", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      let turns = 0;
      const other = yield* spawn(function* () {
        for (;;) {
          turns++;
          yield* yieldNow();
        }
      });
      const buffer = new Uint8Array(1);
      for (let round = 0; round < 500; round++) {
        yield* client.send("x");
        yield* server.receive(buffer);
      }
      other.cancel();
      expect(turns).toBeGreaterThan(2);
    });
  });

  test("refuses what is no datagram, no buffer and no destination, and names the argument", async () => {
    await withUdpPair(way, function* ({ server }) {
      const wrong = (value: unknown): never => value as never;
      expect(() => server.receive(wrong("x"))).toThrow("receive: buffer must be a Uint8Array");
      expect(() => server.receive(new Uint8Array(0))).toThrow(RangeError);
      expect(() => server.send(wrong(5))).toThrow("send: data must be a Uint8Array or a string");
      const destinations: [unknown, string][] = [
        [null, "send goes to { host, port }, but was given null"],
        ["127.0.0.1", "send goes to { host, port }"],
        [{ port: 9 }, "send: host must be a name or an address, but is undefined"],
        [{ host: "", port: 9 }, "send: host must be a name or an address"],
        [{ host: HERE }, "send: port must be an integer from 1 to 65535"],
        [{ host: HERE, port: 0 }, "send: port must be an integer from 1 to 65535, but is 0"],
        [{ host: HERE, port: 65_536 }, "send: port must be an integer"],
        [{ host: HERE, port: 1.5 }, "send: port must be an integer"],
      ];
      for (const [to, message] of destinations) expect(() => server.send("x", wrong(to))).toThrow(message);
      for (const [to, message] of destinations) {
        expect((yield* errorOf(server.connect(to as UdpDestination))).message).toContain(
          message.replace("send", "connect"),
        );
      }
    });
  });

  test("an operation is good for one yield*", async () => {
    await withUdpPair(way, function* ({ server, client }) {
      const sending = client.send("x");
      yield* sending;
      expect(yield* errorOf(sending)).toBeInstanceOf(OperationReusedError);
      const receiving = server.receive(new Uint8Array(1));
      yield* receiving;
      expect(yield* errorOf(receiving)).toBeInstanceOf(OperationReusedError);
    });
  });

  testUnless(gap({ wine: "wine 8 lets several UDP sockets have one port" }))(
    "bindUdp refuses bad options, and a port that is taken",
    async () => {
      await way(function* main() {
        expect((yield* errorOf(bindUdp({ port: -1 }))).message).toContain("bindUdp: port");
        expect((yield* errorOf(bindUdp({ host: "" }))).message).toStartWith(
          "bindUdp: host must be a name or an address",
        );
        expect((yield* errorOf(bindUdp({ host: 7 as never }))).message).toContain("bindUdp: host");
        expect((yield* errorOf(connectUdp({ host: HERE, port: 0 }))).message).toContain("connectUdp: port");
        using socket = yield* bindUdp({ host: HERE });
        const { port } = socket.address;
        const error = yield* errorOf(bindUdp({ host: HERE, port }));
        expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "bind", address: HERE, port });
        expect(yield* errorOf(bindUdp({ host: "192.0.2.1" }))).toMatchObject({ code: "EADDRNOTAVAIL" });
        expect(socket.label).toBe(`UDP socket ${HERE}:${port}`);
      });
    },
  );

  testUnless(needs("reusePort"))("several sockets share a port if all of them ask for it", async () => {
    await way(function* main() {
      using first = yield* bindUdp({ host: HERE, reusePort: true });
      const { port } = first.address;
      using second = yield* bindUdp({ host: HERE, port, reusePort: true });
      expect(second.address.port).toBe(port);
      expect(yield* errorOf(bindUdp({ host: HERE, port }))).toMatchObject({ code: "EADDRINUSE" });
      using third = yield* bindUdp({ host: HERE, reuseAddress: true });
      using fourth = yield* bindUdp({ host: HERE, port: third.address.port, reuseAddress: true });
      // The last one has it.
      using client = yield* bindUdp({ host: HERE });
      yield* client.send("x", third.address);
      expect(yield* receiveText(fourth)).toBe("x");
    });
  });

  testUnless(NO_IPV6)("by default it takes IPv6 and IPv4", async () => {
    await way(function* main() {
      using server = yield* bindUdp();
      expect(server.address).toMatchObject({ host: "::", family: "IPv6" });
      const { port } = server.address;
      for (const [host, shown] of FAMILIES) {
        using client = yield* connectUdp({ host, port });
        yield* client.send("hello");
        const { from } = yield* receiveWhole(server);
        expect(from).toEqual({ host: shown, port: client.address.port, family: "IPv6" });
        yield* server.send("as it came", from);
        expect(yield* receiveText(client)).toBe("as it came");
        yield* server.send("by its address", { host, port: client.address.port });
        expect(yield* receiveText(client)).toBe("by its address");
      }
    });
  });

  testUnless(firstOf(NO_IPV6, gap({ wine: "wine 8 loses the port of a socket that is disconnected" })))(
    "one of both families connects to peers of either, one after the other",
    async () => {
      await way(function* main() {
        using socket = yield* bindUdp();
        const { port } = socket.address;
        for (const [host, shown] of [...FAMILIES, ...FAMILIES]) {
          using peer = yield* bindUdp({ host });
          yield* socket.connect(peer.address);
          expect(socket.remoteAddress).toEqual({ host: shown, port: peer.address.port, family: "IPv6" });
          expect(socket.address).toEqual({ host: shown, port, family: "IPv6" });
          yield* socket.send("connected");
          yield* peer.send("heard", (yield* receiveWhole(peer)).from);
          expect(yield* receiveText(socket)).toBe("heard");
        }
        expect(() => socket.disconnect()).toThrow(UnsupportedError);
      });
    },
  );

  testUnless(NO_IPV6)("IPv6 with ipv6Only leaves the port to IPv4", async () => {
    await way(function* main() {
      using six = yield* bindUdp({ host: "::", ipv6Only: true });
      const { port } = six.address;
      using four = yield* bindUdp({ host: "0.0.0.0", port });
      using client = yield* bindUdp({ host: HERE });
      yield* client.send("for IPv4", { host: HERE, port });
      expect(yield* receiveText(four)).toBe("for IPv4");
    });
  });

  testUnless(NO_IPV6)("an address of the wrong family is refused in clear words", async () => {
    await way(function* main() {
      using six = yield* bindUdp({ host: "::", ipv6Only: true });
      using four = yield* bindUdp({ host: HERE });
      using one = yield* bindUdp({ host: "::1" });
      for (const operation of [
        six.send("x", { host: HERE, port: 9 }),
        six.connect({ host: HERE, port: 9 }),
        // A wildcard alone has a source address for IPv4.
        one.send("x", { host: HERE, port: 9 }),
      ]) {
        const error = yield* errorOf(operation);
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "EAFNOSUPPORT", address: HERE, port: 9 });
        expect(error.message).toContain("sends to IPv6 addresses alone");
      }
      const error = yield* errorOf(four.send("x", { host: "::1", port: 9 }));
      expect(error).toMatchObject({ code: "EAFNOSUPPORT", address: "::1", port: 9 });
      expect(error.message).toContain(`${four.label} sends to IPv4 addresses alone`);
    });
  });

  testUnless(firstOf(NO_IPV6, gap({ wine: "wine 8 does not tell the numbers of interfaces" })))(
    "the zone of an address may be a number or a name",
    async () => {
      await way(function* main() {
        using socket = yield* bindUdp({ host: "::1" });
        for (const host of ["::1%1", "::1%lo"]) {
          yield* socket.send(host, { host, port: socket.address.port });
          expect(yield* receiveText(socket)).toBe(host);
        }
        const missing = { host: "fe80::1%none-such", port: 9 };
        expect(() => socket.send("x", missing)).toThrow('send: there is no interface "none-such"');
        expect(yield* errorOf(socket.connect(missing))).toMatchObject({ code: "ENODEV" });
        expect(yield* errorOf(bindUdp({ host: "fe80::1%none-such" }))).toMatchObject({ code: "ENODEV" });
      });
    },
  );
});

describe("a UDP socket and names", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("a name that is not known is an error, and the socket goes on", async () => {
    await run(function* main() {
      using socket = yield* bindUdp({ host: HERE });
      const nowhere = { host: "no-such-host.invalid", port: 9 };
      const error = yield* errorOf(socket.send("x", nowhere));
      expect(["ENOTFOUND", "EAI_AGAIN", "DNS_ENOTFOUND"]).toContain(error["code"] as string);
      yield* socket.send("x", socket.address);
      expect(yield* receiveText(socket)).toBe("x");
    });
  });

  test("inside blockOn a name other than localhost says what to use instead", async () => {
    const [, blockOnWay] = WAYS[1]!;
    await blockOnWay(function* main() {
      using socket = yield* bindUdp({ host: HERE });
      expect(yield* errorOf(socket.send("x", { host: "example.com", port: 9 }))).toBeInstanceOf(UnsupportedError);
    });
  });
});

test("a UdpSocket is what bindUdp and connectUdp return, and its label follows its address", async () => {
  await run(function* main() {
    const { server, client } = yield* openUdpPair();
    using _server = server;
    using _client = client;
    expect(server).toBeInstanceOf(UdpSocket);
    expect(client).toBeInstanceOf(UdpSocket);
    expect(client.label).toBe(`UDP socket ${HERE}:${client.address.port}`);
    expect(server.descriptor).toBeGreaterThan(2);
    yield* sleep(0);
  });
});
