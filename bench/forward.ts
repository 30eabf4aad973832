// How fast is a forwarder made of tasks? tasks/port-forward.ts and `socat`, each in a process of its own, with one connection and
// blocks of 64 KiB.
//
//     bun bench/forward.ts                                     everything, in about half a minute
//     bun bench/forward.ts --quick                             the same rows, few and short rounds: a look, not a measurement
//     bun bench/forward.ts --rows stream --rounds 15 --seconds 1
//
// Two rows. "stream": one direction, as fast as it goes (bench/stream.zig sends, and takes in at the other end). "echo": a block
// goes through the forwarder to a server that echoes it (bench/echo-limit.zig), and the next one follows when it is back
// (bench/load.zig); so it is the time of a way there and back that counts.
//
// Rounds are interleaved, in rotating order. A figure is the median of the rounds; a ratio is the median of the ratios within
// each round. socat serves one connection and ends, so each of its rounds has a process of its own; it needs no warming up.
// Both have TCP_NODELAY, and socat's buffer (-b) is a block. Nothing is bound to cores.

import { nativeProgram } from "./native.ts";
import { chosenAmong, parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { atLeast, printGoals } from "./support/goals.ts";
import { runLoad } from "./support/load.ts";
import { warnIfBusy } from "./support/machine.ts";
import { type Goal, writeResults } from "./support/results.ts";
import { type ServerOptions, ServerProcess } from "./support/server-process.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { StreamLoad } from "./support/stream-load.ts";
import { formatBytes, formatNumber, formatRatio, printTable } from "./support/table.ts";

const FORWARDERS = ["tasks", "socat"] as const;
const ROWS = ["stream", "echo"] as const;
const BLOCK_BYTES = 64 * 1024;
/** Before the first round of a forwarder, so that its code is compiled. */
const FIRST_WARMUP_MS = 800;
/** Before every other round, so that the connection is in full swing. */
const WARMUP_MS = 200;

type Forwarder = (typeof FORWARDERS)[number];
type Row = (typeof ROWS)[number];

interface Result {
  readonly bytesPerSecond: number;
  readonly serverCpuUsPerBlock: number;
}

interface Measured {
  readonly row: Row;
  readonly forwarder: Forwarder;
  readonly rounds: readonly Result[];
  readonly medians: Result;
  /** Ratios to socat; absent when it was left out. */
  readonly bytesToSocat: number | undefined;
  readonly cpuToSocat: number | undefined;
}

/** What the forwarders lead to, and how a round of it is measured. */
interface Target {
  readonly port: number;
  measure(forwarder: ServerProcess, warmupMs: number): Promise<Result>;
}

const given = parseArguments({ rounds: "number", seconds: "number", rows: "words", quick: "flag" });
const rounds = given.rounds ?? (given.quick === true ? 3 : 9);
const durationMs = 1000 * (given.seconds ?? (given.quick === true ? 0.3 : 0.7));

await main();

async function main(): Promise<void> {
  const rows = chosenAmong("rows", given.rows, ROWS);
  await warnIfBusy();
  const measured: Measured[] = [];
  for (const row of rows) {
    console.log(
      `\n${row}: 1 connection, blocks of ${formatBytes(BLOCK_BYTES)}; ${rounds} rounds of ${durationMs / 1000} s`,
    );
    const ofRow = await measureRow(row, forwarders());
    print(ofRow);
    measured.push(...ofRow);
  }
  const goals = ROWS.map((row): Goal => {
    const ours = measured.find((other) => other.row === row && other.forwarder === "tasks");
    return atLeast(0.9, `port-forward, ${row}, 1 × 64 KiB: bytes/s against socat`, ours?.bytesToSocat);
  });
  console.log();
  printGoals(goals);
  writeResults("forward", measured, goals);
}

function forwarders(): readonly Forwarder[] {
  if (Bun.which("socat") !== null) return FORWARDERS;
  console.log("  There is no socat on this machine (Debian: socat), so there is nothing to compare with.");
  return FORWARDERS.filter((forwarder) => forwarder !== "socat");
}

async function measureRow(row: Row, names: readonly Forwarder[]): Promise<Measured[]> {
  await using processes = new AsyncDisposableStack();
  const target = row === "stream" ? await streamTarget(processes) : await echoTarget(processes);
  const ours = processes.use(await ServerProcess.start(optionsOf("tasks", target.port)));
  await target.measure(ours, FIRST_WARMUP_MS);
  const results = new Map<Forwarder, Result[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of rotated(names, round)) {
      results.get(name)?.push(name === "tasks" ? await target.measure(ours, WARMUP_MS) : await measureSocat(target));
    }
  }
  return names.map((name) => summarize(row, name, results));
}

async function measureSocat(target: Target): Promise<Result> {
  await using socat = await ServerProcess.start(optionsOf("socat", target.port));
  return await target.measure(socat, WARMUP_MS);
}

function optionsOf(forwarder: Forwarder, port: number): ServerOptions {
  const target = `127.0.0.1:${port}`;
  if (forwarder === "tasks") {
    return {
      command: [process.execPath, `${import.meta.dirname}/../tasks/port-forward.ts`, "--listen", "0", "--to", target],
      announcement: { output: "stdout", line: /^listening on \S+:(?<port>\d+), forwarding/ },
    };
  }
  return {
    command: `socat -d -d -b ${BLOCK_BYTES} TCP-LISTEN:0,bind=127.0.0.1,nodelay TCP:${target},nodelay`.split(" "),
    announcement: { output: "stderr", line: /listening on AF=2 127\.0\.0\.1:(?<port>\d+)$/ },
  };
}

async function streamTarget(processes: AsyncDisposableStack): Promise<Target> {
  const load = processes.use(await StreamLoad.start(BLOCK_BYTES));
  return {
    port: load.port,
    async measure({ port, pid }, warmupMs) {
      const result = await load.run({ port, serverPid: pid, warmupMs, durationMs });
      return {
        bytesPerSecond: result.bytesPerSecond,
        serverCpuUsPerBlock: (result.serverCpuNsPerByte * BLOCK_BYTES) / 1000,
      };
    },
  };
}

async function echoTarget(processes: AsyncDisposableStack): Promise<Target> {
  const echo = processes.use(await ServerProcess.start({ command: [nativeProgram("echo-limit"), "--port", "0"] }));
  return {
    port: echo.port,
    async measure({ port, pid }, warmupMs) {
      const options = { port, serverPid: pid, connections: 1, messageBytes: BLOCK_BYTES, durationMs, warmupMs };
      const result = await runLoad(options);
      return { bytesPerSecond: result.bytesPerSecond, serverCpuUsPerBlock: result.serverCpuUsPerMessage };
    },
  };
}

function summarize(row: Row, forwarder: Forwarder, results: ReadonlyMap<Forwarder, readonly Result[]>): Measured {
  const own = results.get(forwarder) ?? [];
  const socat = results.get("socat");
  const ratio = (key: keyof Result): number | undefined =>
    socat && median(own.map((result, round) => result[key] / (socat[round]?.[key] ?? Number.NaN)));
  return {
    row,
    forwarder,
    rounds: own,
    medians: medians<keyof Result>(own),
    bytesToSocat: ratio("bytesPerSecond"),
    cpuToSocat: ratio("serverCpuUsPerBlock"),
  };
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "forwarder", value: ({ forwarder }) => forwarder },
      { title: "MB/s", value: ({ medians }) => medians.bytesPerSecond / 1e6 },
      {
        title: "±",
        value: ({ rounds }) => `${formatNumber(100 * spread(rounds.map(({ bytesPerSecond }) => bytesPerSecond)))} %`,
      },
      { title: "CPU µs/block", value: ({ medians }) => medians.serverCpuUsPerBlock },
      { title: "bytes/socat", value: ({ bytesToSocat }) => formatRatio(bytesToSocat) },
      { title: "CPU/socat", value: ({ cpuToSocat }) => formatRatio(cpuToSocat) },
    ],
    measured,
  );
}
