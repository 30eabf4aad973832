// What do more cores bring? The echo server of this package on one Worker and on two, by both ways of sharing a port, each in
// a process of its own, under the same load.
//
//     bun bench/cluster.ts
//     bun bench/cluster.ts --quick
//     bun bench/cluster.ts --rounds 9 --seconds 1 --connections 64 --message-bytes 64 --linger-us 0
//
// Rounds are interleaved, as in bench/echo.ts, and a ratio is the median of the ratios within each round. Nothing is bound to
// cores. Two Workers can be 1.6 times as fast as one only where there is a core for each of them and one for the load, and
// where the load, which is one thread, is not itself what limits both. Elsewhere the question is what a message costs: all
// threads of the process together.

import { parseArguments } from "./support/arguments.ts";
import { atLeast, atMost, printGoals } from "./support/goals.ts";
import { type LoadResult, runLoad } from "./support/load.ts";
import { warnIfBusy } from "./support/machine.ts";
import { type Goal, writeResults } from "./support/results.ts";
import { measureInRounds } from "./support/server-rounds.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { formatBytes, formatNumber, formatRatio, printTable } from "./support/table.ts";

const SERVERS = {
  "1 worker": ["--workers", "1"],
  "2 workers": ["--workers", "2"],
  "2 workers, one listener": ["--workers", "2", "--sharing", "descriptor"],
} as const;

type Server = keyof typeof SERVERS;

interface Measured {
  readonly server: Server;
  readonly rounds: readonly LoadResult[];
  readonly medians: LoadResult;
  readonly messagesToOne: number;
  readonly cpuToOne: number;
}

/** Before the first round of a server, so that its code is compiled in each Worker. */
const FIRST_WARMUP_MS = 3_000;
/** Before every other round, so that its connections are in full swing. */
const WARMUP_MS = 150;

/** Each Worker needs a core, and so does the load, which is one thread. */
const CORES_NEEDED = 3;
/** A thread that uses more of its core has hardly time to wait for answers. */
const BUSY_THREAD_CORES = 0.9;

const given = parseArguments({
  rounds: "number",
  "linger-us": "number",
  seconds: "number",
  connections: "number",
  "message-bytes": "number",
  quick: "flag",
});
const connections = given.connections ?? 64;
const messageBytes = given["message-bytes"] ?? 64;
const rounds = given.rounds ?? (given.quick === true ? 2 : 7);
const seconds = given.seconds ?? (given.quick === true ? 0.2 : 0.9);

const environment: Readonly<Record<string, string>> =
  given["linger-us"] === undefined ? {} : { LINGER_US: String(given["linger-us"]) };

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(
    `\n${connections} connections × ${formatBytes(messageBytes)}; not bound to cores; ${rounds} rounds of ${seconds} s`,
  );
  const servers = Object.keys(SERVERS) as Server[];
  const results = await measureInRounds(
    servers,
    rounds,
    (server) => ({
      command: [process.execPath, `${import.meta.dirname}/servers/cluster.ts`, ...SERVERS[server]],
      environment,
    }),
    ({ port, pid }, isFirst) =>
      runLoad({
        port,
        serverPid: pid,
        connections,
        messageBytes,
        warmupMs: isFirst ? FIRST_WARMUP_MS : WARMUP_MS,
        durationMs: seconds * 1000,
      }),
  );
  const one = results.get("1 worker")!;
  const measured = servers.map((server) => summarize(server, results.get(server)!, one));
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("cluster", measured, goals);
}

function summarize(server: Server, own: readonly LoadResult[], one: readonly LoadResult[]): Measured {
  const ratio = (key: keyof LoadResult) => median(own.map((result, round) => result[key] / one[round]![key]));
  return {
    server,
    rounds: own,
    medians: medians(own),
    messagesToOne: ratio("messagesPerSecond"),
    cpuToOne: ratio("serverCpuUsPerMessage"),
  };
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "server", value: ({ server }) => server },
      { title: "messages/s", value: ({ medians }) => medians.messagesPerSecond },
      { title: "CPU µs/message", value: ({ medians }) => medians.serverCpuUsPerMessage },
      {
        title: "±",
        value: ({ rounds }) => `${formatNumber(100 * spread(rounds.map((round) => round.serverCpuUsPerMessage)))} %`,
      },
      { title: "p50 µs", value: ({ medians }) => medians.p50Us },
      { title: "p99 µs", value: ({ medians }) => medians.p99Us },
      { title: "load, cores", value: ({ medians }) => coresOfLoad(medians) },
      { title: "messages/1 worker", value: ({ messagesToOne }) => formatRatio(messagesToOne) },
      { title: "CPU/1 worker", value: ({ cpuToOne }) => formatRatio(cpuToOne) },
    ],
    measured,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  return measured
    .filter(({ server }) => server !== "1 worker")
    .map(({ server, medians, messagesToOne, cpuToOne }) =>
      loadIsTheLimit(medians)
        ? atMost(1.1, `${server}: CPU a message against 1 worker (the load is the limit here)`, cpuToOne)
        : atLeast(1.6, `${server}: messages/s against 1 worker`, messagesToOne),
    );
}

function loadIsTheLimit(result: LoadResult): boolean {
  return navigator.hardwareConcurrency < CORES_NEEDED || coresOfLoad(result) > BUSY_THREAD_CORES;
}

function coresOfLoad({ messagesPerSecond, loadCpuUsPerMessage }: LoadResult): number {
  return (messagesPerSecond * loadCpuUsPerMessage) / 1e6;
}
