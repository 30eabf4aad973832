/**
 * Reading ahead: lines, fields and their limits, whatever pieces the bytes come in. The random tests compare with a model
 * that has all bytes at once; fast-check prints the seed of a run that fails.
 */

import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  blockOn,
  BufferedReader,
  type BufferedReaderOptions,
  BusyError,
  type ByteReader,
  cancel,
  type Delimiter,
  join,
  LimitError,
  openPipe,
  type Operation,
  run,
  spawn,
  UnexpectedEndError,
  yieldNow,
} from "../../src/index.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { thrownBy } from "../support/failure.ts";
import { errorOf, openReactor, patternOf } from "../support/loopback.ts";
import { effort } from "../support/effort.ts";
import { testUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

beforeAll(openReactor);

/** What a stream and a `BufferedReader` both have. */
type Reads = Pick<ByteReader, "read" | "readExactly" | "readUntil" | "lines" | "readToEnd">;

type Command =
  | { readonly call: "read" | "readExactly"; readonly bytes: number }
  | { readonly call: "readUntil"; readonly delimiter: string; readonly limitBytes: number }
  | { readonly call: "line" | "readToEnd"; readonly limitBytes: number };

/** What a call came to: what it returned, or the error with its numbers. */
type Outcome =
  string | null | { readonly error: string; readonly limitBytes?: number; readonly receivedBytes?: number };

describe("however the bytes are cut into pieces", () => {
  expectNothingLeftBehind();

  test("a BufferedReader does as the model does", () => {
    fc.assert(
      fc.property(INPUT, COMMANDS, fc.integer({ min: 1, max: 9 }), (pieces, commands, bufferBytes) => {
        blockOn(() => compare(new BufferedReader(new Pieces(pieces), { bufferBytes }), pieces, commands));
      }),
      { numRuns: effort(500) },
    );
  });

  testUnless(needs("pipes"))("a stream does as the model does", () => {
    fc.assert(
      fc.property(INPUT, COMMANDS, (pieces, commands) => {
        blockOn(function* main() {
          using pipe = yield* openPipe();
          const writing = yield* spawn(function* write() {
            for (const piece of pieces) {
              yield* pipe.writer.write(piece);
              yield* yieldNow();
            }
            yield* pipe.writer.shutdown();
          });
          yield* compare(pipe.reader, pieces, commands);
          yield* join(writing);
        });
      }),
      { numRuns: effort(300) },
    );
  });

  test("a cancelled wait takes nothing: the next one finds all that came", () => {
    fc.assert(
      fc.property(INPUT, fc.constantFrom("\n", "\r\n", "ab"), (pieces, delimiter) => {
        blockOn(function* main() {
          const source = new Pieces(pieces);
          const reader = new BufferedReader(source, { bufferBytes: 3 });
          for (let turns = 0; turns < 3; turns++) {
            const waiting = yield* spawn(() => errorOr(reader.readUntil(delimiter)));
            for (let turn = 0; turn < turns; turn++) yield* yieldNow();
            yield* cancel(waiting);
            source.noteTaken(waiting.state === "cancelled" ? null : yield* join(waiting), delimiter);
          }
          expect(asText(yield* reader.readToEnd())).toBe(source.rest);
        });
      }),
      { numRuns: effort(200) },
    );
  });
});

describe("a limit", () => {
  test.each(["\n", "\r\n", "END"])("of readUntil is exact, for %j", (delimiter) => {
    for (const cut of [1, 2, 5, 100]) {
      blockOn(function* main() {
        const input = `12345${delimiter}rest`;
        const fits = new BufferedReader(new Pieces(inPieces(input, cut)));
        expect(asText(yield* fits.readUntil(delimiter, { limitBytes: 5 }))).toBe("12345");
        expect(asText(yield* fits.readToEnd())).toBe("rest");
        const tooLong = new BufferedReader(new Pieces(inPieces(input, cut)));
        const error = yield* errorOf(tooLong.readUntil(delimiter, { limitBytes: 4 }));
        expect(error).toBeInstanceOf(LimitError);
        expect(error).toMatchObject({ code: "ERR_LIMIT", limitBytes: 4 });
        expect(error.message).toBe(
          "the pieces: readUntil found no end within 4 bytes: raise limitBytes if more is right",
        );
        expect(asText(yield* tooLong.readUntil(delimiter, { limitBytes: 5 }))).toBe("12345");
      });
    }
  });

  test("of readUntil may be 0", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf(";;x;")]));
      for (let count = 0; count < 2; count++) expect(yield* reader.readUntil(";", { limitBytes: 0 })).toHaveLength(0);
      expect(yield* errorOf(reader.readUntil(";", { limitBytes: 0 }))).toBeInstanceOf(LimitError);
      expect(asText(yield* reader.readUntil(";"))).toBe("x");
    }));

  test("of readUntil is met by a delimiter that never comes, 64 KiB if nothing was said, and the stream can be used", () =>
    run(function* main() {
      const source = new Pieces(Array.from({ length: 100 }, () => new Uint8Array(1000)));
      const reader = new BufferedReader(source);
      expect(yield* errorOf(reader.readUntil("\n"))).toMatchObject({ limitBytes: 65_536 });
      // It has asked for no more than it needs to know.
      expect(reader.bufferedBytes).toBe(65_537);
      expect(yield* errorOf(reader.lines().next())).toMatchObject({ limitBytes: 65_536 });
      yield* reader.readExactly(new Uint8Array(100_000));
      expect(yield* reader.read(new Uint8Array(1))).toBe(0);
    }));

  test("of lines counts what is before the line feed, the last line included", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("12345\n1234\r\n123456\n12345")]));
      const lines = reader.lines({ limitBytes: 5 });
      expect((yield* lines.next()).value).toBe("12345");
      expect((yield* lines.next()).value).toBe("1234");
      expect(yield* errorOf(lines.next())).toMatchObject({ limitBytes: 5 });
      expect((yield* reader.lines({ limitBytes: 6 }).next()).value).toBe("123456");
      expect(yield* errorOf(reader.lines({ limitBytes: 4 }).next())).toBeInstanceOf(LimitError);
      expect((yield* lines.next()).value).toBe("12345");
      expect(yield* lines.next()).toEqual({ done: true, value: undefined });
    }));

  test("of readToEnd is exact, also for what was read ahead, and the error has the number that was asked for", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("line\n123456")]));
      expect(asText(yield* reader.readUntil("\n"))).toBe("line");
      expect(reader.bufferedBytes).toBe(6);
      for (const limitBytes of [0, 3, 5]) {
        const error = yield* errorOf(reader.readToEnd({ limitBytes }));
        expect(error).toBeInstanceOf(LimitError);
        expect(error).toMatchObject({ limitBytes });
        expect(error.message).toContain(`within ${limitBytes} bytes`);
      }
      expect(asText(yield* reader.readToEnd({ limitBytes: 6 }))).toBe("123456");
      expect(yield* reader.readToEnd({ limitBytes: 0 })).toHaveLength(0);
    }));

  test("of fill is how much it gathers while nothing is consumed", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([patternOf(100)]), { bufferBytes: 4, limitBytes: 10 });
      while (reader.bufferedBytes < 10) expect(yield* reader.fill()).toBe(true);
      expect(yield* errorOf(reader.fill())).toMatchObject({ name: "LimitError", limitBytes: 10 });
      reader.consume(1);
      expect(yield* reader.fill()).toBe(true);
      expect(reader.peek()).toEqual(patternOf(100).subarray(1, 11));
    }));

  test.each([
    ["readUntil", (reader: BufferedReader, limitBytes: number) => reader.readUntil("x", { limitBytes })],
    ["readToEnd", (reader: BufferedReader, limitBytes: number) => reader.readToEnd({ limitBytes })],
  ] as const)("of %s that is none is refused", (call, act) =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([]));
      for (const limitBytes of [-1, 0.5, Number.NaN, 2 ** 31]) {
        const error = yield* errorOf(act(reader, limitBytes));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toStartWith(`${call}: limitBytes must be`);
      }
      expect(thrownBy(() => reader.lines({ limitBytes: -1 }), RangeError).message).toStartWith("lines: limitBytes");
    }),
  );
});

describe("a parser's own BufferedReader", () => {
  test("shows what there is, gets more, and takes", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("ab"), bytesOf("cd")]));
      expect(reader.peek()).toHaveLength(0);
      expect(yield* reader.fill()).toBe(true);
      expect(asText(reader.peek())).toBe("ab");
      reader.consume(1);
      expect(yield* reader.fill()).toBe(true);
      expect(asText(reader.peek())).toBe("bcd");
      expect(reader.bufferedBytes).toBe(3);
      expect(yield* reader.fill()).toBe(false);
      expect(asText(reader.peek())).toBe("bcd");
      reader.consume(3);
      expect(reader.bufferedBytes).toBe(0);
      reader.consume(0);
      expect(yield* reader.fill()).toBe(false);
    }));

  test("cannot take what is not there", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("abc")]));
      expect(thrownBy(() => reader.consume(1), RangeError).message).toStartWith("consume: bytes must be");
      yield* reader.fill();
      for (const bytes of [4, -1, 0.5, Number.NaN])
        expect(thrownBy(() => reader.consume(bytes), RangeError)).toBeDefined();
      expect(asText(reader.peek())).toBe("abc");
    }));

  testUnless(needs("pipes"))(
    "is used by one task at a time: whatever another tries meanwhile is refused, and does no harm",
    () =>
      run(function* main() {
        using pipe = yield* openPipe();
        const reader = new BufferedReader(pipe.reader);
        yield* pipe.writer.write("abc");
        yield* reader.fill();
        const filling = yield* spawn(() => reader.fill());
        yield* yieldNow();
        const { label } = pipe.reader;
        expect(thrownBy(() => reader.consume(3), BusyError).message).toContain(
          `${label} is being read by another task`,
        );
        for (const use of [
          () => reader.fill(),
          () => reader.read(new Uint8Array(1)),
          () => reader.readExactly(new Uint8Array(1)),
          () => reader.readUntil("\n"),
          () => reader.lines().next(),
          () => reader.readToEnd(),
        ]) {
          expect(yield* errorOf(use() as Operation<unknown>)).toBeInstanceOf(BusyError);
        }
        expect(asText(reader.peek())).toBe("abc");
        yield* pipe.writer.write("def");
        yield* join(filling);
        expect(asText(reader.peek())).toBe("abcdef");
      }),
  );

  testUnless(needs("pipes"))("lets another task read once the first was cancelled", () =>
    run(function* main() {
      using pipe = yield* openPipe();
      const reader = new BufferedReader(pipe.reader);
      const waiting = yield* spawn(() => reader.readUntil("\n"));
      yield* yieldNow();
      yield* cancel(waiting);
      yield* pipe.writer.write("line\n");
      expect(asText(yield* reader.readUntil("\n"))).toBe("line");
    }),
  );

  test.each([
    ["lines", (reader: BufferedReader) => reader.lines().next()],
    ["readUntil", (reader: BufferedReader) => reader.readUntil("\n")],
    ["read", (reader: BufferedReader) => reader.read(new Uint8Array(2))],
  ] as const)("lets others run while %s finds all that it wants in what was read ahead", (_call, act) =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("x\n".repeat(10_000))]), { bufferBytes: 20_000 });
      yield* reader.fill();
      expect(reader.bufferedBytes).toBe(20_000);
      let turns = 0;
      const other = yield* spawn(function* other() {
        for (;;) {
          yield* yieldNow();
          turns++;
        }
      });
      for (let count = 0; count < 10_000; count++) yield* act(reader) as Operation<unknown>;
      expect(turns).toBeGreaterThan(50);
      yield* cancel(other);
    }),
  );

  test("refuses an empty buffer, whose 0 would look like the end", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("abc")]));
      for (let again = 0; again < 2; again++) {
        expect(yield* errorOf(reader.read(new Uint8Array(0)))).toBeInstanceOf(RangeError);
        yield* reader.fill();
      }
      yield* reader.readExactly(new Uint8Array(0));
      expect(yield* errorOf(reader.read("abc" as unknown as Uint8Array))).toBeInstanceOf(TypeError);
    }));

  test("lets a large read through without a buffer between", () =>
    run(function* main() {
      const source = new Pieces([patternOf(50_000)]);
      const reader = new BufferedReader(source, { bufferBytes: 1000 });
      const buffer = new Uint8Array(50_000);
      expect(yield* reader.read(buffer)).toBe(50_000);
      expect(source.largestRequestBytes).toBe(50_000);
      expect(buffer).toEqual(patternOf(50_000));
    }));

  test("gives back what it took for one long line", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf(`${"x".repeat(50_000)}\nshort\n`)]), { bufferBytes: 100 });
      expect(yield* reader.readUntil("\n")).toHaveLength(50_000);
      expect(asText(yield* reader.readUntil("\n"))).toBe("short");
      expect((reader as unknown as { buffer: Uint8Array }).buffer.byteLength).toBeLessThanOrEqual(100);
    }));

  test("hands out fields in memory of their own", () =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("one;two;")]));
      const one = (yield* reader.readUntil(";"))!;
      one.fill(0);
      const two = (yield* reader.readUntil(0x3b))!;
      expect(asText(two)).toBe("two");
      expect(one.buffer).not.toBe(two.buffer);
    }));

  test.each([
    [{ bufferBytes: 0 }, "BufferedReader: bufferBytes"],
    [{ bufferBytes: 1.5 }, "BufferedReader: bufferBytes"],
    [{ limitBytes: 0 }, "BufferedReader: limitBytes"],
    [{ limitBytes: 2 ** 40 }, "BufferedReader: limitBytes"],
  ])("refuses %p", (options: BufferedReaderOptions, words) => {
    expect(thrownBy(() => new BufferedReader(new Pieces([]), options), RangeError).message).toStartWith(words);
  });

  test.each([
    ["", RangeError],
    [new Uint8Array(0), RangeError],
    [256, RangeError],
    [-1, RangeError],
    [null, TypeError],
  ] as const)("refuses %p as a delimiter", (delimiter, kind) =>
    run(function* main() {
      const reader = new BufferedReader(new Pieces([bytesOf("abc")]));
      expect(yield* errorOf(reader.readUntil(delimiter as Delimiter))).toBeInstanceOf(kind);
    }),
  );

  test("passes on an error of its stream, and keeps what came before", () =>
    run(function* main() {
      const source = new Pieces([bytesOf("before")]);
      source.failure = new Error("the line is cut");
      const reader = new BufferedReader(source);
      expect(yield* errorOf(reader.readUntil("\n"))).toBe(source.failure as Error & Record<string, unknown>);
      source.failure = null;
      expect(asText(yield* reader.readToEnd())).toBe("before");
    }));

  test("makes U+FFFD of what is no UTF-8, and cuts no character in two", () =>
    run(function* main() {
      const input = new Uint8Array([0xe2, 0x98, 0x83, 0x0a, 0xff, 0x61, 0x0a]);
      const reader = new BufferedReader(new Pieces([...input].map((byte) => Uint8Array.of(byte))));
      const lines = reader.lines();
      expect((yield* lines.next()).value).toBe("☃");
      expect((yield* lines.next()).value).toBe("\uFFFDa");
    }));
});

/** Gives the commands to a reader, and to the model, which has all bytes at once. */
function* compare(reads: Reads, pieces: readonly Uint8Array[], commands: readonly Command[]): Operation<void> {
  const model = new Model(pieces.map(asText).join(""));
  for (const command of commands) {
    const outcome = yield* outcomeOf(reads, command);
    expect({ command, outcome }).toEqual({ command, outcome: model.outcomeOf(command, outcome) });
  }
  expect(asText(yield* reads.readToEnd())).toBe(model.rest);
}

function* outcomeOf(reads: Reads, command: Command): Operation<Outcome> {
  try {
    return yield* perform(reads, command);
  } catch (error) {
    if (error instanceof LimitError) return { error: error.name, limitBytes: error.limitBytes };
    if (error instanceof UnexpectedEndError) return { error: error.name, receivedBytes: error.receivedBytes };
    throw error;
  }
}

function* perform(reads: Reads, command: Command): Operation<string | null> {
  switch (command.call) {
    case "read": {
      const buffer = new Uint8Array(command.bytes);
      return asText(buffer.subarray(0, yield* reads.read(buffer)));
    }
    case "readExactly": {
      const buffer = new Uint8Array(command.bytes);
      yield* reads.readExactly(buffer);
      return asText(buffer);
    }
    case "readUntil":
      return asText(yield* reads.readUntil(command.delimiter, command));
    case "line":
      return (yield* reads.lines(command).next()).value ?? null;
    case "readToEnd":
      return asText(yield* reads.readToEnd(command));
  }
}

class Model {
  constructor(public rest: string) {}

  /** How much a `read` brings depends on the pieces: the model takes what came, if that is right. */
  outcomeOf(command: Command, actual: Outcome): Outcome {
    switch (command.call) {
      case "read":
        return this.read(command.bytes, actual);
      case "readExactly":
        return this.readExactly(command.bytes);
      case "readUntil":
        return this.readUntil(command.delimiter, command.limitBytes);
      case "line":
        return this.line(command.limitBytes);
      case "readToEnd":
        if (this.rest.length > command.limitBytes) return limitError(command.limitBytes);
        return this.take(this.rest.length);
    }
  }

  private read(bytes: number, actual: Outcome): Outcome {
    if (typeof actual !== "string" || actual.length > bytes) return `at most ${bytes} bytes`;
    if (actual === "" && this.rest !== "") return "something";
    return this.take(actual.length);
  }

  private readExactly(bytes: number): Outcome {
    if (this.rest.length >= bytes) return this.take(bytes);
    const receivedBytes = this.rest.length;
    this.take(receivedBytes);
    return { error: "UnexpectedEndError", receivedBytes };
  }

  private readUntil(delimiter: string, limitBytes: number): Outcome {
    const at = this.rest.indexOf(delimiter);
    if (at > limitBytes || (at === -1 && this.rest.length >= limitBytes + delimiter.length))
      return limitError(limitBytes);
    if (at === -1) return this.rest === "" ? null : { error: "UnexpectedEndError", receivedBytes: this.rest.length };
    const field = this.take(at);
    this.take(delimiter.length);
    return field;
  }

  private line(limitBytes: number): Outcome {
    const at = this.rest.indexOf("\n");
    const length = at === -1 ? this.rest.length : at;
    if (length > limitBytes) return limitError(limitBytes);
    if (at === -1) return this.rest === "" ? null : this.take(length);
    const line = this.take(length);
    this.take(1);
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }

  private take(bytes: number): string {
    const taken = this.rest.slice(0, bytes);
    this.rest = this.rest.slice(bytes);
    return taken;
  }
}

function limitError(limitBytes: number): Outcome {
  return { error: "LimitError", limitBytes };
}

/** A stream that brings its bytes in the pieces given, with a wait before every other one. */
class Pieces {
  readonly label = "the pieces";
  largestRequestBytes = 0;
  failure: Error | null = null;
  private readonly left: Uint8Array[];
  private readonly all: string;
  private taken = 0;
  private reads = 0;

  constructor(pieces: readonly Uint8Array[]) {
    this.left = pieces.filter((piece) => piece.byteLength > 0);
    this.all = this.left.map(asText).join("");
  }

  *read(buffer: Uint8Array): Operation<number> {
    this.largestRequestBytes = Math.max(this.largestRequestBytes, buffer.byteLength);
    if (this.reads++ % 2 === 0) yield* yieldNow();
    const [piece] = this.left;
    if (piece === undefined) {
      if (this.failure !== null) throw this.failure;
      return 0;
    }
    const bytes = Math.min(piece.byteLength, buffer.byteLength);
    buffer.set(piece.subarray(0, bytes));
    if (bytes === piece.byteLength) this.left.shift();
    else this.left[0] = piece.subarray(bytes);
    return bytes;
  }

  /** Notes what a `readUntil` has taken. */
  noteTaken(field: Uint8Array | Error | null, delimiter: string): void {
    if (field instanceof Uint8Array) this.taken += field.byteLength + delimiter.length;
  }

  /** All that was not taken. */
  get rest(): string {
    return this.all.slice(this.taken);
  }
}

function* errorOr<T>(operation: Operation<T>): Operation<T | Error> {
  try {
    return yield* operation;
  } catch (error) {
    return error as Error;
  }
}

function inPieces(input: string, length: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.length; at += length) pieces.push(bytesOf(input.slice(at, at + length)));
  return pieces;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The inputs of the random tests are ASCII. */
function asText(bytes: Uint8Array): string;
function asText(bytes: Uint8Array | null): string | null;
function asText(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** Few letters, so that delimiters are frequent and their beginnings too. */
const INPUT: fc.Arbitrary<Uint8Array[]> = fc
  .array(fc.array(fc.constantFrom("a", "b", "\r", "\n"), { minLength: 1, maxLength: 12 }), { maxLength: 12 })
  .map((pieces) => pieces.map((letters) => bytesOf(letters.join(""))));

const LIMIT = fc.integer({ min: 0, max: 20 });

const COMMANDS: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    fc.record({ call: fc.constantFrom("read", "readExactly"), bytes: fc.integer({ min: 1, max: 10 }) }),
    fc.record({
      call: fc.constant("readUntil"),
      delimiter: fc.constantFrom("\n", "\r\n", "ab", "aab", "\r\n\r\n"),
      limitBytes: LIMIT,
    }),
    fc.record({ call: fc.constant("line"), limitBytes: LIMIT }),
    fc.record({ call: fc.constant("readToEnd"), limitBytes: LIMIT }),
  ) as fc.Arbitrary<Command>,
  { maxLength: 12 },
);
