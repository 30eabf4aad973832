/** The seed that the environment asks for: `SEED=… bun test` repeats what a failing test has printed. */

import { describeValue } from "../core/errors.ts";

/** The highest seed: seeds are integers of 32 bits. */
export const HIGHEST_SEED = 2 ** 32 - 1;

/**
 * The seed in `SEED`; undefined if that is not set, or empty.
 * @throws RangeError if it is no integer from 0 to 4,294,967,295
 */
export function seedFromEnvironment(): number | undefined {
  const given = process.env["SEED"];
  if (given === undefined || given === "") return undefined;
  if (/^\d+$/.test(given) && Number(given) <= HIGHEST_SEED) return Number(given);
  throw new RangeError(`SEED must be an integer from 0 to ${HIGHEST_SEED}, but is ${describeValue(given)}`);
}

/** A seed that nobody can foresee. */
export function freshSeed(): number {
  return Math.floor(Math.random() * (HIGHEST_SEED + 1));
}
