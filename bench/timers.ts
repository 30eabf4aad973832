// What does a sleeping task cost? 100,000 of them with random deadlines within a second.
//
//     bun bench/timers.ts
//     bun bench/timers.ts --quick
//     bun bench/timers.ts --rounds 5 --timers 100000
//
// Two comparisons. A whole sleeping task, from its spawn to its end, against an async function that awaits a
// `setTimeout`. And the timer alone, against a bare callback: 100,000 are armed, and each is armed again as it fires;
// what counts is the time from the first firing to the last, so each fires once and is armed once. Ours still resumes
// a task each time; the callback of `setTimeout` is all that is called there.
//
// All sleepers have the same deadlines, with their fractions of a millisecond. `setTimeout` counts whole
// milliseconds: many of its timers fire at once, some before their deadline, and out of the order that the fractions
// would give. This package fires none early and keeps the order; the columns show who does. Lateness is the price of
// firing many at once.
//
// A figure is CPU time, user and system, of all threads of the contender's process. Effection does fewer: it needs
// longer than the time until the first deadline to arm 100,000.

import type { WakeUps } from "./contenders/wake-up-log.ts";
import { parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { type Contender, ContenderProcess } from "./support/contender-process.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { median, medians } from "./support/statistics.ts";
import { formatNumber, formatRatio, printTable } from "./support/table.ts";

interface Sleeping extends Contender {
  /** The timers of a round, as a part of those of the others. */
  readonly part: number;
}

interface Measured {
  readonly contender: string;
  readonly timers: number;
  readonly rounds: readonly WakeUps[];
  readonly medians: Record<keyof WakeUps, number>;
  /** The CPU time of each timer, in nanoseconds. */
  readonly cpuNsPerTimer: number;
}

const WHOLE = "spawn, sleepUntil";
const ALONE = "sleepUntil again, in a task";
const AWAITED = "setTimeout, awaited";
const BARE = "setTimeout again, a callback";
const CONTENDERS: readonly Sleeping[] = [
  { name: WHOLE, library: "bun-reactor", job: "sleeping tasks", part: 1 },
  { name: AWAITED, library: "async-await", job: "setTimeout, awaited", part: 1 },
  { name: "Bun.sleep, awaited", library: "async-await", job: "Bun.sleep", part: 1 },
  { name: "Effect.sleep, in a fiber each", library: "effect", job: "sleeping tasks", part: 1 },
  { name: "Effection sleep, in a task each", library: "effection", job: "sleeping tasks", part: 0.1 },
  { name: ALONE, library: "bun-reactor", job: "timers armed again", part: 1 },
  { name: BARE, library: "async-await", job: "timers armed again", part: 1 },
];
/** Enough of the timers to have the code compiled. */
const WARM_UP_PART = 0.2;

const given = parseArguments({ rounds: "number", timers: "number", quick: "flag" });
const timers = given.timers ?? 100_000;
const rounds = given.rounds ?? (given.quick === true ? 1 : 3);

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(`\n${timers.toLocaleString("en-US")} sleepers; ${rounds} round${rounds === 1 ? "" : "s"}`);
  const measured = await measure();
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("timers", measured, goals);
}

async function measure(): Promise<Measured[]> {
  await using processes = new AsyncDisposableStack();
  const entrants = CONTENDERS.map((contender) => {
    const process = processes.use(new ContenderProcess("timers", contender));
    return { ...contender, process, count: Math.ceil(timers * contender.part), rounds: [] as WakeUps[] };
  });
  await Promise.all(entrants.map(({ process, count }) => process.run(Math.ceil(count * WARM_UP_PART))));
  for (let round = 0; round < rounds; round++) {
    for (const entrant of rotated(entrants, round)) {
      entrant.rounds.push(await entrant.process.run<WakeUps>(entrant.count));
    }
  }
  return entrants.map(({ name, count, rounds: own }) => ({
    contender: name,
    timers: count,
    rounds: own,
    medians: medians<keyof WakeUps>(own),
    cpuNsPerTimer: median(own.map(({ cpuNs }) => cpuNs / count)),
  }));
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "sleepers", value: ({ contender }) => contender },
      { title: "timers", value: ({ timers }) => timers.toLocaleString("en-US") },
      { title: "CPU ns/timer", value: ({ cpuNsPerTimer }) => cpuNsPerTimer },
      { title: "ours/this", value: (row) => formatRatio(oursToThis(row, measured)) },
      { title: "early", value: ({ medians }) => medians.early.toLocaleString("en-US") },
      { title: "out of order", value: ({ medians }) => medians.outOfOrder.toLocaleString("en-US") },
      { title: "late p50 µs", value: ({ medians }) => formatNumber(medians.lateP50Us) },
      { title: "late p99 µs", value: ({ medians }) => formatNumber(medians.lateP99Us) },
    ],
    measured,
  );
}

/** Whole tasks are compared with whole tasks, the timer alone with the timer alone. */
function oursToThis(row: Measured, measured: readonly Measured[]): number | undefined {
  const ours = row.contender === ALONE || row.contender === BARE ? ALONE : WHOLE;
  return ratioOf(measured, ours, row.contender);
}

function ratioOf(measured: readonly Measured[], ours: string, peer: string): number | undefined {
  const own = measured.find(({ contender }) => contender === ours);
  const other = measured.find(({ contender }) => contender === peer);
  if (own === undefined || other === undefined) return undefined;
  return median(own.rounds.map(({ cpuNs }, round) => cpuNs / own.timers / (other.rounds[round]!.cpuNs / other.timers)));
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const ours = measured.filter(({ contender }) => contender === WHOLE || contender === ALONE);
  return [
    atMost(1, "a sleeping task: CPU against an async function with setTimeout", ratioOf(measured, WHOLE, AWAITED)),
    atMost(1, "a timer alone: CPU against setTimeout's", ratioOf(measured, ALONE, BARE)),
    atMost(
      0,
      "sleeping tasks that woke early or out of order",
      Math.max(...ours.flatMap(({ rounds: all }) => all.map(({ early, outOfOrder }) => early + outOfOrder))),
      "",
    ),
  ];
}
