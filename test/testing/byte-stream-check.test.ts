/** The suite for streams of bytes, run against streams that break one rule each: every scenario must notice its own. */

import { expect, test } from "bun:test";
import {
  BufferedReader,
  BusyError,
  type ByteReader,
  type ByteStream,
  type ByteWriter,
  ClosedError,
  type Delimiter,
  fdStream,
  LimitError,
  openPipe,
  type Operation,
  run,
  UnexpectedEndError,
  yieldNow,
} from "../../src/index.ts";
import { checkByteStream, checkOneWayStream, type OneWayPair, type StreamPair } from "../../src/test.ts";
import { SCENARIO_NAMES } from "../../src/testing/byte-stream-check.ts";
import { rejectionOf } from "../support/failure.ts";
import { SocketPair } from "../support/libc.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

type Data = Uint8Array | string;

/** What a broken stream does in another way; the rest is that of a sound one. */
type Faults<T> = (sound: T) => Partial<T>;

interface OneWayMutant {
  readonly scenario: string;
  readonly fault: string;
  readonly writer?: Faults<ByteWriter>;
  readonly reader?: Faults<ByteReader>;
}

interface BothWaysMutant {
  readonly scenario: string;
  readonly fault: string;
  readonly stream: Faults<ByteStream>;
}

const ONE_WAY_MUTANTS: readonly OneWayMutant[] = [
  {
    scenario: "bytes come out as they went in",
    fault: "loses the highest bit",
    reader: (sound) => ({
      *readExactly(buffer) {
        yield* sound.readExactly(buffer);
        for (let index = 0; index < buffer.byteLength; index++) buffer[index]! &= 0x7f;
      },
    }),
  },
  {
    scenario: "a string goes out as UTF-8",
    fault: "writes strings as Latin-1",
    writer: (sound) => ({
      write: (data, ...range) => sound.write(typeof data === "string" ? Buffer.from(data, "latin1") : data, ...range),
    }),
  },
  {
    scenario: "a range of a buffer goes out, and one that is none is refused",
    fault: "writes all of the buffer",
    writer: (sound) => ({ write: (data) => sound.write(data) }),
  },
  {
    scenario: "a range of a buffer goes out, and one that is none is refused",
    fault: "takes any range",
    writer: (sound) => ({
      write: (data, start = 0, end?: number) => {
        if (typeof data === "string") return sound.write(data);
        const most = Math.min(end ?? data.length, data.length);
        return sound.write(data, Math.min(start, most), most);
      },
    }),
  },
  {
    scenario: "a read brings no more than its buffer holds, and leaves the rest",
    fault: "drops what does not fit, and counts it",
    reader: (sound) => ({
      *read(buffer) {
        const all = new Uint8Array(100);
        const bytes = yield* sound.read(all);
        buffer.set(all.subarray(0, Math.min(bytes, buffer.byteLength)));
        return bytes;
      },
    }),
  },
  {
    scenario: "an empty buffer and what is no buffer are refused",
    fault: "reads nothing into an empty buffer",
    reader: (sound) => ({
      *read(buffer) {
        return buffer.byteLength === 0 ? 0 : yield* sound.read(buffer);
      },
    }),
  },
  {
    scenario: "writeAll sends all its parts in order, empty ones and a thousand of them included",
    fault: "sends the parts backwards",
    writer: (sound) => ({ writeAll: (parts) => sound.writeAll(parts.toReversed()) }),
  },
  {
    scenario: "readUntil stops behind its delimiter, wherever the pieces are cut",
    fault: "stops at the first byte of the delimiter",
    reader: (sound) => ({
      *readUntil(delimiter, limit) {
        if (typeof delimiter !== "string" || delimiter.length < 2) return yield* sound.readUntil(delimiter, limit);
        const field = yield* sound.readUntil(delimiter.slice(0, 1), limit);
        yield* sound.readExactly(new Uint8Array(delimiter.length - 1));
        return field;
      },
    }),
  },
  {
    scenario: "views of larger buffers are written from and read into where they lie",
    fault: "reads into the beginning of the memory",
    reader: (sound) => ({ readExactly: (buffer) => sound.readExactly(atTheBeginning(buffer)) }),
  },
  {
    scenario: "views of larger buffers are written from and read into where they lie",
    fault: "writes from the beginning of the memory",
    writer: (sound) => ({ writeAll: (parts) => sound.writeAll(parts.map(fromTheBeginning)) }),
  },
  {
    scenario: "readUntil refuses more than its limit, and the stream can still be used",
    fault: "has no limit",
    reader: (sound) => ({ readUntil: (delimiter) => sound.readUntil(delimiter) }),
  },
  {
    scenario: "readUntil refuses more than its limit, and the stream can still be used",
    fault: "loses what was too long",
    reader: (sound) => ({
      *readUntil(delimiter, limit) {
        try {
          return yield* sound.readUntil(delimiter, limit);
        } catch (error) {
          if (error instanceof LimitError) yield* sound.readExactly(new Uint8Array(error.limitBytes));
          throw error;
        }
      },
    }),
  },
  {
    scenario: "an empty delimiter and one that is no byte are refused",
    fault: "finds an empty delimiter everywhere",
    reader: (sound) => ({
      *readUntil(delimiter, limit) {
        return delimiter === "" ? new Uint8Array(0) : yield* sound.readUntil(delimiter, limit);
      },
    }),
  },
  {
    scenario: "lines come without their ends, also long ones",
    fault: "leaves the carriage return",
    reader: (sound) => ({ lines: (limit) => linesBy(sound, (bytes) => new TextDecoder().decode(bytes), limit) }),
  },
  {
    scenario: "a line above its limit is refused, and can still be read",
    fault: "has no limit for lines",
    reader: (sound) => ({ lines: () => sound.lines() }),
  },
  {
    scenario: "what is no UTF-8 becomes U+FFFD in a line",
    fault: "throws on what is no UTF-8",
    reader: (sound) => ({
      lines: (limit) =>
        linesBy(sound, (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(withoutReturn(bytes)), limit),
    }),
  },
  {
    scenario: "what was read ahead comes first to whichever call is next",
    fault: "gives the end of what was read ahead first",
    reader: (sound) => {
      const ahead = new BufferedReader(sound);
      return {
        ...readsOf(ahead),
        readUntil: (delimiter, limit) => ahead.readUntil(delimiter, limit),
        *readExactly(buffer) {
          if (ahead.bufferedBytes <= buffer.byteLength) return yield* ahead.readExactly(buffer);
          buffer.set(ahead.peek().subarray(-buffer.byteLength));
          ahead.consume(buffer.byteLength);
        },
      };
    },
  },
  {
    scenario: "much goes through in random pieces, in order",
    fault: "spoils a byte after 200,000",
    reader: (sound) => {
      let total = 0;
      return {
        *read(buffer) {
          const bytes = yield* sound.read(buffer);
          if (total < 200_000 && total + bytes >= 200_000) buffer[0]! ^= 1;
          total += bytes;
          return bytes;
        },
      };
    },
  },
  {
    scenario: "a writer waits for a reader that is slower",
    fault: "keeps all that nobody reads",
    ...keptInMemory(),
  },
  {
    scenario: "a second reader is refused, with the name of the first",
    fault: "tells a second reader of an end",
    reader: (sound) => ({
      *read(buffer) {
        try {
          return yield* sound.read(buffer);
        } catch (error) {
          if (error instanceof BusyError) return 0;
          throw error;
        }
      },
    }),
  },
  {
    scenario: "a second reader is refused, with the name of the first",
    fault: "does not say who reads",
    reader: (sound) => ({
      *read(buffer) {
        try {
          return yield* sound.read(buffer);
        } catch (error) {
          throw error instanceof BusyError ? new BusyError("the stream is busy") : error;
        }
      },
    }),
  },
  {
    scenario: "a second writer is refused, and so is an end while one writes",
    fault: "loses what a second writer writes",
    writer: (sound) => ({
      *write(...call) {
        try {
          yield* sound.write(...call);
        } catch (error) {
          if (!(error instanceof BusyError)) throw error;
        }
      },
    }),
  },
  {
    scenario: "a second writer is refused, and so is an end while one writes",
    fault: "says nothing of an end in the middle of a write",
    writer: (sound) => ({
      *shutdown() {
        try {
          yield* sound.shutdown();
        } catch (error) {
          if (!(error instanceof BusyError)) throw error;
        }
      },
    }),
  },
  {
    scenario: "a cancelled read takes nothing away",
    fault: "takes a byte for each cancelled wait",
    reader: (sound) => {
      let owed = 0;
      return {
        *readUntil(delimiter, limit) {
          let isDone = false;
          try {
            const field = yield* sound.readUntil(delimiter, limit);
            isDone = true;
            return field === null ? null : field.subarray(owed);
          } catch (error) {
            isDone = true;
            throw error;
          } finally {
            if (!isDone) owed++;
          }
        },
      };
    },
  },
  {
    scenario: "a readUntil that is cancelled half-way leaves what came",
    fault: "keeps what came to the wait that is cancelled",
    reader: (sound) => ({
      *readUntil(delimiter, limit) {
        if (delimiter !== "\n") return yield* sound.readUntil(delimiter, limit);
        const field: number[] = [];
        const byte = new Uint8Array(1);
        for (;;) {
          if ((yield* sound.read(byte)) === 0) return null;
          if (byte[0] === 0x0a) return Uint8Array.from(field);
          field.push(byte[0]!);
        }
      },
    }),
  },
  {
    scenario: "closing wakes the reader, and refuses what comes after",
    fault: "does not say that it is closed",
    reader: () => ({ isClosed: false }),
  },
  {
    scenario: "closing wakes the reader, and refuses what comes after",
    fault: "reads the end after it was closed",
    reader: (sound) => ({
      *read(buffer) {
        return sound.isClosed ? 0 : yield* sound.read(buffer);
      },
    }),
  },
  {
    scenario: "closing wakes the reader, and refuses what comes after",
    fault: "wakes the reader as if the stream were at its end",
    reader: (sound) => ({
      *read(buffer) {
        try {
          return yield* sound.read(buffer);
        } catch (error) {
          if (error instanceof ClosedError) return 0;
          throw error;
        }
      },
    }),
  },
  {
    scenario: "closing forgets what was read ahead",
    fault: "goes on giving lines",
    reader: (sound) => {
      const ahead = new BufferedReader(sound);
      return readsOf(ahead);
    },
  },
  {
    scenario: "closing wakes the writer",
    fault: "ends a write that was cut off as if all were well",
    writer: (sound) => ({
      *write(...call) {
        const isOpen = !sound.isClosed;
        try {
          yield* sound.write(...call);
        } catch (error) {
          if (!(error instanceof ClosedError && isOpen)) throw error;
        }
      },
    }),
  },
  {
    scenario: "a closed writer refuses to write",
    fault: "loses what is written after it was closed",
    writer: (sound) => ({
      *writeAll(parts) {
        if (!sound.isClosed) yield* sound.writeAll(parts);
      },
    }),
  },
  {
    scenario: "disposing of an end closes it",
    fault: "does nothing when it is disposed of",
    reader: () => ({ [Symbol.dispose]: () => {} }),
  },
  {
    scenario: "an operation that is used twice does its work once",
    fault: "writes again when the operation is used again",
    writer: (sound) => ({
      write: (...call) => ({ [Symbol.iterator]: () => sound.write(...call)[Symbol.iterator]() }),
    }),
  },
  {
    scenario: "the end comes after all bytes, and stays",
    fault: "loses the last byte",
    reader: (sound) => ({
      *readToEnd(limit) {
        return (yield* sound.readToEnd(limit)).subarray(0, -1);
      },
    }),
  },
  {
    scenario: "the end comes after all bytes, and stays",
    fault: "tells the end once",
    reader: (sound) => {
      let ends = 0;
      return {
        *read(buffer) {
          const bytes = yield* sound.read(buffer);
          if (bytes === 0 && ends++ > 0) throw new ClosedError("the stream has ended");
          return bytes;
        },
      };
    },
  },
  {
    scenario: "nothing can be written after the end, and to end again does nothing",
    fault: "loses what is written after the end",
    writer: (sound) => {
      let hasEnded = false;
      return {
        *write(...call) {
          if (!hasEnded) yield* sound.write(...call);
        },
        *shutdown() {
          yield* sound.shutdown();
          hasEnded = true;
        },
      };
    },
  },
  {
    scenario: "nothing can be written after the end, and to end again does nothing",
    fault: "refuses to end again",
    writer: (sound) => {
      let hasEnded = false;
      return {
        *shutdown() {
          if (hasEnded) throw new ClosedError("the stream was ended already");
          yield* sound.shutdown();
          hasEnded = true;
        },
      };
    },
  },
  {
    scenario: "readExactly says how much came before the end",
    fault: "does not count what came",
    reader: (sound) => ({
      *readExactly(buffer) {
        try {
          yield* sound.readExactly(buffer);
        } catch (error) {
          if (error instanceof UnexpectedEndError) throw new UnexpectedEndError(sound.label, 0, buffer.byteLength);
          throw error;
        }
      },
    }),
  },
  {
    scenario: "readUntil leaves what came before the end, and the last line needs no end",
    fault: "takes the end for a delimiter",
    reader: (sound) => ({
      *readUntil(delimiter, limit) {
        try {
          return yield* sound.readUntil(delimiter, limit);
        } catch (error) {
          if (error instanceof UnexpectedEndError) return yield* sound.readToEnd();
          throw error;
        }
      },
    }),
  },
  {
    scenario: "readToEnd refuses more than its limit, which can still be read",
    fault: "has no limit for the whole",
    reader: (sound) => ({ readToEnd: () => sound.readToEnd() }),
  },
];

const BOTH_WAYS_MUTANTS: readonly BothWaysMutant[] = [
  {
    scenario: "both directions carry much at once",
    fault: "cannot write while it is read",
    stream: (sound) => {
      let isBeingRead = false;
      return {
        *read(buffer) {
          isBeingRead = true;
          try {
            return yield* sound.read(buffer);
          } finally {
            isBeingRead = false;
          }
        },
        *write(...call) {
          yield* yieldNow();
          if (isBeingRead) throw new BusyError(`${sound.label} is being read by another task`);
          yield* sound.write(...call);
        },
      };
    },
  },
  {
    scenario: "questions are answered, a thousand times",
    fault: "has room for 900 writes",
    stream: (sound) => {
      let writes = 0;
      return {
        *write(...call) {
          if (++writes > 900) throw new Error("no room any more");
          yield* sound.write(...call);
        },
      };
    },
  },
  {
    scenario: "a side that has ended its half can still read",
    fault: "closes both halves",
    stream: (sound) => ({
      *shutdown() {
        yield* sound.shutdown();
        sound.close();
      },
    }),
  },
];

describeUnless(needs("pipes"))("a stream that breaks a rule is found out", () => {
  test.each(ONE_WAY_MUTANTS)("where $scenario: it $fault", ({ scenario, writer, reader }) =>
    expectFoundOut(scenario, function* check(opened) {
      yield* checkOneWayStream(function* open(): Operation<OneWayPair> {
        const pipe = yield* openPipe();
        opened.push(pipe);
        return { writer: withFaults(pipe.writer, writer), reader: withFaults(pipe.reader, reader) };
      }, SMALL);
    }),
  );

  test.each(BOTH_WAYS_MUTANTS)("where $scenario: it $fault", ({ scenario, stream }) =>
    expectFoundOut(scenario, function* check(opened) {
      yield* checkByteStream(function* open(): Operation<StreamPair> {
        const pair = new SocketPair();
        const [left, right] = [yield* fdStream(pair.left), yield* fdStream(pair.right)];
        opened.push(left, right);
        return { left: withFaults(left, stream), right: withFaults<ByteStream>(right, undefined) };
      }, SMALL);
    }),
  );

  test("in every scenario that there is", () => {
    const tried = new Set([...ONE_WAY_MUTANTS, ...BOTH_WAYS_MUTANTS].map(({ scenario }) => scenario));
    expect([...tried].sort()).toEqual([...SCENARIO_NAMES].sort());
  });
});

async function expectFoundOut(scenario: string, check: (opened: Disposable[]) => Operation<void>): Promise<void> {
  const opened: Disposable[] = [];
  try {
    const error = await rejectionOf(run(() => check(opened)));
    expect(error.message).toStartWith(`the stream fails where "${scenario}": `);
    expect(error.cause).toBeInstanceOf(Error);
  } finally {
    for (const end of opened) end[Symbol.dispose]();
  }
}

/** A stream that does some things in another way; what it does not, it does as the sound one. */
function withFaults<T extends object>(sound: T, faults: Faults<T> | undefined): T {
  const replaced: Partial<T> = faults?.(sound) ?? {};
  return new Proxy(sound, {
    get(target, key) {
      if (Object.hasOwn(replaced, key)) return Reflect.get(replaced, key) as unknown;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Pairs whose chunks of 64 KiB, which one scenario alone has, go through a list without end. */
function keptInMemory(): Pick<OneWayMutant, "writer" | "reader"> {
  const chunks: Data[] = [];
  return {
    writer: (sound) => ({
      *write(data, ...range) {
        if (data.length !== 65_536) return yield* sound.write(data, ...range);
        chunks.push(data);
      },
    }),
    reader: (sound) => ({
      *read(buffer) {
        if (buffer.byteLength !== 65_536) return yield* sound.read(buffer);
        while (chunks.length === 0) yield* yieldNow();
        return chunks.shift()!.length;
      },
    }),
  };
}

function readsOf(ahead: BufferedReader): Partial<ByteReader> {
  return {
    lines: (limit) => ahead.lines(limit),
    read: (buffer) => ahead.read(buffer),
    readExactly: (buffer) => ahead.readExactly(buffer),
    readToEnd: (limit) => ahead.readToEnd(limit),
    readUntil: (delimiter, limit) => ahead.readUntil(delimiter, limit),
  };
}

function linesBy(
  sound: ByteReader,
  decode: (bytes: Uint8Array) => string,
  limit?: Parameters<ByteReader["lines"]>[0],
): ReturnType<ByteReader["lines"]> {
  return {
    *next() {
      const bytes = yield* sound.readUntil("\n" satisfies Delimiter, limit);
      return bytes === null ? { done: true, value: undefined } : { done: false, value: decode(bytes) };
    },
  };
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0x0d ? bytes.subarray(0, -1) : bytes;
}

function atTheBeginning(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, 0, buffer.byteLength);
}

function fromTheBeginning(part: Data): Data {
  return typeof part === "string" ? part : atTheBeginning(part);
}

/** A pipe and a local socket hold less. */
const SMALL = { mostInFlightBytes: 1_048_576 };
