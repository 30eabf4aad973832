/** The echo server, as a program. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import { connect, run } from "../../src/index.ts";
import { NO_IPV6 } from "../support/loopback.ts";
import { checksum, connectTo, receiveAll, someBytes } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_SIGNALS } from "../support/needs.ts";

describeUnless(NEEDS_SIGNALS)("echo", () => {
  test("says where it listens and echoes all that comes, to the end", async () => {
    await using echo = Program.start("echo.ts", "--port", "0", "--host", "127.0.0.1");
    const line = await echo.line();
    expect(line).toMatch(/^listening on 127\.0\.0\.1:\d+$/);
    const socket = await connectTo(Number(line.split(":")[1]));
    const bytes = someBytes(1024 * 1024);
    socket.end(bytes);
    expect(checksum(await receiveAll(socket))).toBe(checksum(bytes));
  });

  testUnless(NO_IPV6)("shows an IPv6 address in brackets", async () => {
    await using echo = Program.start("echo.ts", "--host", "::1");
    const line = await echo.line();
    expect(line).toMatch(/^listening on \[::1\]:\d+$/);
    const socket = await connectTo(Number(line.split("]:")[1]), "::1");
    socket.end("hello");
    expect(String(await receiveAll(socket))).toBe("hello");
  });

  test("serves many connections at once, each with its own bytes", async () => {
    await using echo = Program.start("echo.ts");
    const port = await echo.port();
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connectTo(port)));
    const sent = sockets.map(() => someBytes(5000));
    const received = sockets.map(receiveAll);
    for (const [index, socket] of sockets.entries()) socket.end(sent[index]!);
    expect((await Promise.all(received)).map(checksum)).toEqual(sent.map(checksum));
  });

  test("goes on when a connection is reset", async () => {
    await using echo = Program.start("echo.ts");
    const port = await echo.port();
    await run(function* () {
      const connection = yield* connect({ host: "127.0.0.1", port });
      yield* connection.write("x");
      yield* connection.readExactly(new Uint8Array(1));
      connection.reset();
    });
    const socket = await connectTo(port);
    socket.end("still here");
    expect(String(await receiveAll(socket))).toBe("still here");
    echo.signal("SIGINT");
    expect(await echo.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("closes the connections and ends at %s with exit code %p, as shells expect", async (signal, exitCode) => {
    await using echo = Program.start("echo.ts");
    const socket = await connectTo(await echo.port());
    socket.write("hello");
    await once(socket, "data");
    const ended = once(socket, "end");
    echo.signal(signal);
    await ended;
    socket.end();
    expect(await echo.end()).toEqual({ exitCode, stdout: "", stderr: "" });
  });

  test("says in a line that the port is in use", async () => {
    await using first = Program.start("echo.ts");
    const port = await first.port();
    const { exitCode, stdout, stderr } = await runToEnd("echo.ts", "--port", String(port));
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^listen EADDRINUSE 127\\.0\\.0\\.1:${port}: .+\\n$`));
  });

  test.each([
    [["--port", "abc"], '--port must be a port from 0 to 65535, but is "abc"'],
    [["--port", "65536"], '--port must be a port from 0 to 65535, but is "65536"'],
    [["--port=-1"], '--port must be a port from 0 to 65535, but is "-1"'],
    [["--port", "1e3"], '--port must be a port from 0 to 65535, but is "1e3"'],
    [["--port"], "--port"],
    [["--host", ""], "--host is empty"],
    [["--prot", "1"], "--prot"],
    [["7000"], "7000"],
  ])("refuses %p with exit code 2", async (args, message) => {
    const { exitCode, stdout, stderr } = await runToEnd("echo.ts", ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    const [complaint, usage] = stderr.trimEnd().split("\n");
    expect(complaint).toContain(message);
    expect(usage).toBe("usage: bun tasks/echo.ts [--port N] [--host H]");
  });
});
