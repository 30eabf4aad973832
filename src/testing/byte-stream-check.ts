/**
 * What every stream of bytes must do, as a suite to run against any kind: the package's own, and yours.
 *
 *     test("my stream is a byte stream", () => run(() => checkByteStream(openMyPair)));
 *
 * Each scenario gets a fresh pair and closes it. None depends on timing: so a stream that loses what was written makes a
 * scenario wait for it, until the time of your test is up. (trio has the same idea in `trio.testing`.)
 */

import { BusyError, ClosedError, describeValue, LimitError, UnexpectedEndError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { cancel, ended, join, spawn } from "../core/task-operations.ts";
import { yieldNow } from "../core/yield-now.ts";
import type { ByteReader, ByteStream, ByteWriter } from "../io/byte-stream.ts";
import {
  expectBytes,
  expectEqual,
  expectError,
  expectPattern,
  expectText,
  expectTrue,
  patternOf,
  useAgain,
} from "./byte-stream-expectations.ts";
import { Random } from "./random.ts";

/** Two streams that are connected to each other. */
export interface StreamPair {
  readonly left: ByteStream;
  readonly right: ByteStream;
}

/** Two ends of a stream that goes one way. */
export interface OneWayPair {
  readonly writer: ByteWriter;
  readonly reader: ByteReader;
}

export interface StreamCheckOptions {
  /** How much the stream may hold on its way while nobody reads, in bytes; by default 16 MiB, above what TCP does. */
  readonly mostInFlightBytes?: number | undefined;
  /**
   * Whether one side can end its half, so that the other finds the end and can still answer; by default so. Terminals and
   * serial lines cannot: there only a close ends a stream, and what a reader makes of that is not looked at.
   */
  readonly canShutDown?: boolean | undefined;
  /**
   * Whether a side can still answer after it has found the other's end; by default so, if `canShutDown` is not false. Over
   * TLS it cannot.
   */
  readonly canAnswerAfterEnd?: boolean | undefined;
  /** What the random sizes depend on; by default always the same. */
  readonly seed?: number | undefined;
}

/**
 * Checks a stream that goes both ways: each direction as `checkOneWayStream` does, and both together.
 * @throws an Error that names the scenario that failed, with what failed as its `cause`
 */
export function* checkByteStream(make: () => Operation<StreamPair>, options: StreamCheckOptions = {}): Operation<void> {
  yield* checkOneWayStream(oneWay(make, "left", "right"), options);
  yield* checkOneWayStream(oneWay(make, "right", "left"), options);
  for (const [name, scenario] of Object.entries(BOTH_WAYS)) yield* runScenario(name, make, scenario, options);
  if (options.canShutDown === false || options.canAnswerAfterEnd === false) return;
  for (const [name, scenario] of Object.entries(HALF_CLOSE)) yield* runScenario(name, make, scenario, options);
}

/**
 * Checks a stream that goes one way, such as a pipe.
 * @throws an Error that names the scenario that failed, with what failed as its `cause`
 */
export function* checkOneWayStream(
  make: () => Operation<OneWayPair>,
  options: StreamCheckOptions = {},
): Operation<void> {
  for (const [name, scenario] of Object.entries(ONE_WAY)) yield* runScenario(name, make, scenario, options);
  if (options.canShutDown === false) return;
  for (const [name, scenario] of Object.entries(TO_THE_END)) yield* runScenario(name, make, scenario, options);
}

type Scenario<P> = (pair: P, options: StreamCheckOptions) => Operation<void>;

/** What holds while the stream is open. */
const ONE_WAY: Readonly<Record<string, Scenario<OneWayPair>>> = {
  *"bytes come out as they went in"({ writer, reader }) {
    yield* writer.write(Uint8Array.of(0, 1, 2, 127, 128, 255));
    const received = new Uint8Array(6);
    yield* reader.readExactly(received);
    expectBytes(received, Uint8Array.of(0, 1, 2, 127, 128, 255));
  },

  *"a string goes out as UTF-8"({ writer, reader }) {
    yield* writer.write("zażółć ☃\n");
    expectEqual(yield* reader.lines().next(), { done: false, value: "zażółć ☃" });
  },

  *"a range of a buffer goes out, and one that is none is refused"({ writer, reader }) {
    const data = Uint8Array.of(1, 2, 3, 4);
    yield* writer.write(data, 1, 3);
    const received = new Uint8Array(2);
    yield* reader.readExactly(received);
    expectBytes(received, Uint8Array.of(2, 3));
    yield* expectError(RangeError, () => writer.write(data, 3, 2));
    yield* expectError(RangeError, () => writer.write(data, 0, 5));
  },

  *"a read brings no more than its buffer holds, and leaves the rest"({ writer, reader }) {
    yield* writer.write("abcdef");
    const buffer = new Uint8Array(4);
    const first = yield* reader.read(buffer);
    expectTrue(first >= 1 && first <= 4, `a read into 4 bytes returned ${first}`);
    const rest = new Uint8Array(6 - first);
    yield* reader.readExactly(rest);
    expectText([buffer.subarray(0, first), rest], "abcdef");
  },

  *"an empty buffer and what is no buffer are refused"({ reader }) {
    yield* expectError(RangeError, () => reader.read(new Uint8Array(0)));
    yield* expectError(TypeError, () => reader.read("text" as unknown as Uint8Array));
    yield* reader.readExactly(new Uint8Array(0));
  },

  *"writeAll sends all its parts in order, empty ones and a thousand of them included"({ writer, reader }) {
    const parts = Array.from({ length: 1000 }, (_, index) => (index % 7 === 0 ? "" : `${index},`));
    const writing = yield* spawn(() => writer.writeAll(parts));
    const wanted = parts.join("");
    const received = new Uint8Array(wanted.length);
    yield* reader.readExactly(received);
    expectText([received], wanted);
    yield* join(writing);
    yield* writer.writeAll([]);
  },

  *"readUntil stops behind its delimiter, wherever the pieces are cut"({ writer, reader }) {
    const writing = yield* spawn(function* writePieces() {
      for (const piece of ["one\r", "\ntw", "o\r\r\n\r", "\n", "rest"]) {
        yield* writer.write(piece);
        yield* yieldNow();
      }
    });
    for (const wanted of ["one", "two\r", ""]) expectText([yield* reader.readUntil("\r\n")], wanted);
    const rest = new Uint8Array(4);
    yield* reader.readExactly(rest);
    expectText([rest], "rest");
    yield* join(writing);
  },

  *"views of larger buffers are written from and read into where they lie"({ writer, reader }) {
    const outer = Uint8Array.of(1, 2, 3, 4, 5, 6);
    yield* writer.write(outer.subarray(2, 4));
    yield* writer.writeAll([outer.subarray(4, 5), outer.subarray(5)]);
    const received = new Uint8Array(8);
    yield* reader.readExactly(received.subarray(1, 3));
    let bytes = 0;
    while (bytes < 2) bytes += yield* reader.read(received.subarray(4 + bytes, 6));
    expectBytes(received, Uint8Array.of(0, 3, 4, 0, 5, 6, 0, 0));
  },

  *"readUntil refuses more than its limit, and the stream can still be used"({ writer, reader }) {
    yield* writer.write("0123456789;next;");
    const error = yield* expectError(LimitError, () => reader.readUntil(";", { limitBytes: 9 }));
    expectEqual((error as LimitError).limitBytes, 9);
    expectText([yield* reader.readUntil(";", { limitBytes: 10 })], "0123456789");
    expectText([yield* reader.readUntil(0x3b)], "next");
  },

  *"an empty delimiter and one that is no byte are refused"({ reader }) {
    yield* expectError(RangeError, () => reader.readUntil(""));
    yield* expectError(RangeError, () => reader.readUntil(256));
  },

  *"lines come without their ends, also long ones"({ writer, reader }) {
    const long = "x".repeat(40_000);
    const writing = yield* spawn(() => writer.write(`first\r\n\nthird\n${long}\n`));
    const lines = reader.lines();
    for (const value of ["first", "", "third", long]) expectEqual(yield* lines.next(), { done: false, value });
    yield* join(writing);
  },

  *"a line above its limit is refused, and can still be read"({ writer, reader }) {
    yield* writer.write("123456\nnext\n");
    const error = yield* expectError(LimitError, () => reader.lines({ limitBytes: 5 }).next());
    expectEqual((error as LimitError).limitBytes, 5);
    const lines = reader.lines({ limitBytes: 6 });
    for (const value of ["123456", "next"]) expectEqual(yield* lines.next(), { done: false, value });
  },

  *"what is no UTF-8 becomes U+FFFD in a line"({ writer, reader }) {
    yield* writer.write(Uint8Array.of(0x61, 0xff, 0x62, 0x0a));
    expectEqual(yield* reader.lines().next(), { done: false, value: "a\uFFFDb" });
  },

  *"what was read ahead comes first to whichever call is next"({ writer, reader }) {
    yield* writer.write("line\nabcdefgh");
    expectText([yield* reader.readUntil("\n")], "line");
    const two = new Uint8Array(2);
    yield* reader.readExactly(two);
    const one = new Uint8Array(1);
    expectEqual(yield* reader.read(one), 1);
    const five = new Uint8Array(5);
    yield* reader.readExactly(five);
    expectText([two, one, five], "abcdefgh");
  },

  *"much goes through in random pieces, in order"({ writer, reader }, { seed = DEFAULT_SEED }) {
    const random = new Random(seed);
    const sent = patternOf(MUCH_BYTES);
    const writing = yield* spawn(function* writePieces() {
      for (let at = 0; at < sent.byteLength;) {
        const end = Math.min(sent.byteLength, at + 1 + random.below(100_000));
        yield* writer.write(sent, at, end);
        at = end;
      }
    });
    yield* expectPattern(reader, sent, () => 1 + random.below(70_000));
    yield* join(writing);
  },

  *"a writer waits for a reader that is slower"({ writer, reader }, { mostInFlightBytes = DEFAULT_IN_FLIGHT_BYTES }) {
    const chunk = new Uint8Array(65_536);
    const total = 2 * mostInFlightBytes;
    let written = 0;
    const writing = yield* spawn(function* writeOn() {
      for (; written < total; written += chunk.byteLength) yield* writer.write(chunk);
    });
    const buffer = new Uint8Array(65_536);
    for (let received = 0; received < total;) {
      received += yield* reader.read(buffer);
      expectTrue(written - received <= mostInFlightBytes, `${written - received} bytes were on their way at once`);
      yield* yieldNow();
    }
    yield* join(writing);
  },

  *"a second reader is refused, with the name of the first"({ writer, reader }) {
    const reading = yield* spawn(() => reader.read(new Uint8Array(1)), { name: "the first reader" });
    yield* yieldNow();
    const error = yield* expectError(BusyError, () => reader.read(new Uint8Array(1)));
    expectTrue(error.message.includes("another task") || error.message.includes("the first reader"), error.message);
    yield* expectError(BusyError, () => reader.readUntil("\n"));
    yield* writer.write("x");
    expectEqual(yield* join(reading), 1);
  },

  *"a second writer is refused, and so is an end while one writes"({ writer }, options) {
    const { mostInFlightBytes = DEFAULT_IN_FLIGHT_BYTES, canShutDown = true } = options;
    const writing = yield* spawn(() => writer.write(new Uint8Array(2 * mostInFlightBytes)));
    yield* yieldNow();
    yield* expectError(BusyError, () => writer.write("x"));
    yield* expectError(BusyError, () => writer.writeAll(["x"]));
    if (canShutDown) yield* expectError(BusyError, () => writer.shutdown());
    yield* cancel(writing);
  },

  *"a cancelled read takes nothing away"({ writer, reader }) {
    for (const wait of [
      () => reader.read(new Uint8Array(8)),
      () => reader.readUntil("\n"),
      () => reader.lines().next(),
    ]) {
      const waiting = yield* spawn(wait as () => Operation<unknown>);
      yield* yieldNow();
      yield* cancel(waiting);
      yield* ended(waiting);
      yield* writer.write("whole line\n");
      expectText([yield* reader.readUntil("\n")], "whole line");
    }
  },

  *"a readUntil that is cancelled half-way leaves what came"({ writer, reader }) {
    yield* writer.write("half");
    const waiting = yield* spawn(() => reader.readUntil("\n"));
    // A read that takes what is there would be refused while the other one waits: so it has seen the half by then.
    for (let turn = 0; turn < 10; turn++) yield* yieldNow();
    yield* cancel(waiting);
    yield* ended(waiting);
    yield* writer.write(" and half\n");
    expectText([yield* reader.readUntil("\n")], "half and half");
  },

  *"closing wakes the reader, and refuses what comes after"({ reader }) {
    const reading = yield* spawn(() => expectError(ClosedError, () => reader.read(new Uint8Array(1))));
    yield* yieldNow();
    reader.close();
    yield* join(reading);
    expectTrue(reader.isClosed, "the reader does not say that it is closed");
    reader.close();
    yield* expectError(ClosedError, () => reader.read(new Uint8Array(1)));
    yield* expectError(ClosedError, () => reader.readUntil("\n"));
    yield* expectError(ClosedError, () => reader.readToEnd());
  },

  *"closing forgets what was read ahead"({ writer, reader }) {
    yield* writer.write("one\ntwo\n");
    expectText([yield* reader.readUntil("\n")], "one");
    const lines = reader.lines();
    reader.close();
    yield* expectError(ClosedError, () => reader.readUntil("\n"));
    yield* expectError(ClosedError, () => lines.next());
  },

  *"closing wakes the writer"({ writer }, { mostInFlightBytes = DEFAULT_IN_FLIGHT_BYTES }) {
    const much = new Uint8Array(2 * mostInFlightBytes);
    const writing = yield* spawn(() => expectError(ClosedError, () => writer.write(much)));
    yield* yieldNow();
    writer.close();
    yield* join(writing);
  },

  *"a closed writer refuses to write"({ writer }) {
    writer.close();
    expectTrue(writer.isClosed, "the writer does not say that it is closed");
    writer.close();
    yield* expectError(ClosedError, () => writer.write("x"));
    yield* expectError(ClosedError, () => writer.writeAll(["x"]));
    yield* expectError(ClosedError, () => writer.shutdown());
  },

  *"disposing of an end closes it"({ writer, reader }) {
    for (const end of [writer, reader]) {
      end[Symbol.dispose]();
      expectTrue(end.isClosed, "what was disposed of does not say that it is closed");
      end[Symbol.dispose]();
    }
  },

  *"an operation that is used twice does its work once"({ writer, reader }) {
    const write = writer.write("ab");
    yield* write;
    yield* useAgain(write);
    yield* writer.write("cd");
    const read = reader.read(new Uint8Array(1));
    yield* read;
    yield* useAgain(read);
    const rest = new Uint8Array(3);
    yield* reader.readExactly(rest);
    expectText([rest], "bcd");
  },
};

/** What holds if one side can end its half. */
const TO_THE_END: Readonly<Record<string, Scenario<OneWayPair>>> = {
  *"the end comes after all bytes, and stays"({ writer, reader }) {
    yield* writer.write("last words");
    yield* writer.shutdown();
    expectText([yield* reader.readToEnd()], "last words");
    for (let again = 0; again < 3; again++) expectEqual(yield* reader.read(new Uint8Array(8)), 0);
    expectEqual(yield* reader.readUntil("\n"), null);
    expectEqual(yield* reader.lines().next(), { done: true, value: undefined });
    expectText([yield* reader.readToEnd()], "");
  },

  *"nothing can be written after the end, and to end again does nothing"({ writer }) {
    yield* writer.shutdown();
    yield* writer.shutdown();
    yield* expectError(ClosedError, () => writer.write("x"));
  },

  *"readExactly says how much came before the end"({ writer, reader }) {
    yield* writer.write("abc");
    yield* writer.shutdown();
    const error = yield* expectError(UnexpectedEndError, () => reader.readExactly(new Uint8Array(5)));
    expectEqual((error as UnexpectedEndError).receivedBytes, 3);
    expectEqual((error as UnexpectedEndError).wantedBytes, 5);
  },

  *"readUntil leaves what came before the end, and the last line needs no end"({ writer, reader }) {
    yield* writer.write("one\ntwo");
    yield* writer.shutdown();
    expectText([yield* reader.readUntil("\n")], "one");
    const error = yield* expectError(UnexpectedEndError, () => reader.readUntil("\n"));
    expectEqual((error as UnexpectedEndError).receivedBytes, 3);
    const lines = reader.lines();
    expectEqual(yield* lines.next(), { done: false, value: "two" });
    expectEqual(yield* lines.next(), { done: true, value: undefined });
  },

  *"readToEnd refuses more than its limit, which can still be read"({ writer, reader }) {
    yield* writer.write("123456");
    yield* writer.shutdown();
    yield* expectError(LimitError, () => reader.readToEnd({ limitBytes: 5 }));
    expectText([yield* reader.readToEnd({ limitBytes: 6 })], "123456");
  },
};

const BOTH_WAYS: Readonly<Record<string, Scenario<StreamPair>>> = {
  *"both directions carry much at once"({ left, right }) {
    const sent = patternOf(MUCH_BYTES);
    const tasks = [
      yield* spawn(() => left.write(sent)),
      yield* spawn(() => right.write(sent)),
      yield* spawn(() => expectPattern(left, sent, () => 30_000)),
      yield* spawn(() => expectPattern(right, sent, () => 50_000)),
    ];
    for (const task of tasks) yield* join(task as typeof task & { name: string });
  },

  *"questions are answered, a thousand times"({ left, right }) {
    const answering = yield* spawn(function* answer() {
      const lines = right.lines();
      for (let round = 0; round < ROUNDS; round++) {
        const line = yield* lines.next();
        yield* right.write(`${line.value ?? ""}!\n`);
      }
    });
    for (let round = 0; round < ROUNDS; round++) {
      yield* left.write(`${round}\n`);
      expectText([yield* left.readUntil("\n")], `${round}!`);
    }
    yield* join(answering);
  },
};

const HALF_CLOSE: Readonly<Record<string, Scenario<StreamPair>>> = {
  *"a side that has ended its half can still read"({ left, right }) {
    yield* left.write("question");
    yield* left.shutdown();
    yield* left.shutdown();
    expectText([yield* right.readToEnd()], "question");
    yield* right.write("answer");
    yield* right.shutdown();
    expectText([yield* left.readToEnd()], "answer");
  },
};

/** The names of all scenarios, in the order in which they run. */
export const SCENARIO_NAMES: readonly string[] = [ONE_WAY, TO_THE_END, BOTH_WAYS, HALF_CLOSE].flatMap(Object.keys);

function* runScenario<P extends OneWayPair | StreamPair>(
  name: string,
  make: () => Operation<P>,
  scenario: Scenario<P>,
  options: StreamCheckOptions,
): Operation<void> {
  const pair = yield* make();
  try {
    yield* scenario(pair, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : describeValue(error);
    throw new Error(`the stream fails where "${name}": ${reason}`, { cause: error });
  } finally {
    for (const end of Object.values(pair) as Disposable[]) end[Symbol.dispose]();
  }
}

type Side = keyof StreamPair;

function oneWay(make: () => Operation<StreamPair>, from: Side, to: Side): () => Operation<OneWayPair> {
  return function* open() {
    const pair = yield* make();
    return { writer: pair[from], reader: pair[to] };
  };
}

const DEFAULT_SEED = 4_711;
const ROUNDS = 1_000;

/** Several times what a pipe holds. */
const MUCH_BYTES = 600_011;

/** A connection over loopback holds up to 10 MiB on Linux (tcp_rmem and tcp_wmem of tcp(7)). */
const DEFAULT_IN_FLIGHT_BYTES = 16_777_216;
