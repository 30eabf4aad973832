// Runs the contract suite and the TypeScript suite on every platform that this machine can do, emulated ones included.
//
//     bun run test:platforms                          all of them
//     bun run test:platforms musl arm64               those of these names, or with them in their names
//     bun run test:platforms --list                   what there is
//     bun run test:platforms --kqueue-lib-dir DIR     kqueue as well, over the libkqueue.so in DIR
//     bun run test:platforms --npm-test-log FILE --zig-test-log FILE
//                                                     the host's own row from what these have printed before
//     bun run test:platforms --logs DIR               keeps there what each run has printed
//     bun run test:platforms --thorough arm64         runs what only takes long under an emulator, too
//
// It prints a row for each platform, below it what was skipped, with its reason, and what failed; and at the end
// `N passed, N failed, N skipped`. What a platform needs and this machine lacks is such a reason and no failure. The
// exit code is 1 if anything failed.

import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findZig } from "./build-native.ts";
import { allPlatforms, type ListOptions } from "./platforms/list.ts";
import { MissingError } from "./platforms/missing.ts";
import { NOTHING, type Outcome, sumOf } from "./platforms/outcome.ts";
import type { Plan, Platform, Workplace } from "./platforms/platform.ts";
import { reportOf, type Result, totalOf } from "./platforms/report.ts";
import { endEverything } from "./platforms/run.ts";
import { Slots } from "./platforms/slots.ts";

async function main(): Promise<void> {
  const { words, isList, logs, options } = readArguments(process.argv.slice(2));
  const platforms = chosen(allPlatforms(options), words);
  if (isList) {
    for (const { name, summary } of platforms) console.log(`${name.padEnd(16)}${summary}`);
    return;
  }
  const scratch = mkdtempSync(join(tmpdir(), "bun-reactor-platforms-"));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => endBy(signal, scratch));
  try {
    const results: Result[] = [];
    for (const testing of testAll(platforms, { root: ROOT, zig: findZig(), scratch, logs })) {
      const result = await testing;
      console.log(reportOf(result));
      results.push(result);
    }
    console.log(totalOf(results));
    process.exitCode = results.some(({ outcome }) => outcome.failures.length > 0) ? 1 : 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Leaves nothing running and no files behind. */
function endBy(signal: "SIGINT" | "SIGTERM", scratch: string): never {
  endEverything();
  rmSync(scratch, { recursive: true, force: true });
  process.exit(SIGNALLED + constants.signals[signal]);
}

/** How shells report such an end. */
const SIGNALLED = 128;

interface Arguments {
  readonly words: readonly string[];
  readonly isList: boolean;
  readonly logs: string | null;
  readonly options: ListOptions;
}

function readArguments(given: string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: given,
    allowPositionals: true,
    options: {
      list: { type: "boolean", default: false },
      "kqueue-lib-dir": { type: "string" },
      logs: { type: "string" },
      thorough: { type: "boolean", default: false },
      "npm-test-log": { type: "string" },
      "zig-test-log": { type: "string" },
    },
  });
  const { "npm-test-log": bun, "zig-test-log": zig } = values;
  if ((bun === undefined) !== (zig === undefined))
    throw new Error("--npm-test-log and --zig-test-log belong together: a row is about both suites");
  return {
    words: positionals,
    isList: values.list,
    logs: values.logs === undefined ? null : resolve(values.logs),
    options: {
      isThorough: values.thorough,
      kqueueFolder: values["kqueue-lib-dir"] ?? process.env["BUN_REACTOR_KQUEUE_LIB_DIR"],
      nativeLogs: bun === undefined || zig === undefined ? undefined : { bun, zig },
    },
  };
}

/**
 * A whole name chooses that platform, a part of it all that have it.
 *
 * @throws Error if a word is in no name
 */
function chosen(platforms: readonly Platform[], words: readonly string[]): readonly Platform[] {
  if (words.length === 0) return platforms;
  const found = words.flatMap((word) => {
    const exact = platforms.filter(({ name }) => name === word);
    const matching = exact.length > 0 ? exact : platforms.filter(({ name }) => name.includes(word));
    if (matching.length > 0) return matching;
    throw new Error(`no platform has ${word} in its name: ${platforms.map(({ name }) => name).join(", ")}`);
  });
  return platforms.filter((platform) => found.includes(platform));
}

/** All at the same time, as far as there are processors for it. */
function testAll(platforms: readonly Platform[], workplace: Workplace): Promise<Result>[] {
  const slots = new Slots(availableParallelism());
  return platforms.map((platform) => testOne(platform, workplace, slots));
}

async function testOne(platform: Platform, workplace: Workplace, slots: Slots): Promise<Result> {
  let workMs = 0;
  const timed = <T>(work: () => Promise<T>): Promise<T> =>
    slots.run(async () => {
      const startMs = performance.now();
      try {
        return await work();
      } finally {
        workMs += performance.now() - startMs;
      }
    });
  const { how, outcome, isCountedElsewhere = false } = await outcomeOf(platform, workplace, timed);
  return { platform: platform.name, how, outcome, durationMs: workMs, isCountedElsewhere };
}

type Timed = <T>(work: () => Promise<T>) => Promise<T>;

async function outcomeOf(
  platform: Platform,
  workplace: Workplace,
  timed: Timed,
): Promise<{ readonly how: string; readonly outcome: Outcome; readonly isCountedElsewhere?: boolean | undefined }> {
  let plan: Plan;
  try {
    plan = await timed(() => platform.prepare(workplace));
  } catch (error) {
    return withoutPlan(platform, error);
  }
  try {
    const outcomes = await Promise.all(plan.jobs.map((job) => timed(job)));
    return { how: plan.how, outcome: sumOf(outcomes), isCountedElsewhere: plan.isCountedElsewhere };
  } finally {
    await plan.end?.();
  }
}

function withoutPlan({ name }: Platform, error: unknown): { readonly how: string; readonly outcome: Outcome } {
  if (error instanceof MissingError) {
    const skip = { name: `all of ${name}`, reason: error.message };
    return { how: `not here: ${error.message}`, outcome: { ...NOTHING, skips: [skip] } };
  }
  const details = error instanceof Error ? error.message : String(error);
  return { how: "not made ready", outcome: { ...NOTHING, failures: [{ name: "making it ready", details }] } };
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`bun-reactor: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
