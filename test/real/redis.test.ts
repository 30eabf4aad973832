/** Redis: `tasks/redis/client.ts` against the real server, and real clients against `tasks/redis-server.ts`. */

import { expect, test } from "bun:test";
import { join, promise, run, sleep, spawn, timeout, TimeoutError } from "../../src/index.ts";
import { ConnectionLostError, openRedis } from "../../tasks/redis/client.ts";
import { ReplyError } from "../../tasks/redis/protocol.ts";
import { Program } from "../tasks/program.ts";
import { describeReal } from "./support/component.ts";
import { freePort, RealServer, runCommand } from "./support/server.ts";

describeReal("redis-server, with our client", { programs: ["redis-server"] }, () => {
  test("answers commands of many tasks on one connection, each task its own", async () => {
    const port = freePort();
    await using _server = await startRedis(port);
    await run(function* main() {
      using redis = yield* openRedis({ host: "127.0.0.1", port });
      const tasks = [];
      for (let index = 0; index < 2_000; index++) {
        tasks.push(
          yield* spawn(function* setAndGet() {
            yield* redis.call("SET", `key ${index}`, `value ${index}\r\n`);
            return yield* redis.call("GET", `key ${index}`);
          }),
        );
      }
      for (const [index, task] of tasks.entries()) expect(yield* join(task)).toBe(`value ${index}\r\n`);
      expect(yield* redis.call("DBSIZE")).toBe(2_000);
    });
  });

  test("sends errors, nulls, lists and large values", async () => {
    const port = freePort();
    await using _server = await startRedis(port);
    await run(function* main() {
      using redis = yield* openRedis({ host: "127.0.0.1", port });
      const large = "x".repeat(5_000_000);
      yield* redis.call("SET", "large", large);
      expect(yield* redis.call("GET", "large")).toBe(large);
      expect(yield* redis.call("GET", "nothing")).toBeNull();
      expect(yield* redis.call("RPUSH", "list", "a", "b")).toBe(2);
      expect(yield* redis.call("LRANGE", "list", "0", "-1")).toEqual(["a", "b"]);
      const wrong = yield* spawn(() => redis.call("INCR", "list"), { supervised: true });
      let error: unknown;
      try {
        yield* join(wrong);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(ReplyError);
      expect((error as Error).message).toStartWith("WRONGTYPE");
    });
  });

  test("a call that is cancelled at a deadline does not shift the replies of others", async () => {
    const port = freePort();
    await using _server = await startRedis(port);
    await run(function* main() {
      using redis = yield* openRedis({ host: "127.0.0.1", port });
      yield* redis.call("SET", "a", "1");
      let error: unknown;
      try {
        yield* timeout(5, () => redis.call("BLPOP", "empty", "0.05"));
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(TimeoutError);
      expect(yield* redis.call("GET", "a")).toBe("1");
    });
  });

  test("connects again when the server was away; what was under way fails", async () => {
    const port = freePort();
    const first = await startRedis(port);
    await run(function* main() {
      const lost: string[] = [];
      using redis = yield* openRedis({ host: "127.0.0.1", port, onLost: (reason) => lost.push(reason.message) });
      yield* redis.call("PING");
      const blocked = yield* spawn(function* block() {
        try {
          return yield* redis.call("BLPOP", "empty", "0");
        } catch (error) {
          return error;
        }
      });
      yield* sleep(0);
      first.kill();
      expect(yield* join(blocked)).toBeInstanceOf(ConnectionLostError);
      const waiting = yield* spawn(() => redis.call("PING"));
      const second = yield* promise(startRedis(port));
      expect(yield* join(waiting)).toBe("PONG");
      expect(lost.length).toBeGreaterThan(0);
      yield* promise(second[Symbol.asyncDispose]());
    });
    await first[Symbol.asyncDispose]();
  });
});

describeReal("redis-benchmark and redis-cli, with our server", { programs: ["redis-benchmark", "redis-cli"] }, () => {
  test("run every test of theirs that the server has commands for, without an error", async () => {
    await using server = Program.start("redis-server.ts");
    const port = String(await server.port());
    for (const pipelined of ["1", "16"]) {
      const tests = "ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,mset,lrange_100";
      const args = ["-h", "127.0.0.1", "-p", port, "-n", "2000", "-c", "20", "-P", pipelined, "-t", tests, "--csv"];
      const table = await runCommand(["redis-benchmark", ...args]);
      expect(table.trim().split("\n").length).toBeGreaterThanOrEqual(11);
      expect(table).not.toContain("ERR");
    }
  });

  test("see values, counters, lists and expiry as the real server has them", async () => {
    await using server = Program.start("redis-server.ts");
    const port = String(await server.port());
    const ask = async (...words: string[]): Promise<string> =>
      (await runCommand(["redis-cli", "--no-raw", "-h", "127.0.0.1", "-p", port, ...words])).trim();
    expect(await ask("SET", "k", "v", "EX", "100")).toBe("OK");
    expect(await ask("TTL", "k")).toBe("(integer) 100");
    expect(await ask("PERSIST", "k")).toBe("(integer) 1");
    expect(await ask("TTL", "k")).toBe("(integer) -1");
    expect(await ask("TTL", "none")).toBe("(integer) -2");
    expect(await ask("SET", "k", "w", "NX")).toBe("(nil)");
    expect(await ask("SET", "k", "w", "XX", "GET")).toBe('"v"');
    expect(await ask("INCR", "k")).toBe("(error) ERR value is not an integer or out of range");
    expect(await ask("INCRBY", "n", "41")).toBe("(integer) 41");
    expect(await ask("INCR", "n")).toBe("(integer) 42");
    expect(await ask("LPUSH", "l", "a", "b", "c")).toBe("(integer) 3");
    expect(await ask("RPOP", "l")).toBe('"a"');
    expect(await ask("LRANGE", "l", "0", "-1")).toBe('1) "c"\n2) "b"');
    expect(await ask("GET", "l")).toStartWith("(error) WRONGTYPE");
    expect(await ask("EXPIRE", "l", "-1")).toBe("(integer) 1");
    expect(await ask("EXISTS", "l")).toBe("(integer) 0");
    expect(await ask("SET", "gone", "soon", "PX", "1")).toBe("OK");
    // The server removes it by itself; asking for it would remove it as well, so its size is asked for.
    while ((await ask("DBSIZE")) !== "(integer) 2");
    expect(await ask("NOPE")).toStartWith("(error) ERR unknown command");
  });
});

function startRedis(port: number): Promise<RealServer> {
  const command = ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  return RealServer.start(command, { isReady: (line) => line.includes("Ready to accept connections") });
}
