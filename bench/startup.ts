// What does the package add to the start of a program? Whole processes, from their spawn to their end, against an empty one.
//
//     bun bench/startup.ts
//     bun bench/startup.ts --quick
//     bun bench/startup.ts --rounds 31
//
// The programs are in a project of their own, where the package is installed as users have it; two of them run from the
// sources of this checkout besides, where each file is transpiled at each start.
//
// Rounds are interleaved: in each, every program runs once, in rotating order. A figure is the median of the rounds; what a program adds
// is the median of the differences to the empty program of the same round. CPU time is user and system time of all threads.

import { endWithThisProcess } from "./support/children.ts";
import { parseArguments } from "./support/arguments.ts";
import { rotated } from "./support/compare.ts";
import { printGoals } from "./support/goals.ts";
import { warnIfBusy } from "./support/machine.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { median, medians } from "./support/statistics.ts";
import { printTable } from "./support/table.ts";
import { UserProject } from "./support/user-project.ts";

interface Program {
  readonly name: string;
  /** A file of bench/programs. */
  readonly file: string;
  /** What it must print. */
  readonly output: "hello\n" | "";
  /** Whether it runs where it is, with the sources of this checkout. */
  readonly isFromSources?: boolean;
}

interface Start {
  readonly wallMs: number;
  readonly cpuMs: number;
}

interface Measured {
  readonly program: string;
  readonly medians: Record<keyof Start, number>;
  /** Beyond the empty program. */
  readonly added: Record<keyof Start, number>;
  readonly rounds: readonly Start[];
}

const HELLO = "import, run of a hello task";
const PROGRAMS: readonly Program[] = [
  { name: "(an empty program)", file: "empty.ts", output: "" },
  { name: "import", file: "import.ts", output: "" },
  { name: HELLO, file: "hello.ts", output: "hello\n" },
  { name: "the same with sleep(1)", file: "hello-later.ts", output: "hello\n" },
  { name: "import, from the sources", file: "import.ts", output: "", isFromSources: true },
  { name: "run of a hello task, from the sources", file: "hello.ts", output: "hello\n", isFromSources: true },
  { name: "without a library: Bun.sleep(1)", file: "hello-timer.ts", output: "hello\n" },
  { name: "Effection: run, sleep(1)", file: "hello-effection.ts", output: "hello\n" },
  { name: "Effect: runPromise, sleep(1)", file: "hello-effect.ts", output: "hello\n" },
];

const US_PER_MS = 1000;

const given = parseArguments({ rounds: "number", quick: "flag" });
const rounds = given.rounds ?? (given.quick === true ? 3 : 21);

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(`\n${rounds} rounds`);
  using project = await UserProject.make();
  const measured = await measure(project);
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("startup", measured, goals);
}

async function measure(project: UserProject): Promise<Measured[]> {
  const starts = new Map<Program, Start[]>(PROGRAMS.map((program) => [program, []]));
  // Once before it counts: the files are in the page cache, and the native library is built.
  const paths = new Map<Program, string>(PROGRAMS.map((program) => [program, pathOf(program, project)]));
  for (const program of PROGRAMS) await start(program, paths.get(program)!);
  for (let round = 0; round < rounds; round++) {
    for (const program of rotated(PROGRAMS, round)) {
      starts.get(program)!.push(await start(program, paths.get(program)!));
    }
  }
  const empty = starts.get(PROGRAMS[0]!)!;
  return PROGRAMS.map((program) => {
    const own = starts.get(program)!;
    const added = own.map(({ wallMs, cpuMs }, round) => ({
      wallMs: wallMs - empty[round]!.wallMs,
      cpuMs: cpuMs - empty[round]!.cpuMs,
    }));
    return {
      program: program.name,
      medians: medians<keyof Start>(own),
      added: { wallMs: median(added.map(({ wallMs }) => wallMs)), cpuMs: median(added.map(({ cpuMs }) => cpuMs)) },
      rounds: own,
    };
  });
}

function pathOf({ file, isFromSources = false }: Program, project: UserProject): string {
  return isFromSources ? `${import.meta.dirname}/programs/${file}` : project.addProgram(file);
}

/** @throws Error if the program does not do what it should. */
async function start({ name, output }: Program, path: string): Promise<Start> {
  const startMs = performance.now();
  const child = Bun.spawn([process.execPath, path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  endWithThisProcess(child);
  const printed = new Response(child.stdout).text();
  const exitCode = await child.exited;
  const wallMs = performance.now() - startMs;
  if (exitCode !== 0 || (await printed) !== output) {
    throw new Error(`${name} ended with exit code ${exitCode} and printed ${JSON.stringify(await printed)}`);
  }
  return { wallMs, cpuMs: Number(child.resourceUsage()!.cpuTime.total) / US_PER_MS };
}

function print(measured: readonly Measured[]): void {
  printTable<Measured>(
    [
      { title: "program", value: ({ program }) => program },
      { title: "wall ms", value: ({ medians }) => medians.wallMs },
      { title: "CPU ms", value: ({ medians }) => medians.cpuMs },
      { title: "wall ms more", value: ({ added }) => added.wallMs },
      { title: "CPU ms more", value: ({ added }) => added.cpuMs },
      { title: "wall/empty", value: ({ medians }) => `${(medians.wallMs / measured[0]!.medians.wallMs).toFixed(2)}×` },
    ],
    measured,
  );
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  return [
    {
      what: "import and run of a hello task, beyond an empty program",
      limit: 40,
      relation: "at most",
      value: measured.find(({ program }) => program === HELLO)?.added.wallMs,
      unit: "ms",
    },
  ];
}
