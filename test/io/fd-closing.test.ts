/** Descriptors that somebody else closes while tasks wait for them: with a word, and without one. */

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import {
  cancel,
  ClosedError,
  fdStream,
  join,
  notifyClosing,
  openPipe,
  promise,
  readable,
  Readiness,
  run,
  sleep,
  source,
  spawn,
  writable,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { duplicateTo, EventCounter, SocketPair, writeUntilFull, writeTo } from "../support/libc.ts";
import { errorOf, onePoll, openReactor } from "../support/loopback.ts";
import { TestReactor } from "../support/reactors.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_DUPLICATES, needs } from "../support/needs.ts";

beforeAll(openReactor);

describeUnless(NEEDS_DUPLICATES)("a descriptor that somebody else closes while tasks wait for it", () => {
  expectNothingLeftBehind();

  test("wakes them if it was said with notifyClosing, both directions and its sources", async () => {
    await using own = new TestReactor();
    using pair = new SocketPair();
    await own.run(function* main() {
      writeUntilFull(pair.left);
      using kept = yield* source(pair.left);
      const reading = yield* spawn(() => errorOf(readable(pair.left)));
      const writing = yield* spawn(() => errorOf(kept.writable()));
      yield* onePoll();
      expect(kept.isClosed).toBe(false);
      yield* notifyClosing(pair.left);
      expect(kept.isClosed).toBe(true);
      expect(own.reactor.registrator().size).toBe(0);
      pair.close(pair.left);
      for (const waiting of [reading, writing]) {
        const error = yield* join(waiting);
        expect(error).toBeInstanceOf(ClosedError);
        expect(error.message).toBe(`descriptor ${pair.left} was closed while a task waited for it`);
      }
      expect((yield* errorOf(kept.readable())).message).toBe(`the source of descriptor ${pair.left} is closed`);
    });
  });

  test("does not wake them if nothing was said, and a duplicate goes on telling of the file", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter();
    using other = new EventCounter();
    await own.run(function* main() {
      const number = counter.descriptor;
      const keptOpen = other.descriptor;
      duplicateTo(number, keptOpen);
      const waiting = yield* spawn(() => readable(number));
      // Opened before the number is free, so that it does not get it.
      using ticker = new EventCounter(1);
      yield* onePoll(ticker);
      counter.close(number);
      yield* onePoll(ticker);
      expect(waiting.state).toBe("suspended");
      other.signal();
      expect(yield* join(waiting)).toBe(Readiness.READABLE);
    });
    expect(own.reactor.registrator().size).toBe(0);
  });

  test("does not let a duplicate that stays ready spin the event queue", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter();
    using other = new EventCounter();
    await own.run(function* main() {
      duplicateTo(counter.descriptor, other.descriptor);
      const waiting = yield* spawn(() => readable(counter.descriptor));
      yield* onePoll();
      counter.close(counter.descriptor);
      // Its registration cannot be removed any more, because its number is gone.
      yield* cancel(waiting);
      other.signal();
      own.reactor.fetch(0);
      expect(own.reactor.drain(() => {})).toBe(1);
      for (let round = 0; round < 3; round++) {
        own.reactor.fetch(0);
        expect(own.reactor.drain(() => {})).toBe(0);
      }
    });
  });

  test("and that a child still has, disturbs neither other waits nor times", async () => {
    await using own = new TestReactor();
    await own.run(function* main() {
      using pair = new SocketPair();
      using ticker = new EventCounter(1);
      const waiting = yield* spawn(() => readable(pair.left));
      yield* onePoll(ticker);
      const child = Bun.spawn(["cat"], { stdio: ["pipe", "ignore", "ignore", pair.left] });
      pair.close(pair.left);
      yield* cancel(waiting);
      // The file is ready, in the child, and its registration here cannot be taken back: it is told once, to nobody.
      writeTo(pair.right, "x");
      for (let round = 0; round < 3; round++) {
        yield* onePoll(ticker);
        yield* sleep(1);
      }
      own.reactor.fetch(0);
      expect(own.reactor.drain(() => {})).toBe(0);
      expect(own.reactor.registrator().size).toBe(0);
      child.kill();
      yield* promise(child.exited);
    });
  });

  test("never wakes them with the file that has the number next", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter();
    using other = new EventCounter(1);
    await own.run(function* main() {
      const waiting = yield* spawn(() => readable(counter.descriptor));
      yield* onePoll();
      duplicateTo(other.descriptor, counter.descriptor);
      yield* onePoll();
      expect(waiting.state).toBe("suspended");
      yield* cancel(waiting);
      expect(yield* readable(counter.descriptor)).toBe(Readiness.READABLE);
    });
    expect(own.reactor.registrator().size).toBe(0);
  });

  test("makes room for those who wait for the file that has the number next", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter();
    using other = new EventCounter();
    await own.run(function* main() {
      const waiting = yield* spawn(() => errorOf(readable(counter.descriptor)));
      yield* onePoll();
      duplicateTo(other.descriptor, counter.descriptor);
      const next = yield* spawn(() => readable(counter.descriptor));
      expect(yield* join(waiting)).toBeInstanceOf(ClosedError);
      yield* onePoll();
      expect(next.state).toBe("suspended");
      other.signal();
      expect(yield* join(next)).toBe(Readiness.READABLE);
    });
    expect(own.reactor.registrator().size).toBe(0);
  });

  test("tells them as soon as the number is waited for in the other direction, whatever it is by then", async () => {
    await using own = new TestReactor();
    const file = openSync(import.meta.path, "r");
    try {
      await own.run(function* main() {
        for (const becomes of ["closed", "a regular file"]) {
          using pair = new SocketPair();
          const reading = yield* spawn(() => errorOf(readable(pair.left)));
          yield* onePoll();
          if (becomes === "closed") pair.close(pair.left);
          else duplicateTo(file, pair.left);
          const error = yield* errorOf(writable(pair.left));
          expect(error).toMatchObject({ code: becomes === "closed" ? "EBADF" : "EPERM", syscall: "writable" });
          expect(yield* join(reading)).toBeInstanceOf(ClosedError);
        }
      });
    } finally {
      closeSync(file);
    }
    expect(own.reactor.registrator().size).toBe(0);
  });
});

describe("a descriptor of a stream of this package", () => {
  expectNothingLeftBehind();

  testUnless(needs("pipes"))("is refused while the stream waits for it, with what to do", () =>
    run(function* main() {
      using pipe = yield* openPipe();
      const reading = yield* spawn(() => pipe.reader.read(new Uint8Array(1)));
      yield* yieldNow();
      const error = yield* errorOf(readable(pipe.reader.descriptor));
      expect(error).toMatchObject({ code: "EEXIST", syscall: "readable" });
      expect(error.message).toContain(`descriptor ${pipe.reader.descriptor} belongs to a stream of this package`);
      yield* cancel(reading);
    }),
  );

  testUnless(needs("pipes"))("tells waits by its number when the stream is closed", () =>
    run(function* main() {
      using pair = new SocketPair();
      using stream = yield* fdStream(pair.left, { keepOpen: true });
      const waiting = yield* spawn(() => errorOf(readable(pair.left)));
      yield* yieldNow();
      stream.close();
      expect(yield* join(waiting)).toBeInstanceOf(ClosedError);
    }),
  );
});

/** Waits for a descriptor of a kind: for nothing, for something, for what was left, and again for nothing. */
