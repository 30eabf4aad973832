/** How much of the work that only repeats itself with other seeds is done: fuzzers and models do less under an emulator. */

/** From 1 for all of it down to 0; `bun run test:platforms` sets it. */
const EFFORT = Number(process.env["BUN_REACTOR_TEST_EFFORT"] ?? "1");
if (!(EFFORT >= 0 && EFFORT <= 1))
  throw new Error(`$BUN_REACTOR_TEST_EFFORT must be between 0 and 1, and is ${EFFORT}`);

/** Whether what only takes long under an emulator is done all the same: `bun run test:platforms --thorough`. */
export const IS_THOROUGH = process.env["BUN_REACTOR_TEST_THOROUGH"] === "1";

/** So many rounds of the given ones, and one at the least. */
export function effort(rounds: number): number {
  return Math.max(1, Math.ceil(rounds * EFFORT));
}

/**
 * How far to go at a time through what is otherwise done one by one, such as each suspend point of a job. Not so far that only
 * the first is left of a few.
 */
export const STRIDE = Math.min(5, Math.round(1 / Math.max(EFFORT, 0.01)));
