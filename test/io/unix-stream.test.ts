/** Streams between unix sockets: connecting, names, who is at the other side. The byte-stream suite has the rest. */

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  bindUnixDatagram,
  cancel,
  ClosedError,
  connectUnix,
  type ConnectUnixOptions,
  join,
  listenUnix,
  type Operation,
  run,
  showUnixName,
  spawn,
  SystemError,
  unixPair,
  type UnixStream,
  yieldNow,
} from "../../src/index.ts";
import { Executor } from "../../src/core/executor.ts";
import type { UnixSystem } from "../../src/core/unix-system.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { rejectionOf } from "../support/failure.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { abstractName, leaveSocketFile, NAMES, pathName } from "../support/unix.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_UNIX_SOCKETS } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(NEEDS_UNIX_SOCKETS).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  describe.each(NAMES)("by %s", (_kind, makeName) => {
    test("both sides know the name, the other's process and its end", () =>
      way(function* main() {
        using name = makeName();
        using listener = yield* listenUnix(name);
        using client = yield* connectUnix(name);
        using server = yield* listener.accept();
        const shown = showUnixName(name);
        expect(listener.label).toBe(`listener ${shown}`);
        expect([client.label, server.label]).toEqual([`unix connection ${shown}`, `unix connection ${shown}`]);
        expect(client.remoteName).toEqual(listener.name);
        expect(server.remoteName).toBeNull();
        const own = { processId: process.pid, userId: process.getuid!(), groupId: process.getgid!() };
        expect([client.peerCredentials(), server.peerCredentials()]).toEqual([own, own]);
        yield* client.write("question\n");
        expect(yield* server.lines().next()).toEqual({ done: false, value: "question" });
        yield* server.write("answer");
        yield* server.shutdown();
        expect(new TextDecoder().decode(yield* client.readToEnd())).toBe("answer");
        // The other half is open still.
        yield* client.write("thanks");
        client.close();
        expect(new TextDecoder().decode(yield* server.readToEnd())).toBe("thanks");
      }));

    test("a full backlog makes a client wait until there is room", () =>
      way(function* main() {
        using name = makeName();
        using listener = yield* listenUnix({ ...nameOf(name), backlog: 1 });
        const clients: UnixStream[] = [];
        const connecting = yield* spawn(function* connectAll() {
          for (let index = 0; index < 5; index++) clients.push(yield* connectUnix(name));
        });
        while (!connecting.waitsFor.startsWith("a deadline")) yield* yieldNow();
        // A backlog of 1 holds two connections (the kernel's unix_recvq_full).
        expect(clients.length).toBe(2);
        const servers: UnixStream[] = [];
        for (let index = 0; index < 5; index++) servers.push(yield* listener.accept());
        yield* join(connecting);
        for (const stream of [...clients, ...servers]) stream.close();
      }));

    test("a name that nobody has is refused by it", () =>
      way(function* main() {
        using name = makeName();
        const error = yield* errorOf(connectUnix(name));
        expect(error).toBeInstanceOf(SystemError);
        const code = name.path === undefined ? "ECONNREFUSED" : "ENOENT";
        expect(error).toMatchObject({ code, syscall: "connect", path: showUnixName(name) });
        expect(error.message).toStartWith(`connect ${code} ${showUnixName(name)}: `);
      }));
  });

  test("a datagram socket is refused, with the path", () =>
    way(function* main() {
      using name = pathName();
      using _socket = yield* bindUnixDatagram(name);
      expect(yield* errorOf(connectUnix(name))).toMatchObject({ code: "EPROTOTYPE", path: name.path });
    }));

  test("a file that a dead server has left refuses, and so does one that is no socket", () =>
    way(function* main() {
      using name = pathName();
      leaveSocketFile(name.path!);
      expect(yield* errorOf(connectUnix(name))).toMatchObject({ code: "ECONNREFUSED", path: name.path });
      using other = pathName();
      writeFileSync(other.path!, "text");
      expect(yield* errorOf(connectUnix(other))).toMatchObject({ code: "ECONNREFUSED", path: other.path });
    }));

  test("a file without the permission to write to it says so, with its path", () =>
    way(function* main() {
      using name = pathName();
      using _listener = yield* listenUnix({ path: name.path!, mode: 0 });
      chmodSync(dirname(name.path!), 0o755);
      const error = yield* asNobody(() => errorOf(connectUnix(name)));
      expect(error).toMatchObject({ code: "EACCES", syscall: "connect", path: name.path });
    }));

  test("the pair has no name, and is connected", () =>
    way(function* main() {
      using pair = yield* unixPair();
      expect(pair.left.label).toBe(`unix connection on descriptor ${pair.left.descriptor}`);
      expect([pair.left.name, pair.left.remoteName]).toEqual([null, null]);
      yield* pair.left.write("x");
      expect(yield* pair.right.read(new Uint8Array(4))).toBe(1);
    }));

  test("a write to a side that is gone fails with EPIPE and the name", () =>
    way(function* main() {
      using name = pathName();
      using listener = yield* listenUnix(name);
      using client = yield* connectUnix(name);
      (yield* listener.accept()).close();
      expect(yield* errorOf(client.write("x"))).toMatchObject({ code: "EPIPE", path: name.path });
      expect(yield* client.read(new Uint8Array(1))).toBe(0);
    }));

  test("bytes that were not read make the close a reset for the other side, as the kernel has it", () =>
    way(function* main() {
      using pair = yield* unixPair();
      yield* pair.left.write("never read");
      pair.right.close();
      expect(yield* errorOf(pair.left.read(new Uint8Array(1)))).toMatchObject({ code: "ECONNRESET" });
    }));

  test("after close nothing is told any more", () =>
    way(function* main() {
      const pair = yield* unixPair();
      pair[Symbol.dispose]();
      expect(() => pair.left.peerCredentials()).toThrow(ClosedError);
      expect(() => pair.left.remoteName).toThrow(ClosedError);
      expect(yield* errorOf(pair.left.sendDescriptors("x", []))).toBeInstanceOf(ClosedError);
      const receiving = pair.left.receiveDescriptors(new Uint8Array(1), { mostDescriptors: 0 });
      expect(yield* errorOf(receiving)).toBeInstanceOf(ClosedError);
    }));

  test("many connections at once each get their own bytes", () =>
    way(function* main() {
      using name = abstractName();
      using listener = yield* listenUnix(name);
      const serving = yield* spawn(function* serve() {
        for (;;) yield* spawn(echo(yield* listener.accept()));
      });
      const tasks = [];
      for (let index = 0; index < 300; index++) {
        tasks.push(
          yield* spawn(function* ask() {
            using stream = yield* connectUnix(name);
            yield* stream.write(`${index}\n`);
            return (yield* stream.lines().next()).value;
          }),
        );
      }
      for (const [index, task] of tasks.entries()) expect(yield* join(task)).toBe(String(index));
      yield* cancel(serving);
    }));

  test.each([
    [undefined, TypeError, "a name is { path } or { abstract }, but this is undefined"],
    ["/a/path", TypeError, 'a name is { path } or { abstract }, but this is "/a/path"'],
    [{}, TypeError, "a name has either a path or an abstract, but this one has neither"],
    [{ path: "a", abstract: "b" }, TypeError, "a name has either a path or an abstract, but this one has both"],
    [{ path: "" }, TypeError, 'path must be a path, but is ""'],
    [{ path: 7 }, TypeError, "path must be a path, but is 7"],
    [{ path: "a\0b" }, TypeError, "path must be a path, but is "],
    [{ abstract: "" }, TypeError, 'abstract must be a name, but is ""'],
    [{ abstract: null }, TypeError, "abstract must be a name, but is null"],
    [{ path: "x".repeat(108) }, RangeError, "path has 108 bytes, and the name of a unix socket at most 107"],
    [{ path: "ż".repeat(54) }, RangeError, "path has 108 bytes, and the name of a unix socket at most 107"],
    [{ abstract: "x".repeat(108) }, RangeError, "abstract has 108 bytes, and the name of a unix socket at most 107"],
    [{ path: "a", timeoutMs: -1 }, RangeError, "timeoutMs must be a number of milliseconds, 0 or more, but is -1"],
    [{ path: "a", timeoutMs: "5" }, RangeError, 'timeoutMs must be a number of milliseconds, 0 or more, but is "5"'],
  ])("refuses to connect to %p", (options, errorClass, message) =>
    way(function* main() {
      const error = yield* errorOf(connectUnix(options as ConnectUnixOptions));
      expect(error).toBeInstanceOf(errorClass);
      expect(error.message).toStartWith(`connectUnix: ${message}`);
    }),
  );

  test("a name may have 107 bytes, and zeros if it is abstract", () =>
    way(function* main() {
      using folder = temporaryFolder();
      const path = `${folder.name}/`.padEnd(107, "x");
      for (const name of [{ path }, { abstract: "x".repeat(107) }, { abstract: "a\0b\0" }]) {
        using listener = yield* listenUnix(name);
        using client = yield* connectUnix(name);
        expect(client.remoteName).toEqual(name);
        (yield* listener.accept()).close();
      }
    }));
});

describeUnless(NEEDS_UNIX_SOCKETS)("a backlog that stays full", () => {
  const EAGAIN = -11;

  /** A world in which a connect fails so many times. */
  function fullFor(times: number): { readonly world: ScriptedWorld; readonly attempts: number[] } {
    const attempts: number[] = [];
    const unix: Partial<UnixSystem> = {
      create: () => 7,
      connect: () => {
        attempts.push(world.nowNs / 1e6);
        return attempts.length > times ? 0 : EAGAIN;
      },
    };
    const world: ScriptedWorld = new ScriptedWorld({}, {}, { unix: unix as UnixSystem });
    world.open.set(7, "the client");
    return { world, attempts };
  }

  test("is asked again after 1, 2, 4 ms and so on, up to every 100 ms", async () => {
    const { world, attempts } = fullFor(10);
    const stream = await settled(
      world,
      new Executor(world).run(() => connectUnix({ path: "/server" })),
    );
    expect(attempts).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 227, 327, 427]);
    expect(stream.descriptor).toBe(7);
  });

  test("is given up after the time, with ETIMEDOUT and words, and nothing stays open", async () => {
    const { world, attempts } = fullFor(Infinity);
    const options = { path: "/server", timeoutMs: 250 };
    const error = await rejectionOf(
      settled(
        world,
        new Executor(world).run(() => connectUnix(options)),
      ),
      SystemError,
    );
    expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "connect", path: "/server" });
    expect(error.message).toBe(
      "connect ETIMEDOUT /server: its backlog is full, and the server has accepted nobody for 250 ms: it hangs, or has too much to do",
    );
    expect(attempts.at(-1)).toBe(250);
    expect(world.open.size).toBe(0);
  });

  test("is asked once if there is no time", async () => {
    const { world, attempts } = fullFor(Infinity);
    const options = { path: "/server", timeoutMs: 0 };
    await rejectionOf(
      settled(
        world,
        new Executor(world).run(() => connectUnix(options)),
      ),
      SystemError,
    );
    expect(attempts).toEqual([0]);
  });
});

testUnless(NEEDS_UNIX_SOCKETS)("connects that are done at once let other tasks run", async () => {
  await run(function* main() {
    using name = abstractName();
    using listener = yield* listenUnix(name);
    let turns = 0;
    const other = yield* spawn(function* count() {
      for (;;) {
        turns++;
        yield* yieldNow();
      }
    });
    for (let index = 0; index < 300; index++) {
      using _client = yield* connectUnix(name);
      (yield* listener.accept()).close();
    }
    expect(turns).toBeGreaterThan(1);
    yield* cancel(other);
  });
});

function nameOf({ path, abstract }: ConnectUnixOptions): ConnectUnixOptions {
  return path === undefined ? { abstract } : { path };
}

function* echo(stream: UnixStream): Operation<void> {
  using owned = stream;
  for (const buffer = new Uint8Array(64); ;) {
    const bytes = yield* owned.read(buffer);
    if (bytes === 0) return;
    yield* owned.write(buffer, 0, bytes);
  }
}

/** Runs an operation that does not wait without the rights of root, who may do everything. */
function* asNobody<T>(body: () => Operation<T>): Operation<T> {
  if (process.getuid!() !== 0) {
    // A user who owns the file may take the permission away, and does not have it then.
    return yield* body();
  }
  process.seteuid!(NOBODY);
  try {
    return yield* body();
  } finally {
    process.seteuid!(0);
  }
}

/** Every system has this number for the user who may do nothing. */
const NOBODY = 65_534;
