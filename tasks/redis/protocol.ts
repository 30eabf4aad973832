/**
 * The protocol of Redis (RESP2): requests for a server, replies for a client, both cut out of whatever pieces the
 * connection delivers. Strings may hold any bytes; here each character stands for one byte.
 */

/** The other side has sent what is no RESP. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code = "ERR_REDIS_PROTOCOL";
}

/** An error that the server has sent as its reply. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  readonly code = "ERR_REDIS_REPLY";
}

/** What a server answers. */
export type Reply = string | number | null | ReplyError | readonly Reply[];

/** Bytes that came and were not understood yet. Read into `room()`, then tell `received`. */
abstract class Incoming {
  protected data = Buffer.allocUnsafe(BUFFER_BYTES);
  protected start = 0;
  protected end = 0;
  /** From `start` on; a long string is not looked at again with each piece of it. */
  protected neededBytes = 0;

  room(): Uint8Array {
    if (this.start === this.end) this.start = this.end = 0;
    const wanted = Math.max(this.neededBytes, this.end - this.start + 1);
    if (this.start + wanted > this.data.length) this.makeRoom(wanted);
    return this.data.subarray(this.end);
  }

  received(bytes: number): void {
    this.end += bytes;
  }

  /** Where the line ends that begins at `from`; -1 if it is not there whole. */
  protected lineEnd(from: number): number {
    const at = this.data.indexOf(CARRIAGE_RETURN, from);
    if (at !== -1 && at + 1 < this.end) return at;
    if (this.end - from > LONGEST_LINE_BYTES)
      throw new ProtocolError(`a line is longer than ${LONGEST_LINE_BYTES} bytes`);
    return -1;
  }

  protected integer(from: number, to: number): number {
    const text = this.data.toString("latin1", from, to);
    if (/^[+-]?\d{1,16}$/.test(text)) return Number(text);
    throw new ProtocolError(`${JSON.stringify(text)} is no number`);
  }

  /** A number of bytes or of items. */
  protected count(from: number, to: number, most: number): number {
    // Digit by digit: it is done for every string of every request.
    let count = 0;
    for (let at = from; at < to; at++) {
      const digit = this.data[at]! - ZERO;
      if (digit < 0 || digit > 9) return this.oddCount(from, to);
      count = count * 10 + digit;
    }
    if (to === from || count > most)
      throw new ProtocolError(`${this.data.toString("latin1", from, to)} is no length from 0 to ${most}`);
    return count;
  }

  private oddCount(from: number, to: number): number {
    if (this.data.toString("latin1", from, to) === "-1") return NONE;
    throw new ProtocolError(`${JSON.stringify(this.data.toString("latin1", from, to))} is no length`);
  }

  private makeRoom(wanted: number): void {
    const size = Math.max(this.data.length, wanted > this.data.length ? wanted + BUFFER_BYTES : 0);
    const target = size === this.data.length ? this.data : Buffer.allocUnsafe(size);
    this.data.copy(target, 0, this.start, this.end);
    this.data = target;
    this.end -= this.start;
    this.start = 0;
  }
}

/** What a server reads: requests, each a list of strings. */
export class Requests extends Incoming {
  /**
   * The next request; null if it is not there whole.
   * @throws ProtocolError
   */
  next(): string[] | null {
    if (this.end === this.start || this.end - this.start < this.neededBytes) return null;
    this.neededBytes = 0;
    return this.data[this.start] === STAR ? this.array() : this.inline();
  }

  private array(): string[] | null {
    const countEnd = this.lineEnd(this.start + 1);
    if (countEnd === -1) return null;
    const count = this.count(this.start + 1, countEnd, MOST_ITEMS);
    const items: string[] = [];
    let at = countEnd + 2;
    for (let index = 0; index < count; index++) {
      if (at >= this.end) return null;
      if (this.data[at] !== DOLLAR)
        throw new ProtocolError(`expected '$', got '${String.fromCharCode(this.data[at]!)}'`);
      const lengthEnd = this.lineEnd(at + 1);
      if (lengthEnd === -1) return null;
      const length = this.count(at + 1, lengthEnd, LONGEST_STRING_BYTES);
      const textStart = lengthEnd + 2;
      at = textStart + Math.max(0, length) + 2;
      if (at > this.end) {
        this.neededBytes = at - this.start;
        return null;
      }
      items.push(this.data.toString("latin1", textStart, textStart + length));
    }
    this.start = at;
    return items;
  }

  /** A line as a person types it. */
  private inline(): string[] | null {
    const end = this.lineEnd(this.start);
    if (end === -1) return null;
    const words = this.data
      .toString("latin1", this.start, end)
      .split(/\s+/)
      .filter((word: string) => word !== "");
    this.start = end + 2;
    return words;
  }
}

/** What a client reads: replies. */
export class Replies extends Incoming {
  private at = 0;

  /**
   * The next reply; undefined if it is not there whole.
   * @throws ProtocolError
   */
  next(): Reply | undefined {
    if (this.end === this.start || this.end - this.start < this.neededBytes) return undefined;
    this.neededBytes = 0;
    this.at = this.start;
    const reply = this.value();
    if (reply !== undefined) this.start = this.at;
    return reply;
  }

  private value(): Reply | undefined {
    if (this.at >= this.end) return undefined;
    const from = this.at + 1;
    const end = this.lineEnd(from);
    if (end === -1) return undefined;
    const kind = this.data[this.at]!;
    this.at = end + 2;
    switch (kind) {
      case PLUS:
        return this.data.toString("latin1", from, end);
      case MINUS:
        return new ReplyError(this.data.toString("latin1", from, end));
      case COLON:
        return this.integer(from, end);
      case DOLLAR:
        return this.bulk(this.count(from, end, LONGEST_STRING_BYTES));
      case STAR:
        return this.list(this.count(from, end, MOST_ITEMS));
      default:
        throw new ProtocolError(`a reply begins with '${String.fromCharCode(kind)}'`);
    }
  }

  private bulk(length: number): Reply | undefined {
    if (length === NONE) return null;
    const text = this.at;
    if (text + length + 2 > this.end) {
      this.neededBytes = text + length + 2 - this.start;
      return undefined;
    }
    this.at = text + length + 2;
    return this.data.toString("latin1", text, text + length);
  }

  private list(count: number): Reply | undefined {
    if (count === NONE) return null;
    const items: Reply[] = [];
    for (let index = 0; index < count; index++) {
      const item = this.value();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
}

/** Replies or requests that are gathered, to be sent in one piece. */
export class Outgoing {
  buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  length = 0;

  clear(): void {
    this.length = 0;
    if (this.buffer.length > KEPT_BYTES) this.buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  }

  reply(value: Reply): void {
    if (value === null) this.text("$-1\r\n");
    else if (typeof value === "string") this.bulk(value);
    else if (typeof value === "number") this.text(`:${value}\r\n`);
    else if (value instanceof ReplyError) this.text(`-${value.message}\r\n`);
    else {
      this.text(`*${value.length}\r\n`);
      for (const item of value) this.reply(item);
    }
  }

  bulk(value: string): void {
    this.text(`$${value.length}\r\n${value}\r\n`);
  }

  request(words: readonly string[]): void {
    this.text(`*${words.length}\r\n`);
    for (const word of words) this.bulk(word);
  }

  /** Text as it is; each character is one byte. */
  text(text: string): void {
    if (this.length + text.length > this.buffer.length) this.grow(text.length);
    this.buffer.write(text, this.length, "latin1");
    this.length += text.length;
  }

  private grow(addedBytes: number): void {
    const grown = Buffer.allocUnsafe(2 * (this.buffer.length + addedBytes));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}

const STAR = 0x2a;
const DOLLAR = 0x24;
const PLUS = 0x2b;
const MINUS = 0x2d;
const COLON = 0x3a;
const ZERO = 0x30;
const CARRIAGE_RETURN = 0x0d;

/** The length of what is not there. */
const NONE = -1;

/** Many requests of a usual size, and small enough for thousands of connections. */
const BUFFER_BYTES = 16_384;

/** A buffer that grew above this for one large reply is given back. */
const KEPT_BYTES = 262_144;

/** As the original server has them, except for strings, which may be 512 MB there. */
const LONGEST_LINE_BYTES = 65_536;
const MOST_ITEMS = 1_048_576;
const LONGEST_STRING_BYTES = 67_108_864;
