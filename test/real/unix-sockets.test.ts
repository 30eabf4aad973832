/** Unix sockets with programs that nobody here wrote at the other end: socat and curl. */

import { beforeAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import {
  bindUnixDatagram,
  connectUnix,
  listenUnix,
  openUnixDatagram,
  type Operation,
  promise,
  run,
  SystemError,
  type UnixName,
  type UnixStream,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { NAMES, pathName, type TemporaryName } from "../support/unix.ts";
import { describeReal } from "./support/component.ts";

describeReal("socat", { programs: ["socat"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test.each(NAMES)("connects to us at %s, is known by its process, and echoes a megabyte", (_kind, makeName) =>
    run(function* main() {
      using name = makeName();
      using listener = yield* listenUnix(name);
      const socat = Bun.spawn(["socat", addressOf("CONNECT", name), "EXEC:cat"], QUIET);
      using stream = yield* listener.accept();
      expect(stream.peerCredentials()).toEqual({
        processId: socat.pid,
        userId: process.getuid!(),
        groupId: process.getgid!(),
      });
      yield* expectEcho(stream);
      yield* stream.shutdown();
      expect(yield* stream.read(new Uint8Array(1))).toBe(0);
      expect(yield* promise(socat.exited)).toBe(0);
    }),
  );

  test.each(NAMES)("listens at %s, and we connect to it", (_kind, makeName) =>
    run(function* main() {
      using name = makeName();
      const socat = Bun.spawn(["socat", addressOf("LISTEN", name), "EXEC:cat"], QUIET);
      using stream = yield* connectWhenThere(name);
      expect(stream.peerCredentials().processId).toBe(socat.pid);
      yield* expectEcho(stream);
      yield* stream.shutdown();
      expect(yield* promise(socat.exited)).toBe(0);
    }),
  );

  test("leaves its file when it is killed, which replaceStale replaces, and nothing else does", () =>
    run(function* main() {
      using name = pathName();
      const path = name.path!;
      const socat = Bun.spawn(["socat", addressOf("LISTEN", name), "-"], QUIET);
      while (!existsSync(path)) yield* yieldNow();
      expect((yield* errorOf(listenUnix({ path, replaceStale: true }))).code).toBe("EADDRINUSE");
      socat.kill("SIGKILL");
      yield* promise(socat.exited);
      expect(existsSync(path)).toBe(true);
      expect((yield* errorOf(listenUnix({ path }))).message).toContain("the file was left by a process that has ended");
      using _listener = yield* listenUnix({ path, replaceStale: true });
      using _client = yield* connectUnix({ path });
    }));

  test("sends us a datagram, and gets one", () =>
    run(function* main() {
      using name = pathName();
      using own = pathName();
      using socket = yield* bindUnixDatagram({ path: name.path!, passCredentials: true });
      const socat = Bun.spawn(["socat", "-t", "10", "-", `UNIX-SENDTO:${name.path},bind=${own.path}`], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
      });
      void socat.stdin.write("from socat");
      void socat.stdin.flush();
      const buffer = new Uint8Array(64);
      using message = yield* socket.receive(buffer);
      expect(new TextDecoder().decode(buffer.subarray(0, message.bytes))).toBe("from socat");
      expect(message.from).toEqual({ path: own.path! });
      expect(message.credentials!.processId).toBe(socat.pid);
      using other = yield* openUnixDatagram();
      yield* other.sendTo(message.from!, "to socat\n");
      const reader = socat.stdout.getReader();
      const { value } = yield* promise(reader.read());
      expect(new TextDecoder().decode(value)).toBe("to socat\n");
      socat.kill("SIGKILL");
      yield* promise(socat.exited);
    }));
});

describeReal("curl", { programs: ["curl"] }, () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test.each(NAMES)("speaks HTTP to us at %s", (_kind, makeName) =>
    run(function* main() {
      using name = makeName();
      using listener = yield* listenUnix(name);
      const where = name.path === undefined ? ["--abstract-unix-socket", name.abstract] : ["--unix-socket", name.path];
      const curl = Bun.spawn(["curl", "--silent", "--show-error", ...where, "http://localhost/greeting"], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "inherit",
      });
      using stream = yield* listener.accept();
      const request = new TextDecoder().decode((yield* stream.readUntil("\r\n\r\n"))!);
      expect(request).toStartWith("GET /greeting HTTP/1.1\r\n");
      yield* stream.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
      expect(yield* promise(curl.stdout.text())).toBe("hello");
      expect(yield* promise(curl.exited)).toBe(0);
    }),
  );
});

/** Writes and reads in turns of what fits into the pipes of the other side. */
function* expectEcho(stream: UnixStream): Operation<void> {
  const sent = patternOf(1_000_000);
  const received = new Uint8Array(sent.byteLength);
  for (let at = 0; at < sent.byteLength; at += 10_000) {
    yield* stream.write(sent, at, at + 10_000);
    yield* stream.readExactly(received.subarray(at, at + 10_000));
  }
  expect(Buffer.compare(received, sent)).toBe(0);
}

/** A server of somebody else says nothing when it listens. */
function* connectWhenThere(name: UnixName): Operation<UnixStream> {
  for (;;) {
    try {
      return yield* connectUnix(name);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      yield* yieldNow();
    }
  }
}

function addressOf(verb: "CONNECT" | "LISTEN", { path, abstract }: TemporaryName): string {
  return path === undefined ? `ABSTRACT-${verb}:${abstract}` : `UNIX-${verb}:${path}`;
}

const QUIET = { stdin: "ignore", stdout: "ignore", stderr: "inherit" } as const;
