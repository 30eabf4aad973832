// What does it cost to cancel a task? A tree of 100,000 that wait, each with a `finally`, from the cancel of the
// whole until the last has cleaned up.
//
//     bun bench/cancel.ts
//     bun bench/cancel.ts --quick
//     bun bench/cancel.ts --tasks 100000 --rounds 7
//
// The trees: all in one scope, or in 100 scopes, each in a task of its own, in one scope. The tasks wait for
// something that never comes, or sleep, so that a timer has to be taken back as well. Starting them is not in the
// figures, and the garbage of that is collected before.
//
// The peers. Effect interrupts the fiber that forked the others; each has an `ensuring`. Effection halts the task
// that spawned the others, the last first as this package does, and does fewer, as it takes long to spawn them. An
// async function cannot be cancelled.
//
// A figure is CPU time, user and system, of all threads of the contender's process.

import type { Cost } from "./contenders/measure.ts";
import { parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { type Contender, ContenderProcess } from "./support/contender-process.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { median, medians, spread } from "./support/statistics.ts";
import { formatNumber, formatRatio, printTable } from "./support/table.ts";

interface Cancelled extends Contender {
  /** The tasks of a round, as a part of those of the others. */
  readonly part: number;
}

interface Measured {
  readonly contender: string;
  readonly tree: string;
  readonly tasks: number;
  /** The cost of one task, in nanoseconds. */
  readonly rounds: readonly Cost[];
  readonly medians: Record<keyof Cost, number>;
}

/** Ours is the first. */
const LIBRARIES = ["bun-reactor", "effect", "effection"] as const;
const FLAT = "flat";
const NESTED = "nested";
const SLEEPING = "sleeping";
const TREES = [FLAT, NESTED, SLEEPING];
const NAMES = { "bun-reactor": "task.cancel", effect: "Fiber.interrupt", effection: "Effection halt" };
/** Effection needs some 30 µs to spawn a task. */
const PARTS = { "bun-reactor": 1, effect: 1, effection: 0.05 };
const NS_PER_US = 1000;
/** Enough to have the code compiled, which takes some hundred thousand tasks. */
const WARM_UP_RUNS = 3;
const WARM_UP_PART = 0.5;

const given = parseArguments({ rounds: "number", tasks: "number", quick: "flag" });
const tasks = given.tasks ?? 100_000;
const rounds = given.rounds ?? (given.quick === true ? 1 : 5);

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(`\n${tasks.toLocaleString("en-US")} cancelled tasks; ${rounds} round${rounds === 1 ? "" : "s"}`);
  const measured: Measured[] = [];
  for (const tree of TREES) measured.push(...(await measure(tree)));
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("cancel", measured, goals);
}

async function measure(tree: string): Promise<Measured[]> {
  await using processes = new AsyncDisposableStack();
  const entrants = contendersOf(tree).map((contender) => {
    const process = processes.use(new ContenderProcess("cancel", contender));
    return { ...contender, process, count: Math.ceil(tasks * contender.part), costs: [] as Cost[] };
  });
  for (const { process, count } of entrants) {
    for (let run = 0; run < WARM_UP_RUNS; run++) await process.run(Math.ceil(count * WARM_UP_PART));
  }
  for (let round = 0; round < rounds; round++) {
    for (const { process, count, costs } of rotated(entrants, round)) {
      const { wallNs, cpuNs } = await process.run<Cost>(count);
      costs.push({ wallNs: wallNs / count, cpuNs: cpuNs / count });
    }
  }
  return entrants.map(({ name, count, costs }) => ({
    contender: name,
    tree,
    tasks: count,
    rounds: costs,
    medians: medians<keyof Cost>(costs),
  }));
}

function contendersOf(tree: string): Cancelled[] {
  return LIBRARIES.map((library) => ({
    name: `${NAMES[library]}, ${tree}`,
    library,
    job: tree,
    part: PARTS[library],
  }));
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "cancelled", value: ({ contender }) => contender },
      { title: "tasks", value: (row) => row.tasks.toLocaleString("en-US") },
      { title: "CPU ns/task", value: ({ medians }) => medians.cpuNs },
      { title: "±", value: (row) => `${formatNumber(100 * spread(row.rounds.map(({ cpuNs }) => cpuNs)))} %` },
      { title: "wall ns/task", value: ({ medians }) => medians.wallNs },
      { title: "ours/this", value: (row) => formatRatio(oursToThis(row, measured)) },
    ],
    measured,
  );
}

function oursToThis({ tree, rounds: theirs }: Measured, measured: readonly Measured[]): number {
  const ours = oursOf(tree, measured).rounds;
  return median(ours.map(({ cpuNs }, round) => cpuNs / theirs[round]!.cpuNs));
}

/** This package's is the first of each tree. */
function oursOf(tree: string, measured: readonly Measured[]): Measured {
  return measured.find((row) => row.tree === tree)!;
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  return TREES.map((tree) =>
    atMost(1, `a cancelled task with a finally, ${tree}: CPU`, oursOf(tree, measured).medians.cpuNs / NS_PER_US, "µs"),
  );
}
