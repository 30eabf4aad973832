/** Listeners: what they refuse, what they accept, and what they survive. */

import { describe, expect, test } from "bun:test";
import {
  blockOn,
  BusyError,
  cancel,
  ClosedError,
  connect,
  Executor,
  join,
  listen,
  type ListenOptions,
  type Operation,
  run,
  spawn,
  SystemError,
  TcpListener,
  type TcpStream,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import { errno } from "../support/errno.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { errorOf, NO_IPV6, leftSince, openSockets, patternOf, WAYS } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { needs } from "../support/needs.ts";
import { gap, testUnless } from "../support/platform.ts";

const HERE: ListenOptions = { port: 0, host: "127.0.0.1" };

const CONNECTIONS = 1000;
describe.each(WAYS)("a listener under %s", (_name, way) => {
  test("accepts connections in the order in which they came", async () => {
    const before = openSockets();
    await way(function* main() {
      using listener = yield* listen(HERE);
      const { port } = listener.address;
      for (let index = 0; index < 3; index++) {
        using client = yield* connect({ port, host: "127.0.0.1" });
        using server = yield* listener.accept();
        expect(server.remoteAddress).toEqual(client.localAddress);
      }
    });
    expect(leftSince(before)).toEqual([]);
  });

  test("lets the system choose a port, and tells which", async () => {
    await way(function* main() {
      using listener = yield* listen(HERE);
      const { port, host, family } = listener.address;
      expect(port).toBeGreaterThan(0);
      expect([host, family]).toEqual(["127.0.0.1", "IPv4"]);
      expect(listener.label).toBe(`listener 127.0.0.1:${port}`);
    });
  });

  test("close ends a waiting accept with a ClosedError that names the listener", async () => {
    await way(function* main() {
      const listener = yield* listen(HERE);
      const accepting = yield* spawn(() => errorOf(listener.accept()));
      yield* yieldNow();
      expect(accepting.waitsFor).toBe(`reading from ${listener.label}`);
      listener.close();
      const error = yield* join(accepting);
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toBe(`${listener.label} was closed while a task waited for it`);
    });
  });

  test("accept after close is refused, a second close does nothing, and the port is free again", async () => {
    await way(function* main() {
      const listener = yield* listen(HERE);
      const { port } = listener.address;
      listener.close();
      listener.close();
      const error = yield* errorOf(listener.accept());
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toBe(`listener 127.0.0.1:${port}: accept after close()`);
      using again = yield* listen({ ...HERE, port });
      expect(again.address.port).toBe(port);
    });
  });

  test("dispose closes, and connections that were accepted stay", async () => {
    await way(function* main() {
      const pair: TcpStream[] = [];
      {
        using listener = yield* listen(HERE);
        pair.push(yield* connect({ port: listener.address.port, host: "127.0.0.1" }), yield* listener.accept());
      }
      const [client, server] = pair;
      using _client = client!;
      using _server = server!;
      yield* client!.write("x");
      expect(yield* server!.read(new Uint8Array(1))).toBe(1);
    });
  });

  test("a second acceptor is refused, and told which task accepts", async () => {
    await way(function* main() {
      using listener = yield* listen(HERE);
      const first = yield* spawn(() => listener.accept(), { name: "firstAcceptor" });
      yield* yieldNow();
      const error = yield* errorOf(listener.accept());
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain(`${listener.label} is being read by task firstAcceptor (#`);
      using _client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
      (yield* join(first)).close();
    });
  });

  test("an acceptor that was cancelled leaves the next connection to the next one", async () => {
    await way(function* main() {
      using listener = yield* listen(HERE);
      const first = yield* spawn(() => listener.accept());
      yield* yieldNow();
      yield* cancel(first);
      using client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
      using server = yield* listener.accept();
      expect(server.remoteAddress).toEqual(client.localAddress);
    });
  });

  test("a port in use is refused, with the address in the error", async () => {
    const before = openSockets();
    await way(function* main() {
      using listener = yield* listen(HERE);
      const { port } = listener.address;
      const error = yield* errorOf(listen({ ...HERE, port }));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen", address: "127.0.0.1", port });
      expect(error.message).toStartWith(`listen EADDRINUSE 127.0.0.1:${port}`);
    });
    expect(leftSince(before)).toEqual([]);
  });

  test("an address of another machine is refused", async () => {
    await way(function* main() {
      const error = yield* errorOf(listen({ ...HERE, host: "192.0.2.1" }));
      expect(error).toMatchObject({ code: "EADDRNOTAVAIL", syscall: "listen", address: "192.0.2.1", port: 0 });
    });
  });

  test("what is no port is refused before anything is opened", async () => {
    await way(function* main() {
      for (const port of [-1, 65_536, NaN, "80", 1.5, undefined, null, Infinity]) {
        const error = yield* errorOf(listen({ ...HERE, port: port as number }));
        expect(error).toBeInstanceOf(RangeError);
        const shown = typeof port === "string" ? `"${port}"` : String(port);
        expect(error.message).toBe(`listen: port must be an integer from 0 to 65535, but is ${shown}`);
      }
    });
  });

  test("what is no backlog is refused", async () => {
    await way(function* main() {
      for (const backlog of [0, -1, NaN, 1.5, "5", 2 ** 31]) {
        const error = yield* errorOf(listen({ ...HERE, backlog: backlog as number }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toStartWith("listen: backlog must be an integer from 1 to 2147483647");
      }
      for (const backlog of [1, 5000, 2 ** 31 - 1]) (yield* listen({ ...HERE, backlog })).close();
    });
  });

  test("what is no host is refused", async () => {
    await way(function* main() {
      for (const host of ["", 7, null, {}]) {
        const error = yield* errorOf(listen({ port: 0, host: host as string }));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toStartWith("listen: host must be a name or an address, but is ");
      }
    });
  });

  testUnless(needs("reusePort"))(
    "two listeners share a port if both ask for it, and a third that does not is refused",
    async () => {
      await way(function* main() {
        using first = yield* listen({ ...HERE, reusePort: true });
        const { port } = first.address;
        using second = yield* listen({ ...HERE, port, reusePort: true });
        expect(second.address).toEqual(first.address);
        expect(yield* errorOf(listen({ ...HERE, port }))).toMatchObject({ code: "EADDRINUSE" });
        // The kernel spreads connections by a hash of the addresses, so some of many come to each; all of them come to
        // one of the two.
        const counts = { first: 0, second: 0 };
        const count = (listener: TcpListener, name: keyof typeof counts) =>
          function* accept(): Operation<void> {
            for (;;) {
              using _stream = yield* listener.accept();
              counts[name]++;
            }
          };
        const acceptors = [yield* spawn(count(first, "first")), yield* spawn(count(second, "second"))];
        for (let index = 0; index < 64; index++) {
          using client = yield* connect({ port, host: "127.0.0.1" });
          expect(yield* client.read(new Uint8Array(1))).toBe(0);
        }
        for (const acceptor of acceptors) yield* cancel(acceptor);
        expect(counts.first + counts.second).toBe(64);
        expect(Math.min(counts.first, counts.second)).toBeGreaterThan(0);
      });
    },
  );

  testUnless(gap({ wine: "wine 8 takes minutes for thousands of sockets" }))(
    "serves 1,000 connections at once",
    async () => {
      const before = openSockets();
      const served = await way(function* main() {
        using listener = yield* listen({ ...HERE, backlog: 1024 });
        const { port } = listener.address;
        const serving = yield* spawn(function* serve() {
          for (;;) {
            const stream = yield* listener.accept();
            yield* spawn(() => echoOnce(stream));
          }
        });
        let arrived = 0;
        let count = 0;
        const client = (index: number) =>
          function* client(): Operation<void> {
            using stream = yield* connect({ port, host: "127.0.0.1" });
            arrived++;
            // Nobody speaks before all are there, so that all are there at once.
            while (arrived < CONNECTIONS) yield* yieldNow();
            const message = patternOf(64, index);
            yield* stream.write(message);
            const answer = new Uint8Array(64);
            yield* stream.readExactly(answer);
            if (Buffer.compare(answer, message) === 0) count++;
          };
        const clients = [];
        for (let index = 0; index < CONNECTIONS; index++) clients.push(yield* spawn(client(index)));
        for (const task of clients) yield* join(task);
        yield* cancel(serving);
        return count;
      });
      expect(served).toBe(CONNECTIONS);
      expect(leftSince(before)).toEqual([]);

      function* echoOnce(stream: TcpStream): Operation<void> {
        using owned = stream;
        const buffer = new Uint8Array(64);
        yield* owned.readExactly(buffer);
        yield* owned.write(buffer);
        yield* owned.read(buffer);
      }
    },
  );

  test("without a host listens on IPv4 as well", async () => {
    await way(function* main() {
      using listener = yield* listen({ port: 0 });
      using _client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
      using server = yield* listener.accept();
      // An IPv4 peer of an IPv6 socket has a mapped address, which RFC 5952 (section 5) writes with its IPv4 part as such.
      expect(["127.0.0.1", "::ffff:127.0.0.1"]).toContain(server.remoteAddress.host);
    });
  });

  test("listens on localhost by its name", async () => {
    await way(function* main() {
      using listener = yield* listen({ port: 0, host: "localhost" });
      expect(["127.0.0.1", "::1"]).toContain(listener.address.host);
    });
  });

  testUnless(NO_IPV6)("listens on both families at once, and on IPv6 alone", async () => {
    await way(function* main() {
      using everywhere = yield* listen({ port: 0 });
      expect(everywhere.address).toMatchObject({ host: "::", family: "IPv6" });
      expect(everywhere.label).toBe(`listener [::]:${everywhere.address.port}`);
      for (const host of ["::1", "127.0.0.1"]) {
        using client = yield* connect({ port: everywhere.address.port, host });
        using server = yield* everywhere.accept();
        expect(client.remoteAddress).toMatchObject({ host });
        expect(server.remoteAddress.port).toBe(client.localAddress.port);
      }
      using six = yield* listen({ port: 0, host: "0:0:0::1" });
      expect(six.address).toMatchObject({ host: "::1", family: "IPv6" });
      using client = yield* connect({ port: six.address.port, host: "::1" });
      using server = yield* six.accept();
      expect(server.remoteAddress).toEqual(client.localAddress);
      expect(server.label).toBe(`connection [::1]:${client.localAddress.port}`);
      const refused = yield* errorOf(connect({ port: six.address.port, host: "127.0.0.1" }));
      expect(refused).toMatchObject({ code: "ECONNREFUSED" });
    });
  });
});

test("an unknown name to listen on is told", async () => {
  const error = await rejectionOf<Error & { code?: string }>(
    run(() => listen({ port: 0, host: "nonexistent.invalid" })),
  );
  expect(error.code).toBe("ENOTFOUND");
});

test("a name to listen on inside blockOn is refused with what to do", () => {
  const error = thrownBy(() => blockOn(() => listen({ port: 0, host: "example.invalid" })), UnsupportedError);
  expect(error.message).toContain("the name example.invalid cannot be resolved inside blockOn");
  expect(error.message).toContain("use run, or an address");
});

describe("accept, when the system has trouble", () => {
  /** A listener whose accepts come out as listed, each a descriptor or a negated error number; then nothing more comes. */
  function scriptedListener(results: number[]): { world: ScriptedWorld; listener: TcpListener } {
    const world = new ScriptedWorld({}, {}, { accept: () => results.shift() ?? -EAGAIN });
    return { world, listener: new TcpListener(world.system, 7, { host: "192.0.2.1", port: 80, family: "IPv4" }) };
  }

  const { EAGAIN, EMFILE, ECONNABORTED, EPROTO, EINVAL } = errno;

  test("passes over connections that broke before they were accepted", async () => {
    const { world, listener } = scriptedListener([-ECONNABORTED, -EPROTO, 31]);
    const stream = await settled(
      world,
      new Executor(world).run(() => listener.accept()),
    );
    expect(stream.descriptor).toBe(31);
    expect(world.warnings).toEqual([]);
  });

  test("throws what concerns the listener itself", async () => {
    const { world, listener } = scriptedListener([-EINVAL]);
    const error = await rejectionOf(
      settled(
        world,
        new Executor(world).run(() => listener.accept()),
      ),
      SystemError,
    );
    expect(error).toMatchObject({ code: "EINVAL", syscall: "accept", address: "192.0.2.1", port: 80 });
    expect(listener.isClosed).toBe(false);
  });

  test.each(["EMFILE", "ENFILE", "ENOBUFS"] as const)(
    "tries again every 100 ms when descriptors or memory are used up (%s)",
    async (name) => {
      const refusal = -errno[name];
      const { world, listener } = scriptedListener([refusal, refusal, refusal, 31]);
      const stream = await settled(
        world,
        new Executor(world).run(() => listener.accept()),
      );
      expect(stream.descriptor).toBe(31);
      expect(world.nowNs).toBe(300e6);
      expect(world.warnings).toHaveLength(1);
      expect(world.warnings[0]).toStartWith("accept E");
      expect(world.warnings[0]).toEndWith("Connections wait until others are closed; raise the limit with ulimit -n");
    },
  );

  test("warns once for a shortage in which a connection gets through now and then", async () => {
    const { world, listener } = scriptedListener([-EMFILE, 31, -EMFILE, 32, -EMFILE, 33]);
    await settled(
      world,
      new Executor(world).run(function* main() {
        for (let index = 0; index < 3; index++) yield* listener.accept();
      }),
    );
    expect(world.warnings).toHaveLength(1);
  });

  test("warns again for the next shortage, after all who waited were accepted", async () => {
    const { world, listener } = scriptedListener([-EMFILE, 31, -EAGAIN, -EMFILE, 32]);
    await settled(
      world,
      new Executor(world).run(function* main() {
        yield* listener.accept();
        const second = yield* spawn(() => listener.accept());
        yield* yieldNow();
        world.declareReady(7, 1);
        yield* join(second);
      }),
    );
    expect(world.warnings).toHaveLength(2);
  });

  test("an acceptor that waits for descriptors stays the one: another is refused, and takes nothing from it", async () => {
    const { world, listener } = scriptedListener([-EMFILE, -EMFILE, 31]);
    const stream = await settled(
      world,
      new Executor(world).run(function* main() {
        const first = yield* spawn(() => listener.accept());
        yield* yieldNow();
        expect(yield* errorOf(listener.accept())).toBeInstanceOf(BusyError);
        return yield* join(first);
      }),
    );
    expect(stream.descriptor).toBe(31);
  });

  test("close ends an acceptor that waits for descriptors", async () => {
    const { world, listener } = scriptedListener([-EMFILE, -EMFILE, -EMFILE]);
    const accepting = new Executor(world).run(function* main() {
      const task = yield* spawn(() => errorOf(listener.accept()));
      yield* yieldNow();
      listener.close();
      return yield* join(task);
    });
    world.open.set(7, "the listener");
    expect(await settled(world, accepting)).toBeInstanceOf(ClosedError);
  });
});
