/** What the Redis programs send and understand, whatever pieces it comes in. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Outgoing } from "../../tasks/redis/outgoing.ts";
import { ProtocolError, type Reply, ReplyError } from "../../tasks/redis/protocol.ts";
import { Replies } from "../../tasks/redis/replies.ts";
import { Requests } from "../../tasks/redis/requests.ts";

const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
const words = fc.array(bytes, { minLength: 1, maxLength: 5 });

describe("requests", () => {
  test("are the same in whatever pieces they come, and hold any bytes", () => {
    fc.assert(
      fc.property(
        fc.array(words, { maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        (sent, sizes) => {
          const text = sent.map(requestText).join("");
          expect(requestsIn(pieces(text, sizes))).toEqual(sent);
        },
      ),
    );
  });

  test("of more bytes than the buffer has at first are taken, and the buffer is given back", () => {
    const requests = new Requests();
    const large = "x".repeat(5_000_000);
    expect(requestsIn(pieces(requestText(["SET", "k", large]), endless(70_000)), requests)).toEqual([
      ["SET", "k", large],
    ]);
    expect(requests.room().length).toBeLessThan(100_000);
  });

  test("are not looked at again with each piece: a million words, in small pieces, take no time to speak of", () => {
    const many = Array.from({ length: 300_000 }, (_, index) => String(index));
    expect(requestsIn(pieces(requestText(many), endless(1_000)))).toEqual([many]);
  });

  test("that announce a long string get no memory before it comes", () => {
    const requests = new Requests();
    expect(requestsIn(["*2\r\n$3\r\nSET\r\n$67108864\r\n"], requests)).toEqual([]);
    expect(requests.room().length).toBeLessThan(100_000);
  });

  test.each<[string, string[]]>([
    ["PING\r\n", ["PING"]],
    ["PING\n", ["PING"]],
    ["  SET \t a  b \r\n", ["SET", "a", "b"]],
    ["\r\n", []],
    ["   \r\n", []],
    ['SET a "b c"\r\n', ["SET", "a", "b c"]],
    ['"\\x41\\xfF\\n\\r\\t\\b\\a\\"\\\\\\q" ""\r\n', ['A\xff\n\r\t\b\x07"\\q', ""]],
    ["'it\\'s \\n' ''\r\n", ["it's \\n", ""]],
    ['ab"c d"\r\n', ["abc d"]],
    ["a\xa0b\r\n", ["a\xa0b"]],
  ])("of a line, as a person types them: %j", (line, expected) => {
    expect(requestsIn([line])).toEqual([expected]);
    expect(requestsIn(line)).toEqual([expected]);
  });

  test.each<[string, string]>([
    ["invalid multibulk length", "*x\r\n"],
    ["invalid multibulk length", "*\r\n"],
    ["invalid multibulk length", "*1048577\r\n"],
    ["invalid multibulk length", "*-2\r\n"],
    ["invalid multibulk length", `*${"0".repeat(100)}`],
    ["expected '$', got 'P'", "*1\r\nPING\r\n"],
    ["invalid bulk length", "*1\r\n$-1\r\n"],
    ["invalid bulk length", "*1\r\n$1x\r\n"],
    ["invalid bulk length", "*1\r\n$67108865\r\n"],
    ["unbalanced quotes in request", 'GET "a\r\n'],
    ["unbalanced quotes in request", 'GET "a"b\r\n'],
    ["unbalanced quotes in request", "GET 'a'b\r\n"],
    ["too big inline request", "x".repeat(70_000)],
    ["too big inline request", `${"x".repeat(70_000)}\r\n`],
  ])("that are none are refused: %s", (message, text) => {
    for (const way of [[text], text]) expect(() => requestsIn(way)).toThrow(new ProtocolError(message));
  });

  test("with more bytes than are allowed together are refused when that is announced", () => {
    const requests = new Requests();
    const large = "x".repeat(60_000_000);
    const half = `$${large.length}\r\n${large}\r\n`;
    expect(() => requestsIn(pieces(`*3\r\n${half}${half}$${large.length}\r\n`, endless(10_000_000)), requests)).toThrow(
      "too big request",
    );
  });

  test("that ask for nothing are empty", () => {
    expect(requestsIn(["*0\r\n*-1\r\nPING\r\n"])).toEqual([[], [], ["PING"]]);
  });
});

describe("replies", () => {
  const leaf = fc.oneof(
    bytes,
    fc.maxSafeInteger(),
    fc.constant(null),
    fc.constantFrom(2n ** 62n, -(2n ** 63n)),
    fc.string({ unit: "grapheme-ascii" }).map((text) => new ReplyError(text)),
  );
  const reply: fc.Arbitrary<Reply> = fc.letrec<{ reply: Reply }>((tie) => ({
    reply: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie("reply"), { maxLength: 4 })),
  })).reply;

  test("are the same after they were sent, in whatever pieces they come", () => {
    fc.assert(
      fc.property(
        fc.array(reply, { maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        (sent, sizes) => {
          const out = new Outgoing();
          for (const each of sent) out.reply(each);
          expect(repliesIn(pieces(textOf(out), sizes))).toEqual(sent);
        },
      ),
    );
  });

  test("of many items do not begin anew with each piece", () => {
    const many = Array.from({ length: 300_000 }, (_, index) => index);
    const out = new Outgoing();
    out.reply([many, "end"]);
    expect(repliesIn(pieces(textOf(out), endless(1_000)))).toEqual([[many, "end"]]);
  });

  test("may be simple strings and empty lists", () => {
    expect(repliesIn("+OK\r\n*0\r\n*-1\r\n:-7\r\n")).toEqual(["OK", [], null, -7]);
  });

  test.each<[string, string]>([
    ['a reply begins with "?"', "?\r\n"],
    ['"x" is no integer', ":x\r\n"],
    ["invalid bulk length", "$x\r\n"],
    ["invalid multibulk length", "*1x\r\n"],
    ["lists are nested deeper than 32", "*1\r\n".repeat(33)],
    ["too big reply", `+${"x".repeat(70_000)}`],
  ])("that are none are refused: %s", (message, text) => {
    for (const way of [[text], text]) expect(() => repliesIn(way)).toThrow(new ProtocolError(message));
  });
});

describe("outgoing", () => {
  test("numbers are written with all their digits", () => {
    for (const number of [
      0,
      9,
      10,
      99,
      100,
      12_345,
      2 ** 31,
      999_999_999_999,
      Number.MAX_SAFE_INTEGER,
      -1,
      Number.MIN_SAFE_INTEGER,
    ]) {
      const out = new Outgoing();
      out.reply(number);
      expect(textOf(out)).toBe(`:${number}\r\n`);
    }
  });

  test("what the other side has sent cannot end the line of an error", () => {
    const out = new Outgoing();
    out.reply(new ReplyError("ERR unknown command 'a\r\n+OK\r\n'"));
    expect(textOf(out)).toBe("-ERR unknown command 'a  +OK  '\r\n");
  });

  test("the buffer grows with what is gathered, is given back, and has an end", () => {
    const out = new Outgoing();
    const large = "x".repeat(50_000_000);
    out.reply(large);
    expect(textOf(out)).toBe(`$50000000\r\n${large}\r\n`);
    out.clear();
    expect(out.buffer.length).toBeLessThan(100_000);
    expect(() => out.reply(Array.from({ length: 10 }, () => large))).toThrow(ProtocolError);
  });
});

function requestText(request: readonly string[]): string {
  const out = new Outgoing();
  out.request(request);
  return textOf(out);
}

function textOf(out: Outgoing): string {
  return out.buffer.toString("latin1", 0, out.length);
}

/** All requests in what comes; a string comes byte by byte. */
function requestsIn(parts: Iterable<string>, requests = new Requests()): string[][] {
  const found: string[][] = [];
  feed(requests, parts, () => {
    for (let request = requests.next(); request !== null; request = requests.next()) found.push([...request]);
  });
  return found;
}

/** All replies in what comes; a string comes byte by byte. */
function repliesIn(parts: Iterable<string>): Reply[] {
  const replies = new Replies();
  const found: Reply[] = [];
  feed(replies, parts, () => {
    for (let reply = replies.next(); reply !== undefined; reply = replies.next()) found.push(reply);
  });
  return found;
}

/** As a connection does: no more at once than there is room for. */
function feed(incoming: Requests | Replies, parts: Iterable<string>, take: () => void): void {
  for (const part of parts) {
    for (let start = 0; start < part.length;) {
      const room = incoming.room();
      const bytes = Buffer.from(part.slice(start, start + room.length), "latin1");
      room.set(bytes);
      incoming.received(bytes.length);
      start += bytes.length;
      take();
    }
  }
}

function* pieces(text: string, sizes: Iterable<number>): Generator<string> {
  let start = 0;
  for (const size of sizes) {
    if (start >= text.length) return;
    yield text.slice(start, start + size);
    start += size;
  }
}

function* endless(size: number): Generator<number> {
  for (;;) yield size;
}
