/** `readable`, `writable`, `ready`, `source` and `notifyClosing`, for each kind of descriptor. */

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync } from "node:fs";
import {
  blockOn,
  BusyError,
  cancel,
  ClosedError,
  Interest,
  join,
  notifyClosing,
  type Operation,
  readable,
  Readiness,
  ready,
  run,
  source,
  spawn,
  SystemError,
  timeout,
  writable,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { type Kind, KINDS, PtyPair, sendUrgently, SignalKind } from "../support/kinds.ts";
import {
  duplicateTo,
  EventCounter,
  Pipe,
  readUntilEmpty,
  SocketPair,
  writeUntilFull,
  writeTo,
} from "../support/libc.ts";
import { connectToSelf, errorOf, onePoll, openReactor, WAYS } from "../support/loopback.ts";
import { TestReactor } from "../support/reactors.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_DUPLICATES, needs } from "../support/needs.ts";

beforeAll(openReactor);

describe.each(WAYS)("in %s", (_way, way) => {
  expectNothingLeftBehind();

  describe.each(KINDS)("%s", (_kind, open) => {
    test("is readable once there is something, again while it is left unread, and not after that", () =>
      way(() => waitsForEach(open)));

    test("keeps its registration as a source, with the same answers", () => way(() => waitsForEach(open, true)));
  });
});

describeUnless(needs("anyDescriptor"))("a signalfd", () => {
  expectNothingLeftBehind();

  test("is readable in blockOn", () => blockOn(() => waitsForEach(() => new SignalKind())));
});

describe("an input device (evdev)", () => {
  const devices = inputDevices();

  testUnless(devices.length === 0 ? "this machine has no /dev/input/event*" : null)("can be waited for", () =>
    run(function* main() {
      const descriptor = openSync(devices[0]!, "r");
      try {
        // Nobody presses a key now; that the wait is accepted is all that there is to see.
        const waiting = yield* spawn(() => readable(descriptor));
        yield* onePoll();
        yield* cancel(waiting);
      } finally {
        closeSync(descriptor);
      }
    }),
  );
});

describe("ready", () => {
  expectNothingLeftBehind();

  test("tells which of several interests came first, and takes both directions while it waits", () =>
    run(function* main() {
      using pair = new SocketPair();
      const both = Interest.READABLE | Interest.WRITABLE;
      expect(yield* ready(pair.left, both)).toBe(Readiness.WRITABLE);
      writeUntilFull(pair.left);
      const waiting = yield* spawn(() => ready(pair.left, both), { name: "both ways" });
      yield* onePoll();
      expect(waiting.state).toBe("suspended");
      for (const wait of [readable, writable]) {
        const error = yield* errorOf(wait(pair.left));
        expect(error).toBeInstanceOf(BusyError);
        expect(error.message).toContain("both ways");
      }
      writeTo(pair.right, "x");
      expect(yield* join(waiting)).toBe(Readiness.READABLE);
      readUntilEmpty(pair.right);
      expect(yield* ready(pair.left, both)).toBe(both);
    }));

  testUnless(NEEDS_DUPLICATES)("tells out-of-band data as PRIORITY, to whoever waits for that and to nobody else", () =>
    run(function* main() {
      const { client, server } = yield* connectToSelf();
      using _client = client;
      using _server = server;
      // Another number of the connection, to see that the bytes have come while the task waits for more than bytes.
      using duplicate = new EventCounter();
      duplicateTo(server.descriptor, duplicate.descriptor);
      const urgent = yield* spawn(() => ready(server.descriptor, Interest.PRIORITY));
      yield* client.write("ordinary");
      yield* readable(duplicate.descriptor);
      yield* onePoll();
      expect(urgent.state).toBe("suspended");
      sendUrgently(client.descriptor, 33);
      const readiness = yield* join(urgent);
      expect(readiness & Readiness.PRIORITY).toBe(Readiness.PRIORITY);
    }),
  );

  testUnless(needs("anyDescriptor"))("tells a hang-up and an error, whatever is waited for", () =>
    run(function* main() {
      using pty = new PtyPair();
      pty.close(pty.line);
      const hungUp = yield* ready(pty.master, Interest.PRIORITY);
      expect(hungUp & Readiness.HUNG_UP).toBe(Readiness.HUNG_UP);
      using pipe = new Pipe();
      pipe.close(pipe.readEnd);
      expect((yield* ready(pipe.writeEnd, Interest.WRITABLE)) & Readiness.FAILED).toBe(Readiness.FAILED);
    }),
  );

  test.each([0, 8, -1, 1.5, "READABLE", undefined])("refuses %p, which is no interest", (interest) => {
    expect(thrownBy(() => ready(0, interest as number), RangeError).message).toStartWith("ready: interest must be");
  });

  test("can be given a time, and leaves nothing when that is up", async () => {
    await using own = new TestReactor();
    using pipe = new Pipe();
    const error = await own.run(() => errorOf(timeout(1, () => readable(pipe.readEnd))));
    expect(error.name).toBe("TimeoutError");
    expect(own.reactor.registrator().size).toBe(0);
  });
});

describeUnless(needs("anyDescriptor"))("what is always ready", () => {
  expectNothingLeftBehind();

  test("is refused: a regular file, with what to use instead", () =>
    run(function* main() {
      const descriptor = openSync(import.meta.path, "r");
      try {
        const error = yield* errorOf(readable(descriptor));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "EPERM", syscall: "readable" });
        expect(error.message).toBe(
          `readable EPERM: descriptor ${descriptor} is a regular file, which is always ready, so there is nothing to wait ` +
            "for: read or write it at once (fs.readSync, Bun.file, fdStream), or wait for changes of it with watch()",
        );
      } finally {
        closeSync(descriptor);
      }
    }));

  test("is refused: a directory, with what to use instead", () =>
    run(function* main() {
      using folder = temporaryFolder();
      const descriptor = openSync(folder.name, "r");
      try {
        for (const wait of [readable, writable, (fd: number) => ready(fd, Interest.PRIORITY)]) {
          const error = yield* errorOf(wait(descriptor));
          expect(error).toMatchObject({ code: "EPERM" });
          expect(error.message).toContain("is a directory, which is always ready");
          expect(error.message).toContain("watch()");
        }
      } finally {
        closeSync(descriptor);
      }
    }));

  test("is refused: /dev/null", () =>
    run(function* main() {
      const descriptor = openSync("/dev/null", "r");
      try {
        expect((yield* errorOf(readable(descriptor))).message).toContain(
          "is a character device, which is always ready",
        );
      } finally {
        closeSync(descriptor);
      }
    }));
});

describe("source", () => {
  expectNothingLeftBehind();

  test("keeps one registration from its first wait until it is disposed of", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter(1);
    const registrator = own.reactor.registrator();
    await own.run(function* main() {
      {
        using kept = yield* source(counter.descriptor);
        expect(registrator.size).toBe(0);
        for (let round = 0; round < 3; round++) {
          expect(yield* kept.readable()).toBe(Readiness.READABLE);
          expect(registrator.size).toBe(1);
        }
        const waiting = yield* spawn(() => kept.ready(Interest.READABLE | Interest.WRITABLE));
        yield* cancel(waiting);
        expect(registrator.size).toBe(1);
      }
      expect(registrator.size).toBe(0);
    });
  });

  test("answers a wait with what is ready now, and not with what was fetched for one that was cancelled", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter();
    await own.run(function* main() {
      using kept = yield* source(counter.descriptor);
      const first = yield* spawn(() => kept.readable());
      yield* onePoll();
      counter.signal();
      own.reactor.fetch(0);
      first.cancel();
      counter.take();
      const second = yield* spawn(() => kept.readable());
      yield* onePoll();
      expect(second.state).toBe("suspended");
      counter.signal();
      expect(yield* join(second)).toBe(Readiness.READABLE);
    });
  });

  test("that is closed ends its own waits, and those by the number go on", async () => {
    await using own = new TestReactor();
    using pair = new SocketPair();
    await own.run(function* main() {
      writeUntilFull(pair.left);
      const kept = yield* source(pair.left);
      const other = yield* source(pair.left);
      const byNumber = yield* spawn(() => readable(pair.left));
      const bySource = yield* spawn(() => errorOf(kept.writable()));
      yield* onePoll();
      kept.close();
      kept.close();
      const error = yield* join(bySource);
      expect(error).toBeInstanceOf(ClosedError);
      expect(error.message).toBe(`the source of descriptor ${pair.left} was closed while a task waited for it`);
      expect(byNumber.state).toBe("suspended");
      expect(yield* errorOf(kept.readable())).toBeInstanceOf(ClosedError);
      const writing = yield* spawn(() => other.writable());
      readUntilEmpty(pair.right);
      expect(yield* join(writing)).toBe(Readiness.WRITABLE);
      other.close();
      writeTo(pair.right, "x");
      expect((yield* join(byNumber)) & Readiness.READABLE).toBe(Readiness.READABLE);
    });
    expect(own.reactor.registrator().size).toBe(0);
  });

  test("that is closed while one task waits through it for both directions ends that wait once", () =>
    run(function* main() {
      using pair = new SocketPair();
      writeUntilFull(pair.left);
      const kept = yield* source(pair.left);
      const waiting = yield* spawn(() => errorOf(kept.ready(Interest.READABLE | Interest.WRITABLE)));
      yield* onePoll();
      kept.close();
      expect(yield* join(waiting)).toBeInstanceOf(ClosedError);
      expect(yield* readableAfter(pair.left, pair.right)).toBe(Readiness.READABLE);
    }));

  test("shares its places with waits by the number", () =>
    run(function* main() {
      using pipe = new Pipe();
      using kept = yield* source(pipe.readEnd);
      const waiting = yield* spawn(() => readable(pipe.readEnd), { name: "by number" });
      yield* yieldNow();
      const error = yield* errorOf(kept.readable());
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain("by number");
      yield* cancel(waiting);
    }));

  testUnless(NEEDS_DUPLICATES)(
    "waits for what the number is now, if it was closed and opened again between the waits",
    () =>
      run(function* main() {
        using counter = new EventCounter(1);
        using other = new EventCounter();
        using kept = yield* source(counter.descriptor);
        yield* kept.readable();
        duplicateTo(other.descriptor, counter.descriptor);
        const waiting = yield* spawn(() => kept.readable());
        yield* onePoll();
        expect(waiting.state).toBe("suspended");
        other.signal();
        expect(yield* join(waiting)).toBe(Readiness.READABLE);
      }),
  );

  test("that is closed after its descriptor leaves nothing", async () => {
    await using own = new TestReactor();
    using counter = new EventCounter(1);
    await own.run(function* main() {
      using kept = yield* source(counter.descriptor);
      yield* kept.readable();
      counter.close(counter.descriptor);
      expect(yield* errorOf(kept.readable())).toMatchObject({ code: "EBADF" });
    });
    expect(own.reactor.registrator().size).toBe(0);
  });

  test.each([-1, 0.5, "7"])("refuses %p", (value) => {
    expect(thrownBy(() => source(value as number), RangeError).message).toStartWith("source: descriptor must be");
    expect(thrownBy(() => notifyClosing(value as number), RangeError).message).toStartWith("notifyClosing: descriptor");
  });
});

function* waitsForEach(open: () => Kind, isKept = false): Operation<void> {
  using kind = open();
  using kept = yield* source(kind.descriptor);
  const wait = isKept ? () => kept.readable() : () => readable(kind.descriptor);
  for (let round = 0; round < (kind.consume === undefined ? 1 : 2); round++) {
    const waiting = yield* spawn(wait);
    yield* onePoll();
    expect(waiting.state).toBe("suspended");
    kind.makeReady();
    expect((yield* join(waiting)) & Readiness.READABLE).toBe(Readiness.READABLE);
    expect((yield* wait()) & Readiness.READABLE).toBe(Readiness.READABLE);
    expect((yield* ready(kind.descriptor, Interest.READABLE | Interest.PRIORITY)) & Readiness.READABLE).toBe(
      Readiness.READABLE,
    );
    kind.consume?.();
  }
}

function* readableAfter(descriptor: number, peer: number): Operation<Readiness> {
  const waiting = yield* spawn(() => readable(descriptor));
  yield* onePoll();
  writeTo(peer, "x");
  return yield* join(waiting);
}

function inputDevices(): string[] {
  try {
    return readdirSync("/dev/input")
      .filter((name) => name.startsWith("event"))
      .map((name) => `/dev/input/${name}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
