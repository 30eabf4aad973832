// What does it cost to be waked from one of many descriptors that are waited for at once?
//
//     bun bench/descriptors.ts
//     bun bench/descriptors.ts --quick
//     bun bench/descriptors.ts --rounds 9 --wakes 20000 --counts 10,1000
//
// Pipes, stream and datagram sockets, eventfds, pseudo-terminals, inotify and timers, mixed alike in each number of
// them, and a task for each. One is made ready, and the task that waits for it makes the next one ready, at random: so
// a figure is that of a write, a wait, a switch of tasks and a read.
//
// A native program does the same for comparison: on epoll, where all that grows with their number is how much of them is not
// in the processor's caches; and on poll(2), where the kernel looks at every descriptor each time.

import { nativeProgram } from "./native.ts";
import type { Cost } from "./contenders/measure.ts";
import { parseArguments } from "./support/arguments.ts";
import { endWithThisProcess } from "./support/children.ts";
import { rotated } from "./support/compare.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { median, medians } from "./support/statistics.ts";
import { formatNumber, formatRatio, printTable } from "./support/table.ts";

interface Contender {
  readonly name: string;
  readonly command: (wakes: number) => readonly string[];
}

interface Measured {
  readonly contender: string;
  readonly count: number;
  readonly rounds: readonly Cost[];
  readonly medians: Record<keyof Cost, number>;
}

const READABLE = "readable(fd)";
const SOURCE = "source(fd)";
const EPOLL = "epoll, native";
const POLL = "poll(2), native";
const CONTENDERS: readonly Contender[] = [
  { name: READABLE, command: (wakes) => script("readable", wakes) },
  { name: SOURCE, command: (wakes) => script("source", wakes) },
  { name: EPOLL, command: (wakes) => ["epoll", String(wakes)] },
  { name: POLL, command: (wakes) => ["poll", String(wakes)] },
];

const given = parseArguments({ rounds: "number", wakes: "number", counts: "numbers", quick: "flag" });
const rounds = given.rounds ?? (given.quick === true ? 3 : 7);
const wakes = given.wakes ?? (given.quick === true ? 4_000 : 20_000);
const counts = given.counts ?? [10, 100, 1_000];

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(`\n${wakes.toLocaleString("en-US")} wakes a round, ${rounds} rounds, in turn`);
  const entrants = CONTENDERS.flatMap((contender) =>
    counts.map((count) => ({ contender, count, rounds: [] as Cost[] })),
  );
  for (let round = 0; round < rounds; round++)
    for (const { contender, count, rounds: own } of rotated(entrants, round)) own.push(await measure(contender, count));
  const measured = entrants.map(({ contender, count, rounds: own }): Measured => ({
    contender: contender.name,
    count,
    rounds: own,
    medians: medians<keyof Cost>(own),
  }));
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("descriptors", measured, goals);
}

async function measure(contender: Contender, count: number): Promise<Cost> {
  const command = [nativeProgram("mixed-descriptors"), String(count), ...contender.command(wakes)];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  endWithThisProcess(child);
  const output = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`${contender.name} with ${count} descriptors failed, see above`);
  return JSON.parse(output) as Cost;
}

function print(measured: readonly Measured[]): void {
  console.log();
  printTable<Measured>(
    [
      { title: "one wake", value: ({ contender }) => contender },
      { title: "descriptors", value: ({ count }) => count.toLocaleString("en-US") },
      { title: "CPU ns", value: ({ medians }) => formatNumber(medians.cpuNs) },
      { title: "wall ns", value: ({ medians }) => formatNumber(medians.wallNs) },
      { title: "to the fewest", value: (row) => formatRatio(growthOf(measured, row.contender, row.count)) },
    ],
    measured,
  );
}

/** How many times as much CPU time a wake takes as with the smallest number of descriptors. */
function growthOf(measured: readonly Measured[], contender: string, count: number): number | undefined {
  const of = (wanted: number): Measured | undefined =>
    measured.find((row) => row.contender === contender && row.count === wanted);
  const [few, many] = [of(Math.min(...counts)), of(count)];
  if (few === undefined || many === undefined) return undefined;
  return median(many.rounds.map(({ cpuNs }, round) => cpuNs / few.rounds[round]!.cpuNs));
}

/** Independent of their number is what grows no more than a native program on epoll does, which only meets colder caches. */
function goalsOf(measured: readonly Measured[]): Goal[] {
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
  const unavoidable = growthOf(measured, EPOLL, most);
  return [READABLE, SOURCE].map((name) => {
    const growth = growthOf(measured, name, most);
    const title = `a wake from ${most} descriptors against ${fewest}: ${name}, against native epoll's growth`;
    return atMost(1.1, title, growth === undefined ? undefined : growth / unavoidable!);
  });
}

function script(way: string, count: number): readonly string[] {
  return [process.execPath, `${import.meta.dirname}/waiters/mixed.ts`, "--way", way, "--wakes", String(count)];
}
