/** Bytes that came and were not understood yet. Read into `room()`, then tell `received`. */

import { CARRIAGE_RETURN, LINE_FEED, ProtocolError, ZERO } from "./protocol.ts";
import { textOf } from "./short-strings.ts";

export abstract class Incoming {
  protected data = Buffer.allocUnsafe(BUFFER_BYTES);
  /** Where that begins which was not understood yet. */
  protected start = 0;
  protected end = 0;
  /** From `start` on: a long string is not looked at again with each piece of it. */
  private neededBytes = 0;

  /** Where to read to. It has room for one byte at the least. */
  room(): Uint8Array {
    const { start, end, data } = this;
    if (start === end) this.forget();
    else if (end === data.length || (start > 0 && start + this.neededBytes > data.length)) this.makeRoom();
    return this.end === 0 ? this.data : this.data.subarray(this.end);
  }

  received(bytes: number): void {
    this.end += bytes;
  }

  /**
   * Takes the number of a line such as `$12`, whose first character was looked at, and its line end; takes nothing and returns
   * INCOMPLETE if the line is not there whole.
   * @param most the greatest number that is accepted
   * @param what what the number is, for the error
   */
  protected takeCount(most: number, what: string): number {
    const { data, end } = this;
    const first = this.start + 1;
    let at = first;
    let count = 0;
    for (; at < end; at++) {
      const digit = data[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      count = count * 10 + digit;
    }
    if (count > most || at - first > MOST_DIGITS) throw new ProtocolError(`invalid ${what}`);
    if (at < end && (at === first || data[at] !== CARRIAGE_RETURN)) return this.takeNone(what);
    if (at + 1 >= end) return INCOMPLETE;
    this.start = at + 2;
    return count;
  }

  /** Takes a string of that length and its line end; takes nothing and returns null if it is not there whole. */
  protected takeString(length: number): string | null {
    const from = this.start;
    const to = from + length;
    if (to + 2 > this.end) {
      this.neededBytes = length + 2;
      return null;
    }
    this.neededBytes = 0;
    this.start = to + 2;
    return textOf(this.data, from, to);
  }

  /** Takes a line, without its end; takes nothing and returns null if it is not there whole. */
  protected takeLine(what: string): string | null {
    const from = this.start;
    const found = this.data.indexOf(LINE_FEED, from);
    const isWhole = found !== -1 && found < this.end;
    if ((isWhole ? found : this.end) - from > LONGEST_LINE_BYTES) throw new ProtocolError(`too big ${what}`);
    if (!isWhole) return null;
    this.start = found + 1;
    const hasReturn = found > from && this.data[found - 1] === CARRIAGE_RETURN;
    return textOf(this.data, from, hasReturn ? found - 1 : found);
  }

  /** `-1` stands for what is not there. */
  private takeNone(what: string): number {
    const text = this.data.toString("latin1", this.start + 1, Math.min(this.start + 5, this.end));
    if (!"-1\r\n".startsWith(text)) throw new ProtocolError(`invalid ${what}`);
    if (text.length < 4) return INCOMPLETE;
    this.start += 5;
    return NONE;
  }

  /** Nothing is left. What has grown for a long string is given back. */
  private forget(): void {
    this.start = this.end = 0;
    if (this.data.length > KEPT_BYTES) this.data = Buffer.allocUnsafe(BUFFER_BYTES);
  }

  /** The buffer grows with what comes, and not at once to what was announced: to announce costs the other side nothing. */
  private makeRoom(): void {
    const { data, start, end } = this;
    const isFull = start === 0 && end === data.length;
    const size = isFull ? Math.min(2 * end, Math.max(this.neededBytes, end + BUFFER_BYTES)) : data.length;
    this.data = isFull ? Buffer.allocUnsafe(size) : data;
    data.copy(this.data, 0, start, end);
    this.end -= start;
    this.start = 0;
  }
}

/** Instead of a count: the length of what is not there. */
export const NONE = -1;

/** Instead of a count: it has not come whole. */
export const INCOMPLETE = -2;

/** Many requests of a usual size, and small enough for thousands of connections. */
const BUFFER_BYTES = 16_384;

/** A buffer that grew above this for a long string is given back. */
const KEPT_BYTES = 262_144;

/** As the original server has it. */
const LONGEST_LINE_BYTES = 65_536;

/** More than any count has that is accepted; without a limit there could be zeros for ever. */
const MOST_DIGITS = 16;
