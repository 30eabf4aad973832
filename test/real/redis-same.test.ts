/** `tasks/redis-server.ts` beside the real `redis-server`: the same bytes go to both, and the same bytes come back. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { connectTo } from "../tasks/peer.ts";
import { Program } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { freePort, RealServer } from "./support/server.ts";

describeReal("redis-server and ours, with the same requests", { programs: ["redis-server"] }, () => {
  let real: RealServer;
  let realPort = 0;
  let ours: Program;
  let ourPort = 0;
  beforeAll(async () => {
    realPort = freePort();
    const command = `redis-server --port ${realPort} --bind 127.0.0.1 --save  --appendonly no`.split(" ");
    real = await RealServer.start(command, { isReady: (line) => line.includes("Ready to accept connections") });
    ours = Program.start("redis-server.ts");
    ourPort = await ours.port();
  });
  afterAll(async () => {
    await ours[Symbol.asyncDispose]();
    await real[Symbol.asyncDispose]();
  });

  test.each([
    ["inline requests", "PING\r\n", "PING\n", "\r\n", "   \r\n", "set A\tb\r\nGET A\r\n"],
    [
      "quotes",
      'SET a "b c\\n\\x41\\"q"\r\nGET a\r\n',
      "SET a 'it\\'s \\n'\r\nGET a\r\n",
      'ECHO a"b"\r\n',
      'GET ""\r\n',
    ],
    ["quotes that are not closed", 'SET a "b\r\n', 'SET a "b"c\r\n', "SET a 'b\r\n"],
    ["empty requests", "*0\r\n", "*-1\r\n"],
    ["counts that are none", "*x\r\n", "*1\r\nxPING\r\n", "*1\r\n\r\n"],
    ["lengths that are none", "*1\r\n$-1\r\n", "*1\r\n$x\r\n", "*1\r\n$536870913\r\n"],
    [
      "words",
      bulk("PING", "a", "b"),
      bulk("ping", "x"),
      bulk("GET"),
      bulk("get", "a", "b"),
      bulk("ECHO", "\x00\xff\r\n"),
    ],
    ["the end", bulk("QUIT") + bulk("PING")],
    ["times of SET", ...setWith("EX 0", "EX x", "EX", "EX 10 PX 10", "KEEPTTL EX 3", "PX -1"), bulk("TTL", "k")],
    [
      "options of SET",
      ...setWith("NX XX", "FOO", "NX", "NX", "XX GET", "KEEPTTL"),
      bulk("SET", "new", "v", "NX", "GET"),
    ],
    ["times of SETEX", bulk("SETEX", "k", "0", "v"), bulk("SETEX", "k", "-1", "v"), bulk("SETEX", "k", "x", "v")],
    [
      "numbers",
      ...["007", " 7", "-5", "-0", "+1", "", "1.5", "1e3"].map((text) => bulk("SET", "i", text) + bulk("INCR", "i")),
    ],
    ["counters", bulk("DECRBY", "n", "5"), bulk("INCRBY", "n", "x"), bulk("DECRBY", "n", "-3"), bulk("DECR", "n")],
    [
      "lists",
      bulk("LPUSH", "l", "a", "b") + bulk("RPUSH", "l", "c"),
      ...ranges("0 -1", "-2 100", "5 6", "2 1", "-100 0", "a b"),
    ],
    [
      "items",
      ...["-1", "-9", "0", "2", "3"].map((at) => bulk("LINDEX", "l", at)),
      bulk("LINDEX", "none", "x"),
      bulk("LLEN", "l"),
    ],
    [
      "lists that end",
      bulk("RPUSH", "m", "1", "2") + bulk("RPOP", "m") + bulk("LPOP", "m") + bulk("LPOP", "m") + bulk("EXISTS", "m"),
    ],
    [
      "lists taken for strings",
      ...["GET", "INCR", "STRLEN", "TYPE"].map((name) => bulk(name, "l")),
      bulk("APPEND", "l", "x"),
    ],
    [
      "strings taken for lists",
      bulk("SET", "s", "x"),
      ...["LLEN", "LPOP", "TYPE"].map((name) => bulk(name, "s")),
      bulk("LPUSH", "s", "a"),
    ],
    [
      "nothing taken for a list",
      bulk("LRANGE", "none", "a", "b"),
      bulk("LRANGE", "none", "0", "1"),
      bulk("LPOP", "none"),
      bulk("TYPE", "none"),
    ],
    [
      "several keys",
      bulk("MSET", "a", "1", "b", "2") + bulk("MGET", "a", "b", "none", "l"),
      bulk("MSET", "a", "1", "b"),
      bulk("EXISTS", "a", "a", "b"),
      bulk("DEL", "a", "a", "b"),
    ],
    [
      "SETNX and APPEND",
      bulk("SETNX", "x", "1") +
        bulk("SETNX", "x", "2") +
        bulk("APPEND", "x", "yz") +
        bulk("GET", "x") +
        bulk("STRLEN", "x"),
    ],
    [
      "what keeps a time",
      bulk("SET", "e", "1", "EX", "100") +
        bulk("INCR", "e") +
        bulk("APPEND", "e", "x") +
        bulk("SETNX", "e", "y") +
        bulk("TTL", "e"),
    ],
    [
      "what ends a time",
      bulk("PERSIST", "e") + bulk("PERSIST", "e") + bulk("TTL", "e"),
      bulk("SET", "e", "1", "EX", "9") + bulk("MSET", "e", "2") + bulk("TTL", "e"),
    ],
    [
      "times that have passed",
      bulk("SET", "e", "2") +
        bulk("EXPIRE", "e", "0") +
        bulk("GET", "e") +
        bulk("TTL", "e") +
        bulk("PTTL", "e") +
        bulk("EXPIRE", "e", "1") +
        bulk("EXPIRE", "e", "x"),
    ],
    ["databases", bulk("SELECT", "0"), bulk("SELECT", "99")],
  ])("%s", async (_name, ...requests) => {
    for (const port of [realPort, ourPort]) expect(await answersTo(port, bulk("FLUSHALL"))).toStartWith("+OK");
    for (const request of requests)
      expect([request, await answersTo(ourPort, request)]).toEqual([request, await answersTo(realPort, request)]);
  });

  test.each(["a*", "[^ab]*", "?1", "\\[x", "[a", "*b*", "[b-a]1", "a{b}", "!*", "a[]1", "", "*\\", "*"])(
    "KEYS %s",
    async (pattern) => {
      const keys = ["a1", "b1", "a/b", "[x", "a{b}", "!a", "a]1", "a\\"];
      const found = [realPort, ourPort].map(async (port) => {
        await answersTo(port, bulk("FLUSHALL") + bulk("MSET", ...keys.flatMap((key) => [key, ""])));
        return (await answersTo(port, bulk("KEYS", pattern))).split("\r\n").sort();
      });
      expect(await found[1]).toEqual((await found[0])!);
    },
  );
});

function bulk(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}

function setWith(...options: readonly string[]): string[] {
  return options.map((words) => bulk("SET", "k", "v", ...words.split(" ")) + bulk("GET", "k"));
}

function ranges(...bounds: readonly string[]): string[] {
  return bounds.map((words) => bulk("LRANGE", "l", ...words.split(" ")));
}

/** What comes back up to the echo of a last request, or to the end if the server closes the connection. */
async function answersTo(port: number, requests: string): Promise<string> {
  const socket = await connectTo(port);
  socket.write(requests + bulk("ECHO", "that was all"), "latin1");
  let text = "";
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    text += chunk.toString("latin1");
    if (text.endsWith("$12\r\nthat was all\r\n")) break;
  }
  socket.destroy();
  return text;
}
