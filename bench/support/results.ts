// What a bench leaves behind: `bench/results/NAME.json`, with the machine it ran on, and with the goals it has met or missed.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "..", "results");

/** One line of the closing summary: a figure that this package set itself a limit for. */
export interface Goal {
  /** What is measured, and against what. */
  readonly what: string;
  /** The limit: the value must not be above it, or, for "at least", not below it. */
  readonly limit: number;
  readonly relation: "at most" | "at least";
  /** Undefined when the run left the figure out, as `--only` does. */
  readonly value: number | undefined;
  /** "×" for ratios, otherwise a unit such as "B". */
  readonly unit: string;
}

export interface Results<Row> {
  readonly bench: string;
  readonly when: string;
  readonly bun: string;
  readonly platform: string;
  readonly processor: string;
  readonly processors: number;
  readonly goals: readonly Goal[];
  readonly rows: readonly Row[];
}

/** Writes the rows and goals of a bench, and says where. */
export function writeResults<Row>(bench: string, rows: readonly Row[], goals: readonly Goal[] = []): void {
  const results: Results<Row> = {
    bench,
    when: new Date().toISOString(),
    bun: Bun.version,
    platform: `${process.platform} ${process.arch}, kernel ${release()}`,
    processor: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
    goals,
    rows,
  };
  mkdirSync(FOLDER, { recursive: true });
  const path = resultsPath(bench);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(results, undefined, 2)}\n`);
  renameSync(`${path}.tmp`, path);
  console.log(`\n  written to bench/results/${bench}.json`);
}

/**
 * What a bench wrote at its last run.
 *
 * @throws Error with code ENOENT if it has never run.
 */
export function readResults(bench: string): Results<unknown> {
  return JSON.parse(readFileSync(resultsPath(bench), "utf8")) as Results<unknown>;
}

/** Whether the goal is met; undefined when there is no figure. */
export function isMet({ value, limit, relation }: Goal): boolean | undefined {
  if (value === undefined) return undefined;
  return relation === "at most" ? value <= limit : value >= limit;
}

function resultsPath(bench: string): string {
  return join(FOLDER, `${bench}.json`);
}
