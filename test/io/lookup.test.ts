/** Looking names up: in what order, with what limits, and how it fails. */

import { describe, expect, test } from "bun:test";
import {
  blockOn,
  cancel,
  CancelledError,
  Executor,
  join,
  lookup,
  type LookupOptions,
  type Operation,
  run,
  spawn,
  timeout,
  TimeoutError,
  UnsupportedError,
  yieldNow,
} from "../../src/index.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { errorOf } from "../support/loopback.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";

const MIXED = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3", "2001:db8::2"];

describe("lookup", () => {
  test("has the families in turn, that of the first address first", async () => {
    const found = await inWorld({ example: MIXED }, () => lookup("example"));
    expect(found.map(({ host }) => host)).toEqual([
      "192.0.2.1",
      "2001:db8::1",
      "192.0.2.2",
      "2001:db8::2",
      "192.0.2.3",
    ]);
    expect(found[1]).toEqual({ host: "2001:db8::1", family: "IPv6" });
  });

  test.each([
    ["IPv4", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]],
    ["IPv6", ["2001:db8::1", "2001:db8::2"]],
  ] as const)("leaves out all but %s when it is to", async (family, hosts) => {
    const found = await inWorld({ example: MIXED }, () => lookup("example", { family }));
    expect(found.map(({ host }) => host)).toEqual([...hosts]);
  });

  test("an address is its own answer, in its usual form", async () => {
    expect(await run(() => lookup("127.0.0.1"))).toEqual([{ host: "127.0.0.1", family: "IPv4" }]);
    expect(await run(() => lookup("0:0:0:0:0:0:0:1"))).toEqual([{ host: "::1", family: "IPv6" }]);
    const error = await run(() => errorOf(lookup("::1", { family: "IPv4" })));
    expect(error.message).toBe("getaddrinfo ENOTFOUND ::1: the name has no IPv4 address");
  });

  test("an unknown name is told as Node.js tells it, with the name", async () => {
    const nothing = await run(() => errorOf(lookup("")));
    expect(nothing).toBeInstanceOf(TypeError);
    expect(nothing.message).toBe('lookup: name must be a name or an address, but is ""');
    const error = await run(() => errorOf(lookup("nonexistent.invalid")));
    expect(error).toMatchObject({
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      hostname: "nonexistent.invalid",
      message: "getaddrinfo ENOTFOUND nonexistent.invalid",
    });
  });

  test("a name without an address of the family, or without any, is not found either", async () => {
    const names = { example: ["192.0.2.1"], nothing: [] };
    const missing = await inWorld(names, () => errorOf(lookup("example", { family: "IPv6" })));
    expect(missing).toMatchObject({ code: "ENOTFOUND", hostname: "example" });
    expect(missing.message).toContain("the name has no IPv6 address");
    expect(await inWorld(names, () => errorOf(lookup("nothing")))).toMatchObject({ code: "ENOTFOUND" });
  });

  test("is given up at a limit of time, and what comes later is ignored", async () => {
    for (const end of ["resolve", "reject"] as const) {
      const answer = Promise.withResolvers<readonly string[]>();
      const error = await inWorld(
        {},
        () => errorOf(timeout(5_000, lookup("slow"))),
        () => answer.promise,
      );
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error["deadlineMs"]).toBe(5_000);
      if (end === "resolve") answer.resolve(["192.0.2.1"]);
      else answer.reject(new Error("too late"));
      await hostTurn();
    }
  });

  test("can be cancelled, and a late failure is nobody's", async () => {
    const { promise, reject } = Promise.withResolvers<readonly string[]>();
    const error = await inWorld(
      {},
      function* main() {
        const looking = yield* spawn(() => lookup("slow"));
        yield* yieldNow();
        yield* cancel(looking);
        return yield* errorOf(join(looking));
      },
      () => promise,
    );
    expect(error).toBeInstanceOf(CancelledError);
    reject(new Error("too late"));
    await hostTurn();
  });

  test("inside blockOn knows addresses and localhost, and says what to do about other names", () => {
    blockOn(function* main() {
      expect(yield* lookup("192.0.2.1")).toHaveLength(1);
      expect((yield* lookup("localhost", { family: "IPv4" }))[0]!.host).toBe("127.0.0.1");
      const error = yield* errorOf(lookup("example.com"));
      expect(error).toBeInstanceOf(UnsupportedError);
      expect(error.message).toContain("use run, or an address");
    });
  });

  test.each<[string, string, LookupOptions]>([
    ["an empty name", "", {}],
    ["a name that is no string", 1 as unknown as string, {}],
    ["a family that is none", "localhost", { family: 4 as unknown as "IPv4" }],
  ])("refuses %s", async (_what, name, options) => {
    expect(await run(() => errorOf(lookup(name, options)))).toBeInstanceOf(TypeError);
  });
});

/** Runs a task in a world that knows the names, or that answers in a way of its own. */
function inWorld<T>(
  names: Readonly<Record<string, readonly string[]>>,
  body: () => Operation<T>,
  resolve?: () => Promise<readonly string[]>,
): Promise<T> {
  const world = new ScriptedWorld(names, {}, resolve === undefined ? {} : { resolve });
  return settled(world, new Executor(world).run(body));
}
