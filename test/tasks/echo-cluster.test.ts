/** The echo server on all cores, as a program. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import type { Socket } from "node:net";
import { checksum, connectTo, receiveAll, someBytes } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { NEEDS_QUICK_WORKERS, NEEDS_SIGNALS } from "../support/needs.ts";

const SHARINGS = [
  ["kernel", "each with its own listener: the kernel spreads the connections"],
  ["descriptor", "all at one listener: whoever is first has the connection"],
] as const;

interface Started {
  readonly cluster: Program;
  readonly port: number;
}

async function start(sharing: string, ...args: string[]): Promise<Started> {
  const cluster = Program.start("echo-cluster.ts", "--sharing", sharing, ...args);
  const port = await cluster.port();
  await cluster.line();
  return { cluster, port };
}

/** How many connections each Worker says that it has served, and the exit code. */
async function endOf(cluster: Program): Promise<{ counts: number[]; exitCode: number | null }> {
  const { exitCode, stdout, stderr } = await cluster.end();
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  return { counts: lines.map((line) => Number(/^worker \d+ has served (\d+) connections$/.exec(line)?.[1])), exitCode };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Settles when nobody listens any more. Each look is a connection that is tried. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    try {
      const socket = await connectTo(port);
      socket.on("error", () => {});
      socket.destroy();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ECONNREFUSED") return;
      // The listener closed while the connection was in its backlog.
      if (code !== "ECONNRESET") throw error;
    }
  }
}

async function echo(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, "data");
  socket.write(text);
  const [data] = await answer;
  return String(data);
}

/** Why not to test with one way of sharing again what does not depend on it. */
function repeated(sharing: string): string | null {
  return sharing === "kernel" ? null : NEEDS_QUICK_WORKERS;
}

describeUnless(NEEDS_SIGNALS).each(SHARINGS)("echo-cluster with --sharing %s", (sharing, words) => {
  test("says where it listens and how, echoes, and tells how many connections each Worker has served", async () => {
    await using cluster = Program.start("echo-cluster.ts", "--workers", "3", "--sharing", sharing);
    const port = await cluster.port();
    expect(await cluster.line()).toBe(`3 workers, ${words}`);
    const sent = Array.from({ length: 60 }, () => someBytes(5_000));
    const sockets = await Promise.all(sent.map(() => connectTo(port)));
    const received = sockets.map(receiveAll);
    for (const [index, socket] of sockets.entries()) socket.end(sent[index]!);
    expect((await Promise.all(received)).map(checksum)).toEqual(sent.map(checksum));
    cluster.signal("SIGINT");
    const { counts, exitCode } = await endOf(cluster);
    expect({ workers: counts.length, served: sum(counts), exitCode }).toEqual({
      workers: 3,
      served: 60,
      exitCode: 130,
    });
  });

  testUnless(repeated(sharing))(
    "takes no more connections once it is told to end, and lets those that are open end by themselves",
    async () => {
      const { cluster, port } = await start(sharing, "--workers", "2", "--grace-ms", "60000");
      await using _cluster = cluster;
      const socket = await connectTo(port);
      expect(await echo(socket, "before")).toBe("before");
      cluster.signal("SIGTERM");
      await untilRefused(port);
      expect(await echo(socket, "after")).toBe("after");
      socket.end("last");
      expect(String(await receiveAll(socket))).toBe("last");
      const { counts, exitCode } = await endOf(cluster);
      expect(sum(counts)).toBeGreaterThanOrEqual(1);
      expect(exitCode).toBe(143);
    },
  );

  testUnless(repeated(sharing))("ends the connections that are left when their grace is over", async () => {
    const { cluster, port } = await start(sharing, "--workers", "2", "--grace-ms", "0");
    await using _cluster = cluster;
    const sockets = await Promise.all(Array.from({ length: 10 }, () => connectTo(port)));
    for (const socket of sockets) expect(await echo(socket, "x")).toBe("x");
    const ends = sockets.map((socket) => once(socket, "end"));
    cluster.signal("SIGTERM");
    await Promise.all(ends);
    for (const socket of sockets) socket.end();
    const { counts, exitCode } = await endOf(cluster);
    expect({ served: sum(counts), exitCode }).toEqual({ served: 10, exitCode: 143 });
  });

  testUnless(repeated(sharing))("ends at once at the second signal", async () => {
    const { cluster, port } = await start(sharing, "--workers", "2", "--grace-ms", "600000");
    await using _cluster = cluster;
    const socket = await connectTo(port);
    expect(await echo(socket, "x")).toBe("x");
    socket.on("error", () => {});
    const closed = once(socket, "close");
    cluster.signal("SIGINT");
    await untilRefused(port);
    cluster.signal("SIGTERM");
    socket.resume();
    await once(socket, "end");
    socket.end();
    await closed;
    expect(await cluster.end()).toEqual({ exitCode: 143, stdout: "", stderr: "" });
  });

  testUnless(repeated(sharing))("says in a line that the port is in use", async () => {
    await using first = Program.start("echo.ts");
    const port = await first.port();
    const { exitCode, stdout, stderr } = await runToEnd(
      "echo-cluster.ts",
      "--port",
      String(port),
      "--sharing",
      sharing,
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^listen EADDRINUSE 127\\.0\\.0\\.1:${port}: .+\\n$`));
  });
});

describeUnless(NEEDS_SIGNALS)("echo-cluster", () => {
  test("spreads connections over all of its Workers", async () => {
    const { cluster, port } = await start("kernel", "--workers", "4");
    await using _cluster = cluster;
    // That one of four gets none of 200 has the odds of winning a lottery three times.
    const sockets = await Promise.all(Array.from({ length: 200 }, () => connectTo(port)));
    for (const socket of sockets) socket.end();
    await Promise.all(sockets.map(receiveAll));
    cluster.signal("SIGINT");
    const { counts } = await endOf(cluster);
    expect(sum(counts)).toBe(200);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  test.each([
    [["--workers", "0"], '--workers must be a whole number from 1 on, but is "0"'],
    [["--workers", "two"], '--workers must be a whole number from 1 on, but is "two"'],
    [["--sharing", "fair"], '--sharing must be kernel, descriptor, but is "fair"'],
    [["--port", "abc"], '--port must be a port from 0 to 65535, but is "abc"'],
  ])("refuses %p with exit code 2", async (args, message) => {
    const { exitCode, stdout, stderr } = await runToEnd("echo-cluster.ts", ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr.split("\n")[0]).toBe(message);
  });
});
