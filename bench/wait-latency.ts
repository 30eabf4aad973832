// How long does a task take to go on once a byte was written at the other end of a terminal?
//
//     bun bench/wait-latency.ts
//     bun bench/wait-latency.ts --quick
//     bun bench/wait-latency.ts --rounds 5 --samples 1000 --gap-us 2500
//
// A program of its own (bench/pty-writer.zig) writes the time into a raw pseudo-terminal, again and again, with random
// pauses of 1.25 to 3.75 ms: whoever waits is asleep each time, and no timer keeps step. Each contender is a process that
// waits for it, and compares what it reads with its own clock as soon as it goes on.
//
// The contenders: this package's stream, and its wait for a descriptor of others, on `run`; the same on `blockOn`, which
// has no second thread; a timer of 1 ms that tries to read, as wrappers of serial ports and terminals do on Bun; and a
// native program in which one thread waits in poll(2) and hands over to another by an eventfd (bench/pty-poll.zig), which
// is as good as it can get with a second thread.
//
// The kernel itself hands the bytes of a pseudo-terminal over in a thread of its own, which is in all figures.

import { parseArguments } from "./support/arguments.ts";
import { endWithThisProcess } from "./support/children.ts";
import { rotated } from "./support/compare.ts";
import { atMost, printGoals } from "./support/goals.ts";
import { LineReader } from "./support/line-reader.ts";
import { warnIfBusy } from "./support/machine.ts";
import { nativeProgram } from "./native.ts";
import { writeResults, type Goal } from "./support/results.ts";
import { median, medians, percentile } from "./support/statistics.ts";
import { formatNumber, formatRatio, printTable } from "./support/table.ts";

interface Contender {
  readonly name: string;
  /** The program and its arguments, before `--path`. */
  readonly command: () => readonly string[];
}

interface Latency {
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
}

interface Measured {
  readonly contender: string;
  readonly rounds: readonly Latency[];
  readonly medians: Record<keyof Latency, number>;
}

const STREAM = "run, a stream's read";
const READABLE = "run, readable(fd)";
const TIMER = "a timer of 1 ms";
const NATIVE = "poll(2) in a thread, eventfd";
const CONTENDERS: readonly Contender[] = [
  { name: STREAM, command: () => script("run-stream") },
  { name: READABLE, command: () => script("run-readable") },
  { name: "blockOn, readable(fd)", command: () => script("block-on-readable") },
  { name: TIMER, command: () => script("timer") },
  { name: NATIVE, command: () => [nativeProgram("pty-poll")] },
];

/** Until the code is compiled as well as it ever is, as in a program that runs for longer than a second. */
const WARM_UP_SAMPLES = 3000;

const given = parseArguments({ rounds: "number", samples: "number", "gap-us": "number", quick: "flag" });
const rounds = given.rounds ?? (given.quick === true ? 3 : 7);
const samples = given.samples ?? (given.quick === true ? 200 : 500);
const gapUs = given["gap-us"] ?? 2500;

await main();

async function main(): Promise<void> {
  await warnIfBusy();
  console.log(`\n${samples} samples a round, ${rounds} rounds, in turn`);
  const found = new Map<string, Latency[]>(CONTENDERS.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const contender of rotated(CONTENDERS, round)) found.get(contender.name)!.push(await measure(contender));
  const measured = CONTENDERS.map(({ name }): Measured => {
    const own = found.get(name)!;
    return { contender: name, rounds: own, medians: medians<keyof Latency>(own) };
  });
  print(measured);
  const goals = goalsOf(measured);
  console.log();
  printGoals(goals);
  writeResults("wait-latency", measured, goals);
}

async function measure(contender: Contender): Promise<Latency> {
  const writer = Bun.spawn(
    [nativeProgram("pty-writer"), ...flags({ "warm-up": WARM_UP_SAMPLES, samples, "gap-us": Math.round(gapUs) })],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  endWithThisProcess(writer);
  const path = /^path (.+)$/.exec((await new LineReader(writer.stdout).next()) ?? "")?.[1];
  if (path === undefined) throw new Error("the writer did not start");
  const waiter = Bun.spawn([...contender.command(), "--path", path], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  endWithThisProcess(waiter);
  const output = await waiter.stdout.text();
  if ((await waiter.exited) !== 0 || (await writer.exited) !== 0)
    throw new Error(`${contender.name}: failed, see above`);
  const latenessUs = (JSON.parse(output) as number[]).slice(WARM_UP_SAMPLES);
  return {
    p50Us: percentile(latenessUs, 0.5),
    p90Us: percentile(latenessUs, 0.9),
    p99Us: percentile(latenessUs, 0.99),
  };
}

function print(measured: readonly Measured[]): void {
  console.log();
  printTable<Measured>(
    [
      { title: "byte written → goes on", value: ({ contender }) => contender },
      { title: "p50 µs", value: ({ medians }) => formatNumber(medians.p50Us) },
      { title: "p90 µs", value: ({ medians }) => formatNumber(medians.p90Us) },
      { title: "p99 µs", value: ({ medians }) => formatNumber(medians.p99Us) },
      { title: "stream/this", value: ({ contender }) => formatRatio(ratioOf(measured, STREAM, contender)) },
    ],
    measured,
  );
}

/** The median of the ratios within each round. */
function ratioOf(measured: readonly Measured[], name: string, to: string): number {
  const [own, other] = [name, to].map((wanted) => measured.find(({ contender }) => contender === wanted)!);
  return median(own!.rounds.map(({ p50Us }, round) => p50Us / other!.rounds[round]!.p50Us));
}

function goalsOf(measured: readonly Measured[]): Goal[] {
  return [STREAM, READABLE].flatMap((name) => [
    atMost(0.1, `wait on a pty, p50: ${name}, against a timer of 1 ms`, ratioOf(measured, name, TIMER)),
    atMost(1.5, `wait on a pty, p50: ${name}, against poll(2) and eventfd`, ratioOf(measured, name, NATIVE)),
  ]);
}

function flags(values: Readonly<Record<string, number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

function script(name: string): readonly string[] {
  return [process.execPath, `${import.meta.dirname}/waiters/${name}.ts`];
}
