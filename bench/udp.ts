// How much does an echo over UDP cost? Ours in batches and one by one, `Bun.udpSocket` both ways, and the limit, each
// in a process of its own, under the same load.
//
//     bun bench/udp.ts                                      everything, in about a minute
//     bun bench/udp.ts --quick                              the same rows, few and short rounds: a look, not a measurement
//     bun bench/udp.ts --only udp-batch,bun-udp-many --peers 16 --window 8 --rounds 9 --seconds 1
//
// Rounds are interleaved: in each, every server has its turn, in rotating order, so that a slow minute of the machine
// hits all alike. A figure is the median of the rounds; a ratio is the median of the ratios within each round.
//
// `Bun.udpSocket` hands over one datagram at a time. `bun-udp` answers it at once, `bun-udp-many` collects the answers
// of a turn of the event loop for one `sendMany`, which is the best that its interface allows; a ratio to "Bun" is to
// the better of the two in the same round. The limit is a loop around recvmmsg(2) and sendmmsg(2).
//
// Each server, with all its threads, is bound to core 0 and the load to core 1, where that can be done. Unbound, a
// server and its load that happen to share a core work in turns, a whole window at a time, and so at half of the rate:
// whether they do would decide the result.

import { nativeProgram } from "./native.ts";
import { chosenAmong, parseArguments } from "./support/arguments.ts";
import { atLeast, atMost, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { type Goal, writeResults } from "./support/results.ts";
import { canPin, type ServerProcess } from "./support/server-process.ts";
import { measureInRounds } from "./support/server-rounds.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { formatBytes, formatNumber, formatRatio, printTable } from "./support/table.ts";
import { runUdpLoad, type UdpLoadResult } from "./support/udp-load.ts";

const SERVERS = ["udp-batch", "udp-single", "bun-udp", "bun-udp-many", "udp-limit"] as const;
const BUN_SERVERS = ["bun-udp", "bun-udp-many"] as const;
const SERVER_CORE = 0;
const LOAD_CORE = 1;
/** Before the first round of a server, so that its code is compiled. */
const FIRST_WARMUP_MS = 600;
/** Before every other round, so that the window is under way. */
const WARMUP_MS = 150;
const MESSAGE_BYTES = 64;

type Server = (typeof SERVERS)[number];

interface Row {
  readonly peers: number;
  readonly window: number;
  readonly rounds: number;
  readonly seconds: number;
}

interface Measured {
  readonly row: Row;
  readonly server: Server;
  readonly rounds: readonly UdpLoadResult[];
  readonly medians: UdpLoadResult;
  /** Ratios to the better of Bun's two servers; absent when both were left out. */
  readonly messagesToBun: number | undefined;
  readonly cpuToBun: number | undefined;
  readonly cpuToLimit: number | undefined;
}

const given = parseArguments({
  rounds: "number",
  seconds: "number",
  only: "words",
  peers: "number",
  window: "number",
  quick: "flag",
});

await main();

async function main(): Promise<void> {
  const servers = chosenAmong("only", given.only, SERVERS);
  await warnIfBusy();
  const measured: Measured[] = [];
  for (const row of chosenRows()) {
    console.log(`\n${titleOf(row)}`);
    const ofRow = await measureRow(row, servers);
    printRow(ofRow);
    measured.push(...ofRow);
  }
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("udp", measured, goals);
}

function chosenRows(): readonly Row[] {
  const { peers, window } = given;
  if (peers !== undefined || window !== undefined) return [sized(peers ?? 1, window ?? 64, 5, 0.8)];
  // The row that the package is judged by has the most rounds.
  return [sized(16, 8, 7, 0.8), sized(1, 64, 3, 0.6)];
}

function sized(peers: number, window: number, rounds: number, seconds: number): Row {
  const quick = given.quick === true ? { rounds: 2, seconds: 0.2 } : { rounds, seconds };
  return { peers, window, rounds: given.rounds ?? quick.rounds, seconds: given.seconds ?? quick.seconds };
}

async function measureRow(row: Row, servers: readonly Server[]): Promise<Measured[]> {
  const rounds = await measureInRounds(
    servers,
    row.rounds,
    (server) => ({ command: commandOf(server), ...coreOf(SERVER_CORE) }),
    (server, isFirst) => measureRound(row, server, isFirst),
  );
  return servers.map((server) => summarize(row, server, rounds));
}

function measureRound({ peers, window, seconds }: Row, server: ServerProcess, first: boolean): Promise<UdpLoadResult> {
  return runUdpLoad({
    port: server.port,
    serverPid: server.pid,
    peers,
    window,
    messageBytes: MESSAGE_BYTES,
    durationMs: seconds * 1000,
    warmupMs: first ? FIRST_WARMUP_MS : WARMUP_MS,
    ...coreOf(LOAD_CORE),
  });
}

function coreOf(core: number): { core?: number } {
  return canPin() ? { core } : {};
}

function commandOf(server: Server): string[] {
  if (server === "udp-limit") return [nativeProgram("udp-limit"), "--port", "0"];
  return [process.execPath, `${import.meta.dirname}/servers/${server}.ts`, "--port", "0"];
}

function summarize(row: Row, server: Server, rounds: ReadonlyMap<Server, readonly UdpLoadResult[]>): Measured {
  const own = rounds.get(server) ?? [];
  const ofBun = BUN_SERVERS.flatMap((name) => [rounds.get(name) ?? []]).filter((results) => results.length > 0);
  const limit = rounds.get("udp-limit");
  const toBun = (key: "messagesPerSecond" | "serverCpuUsPerMessage", better: (...values: number[]) => number) =>
    ofBun.length === 0
      ? undefined
      : median(own.map((result, round) => result[key] / better(...ofBun.map((results) => results[round]![key]))));
  return {
    row,
    server,
    rounds: own,
    medians: medians(own),
    messagesToBun: toBun("messagesPerSecond", Math.max),
    cpuToBun: toBun("serverCpuUsPerMessage", Math.min),
    cpuToLimit:
      limit && median(own.map((result, round) => result.serverCpuUsPerMessage / limit[round]!.serverCpuUsPerMessage)),
  };
}

function titleOf({ peers, window, rounds, seconds }: Row): string {
  const cores = canPin() ? `server on core ${SERVER_CORE}, load on core ${LOAD_CORE}` : "not bound to cores";
  const who = `${peers} peer${peers === 1 ? "" : "s"} × ${window} datagrams of ${formatBytes(MESSAGE_BYTES)} under way`;
  return `${who}; ${cores}; ${rounds} rounds of ${seconds} s`;
}

function printRow(measured: readonly Measured[]): void {
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
      { title: "lost", value: ({ rounds }) => rounds.reduce((sum, { lost }) => sum + lost, 0) },
      { title: "messages/Bun", value: ({ messagesToBun }) => formatRatio(messagesToBun) },
      { title: "CPU/Bun", value: ({ cpuToBun }) => formatRatio(cpuToBun) },
      { title: "CPU/limit", value: ({ cpuToLimit }) => formatRatio(cpuToLimit) },
    ],
    measured,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const find = (server: Server, peers: number, window: number) =>
    measured.find(({ row, server: name }) => name === server && row.peers === peers && row.window === window);
  const many = find("udp-batch", 16, 8);
  const one = find("udp-batch", 1, 64);
  return [
    atLeast(1, "UDP echo, batches, 16 × 8 × 64 B: messages/s against Bun.udpSocket", many?.messagesToBun),
    atLeast(1, "UDP echo, batches, 1 × 64 × 64 B: messages/s against Bun.udpSocket", one?.messagesToBun),
    atMost(1, "UDP echo, batches, 16 × 8 × 64 B: CPU a message against Bun.udpSocket", many?.cpuToBun),
  ];
}
