/**
 * Reads ahead, for code that takes a stream apart: lines, fields that end with a delimiter, a parser that looks before it
 * takes.
 *
 * Streams have `readUntil` and `lines` themselves, by a `BufferedReader` of their own that is made with the first such
 * call. A parser makes one by hand, to see the bytes in place: `peek` shows what there is, `fill` gets more, `consume`
 * takes.
 *
 * A task that is cancelled while it waits has taken nothing: what came stays in the buffer.
 */

import { spendBudget } from "../core/budget.ts";
import { assertInteger, BusyError, describeValue, LimitError, UnexpectedEndError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Named } from "../core/source.ts";
import { yieldNow } from "../core/yield-now.ts";
import {
  DEFAULT_LIMIT_BYTES,
  DEFAULT_LINE_LIMIT_BYTES,
  type Delimiter,
  type LineReader,
  type ReadLimit,
} from "./byte-stream.ts";
import { assertBytes, assertRoom, toBytes } from "./bytes.ts";

/** What a `BufferedReader` reads from: any `ByteReader`. */
export interface Readable extends Named {
  read(buffer: Uint8Array): Operation<number>;
}

export interface BufferedReaderOptions {
  /** How much is asked for at once, in bytes; by default 16 KiB. */
  readonly bufferBytes?: number | undefined;
  /** How much `fill` may gather while nothing is consumed, in bytes; by default 1 MiB. */
  readonly limitBytes?: number | undefined;
}

export class BufferedReader implements Named {
  private readonly bufferBytes: number;
  private readonly limitBytes: number;
  /** What was read ahead is `buffer[start]` up to `buffer[end]`. */
  private buffer = NOTHING;
  private start = 0;
  private end = 0;
  private isFilling = false;

  /** @throws RangeError for a size that is none */
  constructor(
    private readonly reader: Readable,
    { bufferBytes = DEFAULT_BUFFER_BYTES, limitBytes = DEFAULT_LIMIT_BYTES }: BufferedReaderOptions = {},
  ) {
    assertInteger("BufferedReader: bufferBytes", bufferBytes, 1, LARGEST_BUFFER_BYTES);
    assertInteger("BufferedReader: limitBytes", limitBytes, 1, LARGEST_BUFFER_BYTES);
    this.bufferBytes = bufferBytes;
    this.limitBytes = limitBytes;
  }

  /** Words for messages: those of the stream. */
  get label(): string {
    return this.reader.label;
  }

  /** How many bytes were read ahead. */
  get bufferedBytes(): number {
    return this.end - this.start;
  }

  /** What was read ahead, in place: it is valid until the next call that reads or consumes. */
  peek(): Uint8Array {
    return this.buffer.subarray(this.start, this.end);
  }

  /**
   * Takes bytes off the beginning of what was read ahead.
   * @throws RangeError if there are not so many; BusyError while another task is reading
   */
  consume(bytes: number): void {
    this.refuseSecond();
    assertInteger("consume: bytes", bytes, 0, this.bufferedBytes);
    this.start += bytes;
    if (this.start === this.end) this.emptied();
  }

  /**
   * Reads once more into the buffer, behind what is there; suspends the task until something comes.
   * @returns false if the stream is at its end
   * @throws LimitError if the buffer holds `limitBytes` already; BusyError if another task is reading; what `read` throws
   */
  fill(): Operation<boolean> {
    return this.fillUpTo(this.limitBytes, "fill");
  }

  /**
   * Reads what there is, at most as much as `buffer` holds; suspends the task until there is something.
   * @returns how many bytes were read into the beginning of `buffer`; 0 at the end of the stream
   * @throws RangeError if the buffer is empty; what the stream's `read` throws
   */
  *read(buffer: Uint8Array): Operation<number> {
    assertRoom("read: buffer", buffer);
    if (!spendBudget()) yield* yieldNow();
    this.refuseSecond();
    // A large read needs no buffer between.
    if (this.bufferedBytes === 0 && buffer.byteLength >= this.bufferBytes) return yield* this.readThrough(buffer);
    if (this.bufferedBytes === 0 && !(yield* this.fill())) return 0;
    return this.take(buffer);
  }

  /**
   * Fills `buffer`. If the task is cancelled meanwhile, what came by then is in the buffer, and lost for the next read.
   * @throws UnexpectedEndError if the stream ends first, with the number of bytes that came; what `read` throws
   */
  *readExactly(buffer: Uint8Array): Operation<void> {
    assertBytes("readExactly: buffer", buffer);
    let received = 0;
    while (received < buffer.byteLength) {
      const bytes = yield* this.read(buffer.subarray(received));
      if (bytes === 0) throw new UnexpectedEndError(this.label, received, buffer.byteLength);
      received += bytes;
    }
  }

  /** See `ByteReader.readUntil`. */
  *readUntil(delimiter: Delimiter, limit: ReadLimit = {}): Operation<Uint8Array | null> {
    const { limitBytes = DEFAULT_LINE_LIMIT_BYTES } = limit;
    assertInteger("readUntil: limitBytes", limitBytes, 0, LARGEST_BUFFER_BYTES);
    const mark = toDelimiter(delimiter);
    if (!spendBudget()) yield* yieldNow();
    let length = this.look(mark, 0, limitBytes, "readUntil");
    if (length === NOT_FOUND) length = yield* this.readUpTo(mark, limitBytes, "readUntil");
    if (length === AT_END && this.bufferedBytes > 0) throw this.endBefore(delimiter);
    return length === AT_END ? null : this.takeCopy(length, mark.byteLength);
  }

  /** See `ByteReader.lines`. */
  lines(limit: ReadLimit = {}): LineReader {
    const { limitBytes = DEFAULT_LINE_LIMIT_BYTES } = limit;
    assertInteger("lines: limitBytes", limitBytes, 0, LARGEST_BUFFER_BYTES);
    return { next: () => this.nextLine(limitBytes) };
  }

  /** See `ByteReader.readToEnd`. */
  *readToEnd(limit: ReadLimit = {}): Operation<Uint8Array> {
    const { limitBytes = DEFAULT_LIMIT_BYTES } = limit;
    assertInteger("readToEnd: limitBytes", limitBytes, 0, LARGEST_BUFFER_BYTES);
    this.refuseSecond();
    let isAtEnd = false;
    while (!isAtEnd) {
      if (this.bufferedBytes > limitBytes) throw this.limitError("readToEnd", limitBytes);
      // One byte above the limit tells a stream that is too long from one that ends there.
      isAtEnd = !(yield* this.fillUpTo(limitBytes + 1, "readToEnd"));
    }
    return this.takeCopy(this.bufferedBytes, 0);
  }

  /** For streams: forgets what was read ahead. */
  discard(): void {
    this.buffer = NOTHING;
    this.start = 0;
    this.end = 0;
  }

  /** For streams: takes as much of what was read ahead as the buffer holds from `offset` on. */
  take(buffer: Uint8Array, offset = 0): number {
    this.refuseSecond();
    const bytes = Math.min(buffer.byteLength - offset, this.bufferedBytes);
    buffer.set(this.buffer.subarray(this.start, this.start + bytes), offset);
    this.consume(bytes);
    return bytes;
  }

  private *nextLine(limitBytes: number): Operation<IteratorResult<string, void>> {
    if (!spendBudget()) yield* yieldNow();
    let found = this.look(LINE_FEED, 0, limitBytes, "lines");
    if (found === NOT_FOUND) found = yield* this.readUpTo(LINE_FEED, limitBytes, "lines");
    if (found === AT_END && this.bufferedBytes === 0) return { done: true, value: undefined };
    const length = found === AT_END ? this.bufferedBytes : found;
    const endsWithReturn = length > 0 && this.buffer[this.start + length - 1] === CARRIAGE_RETURN;
    const shown = found !== AT_END && endsWithReturn ? length - 1 : length;
    const line = DECODER.decode(this.buffer.subarray(this.start, this.start + shown));
    this.consume(found === AT_END ? length : length + 1);
    return { done: false, value: line };
  }

  /** Reads on. How many bytes are before the delimiter then; `AT_END` if the stream ends before it. */
  private *readUpTo(mark: Uint8Array, limitBytes: number, call: string): Operation<number> {
    for (;;) {
      // The delimiter's beginning may be there already.
      const searched = Math.max(0, this.bufferedBytes - mark.byteLength + 1);
      if (!(yield* this.fillUpTo(limitBytes + mark.byteLength, call))) return AT_END;
      const length = this.look(mark, searched, limitBytes, call);
      if (length !== NOT_FOUND) return length;
    }
  }

  /** How many bytes are before the delimiter in what was read ahead; `NOT_FOUND` if it may still come. */
  private look(mark: Uint8Array, searched: number, limitBytes: number, call: string): number {
    this.refuseSecond();
    const length = this.search(mark, searched);
    if (length > limitBytes || (length === NOT_FOUND && this.bufferedBytes >= limitBytes + mark.byteLength))
      throw this.limitError(call, limitBytes);
    return length;
  }

  /** Where the delimiter begins in what was read ahead, from `searched` on. */
  private search(mark: Uint8Array, searched: number): number {
    const first = mark[0]!;
    const last = this.end - mark.byteLength;
    // What lies behind the end is not searched along, time and again, while a long piece comes in many small ones.
    const bytes = searched === 0 ? this.buffer : this.buffer.subarray(0, this.end);
    let at = bytes.indexOf(first, this.start + searched);
    while (at !== -1 && at <= last) {
      if (this.hasAt(mark, at)) return at - this.start;
      at = bytes.indexOf(first, at + 1);
    }
    return NOT_FOUND;
  }

  private hasAt(mark: Uint8Array, at: number): boolean {
    for (let index = 1; index < mark.byteLength; index++) if (this.buffer[at + index] !== mark[index]) return false;
    return true;
  }

  private *fillUpTo(limitBytes: number, call: string): Operation<boolean> {
    this.refuseSecond();
    if (this.bufferedBytes >= limitBytes) throw this.limitError(call, limitBytes);
    this.makeRoom(limitBytes);
    const room = Math.min(this.buffer.byteLength, this.start + limitBytes);
    const bytes = yield* this.readThrough(this.buffer.subarray(this.end, room));
    this.end += bytes;
    return bytes > 0;
  }

  private *readThrough(buffer: Uint8Array): Operation<number> {
    this.isFilling = true;
    try {
      return yield* this.reader.read(buffer);
    } finally {
      this.isFilling = false;
    }
  }

  /** The buffer doubles while a piece does not fit, so that each byte is copied about once. */
  private makeRoom(limitBytes: number): void {
    if (this.end < this.buffer.byteLength) return;
    if (this.start * 2 > this.buffer.byteLength) this.buffer.copyWithin(0, this.start, this.end);
    else this.grow(limitBytes);
    this.end -= this.start;
    this.start = 0;
  }

  private grow(limitBytes: number): void {
    const grown = new Uint8Array(Math.max(this.bufferBytes, Math.min(this.buffer.byteLength * 2, limitBytes)));
    grown.set(this.peek());
    this.buffer = grown;
  }

  /** A buffer that grew for one long piece is not kept for the next short ones. */
  private emptied(): void {
    this.start = 0;
    this.end = 0;
    if (this.buffer.byteLength > this.bufferBytes) this.buffer = NOTHING;
  }

  private takeCopy(length: number, skippedBytes: number): Uint8Array {
    const copy = this.buffer.slice(this.start, this.start + length);
    this.consume(length + skippedBytes);
    return copy;
  }

  private refuseSecond(): void {
    if (!this.isFilling) return;
    throw new BusyError(
      `${this.label} is being read by another task: one task at a time may, so let one task do it for all`,
    );
  }

  private limitError(call: string, limitBytes: number): LimitError {
    return new LimitError(`${this.label}: ${call} found no end within ${limitBytes} bytes`, limitBytes);
  }

  private endBefore(delimiter: Delimiter): UnexpectedEndError {
    return UnexpectedEndError.before(describeValue(delimiter), this.label, this.bufferedBytes);
  }
}

function toDelimiter(delimiter: Delimiter): Uint8Array {
  if (typeof delimiter === "number") {
    assertInteger("readUntil: delimiter", delimiter, 0, 255);
    return Uint8Array.of(delimiter);
  }
  const mark = toBytes("readUntil: delimiter", delimiter);
  if (mark.byteLength === 0) throw new RangeError("readUntil: delimiter is empty, so it would be found everywhere");
  return mark;
}

const NOTHING = new Uint8Array(0);
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const LINE_FEED = Uint8Array.of(0x0a);
const CARRIAGE_RETURN = 0x0d;

const NOT_FOUND = -1;
const AT_END = -2;

/** A few requests of a usual size, and small enough for thousands of connections. */
const DEFAULT_BUFFER_BYTES = 16_384;

/** Far below what a typed array can have; a limit above it is a mistake in the unit. */
export const LARGEST_BUFFER_BYTES = 1_073_741_824;
