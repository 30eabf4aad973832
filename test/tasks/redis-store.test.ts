/** The data of the Redis server: its commands, when keys expire, and what keeps them. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Expiries } from "../../tasks/redis/expiries.ts";
import { matchesGlob } from "../../tasks/redis/glob.ts";
import { RedisList } from "../../tasks/redis/list.ts";
import { Outgoing } from "../../tasks/redis/outgoing.ts";
import { type Reply, ReplyError } from "../../tasks/redis/protocol.ts";
import { Replies } from "../../tasks/redis/replies.ts";
import { Store } from "../../tasks/redis/store.ts";

describe("commands", () => {
  test("values are any bytes, and stay what they were", () => {
    const { ask } = open();
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
    expect(ask("SET", all, `${all}${all}`)).toBe("OK");
    expect(ask("GET", all)).toBe(`${all}${all}`);
    expect(ask("STRLEN", all)).toBe(512);
    expect(ask("GET", "none")).toBeNull();
  });

  test("a command may be written in any case; its name and its number of words are checked", () => {
    const { ask } = open();
    expect(ask("sEt", "k", "v")).toBe("OK");
    expect(ask("NOPE", "x")).toEqual(new ReplyError("ERR unknown command 'NOPE'"));
    expect(ask("get")).toEqual(new ReplyError("ERR wrong number of arguments for 'get' command"));
    expect(ask("GET", "a", "b")).toEqual(new ReplyError("ERR wrong number of arguments for 'get' command"));
    expect(ask("MSET", "a", "1", "b")).toEqual(new ReplyError("ERR wrong number of arguments for 'mset' command"));
  });

  test.each<string[]>([
    ["GET", "list"],
    ["INCR", "list"],
    ["APPEND", "list", "x"],
    ["STRLEN", "list"],
    ["SET", "list", "x", "GET"],
    ["LPUSH", "text", "x"],
    ["RPUSH", "text", "x"],
    ["LPOP", "text"],
    ["RPOP", "text"],
    ["LLEN", "text"],
    ["LRANGE", "text", "0", "1"],
    ["LINDEX", "text", "0"],
  ])("%s %s refuses a value of the wrong kind, and leaves it as it was", (...words) => {
    const { ask } = open();
    ask("RPUSH", "list", "a");
    ask("SET", "text", "b");
    expect(ask(...words)).toEqual(new ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value"));
    expect([ask("LRANGE", "list", "0", "-1"), ask("GET", "text")]).toEqual([["a"], "b"]);
  });

  test("counters begin at 0, and count what is a whole number and nothing else", () => {
    const { ask } = open();
    expect([ask("INCR", "n"), ask("INCRBY", "n", "41"), ask("DECR", "n"), ask("DECRBY", "n", "-2")]).toEqual([
      1, 42, 41, 43,
    ]);
    expect(ask("GET", "n")).toBe("43");
    for (const text of ["", "x", "1.5", " 1", "+1", "01", "-0", "1e3", "9007199254740993"]) {
      ask("SET", "n", text);
      expect(ask("INCR", "n")).toEqual(new ReplyError("ERR value is not an integer or out of range"));
      expect(ask("GET", "n")).toBe(text);
    }
    ask("SET", "n", String(Number.MAX_SAFE_INTEGER));
    expect(ask("INCR", "n")).toEqual(new ReplyError("ERR increment or decrement would overflow"));
  });

  test("SET does as its options say", () => {
    const { ask } = open();
    expect(ask("SET", "k", "1", "XX")).toBeNull();
    expect(ask("SET", "k", "1", "NX")).toBe("OK");
    expect(ask("SET", "k", "2", "NX")).toBeNull();
    expect(ask("SET", "k", "3", "XX", "GET")).toBe("1");
    expect(ask("SET", "k", "4", "EX", "10")).toBe("OK");
    expect(ask("SET", "k", "5", "KEEPTTL")).toBe("OK");
    expect(ask("TTL", "k")).toBe(10);
    expect(ask("SET", "k", "6")).toBe("OK");
    expect(ask("TTL", "k")).toBe(-1);
    for (const wrong of [["EX"], ["EX", "1", "PX", "1"], ["NX", "XX"], ["KEEPTTL", "EX", "1"], ["MAYBE"]])
      expect(ask("SET", "k", "7", ...wrong)).toEqual(new ReplyError("ERR syntax error"));
    for (const time of ["0", "-1", "9007199254740991"])
      expect(ask("SET", "k", "7", "EX", time)).toEqual(new ReplyError("ERR invalid expire time in 'set' command"));
    expect(ask("GET", "k")).toBe("6");
  });

  test("a string has a greatest length", () => {
    const { ask } = open();
    const large = "x".repeat(40_000_000);
    expect(ask("APPEND", "k", large)).toBe(40_000_000);
    expect(ask("APPEND", "k", large)).toEqual(new ReplyError("ERR string exceeds maximum allowed size"));
    expect(ask("STRLEN", "k")).toBe(40_000_000);
  });

  test("a list that is empty is gone, and arguments are looked at before it is", () => {
    const { ask } = open();
    ask("RPUSH", "l", "a", "b");
    ask("LPUSH", "l", "c", "d");
    expect(ask("LRANGE", "l", "0", "-1")).toEqual(["d", "c", "a", "b"]);
    expect([
      ask("LINDEX", "l", "0"),
      ask("LINDEX", "l", "-1"),
      ask("LINDEX", "l", "4"),
      ask("LINDEX", "l", "-5"),
    ]).toEqual(["d", "b", null, null]);
    for (let left = 4; left > 0; left--)
      expect(ask("LLEN", "l") === left && ask(left % 2 === 0 ? "LPOP" : "RPOP", "l")).not.toBeNull();
    expect([ask("EXISTS", "l"), ask("LPOP", "l"), ask("LRANGE", "l", "0", "-1")]).toEqual([0, null, []]);
    expect(ask("LRANGE", "l", "a", "b")).toBeInstanceOf(ReplyError);
  });
});

describe("expiry", () => {
  test("a key is gone when its time has come, for whoever asks", () => {
    const { ask, store, clock } = open();
    ask("SET", "k", "v", "PX", "1500");
    ask("RPUSH", "l", "a");
    ask("EXPIRE", "l", "2");
    expect([ask("TTL", "k"), ask("PTTL", "k"), ask("TTL", "l")]).toEqual([2, 1500, 2]);
    clock.nowMs += 1499;
    expect(ask("GET", "k")).toBe("v");
    clock.nowMs += 1;
    expect([ask("GET", "k"), ask("TTL", "k"), ask("EXISTS", "k", "l")]).toEqual([null, -2, 1]);
    clock.nowMs += 500;
    expect(ask("RPUSH", "l", "b")).toBe(1);
    expect([ask("TTL", "l"), store.size]).toEqual([-1, 1]);
  });

  test("a change of the value keeps the time, a new value and PERSIST end it, and a time that has passed deletes", () => {
    const { ask } = open();
    ask("SET", "n", "1", "EX", "100");
    ask("INCR", "n");
    ask("APPEND", "n", "0");
    expect([ask("GET", "n"), ask("TTL", "n")]).toEqual(["20", 100]);
    expect([ask("PERSIST", "n"), ask("PERSIST", "n"), ask("TTL", "n")]).toEqual([1, 0, -1]);
    ask("EXPIRE", "n", "100");
    ask("MSET", "n", "3");
    expect(ask("TTL", "n")).toBe(-1);
    expect([ask("PEXPIRE", "n", "0"), ask("EXISTS", "n"), ask("EXPIRE", "n", "1")]).toEqual([1, 0, 0]);
    expect(ask("EXPIRE", "n", "9007199254740991")).toEqual(
      new ReplyError("ERR invalid expire time in 'expire' command"),
    );
    expect(ask("SETEX", "n", "0", "x")).toEqual(new ReplyError("ERR invalid expire time in 'setex' command"));
  });

  test("keys that nobody asks for are removed some at a time, the earliest first", () => {
    const { ask, store, clock } = open();
    for (let index = 0; index < 2_500; index++) ask("SET", `k${index}`, "v", "PX", String(5_000 - index));
    clock.nowMs += 5_000;
    store.expireDue();
    expect([store.size, ask("EXISTS", "k2499"), store.expiries.earliestMs < clock.nowMs]).toEqual([1_500, 0, true]);
    store.expireDue();
    store.expireDue();
    expect([store.size, store.expiries.earliestMs]).toEqual([0, Infinity]);
  });

  test("tells when the earliest time has become earlier", () => {
    const expiries = new Expiries();
    const told: number[] = [];
    expiries.onEarlier = () => told.push(expiries.earliestMs);
    for (const atMs of [50, 70, 40, 40, 10]) expiries.set(`k${atMs}`, atMs);
    expect(told).toEqual([50, 40, 10]);
  });

  test("a key whose time is set again and again takes the room of a few", () => {
    const expiries = new Expiries();
    for (let atMs = 0; atMs < 100_000; atMs++) expiries.set("k", atMs);
    expect(expiries.places).toBeLessThan(100);
    expect(expiries.takeDue(100_000, 10)).toEqual(["k"]);
  });

  test("keys come in the order of their times, whatever was set, forgotten and set again", () => {
    const key = fc.integer({ min: 0, max: 20 }).map(String);
    const step = fc.oneof(fc.tuple(key, fc.integer({ min: 0, max: 100 })), key);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const expiries = new Expiries();
        const expected = new Map<string, number>();
        for (const each of steps) {
          if (typeof each === "string") expect(expiries.forget(each)).toBe(expected.delete(each));
          else {
            expiries.set(...each);
            expected.set(...each);
          }
        }
        const times = expiries.takeDue(100, Infinity).map((each) => expected.get(each)!);
        expect(times).toEqual([...expected.values()].sort((a, b) => a - b));
        expect(expiries.earliestMs).toBe(Infinity);
      }),
    );
  });
});

test("a list is what an array is, from both ends", () => {
  const step = fc.constantFrom("pushFront", "pushBack", "popFront", "popBack");
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.integer({ min: -9, max: 9 }),
      fc.integer({ min: -9, max: 9 }),
      (steps, first, last) => {
        const list = new RedisList();
        const array: string[] = [];
        for (const [index, each] of steps.entries()) {
          const item = String(index);
          if (each === "popFront") expect(list.popFront()).toBe(array.shift());
          else if (each === "popBack") expect(list.popBack()).toBe(array.pop());
          else {
            list[each](item);
            if (each === "pushFront") array.unshift(item);
            else array.push(item);
          }
          expect(list.length).toBe(array.length);
        }
        const from = first < 0 ? Math.max(0, array.length + first) : first;
        const to = last < 0 ? array.length + last : last;
        expect(list.slice(first, last)).toEqual(array.slice(from, Math.max(from, to + 1)));
      },
    ),
  );
});

test.each([
  ["", "", true],
  ["a", "", false],
  ["", "*", true],
  ["abc", "a*c", true],
  ["a/b\nc", "*", true],
  ["abcbc", "a*bc", true],
  ["abcbd", "a*bc", false],
  ["abc", "a?c", true],
  ["ac", "a?c", false],
  ["abc", "a[a-c]c", true],
  ["abc", "a[c-a]c", true],
  ["abc", "a[^b]c", false],
  ["a]c", "a[\\]]c", true],
  ["a*c", "a\\*c", true],
  ["abc", "a\\*c", false],
  ["a{b,c}", "a{b,c}", true],
  ["ab", "a{b,c}", false],
  ["!a", "!a", true],
  ["x".repeat(10_000), `${"*x".repeat(50)}*y`, false],
])("the key %.20s and the pattern %.20s match: %p", (text, pattern, isMatch) => {
  expect(matchesGlob(text, pattern)).toBe(isMatch);
});

function open(): { store: Store; clock: { nowMs: number }; ask: (...words: string[]) => Reply } {
  const clock = { nowMs: 1_000_000 };
  const store = new Store(() => clock.nowMs);
  const out = new Outgoing();
  const replies = new Replies();
  const ask = (...words: string[]): Reply => {
    store.execute(words, out);
    for (let start = 0; start < out.length;) {
      const room = replies.room();
      const part = out.buffer.subarray(start, Math.min(out.length, start + room.length));
      room.set(part);
      replies.received(part.length);
      start += part.length;
    }
    out.clear();
    const reply = replies.next();
    if (reply === undefined || replies.next() !== undefined) throw new Error("a command has one reply");
    return reply;
  };
  return { store, clock, ask };
}
