// How fast is a Redis server made of tasks? tasks/redis-server.ts, the same server on `Bun.listen`, and the real one, each in a
// process of its own, under `redis-benchmark`.
//
//     bun bench/redis.ts                                       everything, in about three minutes
//     bun bench/redis.ts --quick                               the same rows, few and short rounds: a look, not a measurement
//     bun bench/redis.ts --pipeline 16 --commands get,lpush --rounds 9 --seconds 1
//     bun bench/redis.ts --only tasks,bun-listen
//
// Rounds are interleaved: in each, every command is sent to every server, which have their turns in rotating order, so that a
// slow minute of the machine hits all alike. A figure is the median of the rounds; a ratio is the median of the ratios within
// each round.
//
// The real server keeps nothing on disk and has one thread for its clients, as it comes. redis-benchmark is one thread as well, and
// with one request at a time it is busy before a server is: then the servers differ little in requests/s, and this package's server
// polls on for a moment instead of sleeping when it has nothing to do, which shows in its CPU time. CPU time is the user and
// system time of all threads of the server; the system counts it in ticks of 10 ms, so rounds must not be too short.

import { chosenAmong, parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { freePort } from "./support/free-port.ts";
import { atLeast, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { type RedisCommand, REDIS_COMMANDS, type RedisLoadResult, runRedisLoad } from "./support/redis-load.ts";
import { type Goal, writeResults } from "./support/results.ts";
import { type ServerOptions, ServerProcess } from "./support/server-process.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { formatNumber, formatRatio, printTable } from "./support/table.ts";

const SERVERS = ["tasks", "bun-listen", "redis-server"] as const;
const PIPELINES = [1, 16];
const CONNECTIONS = 50;
/** About what a server answers in a second, with one request under way on each connection and for each further one. */
const FIRST_PER_SECOND = 60_000;
const FURTHER_PER_SECOND = 40_000;
/** Before the first round of a server, so that its code is compiled. */
const WARM_UP_REQUESTS = 100_000;

type Server = (typeof SERVERS)[number];

interface Row {
  readonly command: RedisCommand;
  readonly pipeline: number;
}

interface Measured {
  readonly row: Row;
  readonly server: Server;
  readonly rounds: readonly RedisLoadResult[];
  readonly medians: RedisLoadResult;
  /** Ratios to the peers; absent when the peer was left out. */
  readonly requestsToRedis: number | undefined;
  readonly cpuToRedis: number | undefined;
  readonly requestsToBunListen: number | undefined;
  readonly cpuToBunListen: number | undefined;
}

const given = parseArguments({
  rounds: "number",
  seconds: "number",
  only: "words",
  commands: "words",
  pipeline: "numbers",
  quick: "flag",
});
const rounds = given.rounds ?? (given.quick === true ? 2 : 5);
const seconds = given.seconds ?? (given.quick === true ? 0.25 : 0.6);

await main();

async function main(): Promise<void> {
  const missing = ["redis-benchmark", "redis-server"].filter((program) => Bun.which(program) === null);
  for (const program of missing)
    console.log(`  There is no ${program} on this machine (Debian: redis-server, redis-tools).`);
  if (missing.includes("redis-benchmark")) {
    console.log("  skipped: nothing else makes the load");
    return writeResults("redis", [], goalsOf([]));
  }
  await warnIfBusy();
  const measured: Measured[] = [];
  for (const pipeline of given.pipeline ?? PIPELINES) {
    console.log(
      `\n${CONNECTIONS} connections, ${pipeline} request${pipeline === 1 ? "" : "s"} at a time (redis-benchmark -c ${CONNECTIONS} ` +
        `-P ${pipeline}); ${rounds} rounds of about ${seconds} s`,
    );
    const ofPipeline = await measurePipeline(pipeline, chosenServers(missing));
    print(ofPipeline);
    measured.push(...ofPipeline);
  }
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("redis", measured, goals);
}

function chosenServers(missing: readonly string[]): readonly Server[] {
  return chosenAmong("only", given.only, SERVERS).filter((server) => !missing.includes(server));
}

async function measurePipeline(pipeline: number, servers: readonly Server[]): Promise<Measured[]> {
  await using processes = new AsyncDisposableStack();
  const started = new Map<Server, ServerProcess>();
  for (const server of servers) started.set(server, processes.use(await ServerProcess.start(optionsOf(server))));
  const rows = chosenAmong("commands", given.commands, REDIS_COMMANDS).map((command): Row => ({ command, pipeline }));
  const results = new Map(
    rows.map((row) => [row, new Map(servers.map((server) => [server, [] as RedisLoadResult[]]))]),
  );
  for (const row of rows) {
    for (const server of started.values()) await measureRound(row, server, WARM_UP_REQUESTS);
  }
  const requests = Math.round(seconds * (FIRST_PER_SECOND + (pipeline - 1) * FURTHER_PER_SECOND));
  for (let round = 0; round < rounds; round++) {
    for (const row of rows) {
      for (const [server, process] of rotated([...started], round))
        results
          .get(row)
          ?.get(server)
          ?.push(await measureRound(row, process, requests));
    }
  }
  return rows.flatMap((row) => servers.map((server) => summarize(row, server, results.get(row)!)));
}

function measureRound({ command, pipeline }: Row, server: ServerProcess, requests: number): Promise<RedisLoadResult> {
  const { port, pid } = server;
  return runRedisLoad({ port, serverPid: pid, command, pipeline, connections: CONNECTIONS, requests });
}

function optionsOf(server: Server): ServerOptions {
  if (server === "tasks") return { command: [process.execPath, `${import.meta.dirname}/../tasks/redis-server.ts`] };
  if (server === "bun-listen")
    return { command: [process.execPath, `${import.meta.dirname}/servers/redis-bun-listen.ts`] };
  const port = freePort();
  return {
    command: `redis-server --bind 127.0.0.1 --port ${port} --save  --appendonly no --io-threads 1`.split(" "),
    announcement: { output: "stdout", line: /Ready to accept connections/, port },
  };
}

function summarize(row: Row, server: Server, results: ReadonlyMap<Server, readonly RedisLoadResult[]>): Measured {
  const own = results.get(server) ?? [];
  const ratio = (key: keyof RedisLoadResult, peer: Server): number | undefined => {
    const others = results.get(peer);
    return others && median(own.map((result, round) => result[key] / (others[round]?.[key] ?? Number.NaN)));
  };
  return {
    row,
    server,
    rounds: own,
    medians: medians<keyof RedisLoadResult>(own),
    requestsToRedis: ratio("requestsPerSecond", "redis-server"),
    cpuToRedis: ratio("serverCpuUsPerRequest", "redis-server"),
    requestsToBunListen: ratio("requestsPerSecond", "bun-listen"),
    cpuToBunListen: ratio("serverCpuUsPerRequest", "bun-listen"),
  };
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "command", value: ({ row }) => row.command },
      { title: "server", value: ({ server }) => server },
      { title: "requests/s", value: ({ medians }) => medians.requestsPerSecond },
      {
        title: "±",
        value: ({ rounds }) => `${formatNumber(100 * spread(rounds.map((round) => round.requestsPerSecond)))} %`,
      },
      { title: "CPU µs/request", value: ({ medians }) => medians.serverCpuUsPerRequest },
      { title: "p50 µs", value: ({ medians }) => medians.p50Us },
      { title: "p99 µs", value: ({ medians }) => medians.p99Us },
      { title: "requests/redis", value: ({ requestsToRedis }) => formatRatio(requestsToRedis) },
      { title: "CPU/redis", value: ({ cpuToRedis }) => formatRatio(cpuToRedis) },
      { title: "requests/Bun.listen", value: ({ requestsToBunListen }) => formatRatio(requestsToBunListen) },
      { title: "CPU/Bun.listen", value: ({ cpuToBunListen }) => formatRatio(cpuToBunListen) },
    ],
    measured,
  );
}

/** Against the real server each command counts; against `Bun.listen`, which is close, the commands together. */
function goalsOf(measured: readonly Measured[]): Goal[] {
  return PIPELINES.flatMap((pipeline) => {
    const ours = measured.filter(({ row, server }) => server === "tasks" && row.pipeline === pipeline);
    const what = `redis-benchmark -c ${CONNECTIONS} -P ${pipeline}`;
    return [
      atLeast(
        pipeline === 1 ? 0.7 : 0.5,
        `${what}: requests/s against redis-server, the worst command`,
        worst(ours.map(({ requestsToRedis }) => requestsToRedis)),
      ),
      atLeast(
        1,
        `${what}: requests/s against Bun.listen, the mean of the commands`,
        geometricMean(ours.map(({ requestsToBunListen }) => requestsToBunListen)),
      ),
    ];
  });
}

function worst(ratios: readonly (number | undefined)[]): number | undefined {
  const known = ratios.filter((ratio) => ratio !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function geometricMean(ratios: readonly (number | undefined)[]): number | undefined {
  const known = ratios.filter((ratio) => ratio !== undefined);
  if (known.length === 0) return undefined;
  return Math.exp(known.reduce((sum, ratio) => sum + Math.log(ratio), 0) / known.length);
}
