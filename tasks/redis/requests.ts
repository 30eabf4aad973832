/** What a server reads: requests, each a list of words, cut out of whatever pieces the connection delivers. */

import { INCOMPLETE, Incoming, NONE } from "./incoming.ts";
import { splitWords } from "./inline.ts";
import { DOLLAR, LONGEST_STRING_BYTES, MOST_ITEMS, ProtocolError, STAR } from "./protocol.ts";

export class Requests extends Incoming {
  /** The words of the request that comes. */
  private words: string[] = [];
  private missingWords = 0;
  /** How long its next word is, once that was said. */
  private length: number | null = null;
  /** How long its words are together. */
  private bytes = 0;

  /**
   * The next request; null if it is not there whole. An empty one asks for nothing.
   * @throws ProtocolError
   */
  next(): readonly string[] | null {
    if (this.missingWords === 0) {
      if (this.start === this.end) return null;
      if (this.data[this.start] !== STAR) return this.inline();
      if (!this.begin()) return null;
    }
    for (; this.missingWords > 0; this.missingWords--) {
      const word = this.takeWord();
      if (word === null) return null;
      this.words.push(word);
    }
    return this.words;
  }

  private begin(): boolean {
    const count = this.takeCount(MOST_ITEMS, "multibulk length");
    if (count === INCOMPLETE) return false;
    this.words = [];
    this.bytes = 0;
    this.missingWords = Math.max(0, count);
    return true;
  }

  private takeWord(): string | null {
    this.length ??= this.takeLength();
    if (this.length === null) return null;
    const word = this.takeString(this.length);
    if (word !== null) this.length = null;
    return word;
  }

  private takeLength(): number | null {
    if (this.start === this.end) return null;
    if (this.data[this.start] !== DOLLAR) throw new ProtocolError(`expected '$', got '${this.firstCharacter}'`);
    const length = this.takeCount(LONGEST_STRING_BYTES, "bulk length");
    if (length === INCOMPLETE) return null;
    if (length === NONE) throw new ProtocolError("invalid bulk length");
    this.bytes += length;
    if (this.bytes > LONGEST_REQUEST_BYTES) throw new ProtocolError("too big request");
    return length;
  }

  /** A line as a person types it. */
  private inline(): readonly string[] | null {
    const line = this.takeLine("inline request");
    return line === null ? null : splitWords(line);
  }

  private get firstCharacter(): string {
    return String.fromCharCode(this.data[this.start]!);
  }
}

/** Of all words together; the original server closes the connection at 1 GB. */
const LONGEST_REQUEST_BYTES = 134_217_728;
