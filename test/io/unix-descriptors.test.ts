/** Descriptors that are passed over unix sockets, streams and datagrams: who owns them, and that none is lost. */

import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, readFileSync } from "node:fs";
import {
  BufferedReader,
  fdStream,
  join,
  type Operation,
  openPipe,
  type ReceivedDescriptors,
  type ReceivedMessage,
  spawn,
  SystemError,
  unixDatagramPair,
  unixPair,
  type UnixStream,
} from "../../src/index.ts";
import { runScript } from "../support/child.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";
import { errorOf, openReactor, patternOf, WAYS } from "../support/loopback.ts";
import { isCloseOnExec } from "../support/unix.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_EXACT_DESCRIPTORS, needs } from "../support/needs.ts";

/** The two ends of a way to pass descriptors, whatever it is. */
interface Passage extends Disposable {
  send(data: string, descriptors: readonly number[]): Operation<void>;
  receive(buffer: Uint8Array, options: { readonly mostDescriptors: number }): Operation<ReceivedMessage>;
}

const PASSAGES: readonly (readonly [string, () => Operation<Passage>])[] = [
  ["a stream", overStream],
  ["datagrams", overDatagrams],
];

const ONE = { mostDescriptors: 1 };

beforeAll(openReactor);

describeUnless(needs("descriptorPassing")).each(WAYS)("in %s", (_name, way) => {
  describe.each(PASSAGES)("over %s", (_kind, open) => {
    expectNothingLeftBehind();

    test("a pipe's end comes as a number of its own, close-on-exec, and works", () =>
      way(function* main() {
        using passage = yield* open();
        using pipe = yield* openPipe();
        yield* passage.send("take this", [pipe.writer.descriptor]);
        const buffer = new Uint8Array(64);
        using message = yield* passage.receive(buffer, ONE);
        expect(textOf(buffer, message)).toBe("take this");
        expect(message.descriptors.count).toBe(1);
        expect(message.areDescriptorsTruncated).toBe(false);
        const descriptor = message.descriptors.take();
        expect(descriptor).not.toBe(pipe.writer.descriptor);
        expect(isCloseOnExec(descriptor)).toBe(true);
        // The sender's own can be closed: the open file lives on.
        pipe.writer.close();
        using passed = yield* fdStream(descriptor);
        yield* passed.write("through\n");
        expect(yield* pipe.reader.lines().next()).toEqual({ done: false, value: "through" });
        passed.close();
        expect(yield* pipe.reader.read(buffer)).toBe(0);
      }));

    test("several come in their order", () =>
      way(function* main() {
        using passage = yield* open();
        const counters = Array.from({ length: 20 }, (_, index) => new EventCounter(index + 1));
        yield* passage.send(
          "x",
          counters.map(({ descriptor }) => descriptor),
        );
        using message = yield* passage.receive(new Uint8Array(1), { mostDescriptors: 20 });
        for (const counter of counters) counter[Symbol.dispose]();
        expect(countsOf(message.descriptors)).toEqual(counters.map((_, index) => index + 1));
      }));

    test("one that was taken is not closed with the message, the others are", () =>
      way(function* main() {
        using passage = yield* open();
        using counter = new EventCounter(5);
        yield* passage.send("x", [counter.descriptor, counter.descriptor, counter.descriptor]);
        let taken: number;
        {
          using message = yield* passage.receive(new Uint8Array(1), { mostDescriptors: 3 });
          taken = message.descriptors.take(1);
          expect(() => message.descriptors.take(1)).toThrow("take: descriptor 1 was taken or closed already");
          expect(() => message.descriptors.take(3)).toThrow("take: there is no descriptor 3 of 3 that were passed");
          expect(() => message.descriptors.take(-1)).toThrow(RangeError);
        }
        using stream = yield* fdStream(taken);
        expect(yield* stream.read(new Uint8Array(8))).toBe(8);
      }));

    test("all can be taken at once, and after the end there is none to take", () =>
      way(function* main() {
        using passage = yield* open();
        using counter = new EventCounter(5);
        yield* passage.send("x", [counter.descriptor, counter.descriptor]);
        const message = yield* passage.receive(new Uint8Array(1), { mostDescriptors: 2 });
        const first = message.descriptors.take();
        const [second, ...none] = message.descriptors.takeAll();
        expect(none).toEqual([]);
        for (const descriptor of [first, second!]) (yield* fdStream(descriptor)).close();
        expect(message.descriptors.takeAll()).toEqual([]);
        message[Symbol.dispose]();
        message.descriptors.close();
        expect(() => message.descriptors.take()).toThrow(RangeError);
      }));

    testUnless(NEEDS_EXACT_DESCRIPTORS).each([0, 1, 4])(
      "more than room for %d: those come, that more came is told, and none is left",
      (room) =>
        way(function* main() {
          using passage = yield* open();
          using pipe = yield* openPipe();
          const { descriptor } = pipe.writer;
          yield* passage.send("x", [descriptor, descriptor, descriptor, descriptor, descriptor]);
          pipe.writer.close();
          {
            using message = yield* passage.receive(new Uint8Array(1), { mostDescriptors: room });
            expect(message.bytes).toBe(1);
            expect(message.descriptors.count).toBe(room);
            expect(message.areDescriptorsTruncated).toBe(true);
          }
          // The reader finds the end only if nobody has the writer any more.
          expect(yield* pipe.reader.read(new Uint8Array(1))).toBe(0);
        }),
    );

    test("as many as one message takes come, and one more is refused by name", () =>
      way(function* main() {
        using passage = yield* open();
        using counter = new EventCounter(1);
        const most = Array.from({ length: 253 }, () => counter.descriptor);
        yield* passage.send("x", most);
        {
          using message = yield* passage.receive(new Uint8Array(1), { mostDescriptors: 253 });
          expect(message.descriptors.count).toBe(253);
          expect(message.areDescriptorsTruncated).toBe(false);
        }
        const error = yield* errorOf(toOperation(() => passage.send("x", [...most, counter.descriptor])));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain(
          ": one message takes 253 descriptors at most (SCM_MAX_FD), but was given 254: send several",
        );
      }));

    test("one that is not open is an EBADF that says which, and nothing was sent", () =>
      way(function* main() {
        using passage = yield* open();
        using counter = new EventCounter(1);
        const closed = new EventCounter();
        closed[Symbol.dispose]();
        const list = [counter.descriptor, closed.descriptor];
        const error = yield* errorOf(passage.send("lost", list));
        expect(error).toBeInstanceOf(SystemError);
        expect(error).toMatchObject({ code: "EBADF", syscall: "sendmsg" });
        expect(error.message).toBe(
          `sendmsg EBADF: of the descriptors to pass, ${closed.descriptor} is not open: each stays its sender's to close, after it was sent`,
        );
        yield* passage.send("next", []);
        const buffer = new Uint8Array(64);
        using message = yield* passage.receive(buffer, ONE);
        expect(textOf(buffer, message)).toBe("next");
      }));

    test.each([
      ["7", TypeError, "descriptors must be an array of numbers"],
      [[-1], RangeError, "descriptor must be an integer from 0 to 2147483647, but is -1"],
      [["7"], RangeError, 'descriptor must be an integer from 0 to 2147483647, but is "7"'],
      [[NaN], RangeError, "descriptor must be an integer"],
      [null, TypeError, "descriptors must be an array of numbers, but is null"],
    ])("a list %p is refused", (list, errorClass, message) =>
      way(function* main() {
        using passage = yield* open();
        const error = yield* errorOf(toOperation(() => passage.send("x", list as unknown as number[])));
        expect(error).toBeInstanceOf(errorClass as unknown as new () => Error);
        expect(error.message).toContain(message);
      }),
    );

    test.each([-1, 254, 1.5, "1", undefined, null])("room for %p descriptors is refused", (mostDescriptors) =>
      way(function* main() {
        using passage = yield* open();
        if (mostDescriptors === undefined && _kind === "datagrams") return;
        const options = { mostDescriptors: mostDescriptors as number };
        const error = yield* errorOf(toOperation(() => passage.receive(new Uint8Array(1), options)));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain("mostDescriptors must be an integer from 0 to 253");
      }),
    );

    test("an empty buffer and what is no buffer are refused", () =>
      way(function* main() {
        using passage = yield* open();
        const empty = yield* errorOf(toOperation(() => passage.receive(new Uint8Array(0), ONE)));
        expect(empty).toBeInstanceOf(RangeError);
        const wrong = yield* errorOf(toOperation(() => passage.receive("x" as unknown as Uint8Array, ONE)));
        expect(wrong).toBeInstanceOf(TypeError);
      }));

    test("what was received as the other end is closed is closed with the message", () =>
      way(function* main() {
        using passage = yield* open();
        using counter = new EventCounter(1);
        yield* passage.send("x", [counter.descriptor]);
        const error = yield* errorOf(
          toOperation(function* fail() {
            using _message = yield* passage.receive(new Uint8Array(1), ONE);
            throw new Error("on the way");
          }),
        );
        expect(error.message).toBe("on the way");
      }));

    test("what was sent and never received is closed with the sockets", () =>
      way(function* main() {
        using pipe = yield* openPipe();
        {
          using passage = yield* open();
          yield* passage.send("x", [pipe.writer.descriptor]);
          pipe.writer.close();
        }
        expect(yield* pipe.reader.read(new Uint8Array(1))).toBe(0);
      }));
  });

  describe("over a stream", () => {
    expectNothingLeftBehind();

    test("descriptors need a byte to come with, and a list may be empty", () =>
      way(function* main() {
        using pair = yield* unixPair();
        using counter = new EventCounter();
        expect(() => pair.left.sendDescriptors("", [counter.descriptor])).toThrow(
          "sendDescriptors: data is empty, and a stream passes descriptors with a byte at least",
        );
        expect(() => pair.left.sendDescriptors(7 as unknown as string, [])).toThrow(TypeError);
        yield* pair.left.sendDescriptors("", []);
        yield* pair.left.sendDescriptors("plain", []);
        const buffer = new Uint8Array(64);
        using message = yield* pair.right.receiveDescriptors(buffer, ONE);
        expect(textOf(buffer, message)).toBe("plain");
        expect(message.descriptors.count).toBe(0);
      }));

    test("they come with the first byte of what they were sent with, which may be much", () =>
      way(function* main() {
        using pair = yield* unixPair();
        using counter = new EventCounter(3);
        const sent = patternOf(1_000_000);
        const sending = yield* spawn(() => pair.left.sendDescriptors(sent, [counter.descriptor]));
        const received = new Uint8Array(sent.byteLength);
        let bytes = 0;
        const counts: number[] = [];
        while (bytes < sent.byteLength) {
          using message = yield* pair.right.receiveDescriptors(received.subarray(bytes), ONE);
          if (bytes === 0) counts.push(...countsOf(message.descriptors));
          else expect(message.descriptors.count).toBe(0);
          bytes += message.bytes;
        }
        yield* join(sending);
        expect(counts).toEqual([3]);
        expect(Buffer.compare(received, sent)).toBe(0);
      }));

    test("a message with descriptors ends what one receive brings, and each has its own", () =>
      way(function* main() {
        using pair = yield* unixPair();
        for (let index = 1; index <= 5; index++) {
          using counter = new EventCounter(index);
          yield* pair.left.write(`before ${index};`);
          yield* pair.left.sendDescriptors(`with ${index};`, [counter.descriptor]);
        }
        yield* pair.left.shutdown();
        const buffer = new Uint8Array(1024);
        for (let index = 1; index <= 5; index++) {
          using message = yield* pair.right.receiveDescriptors(buffer, { mostDescriptors: 5 });
          expect(textOf(buffer, message)).toBe(`before ${index};with ${index};`);
          expect(countsOf(message.descriptors)).toEqual([index]);
        }
        using end = yield* pair.right.receiveDescriptors(buffer, ONE);
        expect([end.bytes, end.descriptors.count, end.areDescriptorsTruncated]).toEqual([0, 0, false]);
        using again = yield* pair.right.receiveDescriptors(buffer, ONE);
        expect(again.bytes).toBe(0);
      }));

    test("a plain read loses the descriptors, all of them, and none of the bytes", () =>
      way(function* main() {
        using pair = yield* unixPair();
        using pipe = yield* openPipe();
        for (let index = 0; index < 5; index++)
          yield* pair.left.sendDescriptors(`${index}\n`, [pipe.writer.descriptor, pipe.writer.descriptor]);
        yield* pair.left.write("end\n");
        pipe.writer.close();
        // A read ends behind each message that has some; the stream is not empty then.
        const buffer = new Uint8Array(64);
        for (const wanted of ["0\n", "1\n"])
          expect(new TextDecoder().decode(buffer.subarray(0, yield* pair.right.read(buffer)))).toBe(wanted);
        for (const value of ["2", "3", "4", "end"])
          expect(yield* pair.right.lines().next()).toEqual({ done: false, value });
        expect(yield* pipe.reader.read(buffer)).toBe(0);
      }));

    test("what was read ahead comes first, without any", () =>
      way(function* main() {
        using pair = yield* unixPair();
        using counter = new EventCounter(9);
        yield* pair.left.write("line\nrest");
        expect(new TextDecoder().decode((yield* pair.right.readUntil("\n"))!)).toBe("line");
        yield* pair.left.sendDescriptors("!", [counter.descriptor]);
        const buffer = new Uint8Array(64);
        for (const [text, counts] of [
          ["re", []],
          ["st", []],
          ["!", [9]],
        ] as const) {
          using message = yield* pair.right.receiveDescriptors(buffer.subarray(0, 2), ONE);
          expect(textOf(buffer, message)).toBe(text);
          expect(countsOf(message.descriptors)).toEqual([...counts]);
        }
      }));

    test("a protocol reads through a BufferedReader, and keeps what comes", () =>
      way(function* main() {
        using pair = yield* unixPair();
        const sending = yield* spawn(function* send() {
          for (let index = 1; index <= 50; index++) {
            using counter = new EventCounter(index);
            yield* pair.left.sendDescriptors(`${"x".repeat(index * 40)} ${index}\n`, [counter.descriptor]);
          }
        });
        const descriptors: number[] = [];
        const reader = new BufferedReader(collecting(pair.right, descriptors));
        const lines = reader.lines();
        for (let index = 1; index <= 50; index++) {
          expect((yield* lines.next()).value).toBe(`${"x".repeat(index * 40)} ${index}`);
          expect(countOf(descriptors.shift()!)).toBe(index);
        }
        yield* join(sending);
      }));

    test("both ways at once", () =>
      way(function* main() {
        using pair = yield* unixPair();
        const tasks = [];
        for (const [from, to] of [
          [pair.left, pair.right],
          [pair.right, pair.left],
        ] as const) {
          tasks.push(
            yield* spawn(function* send() {
              for (let index = 0; index < 200; index++) {
                using counter = new EventCounter(index + 1);
                yield* from.sendDescriptors("message", [counter.descriptor]);
              }
            }),
            yield* spawn(function* receive() {
              for (let index = 0; index < 200; index++) {
                using message = yield* to.receiveDescriptors(new Uint8Array(64), ONE);
                expect(message.bytes).toBe(7);
                expect(countsOf(message.descriptors)).toEqual([index + 1]);
              }
            }),
          );
        }
        for (const task of tasks) yield* join(task);
      }));
  });
});

testUnless(needs("descriptorPassing"))(
  "what is lost before anybody could dispose of it is closed as garbage, and that is told",
  async () => {
    const { stderr, exitCode } = await runScript(`
    import { readdirSync } from "node:fs";
    import { race, run, sleep, unixPair } from "./src/index.ts";
    const count = () => readdirSync("/proc/self/fd").length;
    await run(function* main() {
      using pair = yield* unixPair();
      yield* sleep(1);
      const before = count();
      for (let index = 0; index < 50; index++) {
        yield* pair.left.sendDescriptors("x", [0, 0]);
        // The message is the value of the race, which nobody looks at.
        yield* race([() => pair.right.receiveDescriptors(new Uint8Array(1), { mostDescriptors: 2 }), sleep(1_000)]);
      }
      // Of the hundred, some may be closed by now; and garbage that the stack seems to point to still may stay.
      while (count() - before > 80) {
        Bun.gc(true);
        yield* sleep(1);
      }
    });
  `);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      "descriptors were received over a unix socket, and neither taken nor closed (2): receive them with using, in the task that takes them",
    );
  },
);

testUnless(needs("descriptorPassing"))(
  "more descriptors on their way than a process may have are refused with words",
  async () => {
    // root may have any number on their way (the kernel's too_many_unix_fds), so it goes without its capabilities.
    const powerless = process.getuid!() === 0 ? ["setpriv", "--bounding-set=-all"] : [];
    const { stdout } = await runScript(
      `
    import { openUnixDatagram, run, unixPair, unixDatagramPair } from "./src/index.ts";
    await run(function* main() {
      using streams = yield* unixPair();
      using datagrams = yield* unixDatagramPair();
      const descriptors = Array.from({ length: 60 }, () => 1);
      for (let index = 0; index < 2; index++) yield* streams.left.sendDescriptors("x", descriptors);
      for (const send of [
        () => streams.left.sendDescriptors("x", descriptors),
        () => datagrams.left.send("x", { descriptors }),
      ]) {
        try {
          yield* send();
        } catch (error) {
          console.log(error.code, error.message);
        }
      }
      using message = yield* streams.right.receiveDescriptors(new Uint8Array(1), { mostDescriptors: 0 });
      yield* datagrams.left.send("x", { descriptors });
      console.log("sent");
    });
  `,
      { command: [...powerless, "sh", "-c", 'ulimit -n 100 && exec "$0" "$@"', process.execPath] },
    );
    const message =
      "ETOOMANYREFS sendmsg ETOOMANYREFS: more descriptors are on their way to receivers than this process may have open (RLIMIT_NOFILE): wait until some have been received";
    expect(stdout.trimEnd().split("\n")).toEqual([message, message, "sent"]);
  },
);

testUnless(needs("descriptorPassing"))(
  "a process that may have no more descriptors gets the bytes, and is told that some are lost",
  async () => {
    const { stdout, exitCode } = await runScript(
      `
    import { readdirSync } from "node:fs";
    import { run, unixPair, fdStream } from "./src/index.ts";
    await run(function* main() {
      using pair = yield* unixPair();
      const before = readdirSync("/proc/self/fd").length;
      yield* pair.left.sendDescriptors("bytes", Array.from({ length: 200 }, () => 1));
      {
        using message = yield* pair.right.receiveDescriptors(new Uint8Array(8), { mostDescriptors: 200 });
        console.log(message.bytes, message.areDescriptorsTruncated, message.descriptors.count < 200);
      }
      console.log(readdirSync("/proc/self/fd").length - before);
    });
  `,
      { command: ["sh", "-c", 'ulimit -n 100 && exec "$0" "$@"', process.execPath] },
    );
    expect({ exitCode, lines: stdout.trimEnd().split("\n") }).toEqual({ exitCode: 0, lines: ["5 true true", "0"] });
  },
);

function* overStream(): Operation<Passage> {
  const pair = yield* unixPair();
  return {
    send: (data, descriptors) => pair.left.sendDescriptors(data, descriptors),
    receive: (buffer, options) => pair.right.receiveDescriptors(buffer, options),
    [Symbol.dispose]: () => pair[Symbol.dispose](),
  };
}

function* overDatagrams(): Operation<Passage> {
  const pair = yield* unixDatagramPair();
  return {
    send: (data, descriptors) => pair.left.send(data, { descriptors }),
    receive: (buffer, options) => pair.right.receive(buffer, options),
    [Symbol.dispose]: () => pair[Symbol.dispose](),
  };
}

/** What a user would write: a reader that keeps the descriptors that come along. */
function collecting(stream: UnixStream, descriptors: number[]): ConstructorParameters<typeof BufferedReader>[0] {
  return {
    label: stream.label,
    *read(buffer) {
      using message = yield* stream.receiveDescriptors(buffer, { mostDescriptors: 1 });
      descriptors.push(...message.descriptors.takeAll());
      return message.bytes;
    },
  };
}

function textOf(buffer: Uint8Array, { bytes }: ReceivedMessage): string {
  return new TextDecoder().decode(buffer.subarray(0, bytes));
}

/** The counts of event counters that were passed, which are closed. */
function countsOf(descriptors: ReceivedDescriptors): number[] {
  return descriptors.takeAll().map(countOf);
}

function countOf(descriptor: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8");
  closeSync(descriptor);
  return Number.parseInt(/^eventfd-count:\s*([0-9a-f]+)$/m.exec(info)![1]!, 16);
}

/** An operation of what may throw before there is one. */
function* toOperation<T>(body: () => Operation<T>): Operation<T> {
  return yield* body();
}
