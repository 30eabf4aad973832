/** Pipes and named pipes: their ends, their errors. The suite of all streams is in byte-stream.test.ts. */

import { beforeAll, expect, test } from "bun:test";
import { createServer } from "node:net";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join as joinPath } from "node:path";
import {
  ClosedError,
  join,
  makeNamedPipe,
  openNamedPipe,
  openPipe,
  type PipeWriter,
  run,
  spawn,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { setPacketMode } from "../support/kinds.ts";
import { errorOf, openReactor, WAYS } from "../support/loopback.ts";
import { temporaryPath } from "../support/temporary.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(needs("pipes")).each(WAYS)("a pipe, in %s", (_way, way) => {
  expectNothingLeftBehind();

  test("tells EPIPE to a writer whose reader is closed, before and while it waits", () =>
    way(function* main() {
      using pipe = yield* openPipe();
      const writing = yield* spawn(() => errorOf(pipe.writer.write(new Uint8Array(1_000_000))));
      yield* yieldNow();
      expect(writing.state).toBe("suspended");
      pipe.reader.close();
      expect(yield* join(writing)).toMatchObject({ code: "EPIPE", syscall: "write" });
      expect(yield* errorOf(pipe.writer.write("x"))).toMatchObject({ code: "EPIPE" });
    }));

  test("tells the end to a reader whose writer is closed, before and while it waits", () =>
    way(function* main() {
      using pipe = yield* openPipe();
      const reading = yield* spawn(() => pipe.reader.read(new Uint8Array(1)));
      yield* yieldNow();
      pipe.writer.close();
      expect(yield* join(reading)).toBe(0);
      expect(yield* pipe.reader.read(new Uint8Array(1))).toBe(0);
    }));

  test("is read to the last packet when it is in packet mode, where a read ends with each", () =>
    way(function* main() {
      using pipe = yield* openPipe();
      setPacketMode(pipe.writer.descriptor);
      const received = new Uint8Array(9);
      const reading = yield* spawn(() => pipe.reader.readExactly(received));
      yield* yieldNow();
      for (const packet of ["one", "two", "six"]) yield* pipe.writer.write(packet);
      yield* join(reading);
      expect(new TextDecoder().decode(received)).toBe("onetwosix");
    }));
});

describeUnless(needs("pipes"))("a pipe", () => {
  expectNothingLeftBehind();

  test("goes one way: each end refuses the other direction by name", () =>
    run(function* main() {
      using pipe = yield* openPipe();
      const reader = pipe.reader as unknown as PipeWriter;
      const writer = pipe.writer as unknown as typeof pipe.reader;
      const written = yield* errorOf(reader.write("x"));
      expect(written).toBeInstanceOf(TypeError);
      expect(written.message).toBe(`pipe (descriptor ${pipe.reader.descriptor}, the reading end) cannot be written to`);
      for (const use of [() => writer.read(new Uint8Array(1)), () => writer.readUntil("x"), () => writer.readToEnd()]) {
        const error = yield* errorOf(use());
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toContain("the writing end) cannot be read");
      }
    }));

  test("is ended by shutdown, which may come twice, and says so to a later write", () =>
    run(function* main() {
      using pipe = yield* openPipe();
      yield* pipe.writer.shutdown();
      yield* pipe.writer.shutdown();
      expect(pipe.writer.isClosed).toBe(true);
      const error = yield* errorOf(pipe.writer.write("x"));
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toContain("write after shutdown()");
      expect(yield* pipe.reader.readToEnd()).toHaveLength(0);
    }));
});

describeUnless(needs("namedPipes"))("a named pipe", () => {
  expectNothingLeftBehind();

  test("is made with the permissions that are given, and refused where something is already", () =>
    run(function* main() {
      using path = temporaryPath("pipe");
      yield* makeNamedPipe(path.name);
      expect(statSync(path.name).isFIFO()).toBe(true);
      expect(statSync(path.name).mode & 0o777).toBe(0o600);
      expect(yield* errorOf(makeNamedPipe(path.name))).toMatchObject({
        code: "EEXIST",
        syscall: "mkfifo",
        path: path.name,
      });
      using other = temporaryPath("pipe");
      yield* makeNamedPipe(other.name, { mode: 0o400 });
      expect(statSync(other.name).mode & 0o777).toBe(0o400);
    }));

  test("makes its reader wait for the first writer, and ends it with the last", () =>
    run(function* main() {
      using path = temporaryPath("pipe");
      yield* makeNamedPipe(path.name);
      using reader = yield* openNamedPipe(path.name, "read");
      const reading = yield* spawn(() => reader.readToEnd());
      yield* yieldNow();
      expect(reading.state).toBe("suspended");
      const first = yield* openNamedPipe(path.name, "write");
      const second = yield* openNamedPipe(path.name, "write");
      yield* first.write("one ");
      first.close();
      yield* second.write("two");
      second.close();
      expect(new TextDecoder().decode(yield* join(reading))).toBe("one two");
    }));

  test("without a reader refuses a writer, and says what to do", () =>
    run(function* main() {
      using path = temporaryPath("pipe");
      yield* makeNamedPipe(path.name);
      const error = yield* errorOf(openNamedPipe(path.name, "write"));
      expect(error).toMatchObject({ code: "ENXIO", syscall: "open", path: path.name });
      expect(error.message).toContain(`open ENXIO ${path.name}: nobody has it open to read`);
    }));

  test("that is none is refused: nothing, a file, a folder, a device, a socket", async () => {
    using path = temporaryPath("file");
    const folder = dirname(path.name);
    writeFileSync(path.name, "untouched");
    mkdirSync(joinPath(folder, "folder"));
    const socket = joinPath(folder, "socket");
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      await run(function* main() {
        expect(yield* errorOf(openNamedPipe(joinPath(folder, "none"), "read"))).toMatchObject({ code: "ENOENT" });
        for (const end of ["read", "write"] as const) {
          const file = yield* errorOf(openNamedPipe(path.name, end as "read"));
          expect(file).toBeInstanceOf(TypeError);
          expect(file.message).toBe(`openNamedPipe: ${path.name} is a regular file, and no named pipe`);
          expect((yield* errorOf(openNamedPipe("/dev/null", end as "read"))).message).toContain("a character device");
          const error = yield* errorOf(openNamedPipe(socket, end as "read"));
          expect(error).toMatchObject({ code: "ENXIO", path: socket });
          expect(error.message).toContain("a socket");
        }
        expect(yield* errorOf(openNamedPipe(joinPath(folder, "folder"), "write"))).toMatchObject({ code: "EISDIR" });
        const error = yield* errorOf(openNamedPipe(joinPath(folder, "folder"), "read"));
        expect(error.message).toContain("is a directory, and no named pipe");
      });
    } finally {
      server.close();
    }
    expect(statSync(path.name).size).toBe("untouched".length);
  });

  test.each(["", "a\0b", 7, undefined, null])("cannot have the path %j", (value) =>
    run(function* main() {
      for (const act of [() => makeNamedPipe(value as string), () => openNamedPipe(value as string, "read")]) {
        const error = yield* errorOf(act());
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toContain("path must be a path");
      }
    }),
  );

  test("has two ends, and permissions of nine bits", () =>
    run(function* main() {
      const error = yield* errorOf(openNamedPipe("/tmp/x", "both" as "read"));
      expect(error.message).toBe('openNamedPipe: end must be "read" or "write", but is "both"');
      for (const mode of [-1, 0o1000, 1.5])
        expect(yield* errorOf(makeNamedPipe("/tmp/x", { mode }))).toBeInstanceOf(RangeError);
    }));
});
