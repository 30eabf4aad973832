// What does an idle connection cost? Memory per connection with 10,000 of them, and system calls while nothing happens.
//
//     bun bench/idle.ts
//     bun bench/idle.ts --only run,bun-listen --connections 1000 --seconds 2
//
// Memory. Each connection has had one message echoed before it falls idle, so whatever a server allocates for reading is
// there. What counts is the resident set of the server's process after it has collected its garbage, less what that was
// before the connections, when some others had come and gone. Memory that the kernel keeps for the sockets belongs to no process and is not in it. The buffer
// of a connection is the user's choice on this package, so it is measured with a small one, as a server of many idle
// connections would have it, and with the 64 KiB of the echo benchmark.
//
// System calls. Bun itself is not quiet: its garbage collection timer makes some 15 calls a second in a program that does
// nothing, and helper threads of the engine wake once more to end when they have had no work for 10 s. Neither is what is
// asked here, so the servers run with BUN_GC_TIMER_DISABLE=1, and counting starts after the helpers have ended. The empty
// program shows what remains of Bun.

import { readFileSync } from "node:fs";
import { parseArguments } from "./support/arguments.ts";
import { printGoals } from "./support/goals.ts";
import { IdleConnections } from "./support/load.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { ServerProcess } from "./support/server-process.ts";
import { countSystemCalls } from "./support/system-calls.ts";
import { printTable } from "./support/table.ts";

interface Contender {
  readonly name: string;
  readonly arguments: readonly string[];
}

interface Measured {
  readonly server: string;
  readonly connections: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Undefined without connections. */
  readonly bytesPerConnection: number | undefined;
  /** Undefined when strace is not there or must not be used. */
  readonly systemCalls: number | undefined;
}

/** A server that holds its connections, and what it weighs. */
interface Held extends Omit<Measured, "systemCalls"> {
  readonly pid: number;
}

const OURS = "run, a buffer when needed";
const PEER = "bun-listen";
const EMPTY = "(an empty program)";
const CONTENDERS: readonly Contender[] = [
  { name: OURS, arguments: ["run-pooled.ts"] },
  { name: "run, buffers of 1 KiB", arguments: ["run.ts", "--buffer-bytes", "1024"] },
  { name: "run, buffers of 64 KiB", arguments: ["run.ts"] },
  { name: PEER, arguments: ["bun-listen.ts"] },
  { name: "node-net", arguments: ["node-net.ts"] },
  { name: EMPTY, arguments: ["empty.ts"] },
];
/** An engine thread without work ends after 10 s. */
const ENGINE_SETTLES_MS = 12_000;

const WARM_UP_CONNECTIONS = 500;

const given = parseArguments({ connections: "number", seconds: "number", only: "words", quick: "flag" });
const connections = given.connections ?? (given.quick === true ? 1000 : 10_000);
const seconds = given.seconds ?? (given.quick === true ? 1 : 5);

await main();

async function main(): Promise<void> {
  console.log(`\n${connections.toLocaleString("en-US")} idle connections; system calls during ${seconds} s`);
  const measured = await measure(
    CONTENDERS.filter(({ name }) => given.only?.some((prefix) => name.startsWith(prefix)) ?? true),
  );
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("idle", measured, goals);
}

/** The memory of one after the other, then the system calls of all at the same time: they are idle. */
async function measure(contenders: readonly Contender[]): Promise<Measured[]> {
  await using resources = new AsyncDisposableStack();
  const held: Held[] = [];
  for (const contender of contenders) held.push(await hold(contender, resources));
  await Bun.sleep(ENGINE_SETTLES_MS);
  return await Promise.all(
    held.map(async ({ pid, ...memory }) => ({ ...memory, systemCalls: await countSystemCalls(pid, seconds) })),
  );
}

async function hold(
  { name, arguments: [program, ...rest] }: Contender,
  resources: AsyncDisposableStack,
): Promise<Held> {
  const command = [process.execPath, `${import.meta.dirname}/servers/${program}`, "--port", "0", ...rest];
  const server = resources.use(await ServerProcess.start({ command, environment: { BUN_GC_TIMER_DISABLE: "1" } }));
  const connected = name === EMPTY ? 0 : connections;
  if (connected > 0) await warmUp(server);
  await server.collectGarbage();
  const bytesBefore = residentBytes(server.pid);

  if (connected > 0) resources.use(await IdleConnections.open(server.port, connected));
  await server.collectGarbage();
  const bytesAfter = residentBytes(server.pid);
  const bytesPerConnection = connected === 0 ? undefined : (bytesAfter - bytesBefore) / connected;
  return { server: name, pid: server.pid, connections: connected, bytesBefore, bytesAfter, bytesPerConnection };
}

/** Connections that come and go, so that what is loaded, compiled and started at the first ones is there before they count. */
async function warmUp(server: ServerProcess): Promise<void> {
  await using _ = await IdleConnections.open(server.port, WARM_UP_CONNECTIONS);
}

/** Counted page by page when it is read; the sums of /proc/PID/status lag behind by some pages a thread (proc(5)). */
function residentBytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Rss:\s+(\d+) kB$/m.exec(rollup)?.[1]) * 1024;
}

function print(measured: readonly Measured[]): void {
  if (measured.some(({ systemCalls }) => systemCalls === undefined)) {
    console.log("  System calls are not counted: that needs strace, and the right to trace other processes.");
  }
  printTable<Measured>(
    [
      { title: "server", value: ({ server }) => server },
      { title: "MB before", value: ({ bytesBefore }) => bytesBefore / 1e6 },
      { title: "MB after", value: ({ bytesAfter }) => bytesAfter / 1e6 },
      { title: "B/connection", value: ({ bytesPerConnection }) => bytesPerConnection },
      { title: "system calls", value: ({ systemCalls }) => systemCalls?.toString() ?? "–" },
    ],
    measured,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const ours = measured.find(({ server }) => server === OURS);
  const peer = measured.find(({ server }) => server === PEER);
  return [
    {
      what: `${connections} idle connections: system calls in ${seconds} s`,
      limit: 0,
      relation: "at most",
      value: ours?.systemCalls,
      unit: "",
    },
    {
      what: `${connections} idle connections: memory of each against Bun.listen`,
      limit: 1,
      relation: "at most",
      value: ratio(ours?.bytesPerConnection, peer?.bytesPerConnection),
      unit: "×",
    },
  ];
}

function ratio(value: number | undefined, reference: number | undefined): number | undefined {
  return value === undefined || reference === undefined ? undefined : value / reference;
}
