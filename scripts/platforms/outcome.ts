/** How a run of tests went, read from what it printed. */

import type { Run } from "./run.ts";

export interface Outcome {
  readonly passed: number;
  /** What failed; a run that came to no end of its own is one of them. */
  readonly failures: readonly Failure[];
  readonly skips: readonly Skip[];
}

export interface Failure {
  readonly name: string;
  /** What was printed about it, or an empty text. */
  readonly details: string;
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
  const output = withoutColors(run.output);
  const { passed, failures, skips, skippedHooks, last } = countLines(output);
  const summary = summaryOf(output);
  const end = endOf(run, last) ?? (summary === null ? `it printed no summary, after ${last}` : null);
  const problems =
    end === null
      ? differencesFrom(summary ?? {}, passed, failures.length, skips.length + skippedHooks, run.exitCode)
      : [end];
  for (const problem of problems) failures.push({ name: `bun test: ${problem}`, details: lastLinesOf(output) });
  return { passed, failures, skips };
}

/** The outcome of the contract suite, whose lines zig/test/runner.zig describes. */
export function outcomeOfZig(run: Run): Outcome {
  const output = withoutColors(run.output);
  const lines = output.split("\n");
  const skips = lines.flatMap((line) => {
    const [, name, reason] = /^skipped: (.*): (.*)$/.exec(line) ?? [];
    return name === undefined || reason === undefined ? [] : [{ name, reason }];
  });
  const failures = lines.flatMap((line) =>
    line.startsWith("failed: ") ? [{ name: line.slice("failed: ".length), details: "" }] : [],
  );
  const counted = lines.flatMap((line) => /^(\d+) passed, \d+ failed, \d+ skipped$/.exec(line)?.[1] ?? []).at(-1);
  const problem = endOf(run, "its last line") ?? problemOf(counted !== undefined, failures.length, run.exitCode);
  if (problem !== null) failures.push({ name: `contract suite: ${problem}`, details: lastLinesOf(output) });
  else if (failures.length > 0) failures[0] = { ...failures[0]!, details: lastLinesOf(output) };
  return { passed: Number(counted ?? 0), failures, skips };
}

function problemOf(isCounted: boolean, failed: number, exitCode: number | null): string | null {
  if (!isCounted) return "it ended without the line that counts its tests";
  return exitCode !== 0 && failed === 0 ? `it ended with exit code ${exitCode}, though no test failed` : null;
}

/** The outcome of a program that only succeeds or fails, such as a compiler. */
export function outcomeOfCommand(name: string, run: Run): Outcome {
  if (run.exitCode === 0) return { ...NOTHING, passed: 1 };
  const end = endOf(run, "no end") ?? `exit code ${run.exitCode}`;
  const errors = withoutColors(run.output)
    .split("\n")
    .filter((line) => line.includes("error: "));
  return { ...NOTHING, failures: [{ name: `${name}: ${end}`, details: errors.slice(0, MOST_ERRORS).join("\n") }] };
}

interface CountedLines {
  passed: number;
  readonly failures: Failure[];
  readonly skips: Skip[];
  /** Hooks of groups that were skipped: Bun tells of them as of tests without a name. */
  skippedHooks: number;
  /** The test that ended last: behind it is what ended the run. */
  last: string;
}

function countLines(output: string): CountedLines {
  const counted: CountedLines = { passed: 0, failures: [], skips: [], skippedHooks: 0, last: "its start" };
  let file = "";
  let printed: string[] = [];
  for (const line of output.split("\n")) {
    // Behind it what was skipped or failed is listed once more.
    if (/^\d+ tests? (skipped|todo|failed):$/.test(line)) break;
    file = /^(\S+\.test\.ts):$/.exec(line)?.[1] ?? file;
    const [, kind, text] = /^\((pass|fail|skip|todo)\) (.*)$/.exec(line) ?? [];
    if (text === undefined) {
      printed.push(line);
      continue;
    }
    const name = `${file}: ${text.replace(/ \[\d+\.\d+ms\]$/, "")}`;
    counted.last = name;
    if (kind === "pass") counted.passed++;
    else if (kind === "fail") counted.failures.push({ name, details: lastLinesOf(printed.join("\n")) });
    else if (text.endsWith("> (unnamed)")) counted.skippedHooks++;
    else counted.skips.push({ name, reason: kind === "todo" ? "to be written" : reasonIn(text) });
    printed = [];
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

function differencesFrom(
  { pass = 0, fail = 0, skip = 0, todo = 0, error = 0 }: Summary,
  passed: number,
  failed: number,
  skipped: number,
  exitCode: number | null,
): string[] {
  const differences: string[] = [];
  if (pass !== passed || fail !== failed || skip + todo !== skipped) {
    const told = `${pass} passed, ${fail} failed and ${skip + todo} skipped`;
    differences.push(`its summary tells ${told}, its lines ${passed}, ${failed} and ${skipped}`);
  }
  if (error > 0) differences.push(`${error} errors outside of tests`);
  if (exitCode !== 0 && fail === 0 && error === 0) differences.push(`it ended with exit code ${exitCode}`);
  return differences;
}

/** How a run ended that did not end by itself, or null. */
function endOf(run: Run, last: string): string | null {
  if (run.isOverLimit) return `it hung, and was ended after ${Math.round(run.durationMs / 1000)} s; it came to ${last}`;
  return run.signal === null ? null : `it crashed by ${run.signal}, after ${last}`;
}

function withoutColors(output: string): string {
  return output.replaceAll("\r", "").replaceAll(COLOR, "");
}

function lastLinesOf(text: string): string {
  return text.trim().split("\n").slice(-MOST_DETAIL_LINES).join("\n");
}

/** Compilers tell the first errors best. */
const MOST_ERRORS = 10;

/** What a failing test prints fits; the output of a whole run does not need to. */
const MOST_DETAIL_LINES = 60;

// oxlint-disable-next-line no-control-regex -- the escape character is what colours begin with
const COLOR = /\x1b\[[0-9;]*m/g;
