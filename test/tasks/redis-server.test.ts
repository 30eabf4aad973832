/** The Redis server, as a program, with peers that know nothing of this package. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connectTo, receiveAll } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless } from "../support/platform.ts";
import { firstOf, NEEDS_QUICK_STARTS, NEEDS_SIGNALS } from "../support/needs.ts";

describeUnless(firstOf(NEEDS_SIGNALS, NEEDS_QUICK_STARTS))("redis-server", () => {
  test("answers requests that come byte by byte, and many that come at once, in order", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    const slow = await connectTo(port);
    slow.setNoDelay(true);
    for (const byte of "*1\r\n$4\r\nPING\r\nPING\r\nQUIT\r\n") await new Promise((sent) => slow.write(byte, sent));
    expect(String(await receiveAll(slow))).toBe("+PONG\r\n+PONG\r\n+OK\r\n");
    const fast = await connectTo(port);
    fast.write(`${"INCR n\r\n".repeat(50_000)}QUIT\r\nINCR n\r\n`);
    const expected = Array.from({ length: 50_000 }, (_, index) => `:${index + 1}\r\n`).join("");
    expect(String(await receiveAll(fast))).toBe(`${expected}+OK\r\n`);
  });

  test("says what is wrong with the protocol, after the answers to what was right, and closes the connection", async () => {
    await using server = Program.start("redis-server.ts");
    const socket = await connectTo(await server.port());
    socket.write("PING\r\n*1\r\n$-1\r\nPING\r\n");
    expect(String(await receiveAll(socket))).toBe("+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
  });

  test("refuses a command whose answer would be huge, and closes the connection", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    const socket = await connectTo(port);
    const large = "x".repeat(10_000_000);
    socket.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${large.length}\r\n${large}\r\n`);
    socket.write(`MGET ${"k ".repeat(100)}\r\n`);
    expect(String(await receiveAll(socket))).toStartWith("+OK\r\n-ERR Protocol error: more than ");
    expect(await ask(port, "STRLEN k\r\n")).toBe(`:${large.length}\r\n`);
  });

  test("does not read from a client that does not read, and serves the others; its memory stays small", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    const large = "x".repeat(1_000_000);
    expect(await ask(port, `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${large.length}\r\n${large}\r\n`)).toBe("+OK\r\n");
    const greedy = await connectTo(port);
    greedy.pause();
    // 1,500 requests in 10 kB: answered at once, they would take 1.5 GB.
    greedy.end("GET k\r\n".repeat(1_500));
    expect(await ask(port, "PING\r\n")).toBe("+PONG\r\n");
    let received = 0;
    for await (const chunk of greedy as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > 100_000_000 && received < 101_000_000) expect(await ask(port, "PING\r\n")).toBe("+PONG\r\n");
    }
    expect(received).toBe(1_500 * (`$${large.length}\r\n\r\n`.length + large.length));
    expect(await server.largestResidentBytes()).toBeLessThan(500_000_000);
  });

  test("goes on when a client breaks its connection in the middle of a request", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    const socket = await connectTo(port);
    socket.write("*2\r\n$3\r\nGET\r\n$100\r\nhalf");
    socket.resetAndDestroy();
    expect(await ask(port, "PING\r\n")).toBe("+PONG\r\n");
    server.signal("SIGINT");
    expect(await server.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test("removes keys by itself, the earliest first, whatever was there before", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    expect(await ask(port, "SET late x EX 9000000000000\r\n")).toBe("+OK\r\n");
    expect(await ask(port, "SET soon x PX 1\r\n")).toBe("+OK\r\n");
    // DBSIZE counts what is there and does not look at times.
    while ((await ask(port, "DBSIZE\r\n")) !== ":1\r\n");
    expect(await ask(port, "TTL late\r\n")).toMatch(/^:\d+\r\n$/);
  });

  test("its client ends with one line about a command that is too long", async () => {
    await using server = Program.start("redis-server.ts");
    const port = await server.port();
    await using client = Program.startWithInput("redis.ts", "--port", String(port));
    client.write("x".repeat(100_000));
    const { exitCode, stdout, stderr } = await client.end();
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^descriptor 0 .*65536 bytes.*\n$/);
  });

  test("refuses a port that is none with exit code 2", async () => {
    const { exitCode, stderr } = await runToEnd("redis-server.ts", "--port", "x");
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--port must be a port from 0 to 65535, but is "x"');
  });
});

/** Sends one request on a connection of its own. */
async function ask(port: number, request: string): Promise<string> {
  const socket: Socket = await connectTo(port);
  socket.write(request);
  const [reply] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return String(reply);
}
