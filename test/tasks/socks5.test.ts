/** The SOCKS5 proxy, as a program, at the bytes of RFC 1928 and RFC 1929. test/real/socks5.test.ts has it with curl. */

import { expect, test } from "bun:test";
import type { Socket } from "node:net";
import { NO_IPV6 } from "../support/loopback.ts";
import { checksum, connectTo, listenWith, receiveAll, someBytes } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { firstOf, NEEDS_QUICK_STARTS, NEEDS_SIGNALS } from "../support/needs.ts";

const GREETING = [5, 1, 0];
const MIB = 1024 * 1024;

describeUnless(firstOf(NEEDS_SIGNALS, NEEDS_QUICK_STARTS))("socks5", () => {
  test("passes on the end of either half, while the other goes on", async () => {
    const [question, answer] = [someBytes(3 * MIB), someBytes(2 * MIB)];
    const { promise: received, resolve } = Promise.withResolvers<string>();
    await using target = await listenWith(async (socket) => {
      resolve(checksum(await receiveAll(socket)));
      socket.end(answer);
    });
    await using proxy = Program.start("socks5.ts");
    const client = await connectTo(await proxy.port());
    await login(client);
    client.write(Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, ...portBytes(target.port)));
    const reply = await exactly(client, 10);
    expect([...reply.subarray(0, 4)]).toEqual([5, 0, 0, 1]);
    expect([...reply.subarray(4, 8)]).toEqual([127, 0, 0, 1]);
    expect(reply.readUInt16BE(8)).toBeGreaterThan(0);
    client.end(question);
    expect(await received).toBe(checksum(question));
    expect(checksum(await receiveAll(client))).toBe(checksum(answer));
  });

  testUnless(NO_IPV6)("connects to an IPv6 address, and says from which", async () => {
    await using target = await listenWith((socket) => void socket.end("six"), "::1");
    await using proxy = Program.start("socks5.ts");
    const client = await connectTo(await proxy.port());
    await login(client);
    const loopback = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    client.write(Uint8Array.of(5, 1, 0, 4, ...loopback, ...portBytes(target.port)));
    const reply = await exactly(client, 22);
    expect([...reply.subarray(0, 20)]).toEqual([5, 0, 0, 4, ...loopback]);
    expect(String(await receiveAll(client))).toBe("six");
    client.end();
  });

  test("resolves a name", async () => {
    await using target = await listenWith((socket) => void socket.end("named"));
    await using proxy = Program.start("socks5.ts");
    const client = await connectTo(await proxy.port());
    await login(client);
    client.write(Uint8Array.of(5, 1, 0, 3, 9, ...Buffer.from("localhost"), ...portBytes(target.port)));
    expect((await exactly(client, 10))[1]).toBe(0);
    expect(String(await receiveAll(client))).toBe("named");
    client.end();
  });

  test.each<[string, number[], number, RegExp]>([
    ["a port at which nobody listens", [5, 1, 0, 1, 127, 0, 0, 1, 0, 1], 5, /^connect ECONNREFUSED 127\.0\.0\.1:1/],
    [
      "an unknown name",
      [5, 1, 0, 3, 14, ...Buffer.from("nobody.invalid"), 0, 80],
      4,
      /^getaddrinfo ENOTFOUND nobody\.invalid/,
    ],
    ["a name that is none", [5, 1, 0, 3, 3, 97, 10, 98, 0, 80], 1, /which is no name$/],
    ["port 0", [5, 1, 0, 1, 127, 0, 0, 1, 0, 0], 1, /^a client wants port 0 of 127\.0\.0\.1$/],
    ["the command BIND", [5, 2, 0, 1, 127, 0, 0, 1, 0, 80], 7, /^a client wants the command 2$/],
    ["a kind of address that there is not", [5, 1, 0, 9], 8, /^a client's address is of the kind 9$/],
  ])("replies to %s with a code, says why, and goes on", async (_what, request, code, words) => {
    await using proxy = Program.start("socks5.ts");
    const port = await proxy.port();
    for (let round = 0; round < 2; round++) {
      const client = await connectTo(port);
      await login(client);
      client.write(Uint8Array.from(request));
      const reply = await receiveAll(client);
      expect([...reply]).toEqual([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
      expect(await proxy.complaint()).toMatch(words);
      client.end();
    }
  });

  test("wants the right name and password, if it wants one", async () => {
    await using proxy = Program.start("socks5.ts", "--user", "ann:se:cret");
    const port = await proxy.port();
    for (const [name, password, status] of [
      ["ann", "se:cret", 0],
      ["ann", "wrong", 1],
      ["bob", "se:cret", 1],
      ["", "", 1],
    ] as const) {
      const client = await connectTo(port);
      client.write(Uint8Array.of(5, 2, 0, 2));
      expect([...(await exactly(client, 2))]).toEqual([5, 2]);
      client.write(Uint8Array.of(1, name.length, ...Buffer.from(name), password.length, ...Buffer.from(password)));
      expect([...(await exactly(client, 2))]).toEqual([1, status]);
      if (status === 1) {
        expect((await receiveAll(client)).byteLength).toBe(0);
        expect(await proxy.complaint()).toBe("a client has a wrong name or password");
      }
      client.end();
    }
    const client = await connectTo(port);
    client.write(Uint8Array.from(GREETING));
    expect([...(await receiveAll(client))]).toEqual([5, 0xff]);
    expect(await proxy.complaint()).toBe("a client does not offer to log in with a password");
    client.end();
  });

  test("lets go of a client that speaks something else, or breaks off anywhere", async () => {
    await using proxy = Program.start("socks5.ts");
    const port = await proxy.port();
    const http = await connectTo(port);
    http.write("GET / HTTP/1.1\r\n\r\n");
    http.on("error", () => {});
    expect(await proxy.complaint()).toBe("a client does not speak SOCKS5: its first byte is 71");
    const whole = [...GREETING, 5, 1, 0, 3, 9, ...Buffer.from("localhost"), 0];
    for (let length = 0; length < whole.length; length++) {
      const client = await connectTo(port);
      client.end(Uint8Array.from(whole.slice(0, length)));
      expect((await receiveAll(client)).byteLength).toBe(length < GREETING.length ? 0 : 2);
    }
    proxy.signal("SIGINT");
    expect(await proxy.end()).toEqual({ exitCode: 130, stdout: "", stderr: "" });
  });

  test.each([
    [["--user", "nobody"], "--user must be NAME:PASSWORD"],
    [["--port", "x"], '--port must be a port from 0 to 65535, but is "x"'],
  ])("refuses %p with exit code 2", async (args, message) => {
    const { exitCode, stderr } = await runToEnd("socks5.ts", ...args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });
});

async function login(client: Socket): Promise<void> {
  client.write(Uint8Array.from(GREETING));
  expect([...(await exactly(client, 2))]).toEqual([5, 0]);
}

function portBytes(port: number): [number, number] {
  return [port >> 8, port & 0xff];
}

/** The next so many bytes; what follows stays in the socket. */
async function exactly(client: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes = client.read(count) as Buffer | null;
    if (bytes !== null) return bytes;
    await new Promise((resolve) => client.once("readable", resolve));
  }
}
