/** What a client reads: replies, cut out of whatever pieces the connection delivers. */

import { INCOMPLETE, Incoming, NONE } from "./incoming.ts";
import {
  COLON,
  DOLLAR,
  LONGEST_STRING_BYTES,
  MINUS,
  MOST_ITEMS,
  PLUS,
  ProtocolError,
  type Reply,
  ReplyError,
  STAR,
} from "./protocol.ts";

export class Replies extends Incoming {
  /** Lists whose items have not all come, each an item of the one before it. */
  private readonly open: OpenList[] = [];
  /** How long the string is that comes, once that was said. */
  private length: number | null = null;

  /**
   * The next reply; undefined if it is not there whole.
   * @throws ProtocolError
   */
  next(): Reply | undefined {
    for (let value = this.takeValue(); value !== undefined; value = this.takeValue()) {
      if (value instanceof OpenList) this.open.push(value);
      else {
        const reply = this.addToLists(value);
        if (reply !== undefined) return reply;
      }
    }
    return undefined;
  }

  /** A value may be the last of its list, which then is a value itself. Undefined if a list still misses items. */
  private addToLists(value: Reply): Reply | undefined {
    for (let list = this.open.at(-1); list !== undefined; list = this.open.at(-1)) {
      list.items.push(value);
      if (list.items.length < list.count) return undefined;
      this.open.pop();
      value = list.items;
    }
    return value;
  }

  private takeValue(): Reply | OpenList | undefined {
    if (this.length !== null) return this.takeText(this.length);
    if (this.start === this.end) return undefined;
    const kind = this.data[this.start]!;
    switch (kind) {
      case PLUS:
        return this.takeLine("reply")?.slice(1);
      case MINUS:
        return this.takeError();
      case COLON:
        return this.takeInteger();
      case DOLLAR:
        return this.takeBulk();
      case STAR:
        return this.takeList();
      default:
        throw new ProtocolError(`a reply begins with ${JSON.stringify(String.fromCharCode(kind))}`);
    }
  }

  private takeError(): ReplyError | undefined {
    const line = this.takeLine("error");
    return line === null ? undefined : new ReplyError(line.slice(1));
  }

  private takeInteger(): number | bigint | undefined {
    const text = this.takeLine("integer")?.slice(1);
    if (text === undefined) return undefined;
    if (!/^[+-]?\d{1,19}$/.test(text)) throw new ProtocolError(`${JSON.stringify(text)} is no integer`);
    return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
  }

  private takeBulk(): string | null | undefined {
    const length = this.takeCount(LONGEST_STRING_BYTES, "bulk length");
    if (length === INCOMPLETE) return undefined;
    if (length === NONE) return null;
    this.length = length;
    return this.takeText(length);
  }

  private takeText(length: number): string | undefined {
    const text = this.takeString(length);
    if (text === null) return undefined;
    this.length = null;
    return text;
  }

  private takeList(): OpenList | readonly Reply[] | null | undefined {
    const count = this.takeCount(MOST_ITEMS, "multibulk length");
    if (count === INCOMPLETE) return undefined;
    if (count === NONE) return null;
    if (this.open.length === DEEPEST_LIST) throw new ProtocolError(`lists are nested deeper than ${DEEPEST_LIST}`);
    return count === 0 ? [] : new OpenList(count);
  }
}

class OpenList {
  readonly items: Reply[] = [];

  constructor(readonly count: number) {}
}

/** Deeper than any command answers; what shows a reply may go down by calls. */
const DEEPEST_LIST = 32;
