/**
 * Streams in a world that is written down: what the kernel rarely does, and peers that are slow, in virtual time.
 */

import { describe, expect, test } from "bun:test";
import {
  cancel,
  Executor,
  type FdStream,
  fdStream,
  join,
  now,
  openNamedPipe,
  openPipe,
  type Operation,
  Readiness,
  sleep,
  spawn,
  SystemError,
  TimeoutError,
  timeout,
  yieldNow,
} from "../../src/index.ts";
import type { FileSystem } from "../../src/core/file-system.ts";
import { errorOf } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";

const { EAGAIN, EBADF, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPIPE } = errno;

const NUMBER = 7;

describe("an error of the system", () => {
  test.each([
    ["EIO", EIO],
    ["ENOBUFS", ENOBUFS],
    ["ENOMEM", ENOMEM],
  ])("%s is told by the read that met it, and the stream is still there", async (code, errno) => {
    const results = [-errno, 3, 0];
    const { world, run } = worldWith({ receive: () => results.shift()! });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const error = yield* errorOf(stream.read(new Uint8Array(8)));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({ code, syscall: "read" });
      expect(yield* stream.read(new Uint8Array(8))).toBe(3);
      expect(yield* stream.read(new Uint8Array(8))).toBe(0);
    });
    expect(world.watched).toEqual([]);
  });

  test.each([
    ["EIO", EIO],
    ["EPIPE", EPIPE],
    ["ENOBUFS", ENOBUFS],
  ])("%s ends a write in its middle, and the next one may go", async (code, errno) => {
    const results = [2, -EAGAIN, -errno, 1, 4];
    const { run } = worldWith({ send: () => results.shift()!, sendVectored: () => results.shift()! });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const writing = yield* spawn(() => errorOf(stream.write("abcd")));
      yield* sleep(1);
      expect(writing.state).toBe("suspended");
      yield* readyNow(Readiness.WRITABLE);
      expect(yield* join(writing)).toMatchObject({ code, syscall: "write" });
      yield* stream.writeAll(["a", "bcde"]);
    });
    expect(results).toEqual([]);
  });

  test("that the mode cannot be read or set is told at once, and leaves the number to the next stream", async () => {
    const mode = [-EPERM, 0, 0];
    const set = [-EBADF];
    const calls: string[] = [];
    const { run } = worldWith({
      isNonBlocking: () => mode.shift()!,
      setNonBlocking: (descriptor, isOn) => {
        calls.push(`${descriptor} ${isOn}`);
        return set.shift() ?? 0;
      },
    });
    await run(function* main() {
      expect(yield* errorOf(fdStream(NUMBER))).toMatchObject({ code: "EPERM", syscall: "fcntl" });
      expect(yield* errorOf(fdStream(NUMBER))).toMatchObject({ code: "EBADF", syscall: "fcntl" });
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      expect(stream.isClosed).toBe(false);
    });
    // The second fails to set it; the third sets it, and restores it.
    expect(calls).toEqual([`${NUMBER} true`, `${NUMBER} true`, `${NUMBER} false`]);
  });

  test.each([
    ["EMFILE", EMFILE],
    ["ENFILE", ENFILE],
  ])("%s of a pipe is told, and nothing was opened", async (code, errno) => {
    const { world, run } = worldWith({ makePipe: () => -errno, open: () => -errno });
    await run(function* main() {
      expect(yield* errorOf(openPipe())).toMatchObject({ code, syscall: "pipe" });
      const error = yield* errorOf(openNamedPipe("/a/pipe", "read"));
      expect(error).toMatchObject({ code, syscall: "open", path: "/a/pipe" });
    });
    expect(world.log).toEqual([]);
  });

  test("of what a named pipe turns out to be closes it again", async () => {
    for (const kind of [-EBADF, "socket"] as const) {
      const { world, run } = worldWith({ open: () => NUMBER, kindOf: () => kind });
      world.open.set(NUMBER, "the pipe");
      await run(function* main() {
        expect(yield* errorOf(openNamedPipe("/a/pipe", "write"))).toBeInstanceOf(TypeError);
      });
      expect(world.open.size).toBe(0);
    }
  });

  test("does not come of a buffer of 4 GiB, whose length does not fit in 32 bits", async () => {
    const lengths: number[] = [];
    const { run } = worldWith({
      receive: (_descriptor, _buffer, _offset, length) => (lengths.push(length), 5),
      send: (_descriptor, _buffer, _offset, length) => (lengths.push(length), length),
    });
    // Its pages are never touched, so they take no memory.
    const huge = new Uint8Array(2 ** 32);
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      expect(yield* stream.read(huge)).toBe(5);
      yield* stream.write(huge);
    });
    expect(lengths).toEqual([0x7ffff000, 0x7ffff000, 0x7ffff000, 8192]);
  });

  test("that stays pending, and that no call tells, is looked at now and then, and does not spin", async () => {
    const calls = { receive: 0, send: 0 };
    const { world, run } = worldWith({
      receive: () => (calls.receive++, -EAGAIN),
      send: () => (calls.send++, -EAGAIN),
    });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const reading = yield* spawn(() => stream.read(new Uint8Array(1)));
      const writing = yield* spawn(() => stream.write("x"));
      world.declareReady(NUMBER, Readiness.FAILED);
      yield* sleep(1_000);
      // Every 10 ms, and not for ever at the same time.
      for (const count of Object.values(calls)) expect(count).toBeWithin(50, 1_000);
      yield* cancel(reading);
      yield* cancel(writing);
      // A wait for bytes is one all the same, whatever ended the read before it.
      world.declareIdle(NUMBER);
      const waiting = yield* spawn(() => stream.readable());
      yield* sleep(1_000);
      expect(waiting.state).toBe("suspended");
      yield* cancel(waiting);
    });
  });

  test.each<[string, (stream: FdStream, data: Uint8Array) => Operation<void>]>([
    ["write", (stream, data) => stream.write(data)],
    ["writeAll", (stream, data) => stream.writeAll([data, data])],
  ])("a %s whose other side takes all, a byte at a time, lets others run", async (_name, write) => {
    let bytes = 0;
    const { run } = worldWith({ send: () => (bytes++, 1), sendVectored: () => (bytes++, 1) });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const writing = yield* spawn(() => write(stream, new Uint8Array(10_000)));
      yield* yieldNow();
      expect(bytes).toBeWithin(1, 1_000);
      yield* join(writing);
      expect(bytes).toBeWithin(10_000, 20_001);
    });
  });

  test("a write that takes nothing and says nothing waits, and does not spin", async () => {
    const results = [0, 0, 4];
    const { world, run } = worldWith({
      send: () => {
        world.declareIdle(NUMBER);
        return results.shift()!;
      },
    });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const writing = yield* spawn(() => stream.write("abcd"));
      for (const left of [2, 1]) {
        yield* sleep(1);
        expect([writing.state, results.length]).toEqual(["suspended", left]);
        world.declareReady(NUMBER, Readiness.WRITABLE);
      }
      yield* join(writing);
    });
  });
});

describe("a peer that sends one byte a second", () => {
  const MESSAGE = new TextEncoder().encode("0123456789\n");

  test("is waited for, and each byte is taken when it comes", async () => {
    const peer = new SlowPeer(MESSAGE);
    const { world, run } = worldWith({ receive: peer.receive });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      yield* spawn(() => peer.send(world));
      expect(new TextDecoder().decode((yield* stream.readUntil("\n"))!)).toBe("0123456789");
      expect(yield* now()).toBe(11_000);
    });
    // Before each wait a try, because nothing is known of a descriptor of others, and after it one: nobody asks in between.
    expect(peer.tries).toBe(22);
  });

  test("is given up at a deadline, and what came by then is not lost", async () => {
    const peer = new SlowPeer(MESSAGE);
    const { world, run } = worldWith({ receive: peer.receive });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      yield* spawn(() => peer.send(world));
      expect(yield* errorOf(timeout(4_500, () => stream.readUntil("\n")))).toBeInstanceOf(TimeoutError);
      expect(yield* now()).toBe(4_500);
      const four = new Uint8Array(4);
      yield* stream.readExactly(four);
      expect(new TextDecoder().decode(four)).toBe("0123");
      expect((yield* stream.lines().next()).value).toBe("456789");
      expect(yield* now()).toBe(11_000);
    });
  });
});

describe("a peer that never reads", () => {
  test("suspends the writer, who can be cancelled, and whose time can be up", async () => {
    let room = 10;
    const { world, run } = worldWith({
      send: (_descriptor, _buffer, _offset, length) => {
        const bytes = Math.min(room, length);
        room -= bytes;
        return bytes === 0 ? -EAGAIN : bytes;
      },
    });
    await run(function* main() {
      using stream = yield* fdStream(NUMBER, { keepOpen: true });
      const error = yield* errorOf(timeout(60_000, () => stream.write("more than ten bytes")));
      expect(error).toBeInstanceOf(TimeoutError);
      expect((error as unknown as TimeoutError).waitedFor).toContain(`descriptor ${NUMBER}`);
      expect(yield* now()).toBe(60_000);
      const writing = yield* spawn(() => stream.write("more"));
      yield* sleep(3_600_000);
      expect(writing.state).toBe("suspended");
      yield* cancel(writing);
      expect(world.watched).toEqual([]);
      room = 4;
      yield* stream.write("more");
      expect(room).toBe(0);
    });
  });
});

/** Has the bytes of a message one after the other, as virtual time goes on. */
class SlowPeer {
  tries = 0;
  private sentBytes = 0;
  private receivedBytes = 0;

  constructor(private readonly message: Uint8Array) {}

  *send(world: ScriptedWorld): Operation<void> {
    while (this.sentBytes < this.message.byteLength) {
      yield* sleep(1_000);
      this.sentBytes++;
      world.declareReady(NUMBER, Readiness.READABLE);
    }
  }

  readonly receive: FileSystem["receive"] = (_descriptor, buffer, offset, length) => {
    this.tries++;
    const bytes = Math.min(length, this.sentBytes - this.receivedBytes);
    if (bytes === 0) return -EAGAIN;
    buffer.set(this.message.subarray(this.receivedBytes, this.receivedBytes + bytes), offset);
    this.receivedBytes += bytes;
    latest?.declareIdle(NUMBER);
    return bytes;
  };
}

let latest: ScriptedWorld | undefined;

/** The descriptor becomes ready, once. */
function* readyNow(readiness: Readiness): Operation<void> {
  latest!.declareReady(NUMBER, readiness);
  yield* sleep(1);
  latest!.declareIdle(NUMBER);
}

/** A world in which 7 is a pipe of somebody else, non-blocking, if nothing else is said. */
function worldWith(files: Partial<FileSystem>): {
  readonly world: ScriptedWorld;
  run<T>(body: () => Operation<T>): Promise<T>;
} {
  const usual: Partial<FileSystem> = { kindOf: () => "pipe", isNonBlocking: () => 1, receive: () => -EAGAIN };
  const world = new ScriptedWorld({}, {}, { files: { ...usual, ...files } as FileSystem });
  latest = world;
  return { world, run: (body) => settled(world, new Executor(world).run(body)) };
}
