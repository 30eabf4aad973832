/** The listener of unix streams, and the file of a socket: when it is made, for whom, and when it goes. */

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join as joinPath } from "node:path";
import {
  bindUnixDatagram,
  BusyError,
  cancel,
  ClosedError,
  connectUnix,
  join,
  listenUnix,
  type ListenUnixOptions,
  type Operation,
  spawn,
  SystemError,
  type UnixFileOptions,
  type UnixStream,
  yieldNow,
} from "../../src/index.ts";
import { Executor } from "../../src/core/executor.ts";
import type { FileSystem } from "../../src/core/file-system.ts";
import { UnixKind, type UnixSystem } from "../../src/core/unix-system.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { abstractName, leaveSocketFile, pathName } from "../support/unix.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_UNIX_SOCKETS } from "../support/needs.ts";

/** Both that have a file. */
const BOUND: readonly (readonly [string, UnixKind, (options: PathOptions) => Operation<Disposable>, string])[] = [
  ["listenUnix", UnixKind.STREAM, listenUnix, "listen"],
  ["bindUnixDatagram", UnixKind.DATAGRAM, bindUnixDatagram, "bind"],
];

type PathOptions = UnixFileOptions & { readonly path: string };

beforeAll(openReactor);

describeUnless(NEEDS_UNIX_SOCKETS).each(WAYS)("in %s", (_name, way) => {
  expectNothingLeftBehind();

  describe.each(BOUND)("the file of %s", (caller, kind, open, syscall) => {
    test("is there while the socket is open, with the system's permissions", () =>
      way(function* main() {
        using name = pathName();
        const path = name.path!;
        {
          using _socket = yield* open({ path });
          expect(statSync(path).isSocket()).toBe(true);
          const umask = process.umask();
          expect(statSync(path).mode & 0o777).toBe(0o777 & ~umask);
        }
        expect(existsSync(path)).toBe(false);
      }));

    test.each([0, 0o600, 0o660, 0o666, 0o777])("has the permissions %d, whatever the umask is", (mode) =>
      way(function* main() {
        using name = pathName();
        using _socket = yield* open({ path: name.path!, mode });
        expect(statSync(name.path!).mode & 0o777).toBe(mode);
      }),
    );

    test("stays if it is another one's by then, and its absence is no trouble", () =>
      way(function* main() {
        using name = pathName();
        const path = name.path!;
        const first = yield* open({ path });
        rmSync(path);
        const second = yield* open({ path });
        first[Symbol.dispose]();
        expect(existsSync(path)).toBe(true);
        rmSync(path);
        second[Symbol.dispose]();
        const third = yield* open({ path });
        renameSync(path, `${path}.moved`);
        third[Symbol.dispose]();
        expect(existsSync(`${path}.moved`)).toBe(true);
      }));

    test("is refused while somebody has that socket open, and that is told; replaceStale makes no difference", () =>
      way(function* main() {
        using name = pathName();
        const path = name.path!;
        using _first = yield* open({ path });
        for (const replaceStale of [false, true]) {
          const error = yield* errorOf(open({ path, replaceStale }));
          expect(error).toBeInstanceOf(SystemError);
          expect(error).toMatchObject({ code: "EADDRINUSE", syscall, path });
          expect(error.message).toBe(
            `${syscall} EADDRINUSE ${path}: another socket has that name: close it, or use another path`,
          );
        }
        expect(existsSync(path)).toBe(true);
      }));

    test("that a dead process has left is refused, with what to do", () =>
      way(function* main() {
        using name = pathName();
        leaveSocketFile(name.path!, kind);
        const error = yield* errorOf(open({ path: name.path! }));
        expect(error).toMatchObject({ code: "EADDRINUSE", path: name.path });
        expect(error.message).toEndWith(
          "the file was left by a process that has ended, and nobody has that socket open: remove it, or pass replaceStale: true",
        );
      }));

    test.each([UnixKind.STREAM, UnixKind.DATAGRAM])("replaces one that a dead process has left, of kind %d", (left) =>
      way(function* main() {
        using name = pathName();
        leaveSocketFile(name.path!, left);
        using _socket = yield* open({ path: name.path!, replaceStale: true, mode: 0o600 });
        expect(statSync(name.path!).mode & 0o777).toBe(0o600);
      }),
    );

    test("never replaces what is no socket, and says what it is", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const file = joinPath(folder.name, "file");
        writeFileSync(file, "precious");
        mkdirSync(joinPath(folder.name, "folder"));
        leaveSocketFile(joinPath(folder.name, "left"), kind);
        symlinkSync("left", joinPath(folder.name, "link"));
        for (const [base, what] of [
          ["file", "a regular file"],
          ["folder", "a directory"],
          ["link", "something else, such as a symbolic link,"],
        ]) {
          const error = yield* errorOf(open({ path: joinPath(folder.name, base!), replaceStale: true }));
          expect(error).toMatchObject({ code: "EADDRINUSE" });
          expect(error.message).toEndWith(`there is ${what} of that name: remove it, or use another path`);
        }
        expect(statSync(file).size).toBe(8);
      }));

    test("in a folder that is none is refused with the path", () =>
      way(function* main() {
        using name = pathName();
        const path = joinPath(name.path!, "socket");
        expect(yield* errorOf(open({ path }))).toMatchObject({ code: "ENOENT", syscall, path });
        writeFileSync(name.path!, "");
        expect(yield* errorOf(open({ path }))).toMatchObject({ code: "ENOTDIR", syscall, path });
      }));

    test("may be relative to the working folder", () =>
      way(function* main() {
        using folder = temporaryFolder();
        const before = process.cwd();
        process.chdir(folder.name);
        try {
          const path = basename("socket");
          {
            using _socket = yield* open({ path });
            expect(existsSync(joinPath(folder.name, path))).toBe(true);
          }
          expect(existsSync(joinPath(folder.name, path))).toBe(false);
        } finally {
          process.chdir(before);
        }
      }));

    test.each([
      [{ path: "a", mode: 0o1000 }, RangeError, "mode must be an integer from 0 to 511, but is 512"],
      [{ path: "a", mode: "600" }, RangeError, 'mode must be an integer from 0 to 511, but is "600"'],
      [{ abstract: "a", mode: 0o600 }, TypeError, "an abstract name has no file, and so no mode"],
      [{ path: "x".repeat(200) }, RangeError, "path has 200 bytes"],
      [{}, TypeError, "a name has either a path or an abstract, but this one has neither"],
    ])("refuses %p", (options, errorClass, message) =>
      way(function* main() {
        const error = yield* errorOf(open(options as unknown as PathOptions));
        expect(error).toBeInstanceOf(errorClass as unknown as new () => Error);
        expect(error.message).toStartWith(`${caller}: ${message}`);
      }),
    );
  });

  test("a socket that is about to listen is not taken for dead, and one that does hears nothing of the look at it", () =>
    way(function* main() {
      using name = pathName();
      const path = name.path!;
      const { unix } = nativeSystem();
      const descriptor = unix.create(UnixKind.STREAM);
      try {
        expect(unix.bind(descriptor, new TextEncoder().encode(path))).toBe(0);
        const error = yield* errorOf(listenUnix({ path, replaceStale: true }));
        expect(error.message).toContain("another socket has that name");
      } finally {
        closeSync(descriptor);
      }
      using listener = yield* listenUnix({ path, replaceStale: true });
      yield* errorOf(listenUnix({ path, replaceStale: true }));
      using client = yield* connectUnix({ path });
      yield* client.write("first");
      using first = yield* listener.accept();
      expect(new TextDecoder().decode(yield* take(first, 5))).toBe("first");
    }));

  test("an abstract name in use is refused, and free again after close", () =>
    way(function* main() {
      using name = abstractName();
      const first = yield* listenUnix(name);
      const error = yield* errorOf(listenUnix(name));
      expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen", path: `@${name.abstract}` });
      first.close();
      (yield* listenUnix(name)).close();
    }));

  test.each([0, -1, 1.5, "5", 2 ** 31])("refuses the backlog %p", (backlog) =>
    way(function* main() {
      const error = yield* errorOf(listenUnix({ abstract: "x", backlog } as ListenUnixOptions));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toStartWith("listenUnix: backlog must be an integer from 1 to 2147483647");
    }),
  );

  test("closing ends the wait of a task that accepts, and refuses the next", () =>
    way(function* main() {
      using name = pathName();
      const listener = yield* listenUnix(name);
      const accepting = yield* spawn(() => errorOf(listener.accept()), { name: "acceptor" });
      yield* yieldNow();
      const second = yield* errorOf(listener.accept());
      expect(second).toBeInstanceOf(BusyError);
      expect(second.message).toContain(`listener ${name.path} is being read by task acceptor`);
      listener.close();
      listener.close();
      expect(yield* join(accepting)).toBeInstanceOf(ClosedError);
      expect((yield* errorOf(listener.accept())).message).toBe(`listener ${name.path}: accept after close()`);
    }));

  test("an acceptor that was cancelled leaves the next connection to the next one", () =>
    way(function* main() {
      using name = abstractName();
      using listener = yield* listenUnix(name);
      const accepting = yield* spawn(() => listener.accept());
      yield* yieldNow();
      yield* cancel(accepting);
      using client = yield* connectUnix(name);
      using server = yield* listener.accept();
      yield* client.write("x");
      expect(yield* server.read(new Uint8Array(1))).toBe(1);
    }));

  test("connections that were accepted, and those that wait to be, are told apart by a close", () =>
    way(function* main() {
      using name = abstractName();
      const listener = yield* listenUnix(name);
      using accepted = yield* connectUnix(name);
      using server = yield* listener.accept();
      using waiting = yield* connectUnix(name);
      listener.close();
      yield* server.write("x");
      expect(yield* accepted.read(new Uint8Array(1))).toBe(1);
      expect(yield* errorOf(waiting.read(new Uint8Array(1)))).toMatchObject({ code: "ECONNRESET" });
    }));
});

function* take(stream: UnixStream, bytes: number): Operation<Uint8Array> {
  const buffer = new Uint8Array(bytes);
  yield* stream.readExactly(buffer);
  return buffer;
}

testUnless(NEEDS_UNIX_SOCKETS)(
  "a file that cannot be removed is told of, and the socket is closed all the same",
  async () => {
    const EACCES = -13;
    const files: Partial<FileSystem> = { identityOf: () => "1:2", unlink: () => EACCES };
    const unix: Partial<UnixSystem> = { create: () => 7, bind: () => 0 };
    const world = new ScriptedWorld({}, {}, { files: files as FileSystem, unix: unix as UnixSystem });
    world.open.set(7, "the listener");
    await settled(
      world,
      new Executor(world).run(function* main() {
        (yield* listenUnix({ path: "/run/x" })).close();
      }),
    );
    expect(world.open.size).toBe(0);
    expect(world.warnings).toEqual(["the socket file stays: unlink EACCES /run/x: permission denied"]);
  },
);

testUnless(NEEDS_UNIX_SOCKETS)(
  "a mode is set before the file is there and after, and if it cannot be, neither file nor socket is left",
  async () => {
    const EPERM = -1;
    const calls: string[] = [];
    const files: Partial<FileSystem> = {
      identityOf: () => "1:2",
      unlink: (path) => {
        calls.push(`unlink ${path}`);
        return 0;
      },
      setMode: (target, mode) => {
        calls.push(`mode ${target} ${mode.toString(8)}`);
        return typeof target === "number" ? 0 : EPERM;
      },
    };
    const unix: Partial<UnixSystem> = {
      create: () => 7,
      bind: () => {
        calls.push("bind");
        return 0;
      },
    };
    const world = new ScriptedWorld({}, {}, { files: files as FileSystem, unix: unix as UnixSystem });
    world.open.set(7, "the listener");
    const error = await settled(
      world,
      new Executor(world).run(() => errorOf(listenUnix({ path: "/run/x", mode: 0o660 }))),
    );
    expect(error).toMatchObject({ code: "EPERM", syscall: "chmod", path: "/run/x" });
    expect(calls).toEqual(["mode 7 660", "bind", "mode /run/x 660", "unlink /run/x"]);
    expect(world.open.size).toBe(0);
  },
);
