/** What is printed about a platform: one row, and below it what did not run, with its reason, and what failed. */

import type { Failure, Outcome, Skip } from "./outcome.ts";

export interface Result {
  readonly platform: string;
  readonly how: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  readonly isCountedElsewhere: boolean;
}

export function reportOf(result: Result): string {
  return [rowOf(result), ...skipLines(result.outcome.skips), ...failureLines(result.outcome.failures)].join("\n");
}

export function rowOf({ platform, how, outcome, durationMs }: Result): string {
  return `${platform.padEnd(NAME_COLUMNS)} ${countsOf(outcome)}   ${durationText(durationMs)}, ${how}`;
}

/** `N passed, N failed, N skipped`, over all that is not counted elsewhere. */
export function totalOf(results: readonly Result[]): string {
  const own = results.filter(({ isCountedElsewhere }) => !isCountedElsewhere).map(({ outcome }) => outcome);
  const sum = (count: (outcome: Outcome) => number): number =>
    own.reduce((total, outcome) => total + count(outcome), 0);
  return counts(
    sum(({ passed }) => passed),
    sum(({ failures }) => failures.length),
    sum(({ skips }) => skips.length),
  );
}

function countsOf({ passed, failures, skips }: Outcome): string {
  return counts(passed, failures.length, skips.length);
}

function counts(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** The reasons, the most frequent first, each with the tests that it is true of. */
function skipLines(skips: readonly Skip[]): string[] {
  const byReason = [...Map.groupBy(skips, ({ reason }) => reason)].sort(
    ([, left], [, right]) => right.length - left.length,
  );
  return byReason.flatMap(([reason, tests]) => [
    `    skipped, ${tests.length}: ${reason}`,
    ...tests.map(({ name }) => `        ${withoutReason(name)}`),
  ]);
}

/** The name as it is where nothing is skipped. */
function withoutReason(name: string): string {
  return name.replace(/ \[skipped: .*?\](?= > |$)/g, "");
}

function failureLines(failures: readonly Failure[]): string[] {
  return failures.flatMap(({ name, details }) => [
    `    failed: ${name}`,
    ...(details === "" ? [] : details.split("\n").map((line) => `        | ${line}`)),
  ]);
}

function durationText(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const NAME_COLUMNS = 15;
