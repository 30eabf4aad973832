/** The native library and its contract suite, for any target. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { outcomeOfCommand, outcomeOfZig, type Outcome, sumOf } from "./outcome.ts";
import type { Workplace } from "./platform.ts";
import { runToEnd } from "./run.ts";

/**
 * Builds the library of a target as it is released.
 *
 * @param target As Zig names it, such as `aarch64-linux`.
 * @returns its path
 * @throws Error if it cannot be built, with what the compiler said
 */
export async function buildLibrary({ root, zig, scratch }: Workplace, target: string): Promise<string> {
  const prefix = join(scratch, "libraries", target);
  const build = [zig, "build", `-Dtarget=${target}`, "-Doptimize=ReleaseFast", "--prefix", prefix];
  const run = await runToEnd(build, { folder: join(root, "zig"), limitMs: BUILD_LIMIT_MS });
  if (run.exitCode !== 0) throw new Error(`the library for ${target} cannot be built:\n${run.output}`);
  const folder = join(prefix, "lib");
  const library = readdirSync(folder).find((name) => /\.(so|dylib|dll)$/.test(name));
  if (library === undefined) throw new Error(`the build for ${target} made no library in ${folder}`);
  return join(folder, library);
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
