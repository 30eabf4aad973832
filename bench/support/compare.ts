// Compares contenders by what one operation costs, in interleaved rounds: in each round every contender has its turn,
// in rotating order, so that a slow minute of the machine hits all alike. A figure is the median of the rounds; a
// ratio is the median of the ratios within each round.

import type { Cost } from "../contenders/measure.ts";
import { type Contender, ContenderProcess } from "./contender-process.ts";
import { median, medians, spread } from "./statistics.ts";
import { formatNumber, formatRatio, printTable } from "./table.ts";

export interface Compared {
  readonly contender: string;
  /** The cost of one operation, in nanoseconds. */
  readonly medians: Record<keyof Cost, number>;
  readonly rounds: readonly Cost[];
  /** The CPU time of this package's operation divided by that of this one. */
  readonly oursToThis: number;
}

export interface CompareOptions {
  readonly rounds: number;
  /** How long a contender's turn lasts in each round, in milliseconds. */
  readonly turnMs: number;
}

/** Measures the contenders of a bench, of which the first is this package's own. */
export async function compare(
  bench: string,
  contenders: readonly Contender[],
  options: CompareOptions,
): Promise<Compared[]> {
  await using processes = new AsyncDisposableStack();
  const entrants: Entrant[] = [];
  for (const contender of contenders) {
    const process = processes.use(new ContenderProcess(bench, contender));
    entrants.push({ contender, process, count: await warmUp(process, options.turnMs), rounds: [] });
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const entrant of rotated(entrants, round)) {
      entrant.rounds.push(perOperation(await entrant.process.run<Cost>(entrant.count), entrant.count));
    }
  }
  return entrants.map(({ contender, rounds }) => ({
    contender: contender.name,
    medians: medians<keyof Cost>(rounds),
    rounds,
    oursToThis: median(rounds.map(({ cpuNs }, round) => entrants[0]!.rounds[round]!.cpuNs / cpuNs)),
  }));
}

export function printCompared(operation: string, compared: readonly Compared[]): void {
  printTable<Compared>(
    [
      { title: operation, value: ({ contender }) => contender },
      { title: "CPU ns", value: ({ medians }) => medians.cpuNs },
      { title: "±", value: ({ rounds }) => `${formatNumber(100 * spread(rounds.map(({ cpuNs }) => cpuNs)))} %` },
      { title: "wall ns", value: ({ medians }) => medians.wallNs },
      { title: "ours/this", value: ({ oursToThis }) => formatRatio(oursToThis) },
    ],
    compared,
  );
}

/** The ratio to the contender of that name; undefined if it was left out. */
export function oursTo(name: string, compared: readonly Compared[] | undefined): number | undefined {
  return compared?.find(({ contender }) => contender === name)?.oursToThis;
}

/**
 * How many times as much CPU time as this package's operation the contender of that name takes; undefined if it was
 * left out.
 */
export function thisToOurs(name: string, compared: readonly Compared[] | undefined): number | undefined {
  const ratio = oursTo(name, compared);
  return ratio === undefined ? undefined : 1 / ratio;
}

/** The CPU time of this package's operation; undefined if it was left out. */
export function oursCpuNs(compared: readonly Compared[] | undefined): number | undefined {
  return compared?.[0]?.medians.cpuNs;
}

/** A list that begins with another of its values in each round. */
export function rotated<T>(values: readonly T[], by: number): T[] {
  const start = by % values.length;
  return [...values.slice(start), ...values.slice(0, start)];
}

interface Entrant {
  readonly contender: Contender;
  readonly process: ContenderProcess;
  readonly count: number;
  readonly rounds: Cost[];
}

/** Runs until the code is compiled, and returns how many operations fill a turn. */
async function warmUp(process: ContenderProcess, turnMs: number): Promise<number> {
  let count = FIRST_COUNT;
  let spentNs = 0;
  for (let run = 0; run < WARM_UP_RUNS || spentNs < WARM_UP_MS * NS_PER_MS; run++) {
    const { wallNs } = await process.run<Cost>(count);
    spentNs += wallNs;
    count = Math.max(FIRST_COUNT, Math.round((count * turnMs * NS_PER_MS) / wallNs));
  }
  return count;
}

function perOperation({ wallNs, cpuNs }: Cost, count: number): Cost {
  return { wallNs: wallNs / count, cpuNs: cpuNs / count };
}

const FIRST_COUNT = 200;
/** The first few find the count; the code is optimised during the others, which takes its time. */
const WARM_UP_RUNS = 10;
const WARM_UP_MS = 250;
const NS_PER_MS = 1_000_000;
