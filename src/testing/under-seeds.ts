/** Running a test's body again and again, each time with the ready tasks in another order. */

import { assertInteger, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { freshSeed, HIGHEST_SEED, seedFromEnvironment } from "./seed.ts";
import { VirtualWorld, type VirtualWorldOptions } from "./virtual-world.ts";

export interface UnderSeedsOptions extends Omit<VirtualWorldOptions, "seed"> {
  /** The first seed; the others follow it. By default another one each time. */
  readonly firstSeed?: number | undefined;
}

/**
 * Runs the body `count` times, one after the other, each in a virtual world of its own under a seed of its own, until
 * one fails. That error comes out, with a line in its message that says how to repeat it:
 *
 *     seed 1234567 fails: SEED=1234567 bun test test/pool.test.ts
 *
 * If `SEED` is set in the environment, the body runs once, under that seed. What the seed decides is the order of
 * tasks that are ready at the same time, and `world.random`; deadlines keep their order.
 * @throws RangeError if `count`, `firstSeed` or `SEED` is out of its range; what the body throws
 */
export async function underSeeds(
  count: number,
  body: (world: VirtualWorld) => Operation<unknown>,
  options: UnderSeedsOptions = {},
): Promise<void> {
  for (const seed of seedsFor(count, options.firstSeed)) {
    try {
      await new VirtualWorld({ ...options, seed }).run(body);
    } catch (error) {
      throw withSeed(error, seed);
    }
  }
}

function seedsFor(count: number, firstSeed: number | undefined): Iterable<number> {
  assertInteger("underSeeds: count", count, 1, HIGHEST_SEED);
  if (firstSeed !== undefined) assertInteger("underSeeds: firstSeed", firstSeed, 0, HIGHEST_SEED);
  const given = seedFromEnvironment();
  return given === undefined ? consecutiveSeeds(count, firstSeed ?? freshSeed()) : [given];
}

function* consecutiveSeeds(count: number, first: number): Generator<number, void, unknown> {
  for (let index = 0; index < count; index++) yield (first + index) % (HIGHEST_SEED + 1);
}

/** The error as it is, so that its class and its place in the test are still there, with a line about the seed. */
function withSeed(error: unknown, seed: number): unknown {
  const line = `seed ${seed} fails: ${setting(seed)} bun test ${testFile()}`.trimEnd();
  if (error instanceof Error && Reflect.set(error, "message", `${error.message}\n\n${line}`)) return error;
  return new Error(`${error instanceof Error ? error.message : describeValue(error)}\n\n${line}`, { cause: error });
}

/** `bun test` calls the file that it runs the main one. */
function testFile(): string {
  const main = withSlashes(Bun.main);
  const folder = `${withSlashes(process.cwd())}/`;
  return main.startsWith(folder) ? main.slice(folder.length) : main;
}

function withSlashes(path: string): string {
  return IS_WINDOWS ? path.replaceAll("\\", "/") : path;
}

/** The variable before a command, as the usual shells of the platform have it. */
function setting(seed: number): string {
  return IS_WINDOWS ? `$env:SEED=${seed};` : `SEED=${seed}`;
}

const IS_WINDOWS = process.platform === "win32";
