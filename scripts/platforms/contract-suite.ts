/** The native library and its contract suite, for any target. */

import { join } from "node:path";
import { buildLibrary } from "../pack/libraries.ts";
import { TARGETS } from "../targets.ts";
import { outcomeOfCommand, outcomeOfZig, type Outcome, sumOf } from "./outcome.ts";
import type { Workplace } from "./platform.ts";
import { runToEnd } from "./run.ts";

/**
 * Builds the library of a target as it is packed.
 *
 * @param target As Node.js names it, such as `linux-arm64`.
 * @returns its path
 * @throws Error if it cannot be built; what the compiler said is on standard error
 */
export function libraryFor({ root, scratch }: Workplace, target: string): string {
  const folders = { zigFolder: join(root, "zig"), outputFolder: join(scratch, "libraries") };
  return buildLibrary(
    TARGETS.find(({ name }) => name === target)!,
    folders,
  ).path;
}

/** Runs the contract suite. The options say of which target, and what runs it: `-Dtarget=aarch64-linux`, `-fqemu`. */
export async function contractSuite(
  { root, zig, logs }: Workplace,
  options: readonly string[],
  environment = {},
): Promise<Outcome> {
  const command = [zig, "build", "test", ...options];
  const log = logs === null ? null : join(logs, `contract-suite${options.join("")}.log`);
  return outcomeOfZig(
    await runToEnd(command, { folder: join(root, "zig"), limitMs: SUITE_LIMIT_MS, environment, log }),
  );
}

/** Compiles library and contract suite for a target that nothing here can run. */
export async function compileOnly({ root, zig, scratch }: Workplace, target: string): Promise<Outcome> {
  const folder = join(root, "zig");
  const common = [`-Dtarget=${target}`, "--prefix", join(scratch, "compiled", target)];
  const steps = [
    { name: "the library", options: ["-Doptimize=ReleaseFast"] },
    { name: "the contract suite", options: ["compile-test"] },
  ];
  const outcomes: Outcome[] = [];
  for (const { name, options } of steps) {
    const run = await runToEnd([zig, "build", ...options, ...common], { folder, limitMs: BUILD_LIMIT_MS });
    outcomes.push(outcomeOfCommand(`${name} for ${target} does not compile`, run));
  }
  return sumOf(outcomes);
}

/** With an empty cache, beside other builds; only a compiler that hangs meets them. */
const BUILD_LIMIT_MS = 300_000;
const SUITE_LIMIT_MS = 600_000;
