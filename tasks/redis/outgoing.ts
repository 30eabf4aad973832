/** Replies or requests that are gathered, to be sent in one piece. */

import {
  CARRIAGE_RETURN,
  COLON,
  DOLLAR,
  LINE_FEED,
  ProtocolError,
  type Reply,
  ReplyError,
  STAR,
  ZERO,
} from "./protocol.ts";

export class Outgoing {
  buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  length = 0;
  /** Nothing comes after this: the connection is to be closed once it is sent. */
  isLast = false;

  /** What was gathered is sent. */
  clear(): void {
    this.length = 0;
    if (this.buffer.length > KEPT_BYTES) this.buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  }

  reply(value: Reply): void {
    if (typeof value === "string") this.bulk(value);
    else if (typeof value === "number") this.integer(value);
    else if (value === null) this.text("$-1\r\n");
    else if (typeof value === "bigint") this.text(`:${value}\r\n`);
    // What the other side has sent may be part of the message, but must not end its line.
    else if (value instanceof ReplyError) this.text(`-${value.message.replace(/[\r\n]/g, " ")}\r\n`);
    else {
      this.count(STAR, value.length);
      for (const item of value) this.reply(item);
    }
  }

  bulk(value: string): void {
    this.count(DOLLAR, value.length);
    this.text(value);
    this.text(LINE_END);
  }

  integer(value: number): void {
    if (value >= 0) this.count(COLON, value);
    else this.text(`:${value}\r\n`);
  }

  request(words: readonly string[]): void {
    this.count(STAR, words.length);
    for (const word of words) this.bulk(word);
  }

  /** Text as it is; each character is one byte. */
  text(text: string): void {
    const { length } = text;
    if (this.length + length > this.buffer.length) this.grow(length);
    if (length > SHORT_BYTES) this.buffer.write(text, this.length, "latin1");
    else {
      for (let index = 0; index < length; index++) this.buffer[this.length + index] = text.charCodeAt(index);
    }
    this.length += length;
  }

  /** A line such as `$12`. Digit by digit: it is done for every string of every reply. */
  private count(mark: number, count: number): void {
    if (this.length + LONGEST_COUNT_BYTES > this.buffer.length) this.grow(LONGEST_COUNT_BYTES);
    const { buffer } = this;
    let digits = 1;
    for (let rest = count; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    buffer[this.length] = mark;
    const end = this.length + 1 + digits;
    for (let at = end - 1, rest = count; at > this.length; at--) {
      const tens = Math.floor(rest / 10);
      buffer[at] = ZERO + (rest - 10 * tens);
      rest = tens;
    }
    buffer[end] = CARRIAGE_RETURN;
    buffer[end + 1] = LINE_FEED;
    this.length = end + 2;
  }

  private grow(addedBytes: number): void {
    const needed = this.length + addedBytes;
    if (needed > MOST_BYTES) throw new ProtocolError(`more than ${MOST_BYTES} bytes to be sent at once`);
    const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(2 * this.buffer.length, MOST_BYTES)));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}

const LINE_END = "\r\n";

/** Up to here a loop is faster than the native call. */
const SHORT_BYTES = 32;

/** The mark, 16 digits of the greatest safe integer, the line end. */
const LONGEST_COUNT_BYTES = 19;

/** A command may answer a large value many times over. */
const MOST_BYTES = 268_435_456;

/** Many replies of a usual size, and small enough for thousands of connections. */
const BUFFER_BYTES = 16_384;

/** A buffer that grew above this for one large reply is given back. */
const KEPT_BYTES = 262_144;
