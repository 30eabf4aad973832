/** Connecting over the real loopback interface: what is refused, what hangs, and what names stand for. */

import { describe, expect, test } from "bun:test";
import { blockOn, connect, listen, run, SystemError, type TcpStream, UnsupportedError } from "../../src/index.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { errorOf, NO_IPV6, leftSince, openSockets, WAYS } from "../support/loopback.ts";
import { testUnless } from "../support/platform.ts";
import { errno } from "../support/errno.ts";

describe.each(WAYS)("connect under %s", (_name, way) => {
  test("a refused connection is told in the shape of Node.js's errors", async () => {
    const before = openSockets();
    await way(function* main() {
      const listener = yield* listen({ port: 0, host: "127.0.0.1" });
      const { port } = listener.address;
      listener.close();
      const error = yield* errorOf(connect({ port, host: "127.0.0.1" }));
      expect(error).toBeInstanceOf(SystemError);
      expect(error).toMatchObject({
        code: "ECONNREFUSED",
        errno: -errno.ECONNREFUSED,
        syscall: "connect",
        address: "127.0.0.1",
        port,
      });
      expect(error.message).toStartWith(`connect ECONNREFUSED 127.0.0.1:${port}`);
    });
    expect(leftSince(before)).toEqual([]);
  });

  test("timeoutMs ends a connection that is not answered", async () => {
    const before = openSockets();
    await way(function* main() {
      // Nobody accepts, and the backlog is as short as can be: once it is full, the kernel answers no more.
      using listener = yield* listen({ port: 0, host: "127.0.0.1", backlog: 1 });
      const { port } = listener.address;
      const streams: TcpStream[] = [];
      let failure: unknown;
      while (failure === undefined && streams.length < 16) {
        try {
          streams.push(yield* connect({ port, host: "127.0.0.1", timeoutMs: 200 }));
        } catch (error) {
          failure = error;
        }
      }
      for (const stream of streams) stream.close();
      expect(failure).toBeInstanceOf(SystemError);
      expect(failure).toMatchObject({
        code: "ETIMEDOUT",
        errno: -errno.ETIMEDOUT,
        syscall: "connect",
        address: "127.0.0.1",
        port,
      });
    });
    expect(leftSince(before)).toEqual([]);
  });

  test("goes on to the next address of localhost when nobody listens on the first", async () => {
    await way(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      using client = yield* connect({ port: listener.address.port });
      using server = yield* listener.accept();
      expect(server.remoteAddress).toEqual(client.localAddress);
    });
  });

  test("what is no port, no time and no host is refused by name", async () => {
    await way(function* main() {
      for (const port of [-1, 0, 65_536, NaN, "80", 1.5, undefined]) {
        const error = yield* errorOf(connect({ port: port as number, host: "127.0.0.1" }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toStartWith("connect: port must be an integer from 1 to 65535, but is ");
      }
      for (const timeoutMs of [-1, NaN, "5", null]) {
        const error = yield* errorOf(connect({ port: 1, host: "127.0.0.1", timeoutMs: timeoutMs as number }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toStartWith("connect: timeoutMs must be a number of milliseconds");
      }
      for (const host of ["", 7, null]) {
        const error = yield* errorOf(connect({ port: 1, host: host as string }));
        expect(error).toBeInstanceOf(TypeError);
        expect(error.message).toStartWith("connect: host must be a name or an address");
      }
    });
  });

  test("a time limit of Infinity is none", async () => {
    await way(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      (yield* connect({ port: listener.address.port, host: "127.0.0.1", timeoutMs: Infinity })).close();
    });
  });
});

test("an unknown host is told as Node.js tells it", async () => {
  const error = await rejectionOf<Error & { code?: string; syscall?: string }>(
    run(() => connect({ port: 80, host: "nonexistent.invalid" })),
  );
  expect(error.code).toBe("ENOTFOUND");
  expect(error.message).toContain("nonexistent.invalid");
});

testUnless(NO_IPV6)("localhost inside blockOn stands for ::1 too", () => {
  const host = blockOn(function* main() {
    using listener = yield* listen({ port: 0, host: "::1" });
    using client = yield* connect({ port: listener.address.port, host: "localhost" });
    return client.remoteAddress.host;
  });
  expect(host).toBe("::1");
});

test("a name other than localhost inside blockOn is refused with what to do", () => {
  const error = thrownBy(() => blockOn(() => connect({ port: 80, host: "example.invalid" })), UnsupportedError);
  expect(error.message).toBe(
    "the name example.invalid cannot be resolved inside blockOn, which blocks the thread that would resolve it: use run, or an address",
  );
});
