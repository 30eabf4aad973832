// What does a task weigh that waits? 100,000 of them, and a million.
//
//     bun bench/memory.ts
//     bun bench/memory.ts --quick
//     bun bench/memory.ts --tasks 1000000 --rounds 1
//
// A task is a generator function with one `yield*`, its fiber or async counterpart the same. It sleeps, in the task
// that spawned it or in a scope, or it waits for a callback that the bench keeps, as whoever resumes it would.
//
// Two figures, both taken after a full garbage collection: what the engine's heap holds more than before, and by how
// much the process's resident set has grown, which includes free space that the allocators keep. The second is what
// the machine gives, and the measure of the goals. Each round is a process of its own; the time that it takes to
// start the tasks is that of code that is not compiled yet at first, garbage collection included. Effection does
// fewer tasks, as it takes long to spawn them.

import type { Memory } from "./contenders/measure.ts";
import { parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { type Contender, ContenderProcess } from "./support/contender-process.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { medians } from "./support/statistics.ts";
import { formatRatio, printTable } from "./support/table.ts";

interface Measured {
  readonly contender: string;
  readonly job: string;
  readonly tasks: number;
  readonly medians: Record<keyof Memory, number>;
  readonly rounds: readonly Memory[];
}

interface Section {
  readonly tasks: number;
  readonly rounds: number;
  readonly contenders: readonly Contender[];
}

const OURS = "bun-reactor";
const SLEEPING = "sleeping";
const IN_SCOPE = "sleeping, in a scope";
const PARKED = "parked";
const CONTENDERS: readonly Contender[] = [
  { name: `${OURS}: sleep`, library: OURS, job: SLEEPING },
  { name: "async function: setTimeout", library: "async-await", job: SLEEPING },
  { name: "Effect fiber: sleep", library: "effect", job: SLEEPING },
  { name: "Effection task: sleep", library: "effection", job: SLEEPING },
  { name: `${OURS}: sleep, in a scope`, library: OURS, job: IN_SCOPE },
  { name: "Effect fiber: sleep, in a scope", library: "effect", job: IN_SCOPE },
  { name: "Effection task: sleep, in a scope", library: "effection", job: IN_SCOPE },
  { name: `${OURS}: park`, library: OURS, job: PARKED },
  { name: "async function: new Promise", library: "async-await", job: PARKED },
  { name: "Effect fiber: callback", library: "effect", job: PARKED },
  { name: "Effection task: action", library: "effection", job: PARKED },
];
const TASKS = 100_000;
/** Effection needs some 10 KB and 30 µs for each. */
const MOST_OF_EFFECTION = 10_000;
const MANY_TASKS = 1_000_000;
/** Effect needs more than 10 s for a million: `--tasks 1000000` measures it. */
const MANY_CONTENDERS = CONTENDERS.filter(
  ({ library, job }) => (library === OURS && job === IN_SCOPE) || (library === "async-await" && job === SLEEPING),
);

const given = parseArguments({ tasks: "number", rounds: "number", quick: "flag" });

await main();

async function main(): Promise<void> {
  const measured: Measured[] = [];
  for (const section of sections()) {
    const { tasks, rounds } = section;
    console.log(`\n${tasks.toLocaleString("en-US")} waiting tasks; ${rounds} round${rounds === 1 ? "" : "s"}`);
    const ofSection = await measure(section);
    print(ofSection);
    measured.push(...ofSection);
  }
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("memory", measured, goals);
}

function sections(): Section[] {
  const rounds = given.rounds ?? (given.quick === true ? 1 : 3);
  const usual = { tasks: given.tasks ?? TASKS, rounds, contenders: CONTENDERS };
  if (given.tasks !== undefined || given.quick === true) return [usual];
  return [usual, { tasks: MANY_TASKS, rounds: 1, contenders: MANY_CONTENDERS }];
}

async function measure({ tasks, rounds, contenders }: Section): Promise<Measured[]> {
  const entrants = contenders.map((contender) => ({
    ...contender,
    count: contender.library === "effection" ? Math.min(tasks, MOST_OF_EFFECTION) : tasks,
    own: [] as Memory[],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const entrant of rotated(entrants, round)) {
      await using process = new ContenderProcess("memory", entrant);
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
      { title: "start ns/task", value: ({ medians }) => medians.startNs },
    ],
    measured,
  );
}

function oursToThis({ job, medians: theirs }: Measured, measured: readonly Measured[]): number | undefined {
  const ours = oursOf(job, measured) ?? measured.find(({ contender }) => contender.startsWith(OURS));
  return ours === undefined ? undefined : ours.medians.residentBytes / theirs.residentBytes;
}

/** The first section's, if several have it. */
function oursOf(job: string, measured: readonly Measured[]): Measured | undefined {
  return measured.find((row) => row.job === job && row.contender.startsWith(OURS));
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  const residentBytes = (job: string) => oursOf(job, measured)?.medians.residentBytes;
  return [
    atMost(800, "a sleeping task: resident memory", residentBytes(SLEEPING), "B"),
    atMost(800, "a sleeping task in a scope: resident memory", residentBytes(IN_SCOPE), "B"),
    atMost(800, "a parked task: resident memory", residentBytes(PARKED), "B"),
  ];
}
