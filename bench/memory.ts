// What does a task weigh that waits? 100,000 of them.
//
//     bun bench/memory.ts
//     bun bench/memory.ts --quick
//     bun bench/memory.ts --tasks 100000 --rounds 5
//
// A task is a generator function with one `yield*`, its fiber or async counterpart the same. It sleeps, or it waits for a callback that the bench
// keeps, as whoever resumes it would.
//
// Two figures, both taken after a full garbage collection: what the engine's heap holds more than before, and by how much the
// process's resident set has grown, which includes free space that the allocators keep. The second is what the machine gives, and the measure
// of the goals. Each round is a process of its own. Effection does fewer tasks, as it takes long to spawn them.

import type { Memory } from "./contenders/measure.ts";
import { parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { type Contender, ContenderProcess } from "./support/contender-process.ts";
import { printGoals } from "./support/goals.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { medians } from "./support/statistics.ts";
import { formatRatio, printTable } from "./support/table.ts";

interface Waiting extends Contender {
  /** The tasks of a round, as a part of those of the others. */
  readonly part: number;
}

interface Measured {
  readonly contender: string;
  readonly job: string;
  readonly tasks: number;
  readonly medians: Record<keyof Memory, number>;
  readonly rounds: readonly Memory[];
}

const OURS = "bun-reactor";
const SLEEPING = "memory, sleeping";
const PARKED = "memory, parked";
const CONTENDERS: readonly Waiting[] = [
  { name: `${OURS}: sleep`, library: OURS, job: SLEEPING, part: 1 },
  { name: "async function: setTimeout", library: "async-await", job: SLEEPING, part: 1 },
  { name: "Effect fiber: sleep", library: "effect", job: SLEEPING, part: 1 },
  { name: "Effection task: sleep", library: "effection", job: SLEEPING, part: 0.1 },
  { name: `${OURS}: park`, library: OURS, job: PARKED, part: 1 },
  { name: "async function: new Promise", library: "async-await", job: PARKED, part: 1 },
  { name: "Effect fiber: callback", library: "effect", job: PARKED, part: 1 },
  { name: "Effection task: action", library: "effection", job: PARKED, part: 0.1 },
];

const given = parseArguments({ tasks: "number", rounds: "number", quick: "flag" });
const tasks = given.tasks ?? 100_000;
const rounds = given.rounds ?? (given.quick === true ? 1 : 3);

await main();

async function main(): Promise<void> {
  console.log(`\n${tasks.toLocaleString("en-US")} waiting tasks; ${rounds} round${rounds === 1 ? "" : "s"}`);
  const measured = await measure();
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("memory", measured, goals);
}

async function measure(): Promise<Measured[]> {
  const entrants = CONTENDERS.map((contender) => ({
    ...contender,
    count: Math.ceil(tasks * contender.part),
    own: [] as Memory[],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const entrant of rotated(entrants, round)) {
      await using process = new ContenderProcess(entrant);
      entrant.own.push(await process.run<Memory>(entrant.count));
    }
  }
  return entrants.map(({ name, job, count, own }) => ({
    contender: name,
    job,
    tasks: count,
    medians: medians<keyof Memory>(own),
    rounds: own,
  }));
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "waiting", value: ({ contender }) => contender },
      { title: "tasks", value: (row) => row.tasks.toLocaleString("en-US") },
      { title: "heap B/task", value: ({ medians }) => medians.heapBytes },
      { title: "resident B/task", value: ({ medians }) => medians.residentBytes },
      { title: "ours/this", value: (row) => formatRatio(oursToThis(row, measured)) },
    ],
    measured,
  );
}

function oursToThis(row: Measured, measured: readonly Measured[]): number | undefined {
  const ours = residentBytesOfOurs(row.job, measured);
  return ours === undefined ? undefined : ours / row.medians.residentBytes;
}

function residentBytesOfOurs(job: string, measured: readonly Measured[]): number | undefined {
  return measured.find((row) => row.job === job && row.contender.startsWith(OURS))?.medians.residentBytes;
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  return [
    {
      what: "a sleeping task: resident memory",
      limit: 800,
      relation: "at most",
      value: residentBytesOfOurs(SLEEPING, measured),
      unit: "B",
    },
    {
      what: "a parked task: resident memory",
      limit: 800,
      relation: "at most",
      value: residentBytesOfOurs(PARKED, measured),
      unit: "B",
    },
  ];
}
