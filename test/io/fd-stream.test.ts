/** Streams on descriptors that others have opened: their bytes, their mode, their errors. */

import { beforeAll, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, readlinkSync, readSync, writeSync } from "node:fs";
import {
  BusyError,
  cancel,
  ClosedError,
  fdStream,
  type FdStream,
  join,
  notifyClosing,
  type Operation,
  readable,
  run,
  spawn,
  SystemError,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import type { TerminalMode } from "../../src/core/terminal-system.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { PtyPair } from "../support/kinds.ts";
import { duplicateTo, EventCounter, Pipe, readUntilEmpty, SocketPair, writeUntilFull } from "../support/libc.ts";
import { errorOf, onePoll, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { NO_DESCRIPTOR, TestReactor } from "../support/reactors.ts";
import { temporaryPath } from "../support/temporary.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(needs("fdStream")).each(WAYS)("a stream on a descriptor, in %s", (_way, way) => {
  expectNothingLeftBehind();

  test("reads and writes a terminal, line by line", () =>
    way(function* main() {
      using pty = new PtyPair();
      using master = yield* fdStream(pty.master, { keepOpen: true });
      using line = yield* fdStream(pty.line, { keepOpen: true });
      yield* master.write("first\nsecond\n");
      expect((yield* line.lines().next()).value).toBe("first");
      expect((yield* line.lines().next()).value).toBe("second");
      // What the terminal echoes, and what it makes of the end of a line (termios(3)).
      yield* master.readExactly(new Uint8Array("first\r\nsecond\r\n".length));
      yield* line.writeAll(["out", "put\n"]);
      expect(text(yield* master.readUntil("\r\n"))).toBe("output");
    }));

  test("of a terminal whose other end is closed finds the end, and fails a write that nobody makes room for", () =>
    way(function* main() {
      using pty = new PtyPair();
      using master = yield* fdStream(pty.master, { keepOpen: true });
      makeRaw(pty.line);
      writeSync(pty.line, "last words");
      const writing = yield* spawn(() => errorOf(master.write(MORE_THAN_IT_HOLDS)));
      yield* onePoll();
      expect(writing.state).toBe("suspended");
      pty.close(pty.line);
      const words = `write EIO: descriptor ${pty.master} (character device): the other end of the terminal is closed`;
      expect((yield* join(writing)).message).toBe(words);
      expect(text(yield* master.readToEnd())).toBe("last words");
      expect(yield* master.read(new Uint8Array(1))).toBe(0);
      // One that finds it closed and full fails as well, instead of trying again and again.
      expect(yield* errorOf(master.writeAll([MORE_THAN_IT_HOLDS, "x"]))).toMatchObject({
        code: "EIO",
        syscall: "write",
      });
    }));

  test("of a terminal whose controlling end is closed finds the end, and cannot write", () =>
    way(function* main() {
      using pty = new PtyPair();
      using line = yield* fdStream(pty.line, { keepOpen: true });
      const reading = yield* spawn(() => line.read(new Uint8Array(1)));
      yield* yieldNow();
      pty.close(pty.master);
      expect(yield* join(reading)).toBe(0);
      expect((yield* errorOf(line.write("x"))).message).toContain("the other end of the terminal is closed");
    }));

  test("reads and writes an eventfd, eight bytes at a time", () =>
    way(function* main() {
      using counter = new EventCounter();
      using stream = yield* fdStream(counter.descriptor, { keepOpen: true });
      const count = new BigUint64Array(1);
      const reading = yield* spawn(() => stream.readExactly(new Uint8Array(count.buffer)));
      yield* yieldNow();
      expect(reading.state).toBe("suspended");
      yield* stream.write(new Uint8Array(BigUint64Array.of(5n).buffer));
      yield* join(reading);
      expect(count[0]).toBe(5n);
    }));

  test("reads and writes a regular file without waiting", () =>
    way(function* main() {
      using path = temporaryPath("file");
      const written = patternOf(300_000);
      using writer = yield* fdStream(openSync(path.name, "w"));
      yield* writer.writeAll([written.subarray(0, 100), written.subarray(100, 200_000), written.subarray(200_000)]);
      using reader = yield* fdStream(openSync(path.name, "r"));
      expect(yield* reader.readToEnd()).toEqual(written);
      expect(yield* reader.read(new Uint8Array(1))).toBe(0);
      expect(reader.label).toBe(`descriptor ${reader.descriptor} (regular file)`);
    }));

  test("writes more buffers than one call takes through a slow pipe", () =>
    way(function* main() {
      using pipe = new Pipe();
      using reader = yield* fdStream(pipe.readEnd, { keepOpen: true });
      using writer = yield* fdStream(pipe.writeEnd, { keepOpen: true });
      const parts = Array.from({ length: 500 }, (_, index) => patternOf((index * 37) % 1000, index));
      const writing = yield* spawn(() => writer.writeAll(parts));
      const received = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
      yield* reader.readExactly(received);
      yield* join(writing);
      expect(Buffer.compare(received, Buffer.concat(parts))).toBe(0);
    }));

  test("waits with readable until there is something, and leaves it there", () =>
    way(function* main() {
      using pair = new SocketPair();
      using stream = yield* fdStream(pair.left, { keepOpen: true });
      const waiting = yield* spawn(() => stream.readable());
      yield* yieldNow();
      expect(waiting.state).toBe("suspended");
      writeSync(pair.right, "xy");
      yield* join(waiting);
      yield* stream.readable();
      expect(readUntilEmpty(pair.left)).toBe(2);
    }));
});

describeUnless(needs("fdStream"))("a stream on a descriptor", () => {
  expectNothingLeftBehind();

  test("refuses what is none, and what is not open", () =>
    run(function* main() {
      for (const value of [-1, 0.5, "3", undefined]) {
        const error = yield* errorOf(fdStream(value as number));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toStartWith("fdStream: descriptor must be");
      }
      const error = yield* errorOf(fdStream(NO_DESCRIPTOR));
      expect(error).toMatchObject({ code: "EBADF", syscall: "fdStream" });
      expect(error.message).toContain(`descriptor ${NO_DESCRIPTOR} is not open`);
    }));

  test("is the only one on its number, until it is closed", () =>
    run(function* main() {
      using pair = new SocketPair();
      const first = yield* fdStream(pair.left, { keepOpen: true });
      const error = yield* errorOf(fdStream(pair.left));
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain(`descriptor ${pair.left} has a stream already`);
      first.close();
      using second = yield* fdStream(pair.left, { keepOpen: true });
      yield* second.write("x");
      expect(readUntilEmpty(pair.right)).toBe(1);
    }));

  test("closes its number, unless it was told to keep it open", () =>
    run(function* main() {
      using pair = new SocketPair();
      (yield* fdStream(pair.left, { keepOpen: true })).close();
      expect(isOpen(pair.left)).toBe(true);
      using counter = new EventCounter();
      const number = counter.descriptor;
      const stream = yield* fdStream(number);
      stream.close();
      expect(isOpen(number)).toBe(false);
      stream.close();
      // Its number is free: what the pair is closed with at the end must not be another's.
      using _next = reopened(number);
    }));

  test("says that a directory cannot be read", () =>
    run(function* main() {
      using stream = yield* fdStream(openSync("/", "r"));
      expect(yield* errorOf(stream.read(new Uint8Array(1)))).toMatchObject({ code: "EISDIR", syscall: "read" });
    }));

  test("cannot shut down a pipe, says so, and can still be written to", () =>
    run(function* main() {
      using pipe = new Pipe();
      using stream = yield* fdStream(pipe.writeEnd, { keepOpen: true });
      for (let again = 0; again < 2; again++) {
        const error = yield* errorOf(stream.shutdown());
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toContain(`descriptor ${pipe.writeEnd} (pipe)`);
      }
      yield* stream.write("x");
      expect(readUntilEmpty(pipe.readEnd)).toBe(1);
    }));

  test("of which its owner has closed the number says which it was", () =>
    run(function* main() {
      using pair = new SocketPair();
      using stream = yield* fdStream(pair.left, { keepOpen: true });
      pair.close(pair.left);
      for (const use of [() => stream.read(new Uint8Array(1)), () => stream.write("x")]) {
        const error = yield* errorOf(use());
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "EBADF" });
        expect(error.message).toContain(`descriptor ${pair.left} is not open`);
      }
    }));

  test("tells EPIPE to a writer whose reader is gone, also if it waits", () =>
    run(function* main() {
      using pipe = new Pipe();
      using stream = yield* fdStream(pipe.writeEnd, { keepOpen: true });
      writeUntilFull(pipe.writeEnd);
      const writing = yield* spawn(() => errorOf(stream.write("x")));
      yield* yieldNow();
      expect(writing.state).toBe("suspended");
      pipe.close(pipe.readEnd);
      expect(yield* join(writing)).toMatchObject({ code: "EPIPE", syscall: "write" });
      expect(yield* errorOf(stream.writeAll(["x"]))).toMatchObject({ code: "EPIPE" });
    }));

  test("ends for a reader of a terminal whose line is gone, also if it waits, and goes on with who opens it again", () =>
    run(function* main() {
      using pty = new PtyPair();
      using master = yield* fdStream(pty.master, { keepOpen: true });
      const path = readlinkSync(`/proc/self/fd/${pty.line}`);
      const reading = yield* spawn(() => master.read(new Uint8Array(1)));
      yield* yieldNow();
      expect(reading.state).toBe("suspended");
      pty.close(pty.line);
      expect(yield* join(reading)).toBe(0);
      using line = yield* fdStream(openSync(path, "r+"));
      yield* line.write("again");
      yield* master.readExactly(new Uint8Array(5));
    }));

  test("that was closed does not touch the next file of its number, though its task was about to go on", async () => {
    await using own = new TestReactor();
    await own.run(function* main() {
      using pair = new SocketPair();
      using other = new SocketPair();
      const stream = yield* fdStream(pair.left, { keepOpen: true });
      writeUntilFull(pair.left);
      const reading = yield* spawn(() => errorOf(stream.read(new Uint8Array(10))));
      const writing = yield* spawn(() => errorOf(stream.write("for the old peer")));
      yield* yieldNow();
      writeSync(pair.right, "x");
      readUntilEmpty(pair.right);
      own.reactor.poll(0);
      expect([reading.state, writing.state]).toEqual(["ready", "ready"]);
      stream.close();
      duplicateTo(other.left, pair.left);
      writeSync(other.right, "for the next owner");
      expect(yield* join(reading)).toBeInstanceOf(ClosedError);
      expect(yield* join(writing)).toBeInstanceOf(ClosedError);
      expect(readUntilEmpty(other.left)).toBe("for the next owner".length);
      expect(readUntilEmpty(other.right)).toBe(0);
    });
  });

  test("that was closed forgets what it had read ahead", () =>
    run(function* main() {
      using pair = new SocketPair();
      const stream = yield* fdStream(pair.left, { keepOpen: true });
      writeSync(pair.right, "one\ntwo\nthree\n");
      const lines = stream.lines();
      expect((yield* lines.next()).value).toBe("one");
      stream.close();
      for (const use of [
        () => lines.next(),
        () => stream.readUntil("\n"),
        () => stream.readToEnd(),
        () => stream.read(new Uint8Array(1)),
      ]) {
        expect(yield* errorOf(use() as Operation<unknown>)).toBeInstanceOf(ClosedError);
      }
    }));
});

describeUnless(needs("fdStream"))("the mode of a descriptor", () => {
  expectNothingLeftBehind();

  const ENDS: readonly (readonly [string, (stream: FdStream) => Operation<void>])[] = [
    [
      "is closed",
      function* close(stream) {
        stream.close();
      },
    ],
    [
      "is detached",
      function* detach(stream) {
        expect(stream.detach()).toBe(stream.descriptor);
        expect(thrownBy(() => stream.detach(), ClosedError).message).toContain("detach after close()");
      },
    ],
    ["is closed by somebody else, who says so", (stream) => notifyClosing(stream.descriptor)],
    [
      "fails",
      function* fail(stream) {
        using _stream = stream;
        yield* errorOf(stream.shutdown());
      },
    ],
    [
      "is cancelled while it is read",
      function* cancelled(stream) {
        const reading = yield* spawn(function* read() {
          using own = stream;
          yield* own.read(new Uint8Array(1));
        });
        yield* yieldNow();
        yield* cancel(reading);
      },
    ],
  ];

  test.each(ENDS)("is set while the stream is open, and restored when it %s", (_name, end) =>
    run(function* main() {
      using pty = new PtyPair();
      expect(isNonBlocking(pty.line)).toBe(false);
      const stream = yield* fdStream(pty.line, { keepOpen: true });
      expect(isNonBlocking(pty.line)).toBe(true);
      yield* end(stream);
      expect(stream.isClosed).toBe(true);
      expect(isNonBlocking(pty.line)).toBe(false);
      stream.close();
      expect(isOpen(pty.line)).toBe(true);
    }),
  );

  test("stays as it was if it was non-blocking before", () =>
    run(function* main() {
      using pair = new SocketPair();
      const stream = yield* fdStream(pair.left, { keepOpen: true });
      stream.close();
      expect(isNonBlocking(pair.left)).toBe(true);
    }));

  test.each(["first", "second"])(
    "is restored when the last stream on the same open file is closed, the %s one before the other",
    (which) =>
      run(function* main() {
        using pty = new PtyPair();
        using number = new EventCounter();
        duplicateTo(pty.line, number.descriptor);
        const first = yield* fdStream(pty.line, { keepOpen: true });
        const second = yield* fdStream(number.descriptor, { keepOpen: true });
        const [sooner, later] = which === "first" ? [first, second] : [second, first];
        sooner.close();
        expect(isNonBlocking(pty.line)).toBe(true);
        // A read that would block the thread if the mode were lost.
        const reading = yield* spawn(() => later.read(new Uint8Array(10)));
        yield* yieldNow();
        writeSync(pty.master, "line\n");
        expect(yield* join(reading)).toBe(5);
        later.close();
        expect(isNonBlocking(pty.line)).toBe(false);
      }),
  );

  test("is handed on from stream to stream of one open file", () =>
    run(function* main() {
      using pty = new PtyPair();
      using one = new EventCounter();
      using two = new EventCounter();
      duplicateTo(pty.line, one.descriptor);
      duplicateTo(pty.line, two.descriptor);
      const streams = [pty.line, one.descriptor, two.descriptor];
      const open: FdStream[] = [];
      for (const descriptor of streams) open.push(yield* fdStream(descriptor, { keepOpen: true }));
      for (const stream of open) {
        expect(isNonBlocking(pty.line)).toBe(true);
        stream.close();
      }
      expect(isNonBlocking(pty.line)).toBe(false);
    }));
});

describeUnless(needs("fdStream"))("notifyClosing", () => {
  expectNothingLeftBehind();

  test("closes the stream on the number, wakes its tasks, and leaves the number to whoever closes it", () =>
    run(function* main() {
      using pair = new SocketPair();
      const stream = yield* fdStream(pair.left);
      const reading = yield* spawn(() => errorOf(stream.read(new Uint8Array(1))));
      yield* yieldNow();
      yield* notifyClosing(pair.left);
      expect(yield* join(reading)).toBeInstanceOf(ClosedError);
      expect(stream.isClosed).toBe(true);
      stream.close();
      expect(isOpen(pair.left)).toBe(true);
      writeSync(pair.right, "x");
      yield* readable(pair.left);
      expect(readSync(pair.left, new Uint8Array(1))).toBe(1);
    }));
});

function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** Without an echo, which would come when the kernel has time for it, and be something to read behind the end. */
function makeRaw(descriptor: number): void {
  const { terminals } = nativeSystem();
  expect(terminals.setMode(descriptor, terminals.rawMode(terminals.getMode(descriptor) as TerminalMode))).toBe(0);
}

/** More than the system holds on its way, so that a write of it waits. */
const MORE_THAN_IT_HOLDS = new Uint8Array(200_000);

/** From /proc/PID/fdinfo (proc(5)), where the flags of the open file description are octal. */
function isNonBlocking(descriptor: number): boolean {
  const [, flags] = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))!;
  return (Number.parseInt(flags!, 8) & 0o4000) !== 0;
}

function isOpen(descriptor: number): boolean {
  try {
    readFileSync(`/proc/self/fdinfo/${descriptor}`);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** Opens something under a number that is free. */
function reopened(descriptor: number): Disposable {
  const file = openSync("/dev/null", "r");
  if (file !== descriptor) {
    duplicateTo(file, descriptor);
    closeSync(file);
  }
  return { [Symbol.dispose]: () => {} };
}
