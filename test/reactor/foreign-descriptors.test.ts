/** Waiting for descriptors of others (`src/io/fd.ts`) on a real reactor. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { BusyError, ClosedError, SystemError } from "../../src/core/errors.ts";
import { Interest, Readiness } from "../../src/core/interest.ts";
import { ready } from "../../src/core/ready.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { readable, writable } from "../../src/io/fd.ts";
import { blockOn } from "../../src/run.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, onePoll } from "../support/loopback.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import {
  duplicateTo,
  EventCounter,
  Pipe,
  readUntilEmpty,
  SocketPair,
  writeUntilFull,
  writeTo,
  readFrom,
} from "../support/libc.ts";
import { NO_DESCRIPTOR, TestReactor } from "../support/reactors.ts";
import { testUnless } from "../support/platform.ts";
import { NEEDS_DUPLICATES, needs } from "../support/needs.ts";

const ONE_BYTE = new Uint8Array([42]);

describe("readable and writable", () => {
  expectNothingLeftBehind();

  test("wait until there is something to read, and leave it unread", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    const running = own.run(() => readable(pipe.readEnd));
    await own.untilParked();
    writeTo(pipe.writeEnd, ONE_BYTE);
    expect(await running).toBe(Readiness.READABLE);
    expect(readUntilEmptyOfPipe(pipe)).toBe(1);
  });

  test("end at once again while bytes are left, and wait when none are", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    writeTo(pipe.writeEnd, new Uint8Array(3));
    await own.run(function* main() {
      for (let left = 3; left > 0; left--) {
        expect(yield* readable(pipe.readEnd)).toBe(Readiness.READABLE);
        expect(yield* readable(pipe.readEnd)).toBe(Readiness.READABLE);
        readFrom(pipe.readEnd, new Uint8Array(1));
      }
      const waiter = yield* spawn(() => readable(pipe.readEnd));
      yield* onePoll();
      expect(waiter.state).toBe("suspended");
      writeTo(pipe.writeEnd, ONE_BYTE);
      yield* join(waiter);
    });
  });

  test("wait for room in a full pipe", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    expect(await own.run(() => writable(pipe.writeEnd))).toBe(Readiness.WRITABLE);
    expect(writeUntilFull(pipe.writeEnd)).toBeGreaterThan(0);
    await own.run(function* main() {
      const waiter = yield* spawn(() => writable(pipe.writeEnd));
      yield* onePoll();
      expect(waiter.state).toBe("suspended");
      readUntilEmptyOfPipe(pipe);
      expect(yield* join(waiter)).toBe(Readiness.WRITABLE);
    });
  });

  testUnless(needs("anyDescriptor"))("work on an eventfd in both directions", async () => {
    using counter = new EventCounter();
    await using own = new TestReactor();
    await own.run(function* main() {
      expect(yield* writable(counter.descriptor)).toBe(Readiness.WRITABLE);
      counter.fill();
      const writer = yield* spawn(() => writable(counter.descriptor));
      expect(yield* readable(counter.descriptor)).toBe(Readiness.READABLE);
      yield* onePoll();
      expect(writer.state).toBe("suspended");
      counter.take();
      expect(yield* join(writer)).toBe(Readiness.WRITABLE);
    });
  });

  test("tell that the other side has gone", async () => {
    using pipe = new Pipe();
    using reverse = new Pipe();
    await using own = new TestReactor();
    await own.run(function* main() {
      const reader = yield* spawn(() => readable(pipe.readEnd));
      writeUntilFull(reverse.writeEnd);
      const writer = yield* spawn(() => writable(reverse.writeEnd));
      yield* onePoll();
      expect([reader.state, writer.state]).toEqual(["suspended", "suspended"]);
      pipe.close(pipe.writeEnd);
      reverse.close(reverse.readEnd);
      expect((yield* join(reader)) & Readiness.READ_CLOSED).toBe(Readiness.READ_CLOSED);
      expect((yield* join(writer)) & Readiness.FAILED).toBe(Readiness.FAILED);
    });
  });

  test.each(["reader", "writer"] as const)(
    "serve one reader and one writer of one number: the %s first",
    async (first) => {
      using pair = new SocketPair();
      await using own = new TestReactor();
      writeUntilFull(pair.left);
      await own.run(function* main() {
        const tasks = {
          reader: yield* spawn(() => readable(pair.left)),
          writer: yield* spawn(() => writable(pair.left)),
        };
        const makeReady = {
          reader: (): void => void writeTo(pair.right, ONE_BYTE),
          writer: (): void => void readUntilEmpty(pair.right),
        };
        const second = first === "reader" ? "writer" : "reader";
        yield* onePoll();
        makeReady[first]();
        yield* join(tasks[first]);
        yield* onePoll();
        expect(tasks[second].state).toBe("suspended");
        makeReady[second]();
        yield* join(tasks[second]);
      });
      expect(own.reactor.registrator().size).toBe(0);
    },
  );

  test("wake a reader and a writer that become ready in one moment", async () => {
    using pair = new SocketPair();
    await using own = new TestReactor();
    writeUntilFull(pair.left);
    await own.run(function* main() {
      const reader = yield* spawn(() => readable(pair.left));
      const writer = yield* spawn(() => writable(pair.left));
      yield* onePoll();
      readUntilEmpty(pair.right);
      writeTo(pair.right, ONE_BYTE);
      expect((yield* join(reader)) & Readiness.READABLE).toBe(Readiness.READABLE);
      expect((yield* join(writer)) & Readiness.WRITABLE).toBe(Readiness.WRITABLE);
    });
  });

  test("refuse a second reader of a number, with the name of the first", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    const message = await own.run(function* main() {
      const first = yield* spawn(() => readable(pipe.readEnd), { name: "tail" });
      yield* yieldNow();
      try {
        yield* readable(pipe.readEnd);
      } catch (error) {
        expect(error).toBeInstanceOf(BusyError);
        expect(first.state).toBe("suspended");
        first.cancel();
        return (error as Error).message;
      }
      return "it was not refused";
    });
    expect(message).toContain(`descriptor ${(message.match(/\d+/) ?? [""])[0]} is being read by task tail (#2)`);
  });

  test("say what they wait for", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    const words = await own.run(function* main() {
      const reader = yield* spawn(() => readable(pipe.readEnd));
      yield* yieldNow();
      const { waitsFor } = reader;
      reader.cancel();
      return waitsFor;
    });
    expect(words).toBe(`descriptor ${pipe.readEnd} to be readable`);
  });

  testUnless(needs("anyDescriptor"))(
    "throw EBADF for a closed descriptor and EPERM for a regular file, into the task, which may go on",
    async () => {
      await using own = new TestReactor();
      const file = openSync(import.meta.path, "r");
      const codes = await own.run(function* main() {
        const seen: string[] = [];
        for (const wait of [() => readable(NO_DESCRIPTOR), () => writable(NO_DESCRIPTOR), () => readable(file)]) {
          try {
            yield* wait();
          } catch (error) {
            expect(error).toBeInstanceOf(SystemError);
            seen.push((error as SystemError).code);
          }
        }
        return seen;
      });
      closeSync(file);
      expect(codes).toEqual(["EBADF", "EBADF", "EPERM"]);
      expect(own.reactor.registrator().size).toBe(0);
    },
  );

  test.each([-1, 1.5, Number.NaN, 2 ** 31, "3", undefined, null])("refuse %p, which is no descriptor", (value) => {
    expect(thrownBy(() => readable(value as number), RangeError).message).toStartWith("readable: descriptor must be");
    expect(thrownBy(() => writable(value as number), RangeError).message).toStartWith("writable: descriptor must be");
  });

  testUnless(NEEDS_DUPLICATES)("remember nothing of a number that is closed and used again", async () => {
    using counter = new EventCounter(1);
    using other = new EventCounter(0);
    await using own = new TestReactor();
    await own.run(function* main() {
      yield* readable(counter.descriptor);
      duplicateTo(other.descriptor, counter.descriptor);
      const waiter = yield* spawn(() => readable(counter.descriptor));
      yield* onePoll();
      expect(waiter.state).toBe("suspended");
      other.signal();
      expect(yield* join(waiter)).toBe(Readiness.READABLE);
    });
  });

  testUnless(NEEDS_DUPLICATES)(
    "take up a number that was used again while a task waited for it, and tell that task, as soon as another waits",
    async () => {
      using counter = new EventCounter(0);
      using other = new EventCounter(0);
      await using own = new TestReactor();
      await own.run(function* main() {
        const reader = yield* spawn(() => errorOf(readable(counter.descriptor)));
        yield* onePoll();
        duplicateTo(other.descriptor, counter.descriptor);
        expect(reader.state).toBe("suspended");
        expect(yield* writable(counter.descriptor)).toBe(Readiness.WRITABLE);
        const error = yield* join(reader);
        expect(error).toBeInstanceOf(ClosedError);
        expect(error.message).toBe(
          `descriptor ${counter.descriptor} was closed by its owner while a task waited for it`,
        );
      });
      expect(own.reactor.registrator().size).toBe(0);
    },
  );

  testUnless(NEEDS_DUPLICATES)(
    "let go of a number that was used again and registered by its new owner, who keeps it",
    async () => {
      using counter = new EventCounter(0);
      using other = new EventCounter(0);
      await using own = new TestReactor();
      await own.run(function* main() {
        const waiter = yield* spawn(function* waiter() {
          try {
            return yield* readable(counter.descriptor);
          } catch (error) {
            return error;
          }
        });
        yield* onePoll();
        duplicateTo(other.descriptor, counter.descriptor);
        const registered = own.reactor.registrator().register(counter.descriptor, Interest.READABLE);
        expect(yield* join(waiter)).toBeInstanceOf(ClosedError);
        other.signal();
        expect(yield* ready(registered, Interest.READABLE)).toBe(Readiness.READABLE);
      });
    },
  );

  describe.each([
    ["let the reader be cancelled", "cancel"],
    ["survive an event that had been fetched before", "deliver"],
  ] as const)("%s", (_, act) => {
    test("though the descriptor was closed by its owner while a writer waits as well", async () => {
      using pair = new SocketPair();
      writeUntilFull(pair.left);
      const outcome = Promise.withResolvers<unknown>();
      await using own = new TestReactor();
      const running = own.run(function* main() {
        const reader = yield* spawn(() => readable(pair.left));
        const writer = yield* spawn(() => errorOf(writable(pair.left)));
        yield* onePoll();
        if (act === "deliver") writeTo(pair.right, ONE_BYTE);
        own.reactor.fetch(0);
        pair.close(pair.left);
        outcome.resolve(thrownOrNull(() => (act === "cancel" ? reader.cancel() : own.reactor.poll(0))));
        expect(yield* join(writer)).toBeInstanceOf(ClosedError);
      });
      expect(await outcome.promise).toBeNull();
      await running;
      expect(own.reactor.registrator().size).toBe(0);
    });
  });

  test("let go of the descriptor when they are cancelled", async () => {
    using pipe = new Pipe();
    await using own = new TestReactor();
    await own.run(function* main() {
      const waiter = yield* spawn(() => readable(pipe.readEnd));
      yield* yieldNow();
      expect(own.reactor.registrator().size).toBe(1);
      yield* cancel(waiter);
      expect(own.reactor.registrator().size).toBe(0);
    });
  });

  test("work in blockOn", () => {
    using pipe = new Pipe();
    const bytes = blockOn(function* main() {
      const reader = yield* spawn(function* reader() {
        yield* readable(pipe.readEnd);
        const buffer = new Uint8Array(8);
        return buffer.subarray(0, readFrom(pipe.readEnd, buffer));
      });
      yield* yieldNow();
      yield* writable(pipe.writeEnd);
      writeTo(pipe.writeEnd, ONE_BYTE);
      return yield* join(reader);
    });
    expect(bytes).toEqual(ONE_BYTE);
  });

  test("report the error of a wait in the run of the task that waits, with its stack", async () => {
    await using own = new TestReactor();
    const error = await rejectionOf(
      own.run(() => readable(NO_DESCRIPTOR)),
      SystemError,
    );
    expect(error).toMatchObject({ code: "EBADF", syscall: "readable" });
    expect(error.errno).toBeLessThan(0);
  });
});

/** What a function throws, or null. */
function thrownOrNull(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return null;
}

/** A pipe whose writer is open never ends, so what is read until it would block is all. */
function readUntilEmptyOfPipe(pipe: Pipe): number {
  return readUntilEmpty(pipe.readEnd);
}
