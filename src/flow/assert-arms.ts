/** The check that all functions make that take several operations. */

import { describeValue } from "../core/errors.ts";

/** Throws a `TypeError` that names the function if it was not given a list of at least one. */
export function assertArms(functionName: string, arms: unknown): asserts arms is readonly unknown[] {
  if (!Array.isArray(arms))
    throw new TypeError(`${functionName} takes a list of operations, but was given ${describeValue(arms)}`);
  if (arms.length === 0)
    throw new TypeError(`${functionName} takes at least one operation: of none it would never end`);
}
