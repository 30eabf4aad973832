/** Connecting to a name with several addresses (RFC 8305), in virtual time and without a network. */

import { describe, expect, test } from "bun:test";
import { connect, type ConnectOptions, CancelledError, Executor, SystemError } from "../../src/index.ts";
import { NEVER, type Outcome, ScriptedWorld } from "../support/scripted-world.ts";
import { rejectionOf } from "../support/failure.ts";
import { settled } from "../support/settled.ts";
import { errno } from "../support/errno.ts";

const { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMFILE } = errno;

const answers = (afterMs: number): Outcome => ({ afterMs, result: 0 });
const fails = (afterMs: number, errno: number): Outcome => ({ afterMs, result: -errno });

/** Connects in the given world; returns the address that was reached. */
function reach(world: ScriptedWorld, options: Partial<ConnectOptions> = {}): Promise<string> {
  const running = new Executor(world).run(function* main() {
    using stream = yield* connect({ host: "example", port: 80, ...options });
    const { host } = stream.remoteAddress;
    world.log.push(`connected to ${host}`);
    return host;
  });
  return settled(world, running);
}

describe("connect to a name with several addresses", () => {
  test("takes the first address alone if it answers before 250 ms", async () => {
    const world = new ScriptedWorld({ example: ["2001:db8::1", "192.0.2.1"] }, { "2001:db8::1": answers(249) });
    expect(await reach(world)).toBe("2001:db8::1");
    expect(world.log).toEqual(["0 ms: connect 2001:db8::1", "connected to 2001:db8::1", "249 ms: close 2001:db8::1"]);
  });

  test("tries the next address after 250 ms without an answer, and closes the loser", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": NEVER, "192.0.2.1": answers(10) },
    );
    expect(await reach(world)).toBe("192.0.2.1");
    expect(world.log).toEqual([
      "0 ms: connect 2001:db8::1",
      "250 ms: connect 192.0.2.1",
      "260 ms: close 2001:db8::1",
      "connected to 192.0.2.1",
      "260 ms: close 192.0.2.1",
    ]);
    expect(world.open.size).toBe(0);
  });

  test("the first may still win after the second has begun", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": answers(300), "192.0.2.1": answers(100) },
    );
    expect(await reach(world)).toBe("2001:db8::1");
    expect(world.log).toContain("300 ms: close 192.0.2.1");
    expect(world.open.size).toBe(0);
  });

  test("tries the next address at once when one fails", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": fails(40, ECONNREFUSED), "192.0.2.1": answers(5) },
    );
    expect(await reach(world)).toBe("192.0.2.1");
    expect(world.log.slice(0, 3)).toEqual([
      "0 ms: connect 2001:db8::1",
      "40 ms: close 2001:db8::1",
      "40 ms: connect 192.0.2.1",
    ]);
  });

  test("tries the next address at once when connect itself fails, as without a route", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": fails(0, ENETUNREACH), "192.0.2.1": answers(5) },
    );
    expect(await reach(world)).toBe("192.0.2.1");
    expect(world.log).toContain("0 ms: connect 192.0.2.1");
    expect(world.open.size).toBe(0);
  });

  test("goes through the families in turn, beginning with that of the first address", async () => {
    const names = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
    const outcomes = Object.fromEntries(names.map((name) => [name, fails(1, ECONNREFUSED)]));
    const world = new ScriptedWorld({ example: names }, outcomes);
    await rejectionOf(reach(world), AggregateError);
    expect(world.log.filter((line) => line.includes("connect ")).map((line) => line.split("connect ")[1]!)).toEqual([
      "192.0.2.1",
      "2001:db8::1",
      "192.0.2.2",
      "2001:db8::2",
      "192.0.2.3",
    ]);
  });

  test("starts one attempt each 250 ms while none answers, and keeps the earlier ones going", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"] },
      { "2001:db8::1": answers(1000), "2001:db8::2": NEVER, "192.0.2.1": NEVER, "192.0.2.2": fails(1, EHOSTUNREACH) },
    );
    expect(await reach(world)).toBe("2001:db8::1");
    expect(world.log).toEqual([
      "0 ms: connect 2001:db8::1",
      "250 ms: connect 192.0.2.1",
      "500 ms: connect 2001:db8::2",
      "750 ms: connect 192.0.2.2",
      "751 ms: close 192.0.2.2",
      "1000 ms: close 192.0.2.1",
      "1000 ms: close 2001:db8::2",
      "connected to 2001:db8::1",
      "1000 ms: close 2001:db8::1",
    ]);
  });

  test("throws an AggregateError with the code of the first when all fail", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": fails(0, ENETUNREACH), "192.0.2.1": fails(3, ECONNREFUSED) },
    );
    const error = await rejectionOf<AggregateError & { code: string }>(reach(world), AggregateError as never);
    expect(error.code).toBe("ENETUNREACH");
    expect(error.errors.map(({ code, address, port, syscall }) => [syscall, code, address, port])).toEqual([
      ["connect", "ENETUNREACH", "2001:db8::1", 80],
      ["connect", "ECONNREFUSED", "192.0.2.1", 80],
    ]);
    expect(error.message).toContain("connect ENETUNREACH [2001:db8::1]:80");
    expect(error.message).toContain("connect ECONNREFUSED 192.0.2.1:80");
    expect(world.open.size).toBe(0);
  });

  test("throws the error itself when the only address fails", async () => {
    const world = new ScriptedWorld({ example: ["192.0.2.1"] }, { "192.0.2.1": fails(3, ECONNREFUSED) });
    const error = await rejectionOf(reach(world), SystemError);
    expect(error).toMatchObject({
      code: "ECONNREFUSED",
      errno: -ECONNREFUSED,
      syscall: "connect",
      address: "192.0.2.1",
    });
  });

  test("gives up at timeoutMs, names the first address that still hangs, and closes all", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1", "192.0.2.2"] },
      { "2001:db8::1": NEVER, "192.0.2.1": fails(1, ECONNREFUSED), "192.0.2.2": NEVER },
    );
    const error = await rejectionOf(reach(world, { timeoutMs: 400 }), SystemError);
    expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "connect", address: "2001:db8::1", port: 80 });
    expect(world.nowNs).toBe(400e6);
    expect(world.log.slice(-2)).toEqual(["400 ms: close 2001:db8::1", "400 ms: close 192.0.2.2"]);
    expect(world.open.size).toBe(0);
  });

  test("timeoutMs counts the name look-up too", async () => {
    const world = new ScriptedWorld({}, {}, { resolve: () => new Promise(() => {}) });
    const error = await rejectionOf(reach(world, { timeoutMs: 30 }), SystemError);
    expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "getaddrinfo", address: "example" });
    expect(world.nowNs).toBe(30e6);
  });

  test("an unknown name is told as the resolver tells it", async () => {
    const world = new ScriptedWorld({}, {});
    expect(await rejectionOf(reach(world), SystemError)).toMatchObject({ code: "ENOTFOUND", syscall: "getaddrinfo" });
  });

  test("a name without any address is no time-out", async () => {
    const world = new ScriptedWorld({ example: [] }, {});
    const error = await rejectionOf<Error & { code?: string }>(reach(world));
    expect(error.code).toBe("ENOTFOUND");
    expect(error.message).toContain("example");
  });

  test("a task that is cancelled closes all its attempts", async () => {
    const world = new ScriptedWorld(
      { example: ["2001:db8::1", "192.0.2.1"] },
      { "2001:db8::1": NEVER, "192.0.2.1": NEVER },
    );
    const controller = new AbortController();
    const executor = new Executor(world);
    const running = executor.run(
      function* main() {
        yield* connect({ host: "example", port: 80 });
      },
      { signal: controller.signal },
    );
    while (world.open.size < 2) await new Promise((resolve) => setImmediate(resolve));
    controller.abort(new Error("enough"));
    expect((await rejectionOf(settled(world, running))).message).toBe("enough");
    expect(world.open.size).toBe(0);
    expect(world.watched).toEqual([]);
  });

  test("a task that is cancelled during the name look-up connects nowhere", async () => {
    const lookup = Promise.withResolvers<readonly string[]>();
    const world = new ScriptedWorld({}, {}, { resolve: () => lookup.promise });
    const executor = new Executor(world);
    const task = executor.spawn(() => connect({ host: "example", port: 80 }));
    while (task.state !== "suspended" || !task.waitsFor.startsWith("a promise")) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    task.cancel();
    lookup.resolve(["192.0.2.1"]);
    while (!task.hasEnded) await new Promise((resolve) => setImmediate(resolve));
    expect<string>(task.state).toBe("cancelled");
    expect(task.cancelledError()).toBeInstanceOf(CancelledError);
    expect(world.log).toEqual([]);
  });

  test("no socket left to make is the error of that attempt, and the one that is under way may still win", async () => {
    let made = 0;
    const world = new ScriptedWorld({ example: ["2001:db8::1", "192.0.2.1"] }, { "2001:db8::1": answers(300) });
    const { createSocket } = world.system;
    (world.system as { createSocket: typeof createSocket }).createSocket = (family) =>
      ++made > 1 ? -EMFILE : createSocket(family);
    expect(await reach(world)).toBe("2001:db8::1");
    expect(made).toBe(2);
  });

  test("addresses that cannot be parsed are passed over", async () => {
    const world = new ScriptedWorld({ example: ["nonsense", "192.0.2.1"] }, { "192.0.2.1": answers(1) });
    expect(await reach(world)).toBe("192.0.2.1");
  });
});
