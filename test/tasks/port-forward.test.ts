/** The port forwarder, as a program, between peers that know nothing of this package. */

import { expect, test } from "bun:test";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect, listen, type Operation, run, type TcpStream } from "../../src/index.ts";
import { errorOf, NO_IPV6 } from "../support/loopback.ts";
import { checksum, connectTo, listenWith, receiveAll, someBytes } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { firstOf, NEEDS_QUICK_STARTS, NEEDS_SIGNALS } from "../support/needs.ts";

const MIB = 1024 * 1024;

describeUnless(firstOf(NEEDS_SIGNALS, NEEDS_QUICK_STARTS))("port-forward", () => {
  test("passes on the end that the client sends, while the answer still comes", async () => {
    const question = someBytes(3 * MIB);
    const answer = someBytes(2 * MIB);
    const { promise: received, resolve } = Promise.withResolvers<string>();
    await using target = await listenWith(async (socket) => {
      resolve(checksum(await receiveAll(socket)));
      socket.end(answer);
    });
    await using forward = startForward(target.port);
    const client = await connectTo(await forward.port());
    client.end(question);
    expect(await received).toBe(checksum(question));
    expect(checksum(await receiveAll(client))).toBe(checksum(answer));
  });

  test("passes on the end that the target sends, while the client still sends", async () => {
    const greeting = someBytes(2 * MIB);
    const reply = someBytes(3 * MIB);
    const { promise: received, resolve } = Promise.withResolvers<string>();
    await using target = await listenWith(async (socket) => {
      socket.end(greeting);
      resolve(checksum(await receiveAll(socket)));
    });
    await using forward = startForward(target.port);
    const client = await connectTo(await forward.port());
    expect(checksum(await receiveAll(client))).toBe(checksum(greeting));
    client.end(reply);
    expect(await received).toBe(checksum(reply));
  });

  test("forwards many connections at once, both ways at the same time", async () => {
    await using target = await listenWith(echo);
    await using forward = startForward(target.port);
    const port = await forward.port();
    const sockets = await Promise.all(Array.from({ length: 100 }, () => connectTo(port)));
    const sent = sockets.map(() => someBytes(100_000));
    const received = sockets.map(receiveAll);
    for (const [index, socket] of sockets.entries()) socket.end(sent[index]!);
    expect((await Promise.all(received)).map(checksum)).toEqual(sent.map(checksum));
  });

  test("forwards to a name", async () => {
    await using target = await listenWith(echo);
    await expectEcho("localhost", target.port);
  });

  testUnless(NO_IPV6)("forwards to an IPv6 address in brackets", async () => {
    await using target = await listenWith(echo, "::1");
    await expectEcho("[::1]", target.port);
  });

  test("breaks the connection to the target when the client's breaks", async () => {
    const code = await betweenOwnPeers(function* (client, server) {
      client.reset();
      return yield* errorOf(server.read(new Uint8Array(1)));
    });
    expect(code).toBe("ECONNRESET");
  });

  test("breaks the connection to the client when the target's breaks", async () => {
    const code = await betweenOwnPeers(function* (client, server) {
      server.reset();
      return yield* errorOf(client.read(new Uint8Array(1)));
    });
    expect(code).toBe("ECONNRESET");
  });

  test("goes on when the target refuses a connection, and says so in a line each time", async () => {
    // Nobody listens on the port of the port service multiplexer.
    await using forward = startForward(1);
    const port = await forward.port();
    for (let attempt = 1; attempt <= 2; attempt++) {
      const { code } = await run(() => errorOf(connectAndRead(port)));
      expect(code).toBe("ECONNRESET");
      expect(await forward.complaint()).toMatch(/^connect ECONNREFUSED 127\.0\.0\.1:1: .+/);
    }
    forward.signal("SIGINT");
    expect(await forward.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test("closes the connections and ends with exit code 130 at SIGINT", async () => {
    const { promise: served, resolve } = Promise.withResolvers<Socket>();
    await using target = await listenWith(resolve);
    await using forward = startForward(target.port);
    const client = await connectTo(await forward.port());
    const server = await served;
    const ends = [client, server].map((socket) => once(socket.resume(), "end"));
    forward.signal("SIGINT");
    await Promise.all(ends);
    for (const socket of [client, server]) socket.end();
    expect(await forward.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test.each([
    [[], "--listen is missing"],
    [["--listen", "0"], "--to is missing"],
    [["--listen", "x", "--to", "localhost:80"], '--listen must be a port from 0 to 65535, but is "x"'],
    [["--listen", "0", "--to", "localhost"], "--to must be HOST:PORT, with an IPv6 address in brackets"],
    [["--listen", "0", "--to", "::1:80"], "--to must be HOST:PORT"],
    [["--listen", "0", "--to", "[::1]"], "--to must be HOST:PORT"],
    [["--listen", "0", "--to", "localhost:0"], "--to must be HOST:PORT"],
    [["--listen", "0", "--to", "localhost:65536"], "--to must be HOST:PORT"],
    [["--listen", "0", "--to", "localhost:80", "--verbose"], "--verbose"],
  ])("refuses %p with exit code 2", async (args, message) => {
    const { exitCode, stdout, stderr } = await runToEnd("port-forward.ts", ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    const [complaint, usage] = stderr.trimEnd().split("\n");
    expect(complaint).toContain(message);
    expect(usage).toStartWith("usage: bun tasks/port-forward.ts --listen PORT --to HOST:PORT");
  });
});

function startForward(targetPort: number): Program {
  return Program.start("port-forward.ts", "--listen", "0", "--to", `127.0.0.1:${targetPort}`);
}

/** Sends a word through a forwarder to the target, which echoes it. */
async function expectEcho(host: string, port: number): Promise<void> {
  await using forward = Program.start("port-forward.ts", "--listen", "0", "--to", `${host}:${port}`);
  const line = await forward.line();
  expect(line).toMatch(/^listening on 127\.0\.0\.1:\d+, forwarding to /);
  expect(line).toEndWith(`forwarding to ${host}:${port}`);
  const client = await connectTo(Number(/:(\d+),/.exec(line)![1]));
  client.end("hello");
  expect(String(await receiveAll(client))).toBe("hello");
}

/** The connection may be reset before the client has noticed that it was made. */
function* connectAndRead(port: number): Operation<void> {
  using client = yield* connect({ host: "127.0.0.1", port });
  yield* client.read(new Uint8Array(1));
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

/**
 * Connects a client and a server of this package through the forwarder, which has carried a byte by then, and returns
 * the code of the error that `provoke` finds. Only this package's peers can reset a connection at a chosen moment.
 */
async function betweenOwnPeers(
  provoke: (client: TcpStream, server: TcpStream) => Operation<Error & Record<string, unknown>>,
): Promise<unknown> {
  const listener = await run(() => listen({ host: "127.0.0.1", port: 0 }));
  await using forward = startForward(listener.address.port);
  const port = await forward.port();
  return await run(function* () {
    using _listener = listener;
    using client = yield* connect({ host: "127.0.0.1", port });
    yield* client.write("x");
    using server = yield* listener.accept();
    yield* server.readExactly(new Uint8Array(1));
    return (yield* provoke(client, server)).code;
  });
}
