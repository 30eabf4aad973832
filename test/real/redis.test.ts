/** Redis: `tasks/redis/client.ts` against the real server, and real clients against `tasks/redis-server.ts`. */

import { expect, test } from "bun:test";
import {
  ClosedError,
  join,
  type Operation,
  promise,
  run,
  sleep,
  spawn,
  timeout,
  TimeoutError,
} from "../../src/index.ts";
import { ConnectionLostError, openRedis } from "../../tasks/redis/client.ts";
import { decodeText, encodeText, ReplyError } from "../../tasks/redis/protocol.ts";
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

  test("words are bytes: text is encoded, and what is no byte, or no command, is refused", async () => {
    const port = freePort();
    await using _server = await startRedis(port);
    await run(function* main() {
      using redis = yield* openRedis({ host: "127.0.0.1", port });
      const all = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
      yield* redis.call("SET", all, all);
      expect(yield* redis.call("GET", all)).toBe(all);
      yield* redis.call("SET", "text", encodeText("zażółć"));
      expect(yield* redis.call("STRLEN", "text")).toBe(10);
      expect(decodeText(String(yield* redis.call("GET", "text")))).toBe("zażółć");
      expect(yield* errorOf(redis.call("SET", "text", "zażółć"))).toBeInstanceOf(TypeError);
      expect(yield* errorOf(redis.call())).toBeInstanceOf(TypeError);
      yield* redis.call("SET", "n", String(2n ** 62n));
      expect(yield* redis.call("INCR", "n")).toBe(2n ** 62n + 1n);
    });
  });

  test("calls that were not sent, or not answered, end when the client is closed", async () => {
    const port = freePort();
    await using _server = await startRedis(port);
    await run(function* main() {
      const redis = yield* openRedis({ host: "127.0.0.1", port });
      yield* redis.call("PING");
      const sent = yield* spawn(() => errorOf(redis.call("BLPOP", "empty", "0")));
      // Nobody listens there.
      const other = yield* openRedis({ host: "127.0.0.1", port: 1 });
      const unsent = yield* spawn(() => errorOf(other.call("PING")));
      yield* sleep(0);
      redis.close();
      other.close();
      for (const task of [sent, unsent]) expect(yield* join(task)).toBeInstanceOf(ConnectionLostError);
      expect(yield* errorOf(redis.call("PING"))).toBeInstanceOf(ClosedError);
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

describeReal("tasks/redis.ts, with redis-server", { programs: ["redis-server"] }, () => {
  test("prints the replies in order, goes on after errors, and connects again", async () => {
    const port = freePort();
    const first = await startRedis(port);
    await using client = Program.startWithInput("redis.ts", "--port", String(port));
    client.write('SET greeting "hello,\tzażółć"\nGET greeting\n\nNOPE\nGET "x\nRPUSH l a b\nLRANGE l 0 -1\nGET none\n');
    const lines = ["OK", "hello,\tzażółć", "(error) ERR unknown command 'NOPE', with args beginning with: "];
    lines.push("(error) unbalanced quotes in request", "(integer) 2", "1) a", "2) b", "(nil)");
    for (const line of lines) expect(await client.line()).toBe(line);

    client.write("BLPOP empty 0\n");
    await untilBlocked(port);
    first.kill();
    await first.exited;
    expect(await client.line()).toBe("(error) the connection to the server was lost before the reply came");
    expect(await client.complaint()).toBe("the server has closed the connection");
    client.write("PING\n");
    await using _second = await startRedis(port);
    expect(await client.line()).toBe("PONG");
    client.endInput();
    expect((await client.end()).exitCode).toBe(0);
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

/** Until one client waits for a list that is empty. */
async function untilBlocked(port: number): Promise<void> {
  await run(function* main() {
    using redis = yield* openRedis({ host: "127.0.0.1", port });
    while (!String(yield* redis.call("INFO", "clients")).includes("blocked_clients:1"));
  });
}

function* errorOf(operation: Operation<unknown>): Operation<unknown> {
  try {
    yield* operation;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

function startRedis(port: number): Promise<RealServer> {
  const command = ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  return RealServer.start(command, { isReady: (line) => line.includes("Ready to accept connections") });
}
