// Runs redis-benchmark against a server and returns what it measured.

import { connect } from "node:net";
import { once } from "node:events";
import { endWithThisProcess } from "./children.ts";
import { processCpuUs } from "./process-cpu.ts";

/** The tests of redis-benchmark, by the names that its `-t` takes. */
export const REDIS_COMMANDS = ["ping_inline", "ping_mbulk", "set", "get", "incr", "lpush"] as const;
export type RedisCommand = (typeof REDIS_COMMANDS)[number];

export interface RedisLoadOptions {
  readonly port: number;
  /** The server, whose CPU time is measured. */
  readonly serverPid: number;
  readonly command: RedisCommand;
  readonly connections: number;
  /** How many requests are under way on each connection. */
  readonly pipeline: number;
  readonly requests: number;
}

export interface RedisLoadResult {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly serverCpuUsPerRequest: number;
}

/** @throws Error with what redis-benchmark said when it failed. */
export async function runRedisLoad(options: RedisLoadOptions): Promise<RedisLoadResult> {
  await empty(options.port);
  const beforeUs = processCpuUs(options.serverPid);
  const report = await runBenchmark(options);
  const cpuUs = processCpuUs(options.serverPid) - beforeUs;
  return { ...report, serverCpuUsPerRequest: cpuUs / options.requests };
}

async function runBenchmark({
  port,
  command,
  connections,
  pipeline,
  requests,
}: RedisLoadOptions): Promise<Omit<RedisLoadResult, "serverCpuUsPerRequest">> {
  const benchmark = Bun.spawn(
    `redis-benchmark -h 127.0.0.1 -p ${port} -c ${connections} -P ${pipeline} -n ${requests} -t ${command} --csv`.split(
      " ",
    ),
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  endWithThisProcess(benchmark);
  const [output, complaint] = await Promise.all([benchmark.stdout.text(), benchmark.stderr.text(), benchmark.exited]);
  const [titles, values] = output.trim().split("\n").map(cellsOf);
  const value = (title: string): number => Number(values?.[titles?.indexOf(title) ?? -1]);
  const requestsPerSecond = value("rps");
  if (benchmark.exitCode !== 0 || !Number.isFinite(requestsPerSecond))
    throw new Error(`redis-benchmark -t ${command}: ${complaint.trim() || output.trim() || "it said nothing"}`);
  return { requestsPerSecond, p50Us: 1000 * value("p50_latency_ms"), p99Us: 1000 * value("p99_latency_ms") };
}

/** A list that grows from round to round would not cost the same in each. */
async function empty(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.end("FLUSHALL\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (answer.toString() !== "+OK\r\n") throw new Error(`FLUSHALL was answered by ${JSON.stringify(answer.toString())}`);
  socket.destroy();
}

/** A line of `"PING_INLINE","69444.45"`. */
function cellsOf(line: string): string[] {
  return line.split(",").map((cell) => cell.replaceAll('"', ""));
}
