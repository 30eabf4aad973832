// How much does an echo cost? Ours, its peers on Bun, and the limit, each in a process of its own, under the same load.
//
//     bun bench/echo.ts                                        everything, in about two and a half minutes
//     bun bench/echo.ts --quick                                the same rows, few and short rounds: a look, not a measurement
//     bun bench/echo.ts --only run,bun-listen,echo-limit --connections 64 --message-bytes 64 --rounds 9 --seconds 1
//     bun bench/echo.ts --rows pinned,sparse --linger-us 0
//
// Rounds are interleaved: in each, every server has its turn, in rotating order, so that a slow minute of the machine
// hits all alike. A figure is the median of the rounds; a ratio is the median of the ratios within each round.
//
// Binding to cores. The plain rows bind nothing. A server of this package is two threads, of which one sleeps while
// the other works; they and the load share the cores as they would in production. Binding servers to one core would
// forbid the two threads to be on different ones, which their wake-up may use, and binding the load would leave
// single-threaded servers the rest of the machine without asking the scheduler. The pinned row binds each server,
// with all its threads, to core 0 and the load to core 1: with one connection, server and load take turns, and
// whether the scheduler puts them on one core or two would otherwise decide the result. The sparse row binds in the
// same way, for the same reason.

import { nativeProgram } from "./native.ts";
import { checkWords, chosenAmong, parseArguments } from "./support/arguments.ts";
import { atLeast, atMost, printGoals } from "./support/goals.ts";
import { runLoad, type LoadResult } from "./support/load.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { canPin, type ServerProcess } from "./support/server-process.ts";
import { measureInRounds } from "./support/server-rounds.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { formatBytes, formatNumber, formatRatio, printTable } from "./support/table.ts";

const SERVERS = ["run", "block-on", "bun-listen", "node-net", "echo-limit"] as const;
const ROW_KINDS = ["plain", "pinned", "sparse"] as const;
const SPARSE_MESSAGES_PER_SECOND = 100;
const SERVER_CORE = 0;
const LOAD_CORE = 1;
/** Before the first round of a server, so that its code is compiled. */
const FIRST_WARMUP_MS = 600;
/** Before every other round, so that its connections are in full swing. */
const WARMUP_MS = 150;

type Server = (typeof SERVERS)[number];
type RowKind = (typeof ROW_KINDS)[number];

interface Row {
  readonly kind: RowKind;
  readonly connections: number;
  readonly messageBytes: number;
  readonly rounds: number;
  readonly seconds: number;
}

interface Measured {
  readonly row: Row;
  readonly server: Server;
  readonly rounds: readonly LoadResult[];
  readonly medians: LoadResult;
  /** Ratios to the peers; absent when the peer was left out. */
  readonly ratios: Ratios;
}

interface Ratios {
  readonly messagesToBunListen: number | undefined;
  readonly cpuToBunListen: number | undefined;
  readonly messagesToLimit: number | undefined;
  readonly cpuToLimit: number | undefined;
}

const given = parseArguments({
  rounds: "number",
  seconds: "number",
  only: "words",
  rows: "words",
  connections: "numbers",
  "message-bytes": "numbers",
  "linger-us": "number",
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
  writeResults("echo", measured, goals);
}

/**
 * `--connections` and `--message-bytes` choose among the plain rows, and leave the others out unless `--rows` names
 * them.
 */
function chosenRows(): readonly Row[] {
  const narrowed = given.connections !== undefined || given["message-bytes"] !== undefined;
  const kinds = given.rows ?? (narrowed ? ["plain"] : ROW_KINDS);
  checkWords("rows", kinds, ROW_KINDS);
  const rows: Row[] = [];
  if (kinds.includes("plain")) rows.push(...plainRows());
  if (kinds.includes("pinned"))
    rows.push(sized({ kind: "pinned", connections: 1, messageBytes: 64, rounds: 5, seconds: 0.6 }));
  if (kinds.includes("sparse"))
    rows.push(sized({ kind: "sparse", connections: 1, messageBytes: 64, rounds: 4, seconds: 1.5 }));
  if (canPin()) return rows;
  console.log("Without taskset and a second core there is no pinned row, and the sparse one is not bound to cores.");
  return rows.filter(({ kind }) => kind !== "pinned");
}

function plainRows(): Row[] {
  return (given.connections ?? [1, 64, 1000]).flatMap((connections) =>
    (given["message-bytes"] ?? [64, 64 * 1024]).map((messageBytes) => {
      // The row that the package is judged by has the most rounds.
      const most = connections === 64 && messageBytes === 64;
      return sized({ kind: "plain", connections, messageBytes, rounds: most ? 7 : 3, seconds: most ? 0.9 : 0.5 });
    }),
  );
}

function sized(row: Row): Row {
  const quick = given.quick === true ? { ...row, rounds: 2, seconds: row.kind === "sparse" ? 0.5 : 0.2 } : row;
  return { ...quick, rounds: given.rounds ?? quick.rounds, seconds: given.seconds ?? quick.seconds };
}

async function measureRow(row: Row, servers: readonly Server[]): Promise<Measured[]> {
  const rounds = await measureInRounds(
    servers,
    row.rounds,
    (server) => ({ command: commandOf(server), ...coreOf(row, SERVER_CORE) }),
    (server, isFirst) => measureRound(row, server, isFirst),
  );
  return servers.map((server) => summarize(row, server, rounds));
}

async function measureRound(row: Row, server: ServerProcess, first: boolean): Promise<LoadResult> {
  if (first && row.kind === "sparse") {
    // At this rate a server would stay uncompiled for minutes, and the row would compare start-ups.
    await runLoad({ ...loadOptions(row, server), durationMs: FIRST_WARMUP_MS, warmupMs: 0 });
  }
  return await runLoad({
    ...loadOptions(row, server),
    warmupMs: first ? FIRST_WARMUP_MS : WARMUP_MS,
    durationMs: row.seconds * 1000,
    ...(row.kind === "sparse" ? { ratePerSecond: SPARSE_MESSAGES_PER_SECOND } : {}),
  });
}

function loadOptions(row: Row, server: ServerProcess) {
  const { connections, messageBytes } = row;
  return { port: server.port, serverPid: server.pid, connections, messageBytes, ...coreOf(row, LOAD_CORE) };
}

function coreOf(row: Row, core: number): { core?: number } {
  return row.kind !== "plain" && canPin() ? { core } : {};
}

function commandOf(server: Server): string[] {
  if (server === "echo-limit") return [nativeProgram("echo-limit"), "--port", "0"];
  const linger = given["linger-us"];
  return [
    process.execPath,
    `${import.meta.dirname}/servers/${server}.ts`,
    "--port",
    "0",
    ...(server === "run" && linger !== undefined ? ["--linger-us", String(linger)] : []),
  ];
}

function summarize(row: Row, server: Server, rounds: ReadonlyMap<Server, readonly LoadResult[]>): Measured {
  const own = rounds.get(server) ?? [];
  const ratio = (key: keyof LoadResult, peer: Server) => {
    const others = rounds.get(peer);
    return others && median(own.map((result, round) => result[key] / (others[round]?.[key] ?? Number.NaN)));
  };
  return {
    row,
    server,
    rounds: own,
    medians: medians(own),
    ratios: {
      messagesToBunListen: ratio("messagesPerSecond", "bun-listen"),
      cpuToBunListen: ratio("serverCpuUsPerMessage", "bun-listen"),
      messagesToLimit: ratio("messagesPerSecond", "echo-limit"),
      cpuToLimit: ratio("serverCpuUsPerMessage", "echo-limit"),
    },
  };
}

function titleOf(row: Row): string {
  const connections = `${row.connections} connection${row.connections === 1 ? "" : "s"}`;
  const pace = row.kind === "sparse" ? `, ${SPARSE_MESSAGES_PER_SECOND} messages/s` : "";
  const cores =
    row.kind !== "plain" && canPin()
      ? `server on core ${SERVER_CORE}, load on core ${LOAD_CORE}`
      : "not bound to cores";
  return `${connections} × ${formatBytes(row.messageBytes)}${pace}; ${cores}; ${row.rounds} rounds of ${row.seconds} s`;
}

function printRow(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "server", value: ({ server }) => server },
      { title: "messages/s", value: ({ medians }) => medians.messagesPerSecond },
      { title: "MB/s", value: ({ medians }) => medians.bytesPerSecond / 1e6 },
      { title: "CPU µs/message", value: ({ medians }) => medians.serverCpuUsPerMessage },
      {
        title: "±",
        value: ({ rounds }) => `${formatNumber(100 * spread(rounds.map((round) => round.serverCpuUsPerMessage)))} %`,
      },
      { title: "p50 µs", value: ({ medians }) => medians.p50Us },
      { title: "p99 µs", value: ({ medians }) => medians.p99Us },
      { title: "p99.9 µs", value: ({ medians }) => medians.p999Us },
      { title: "messages/Bun.listen", value: ({ ratios }) => formatRatio(ratios.messagesToBunListen) },
      { title: "CPU/Bun.listen", value: ({ ratios }) => formatRatio(ratios.cpuToBunListen) },
      { title: "CPU/limit", value: ({ ratios }) => formatRatio(ratios.cpuToLimit) },
    ],
    measured,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const ratios = (kind: RowKind, connections: number, messageBytes: number) =>
    measured.find(
      ({ row, server }) =>
        server === "run" && row.kind === kind && row.connections === connections && row.messageBytes === messageBytes,
    )?.ratios;
  const busy = ratios("plain", 64, 64);
  const pinned = ratios("pinned", 1, 64);
  const large = [1, 64, 1000].flatMap((connections) => {
    const ofRow = ratios("plain", connections, 64 * 1024);
    const what = `${connections} × 64 KiB`;
    return [
      atLeast(1, `echo, ${what}: bytes/s against Bun.listen`, ofRow?.messagesToBunListen),
      atMost(1, `echo, ${what}: CPU a byte against Bun.listen`, ofRow?.cpuToBunListen),
    ];
  });
  return [
    atMost(0.95, "echo, 64 × 64 B: CPU a message against Bun.listen", busy?.cpuToBunListen),
    atMost(1.06, "echo, 64 × 64 B: CPU a message against the limit", busy?.cpuToLimit),
    atLeast(1.05, "echo, 64 × 64 B: messages/s against Bun.listen", busy?.messagesToBunListen),
    atLeast(2.5, "echo, 1 × 64 B, pinned: messages/s against Bun.listen", pinned?.messagesToBunListen),
    atMost(1, "echo, 1 × 64 B, pinned: CPU a message against Bun.listen", pinned?.cpuToBunListen),
    atMost(1.5, "echo, 1 × 64 B, 100 messages/s: CPU against Bun.listen", ratios("sparse", 1, 64)?.cpuToBunListen),
    ...large,
  ];
}
