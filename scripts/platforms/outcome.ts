/** How a run of tests went, read from what it printed. */

import type { Run } from "./run.ts";

export interface Outcome {
  readonly passed: number;
  /** What failed, each in a line; a run that ended before its end is one of them. */
  readonly failures: readonly string[];
  readonly skips: readonly Skip[];
}

export interface Skip {
  readonly name: string;
  readonly reason: string;
}

export const NOTHING: Outcome = { passed: 0, failures: [], skips: [] };

/** Several outcomes as one. */
export function sumOf(outcomes: readonly Outcome[]): Outcome {
  return {
    passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
    failures: outcomes.flatMap(({ failures }) => failures),
    skips: outcomes.flatMap(({ skips }) => skips),
  };
}

/**
 * The outcome of `bun test`, whose lines are these; the reason is the one of test/support/platform.ts:
 *
 *     test/core/sleep.test.ts:
 *     (pass) sleep > takes fractions of a millisecond [1.67ms]
 *     (skip) a terminal [skipped: there is none] > reads a line
 *
 *      1 pass
 *      1 skip
 *      0 fail
 *
 * Counted are the lines, and the summary is held against them. Only the last one is this run's own: a test may run
 * `bun test` itself and show what that printed.
 */
export function outcomeOfBun(run: Run): Outcome {
  const { passed, failures, skips, last } = countLines(run.output.replaceAll(COLOR, ""));
  const summary = summaryOf(run.output.replaceAll(COLOR, ""));
  const more = endOf(run, last) ?? (summary === null ? `printed no summary, after ${last}` : null);
  if (more !== null) failures.push(more);
  else if (summary !== null) failures.push(...differencesFrom(summary, passed, failures.length, skips.length, run));
  return { passed, failures, skips };
}

/** The outcome of the contract suite, whose lines zig/test/runner.zig describes. */
export function outcomeOfZig(run: Run): Outcome {
  const lines = run.output.replaceAll(COLOR, "").split("\n");
  const skips = lines.flatMap((line) => {
    const [, name, reason] = /^skipped: (.*): (.*?)$/.exec(line) ?? [];
    return name === undefined || reason === undefined ? [] : [{ name, reason }];
  });
  const failures = lines.filter((line) => line.startsWith("failed: ")).map((line) => line.slice("failed: ".length));
  const counted = lines.map((line) => /^(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(line)).findLast(Boolean);
  const passed = Number(counted?.[1] ?? 0);
  const end = endOf(run, "the contract suite's last line");
  if (end !== null && (run.isOverLimit || failures.length === 0)) return { passed, failures: [...failures, end], skips };
  if (counted === undefined || counted === null) return { passed, failures: [...failures, NO_LAST_LINE], skips };
  if (run.exitCode !== 0 && failures.length === 0) failures.push(`ended with exit code ${run.exitCode}`);
  return { passed, failures, skips };
}

/** The outcome of a program that only succeeds or fails, such as a compiler. */
export function outcomeOfCommand(name: string, run: Run): Outcome {
  if (run.exitCode === 0) return { ...NOTHING, passed: 1 };
  return { ...NOTHING, failures: [`${name}: ${endOf(run, "its start") ?? `exit code ${run.exitCode}`}`] };
}

interface CountedLines {
  passed: number;
  readonly failures: string[];
  readonly skips: Skip[];
  /** The test that ended last, or the file that began last: behind it is what ended the run. */
  last: string;
}

function countLines(output: string): CountedLines {
  const counted: CountedLines = { passed: 0, failures: [], skips: [], last: "its start" };
  let file = "";
  for (const line of output.split("\n")) {
    // Behind it failures are listed once more.
    if (/^\d+ tests? failed:$/.test(line)) break;
    file = /^(\S+\.test\.ts):$/.exec(line)?.[1] ?? file;
    const [, kind, text] = /^\((pass|fail|skip|todo)\) (.*)$/.exec(line) ?? [];
    if (text === undefined) continue;
    const name = `${file}: ${text.replace(/ \[\d+\.\d+ms\]$/, "")}`;
    counted.last = name;
    if (kind === "pass") counted.passed++;
    else if (kind === "fail") counted.failures.push(name);
    else counted.skips.push({ name, reason: kind === "todo" ? "to be written" : reasonIn(text) });
  }
  return counted;
}

function reasonIn(text: string): string {
  return /\[skipped: (.*?)\](?: > |$)/.exec(text)?.[1] ?? "it does not say why";
}

type Summary = Readonly<Partial<Record<"pass" | "skip" | "todo" | "fail" | "error", number>>>;

function summaryOf(output: string): Summary | null {
  const start = [...output.matchAll(/^ *\d+ pass$/gm)].at(-1)?.index;
  if (start === undefined) return null;
  const counts = [...output.slice(start).matchAll(/^ *(\d+) (pass|skip|todo|fail|error)s?$/gm)];
  return Object.fromEntries(counts.map(([, count, kind]) => [kind, Number(count)]));
}

function differencesFrom(summary: Summary, passed: number, failed: number, skipped: number, run: Run): string[] {
  const { pass = 0, fail = 0, skip = 0, todo = 0, error = 0 } = summary;
  const differences: string[] = [];
  if (pass !== passed || fail !== failed || skip + todo !== skipped) {
    const told = `${pass} passed, ${fail} failed and ${skip + todo} skipped`;
    differences.push(`told of ${told}, but printed ${passed}, ${failed} and ${skipped} of them`);
  }
  if (error > 0) differences.push(`had ${error} errors outside of tests`);
  if (run.exitCode !== 0 && fail === 0 && error === 0) differences.push(`ended with exit code ${run.exitCode}`);
  return differences;
}

/** How a run ended that did not end by itself, or null. */
function endOf(run: Run, last: string): string | null {
  if (run.isOverLimit) return `hung, and was ended after ${Math.round(run.durationMs / 1000)} s; it came to ${last}`;
  return run.signal === null ? null : `crashed by ${run.signal}, after ${last}`;
}

const NO_LAST_LINE = "ended without the line that counts its tests";

// oxlint-disable-next-line no-control-regex -- the escape character is what colours begin with
const COLOR = /\x1b\[[0-9;]*m/g;
