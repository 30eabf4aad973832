/** The checks of the functions that take several operations. */

import { describeValue } from "../core/errors.ts";

/** Throws a `TypeError` that names the function if it was not given a list of at least one. */
export function assertArms(functionName: string, arms: unknown): asserts arms is readonly unknown[] {
  if (!Array.isArray(arms))
    throw new TypeError(`${functionName} takes a list of operations, but was given ${describeValue(arms)}`);
  if (arms.length === 0)
    throw new TypeError(`${functionName} takes at least one operation: of none it would never end`);
}

/** What is in a list or an object. Throws a `TypeError` that names the function if it was given neither. */
export function entriesOf<T>(functionName: string, arms: unknown): (readonly [key: string, arm: T])[] {
  if (Array.isArray(arms) || isPlain(arms)) return Object.entries(arms as Readonly<Record<string, T>>);
  throw new TypeError(
    `${functionName} takes a list of operations, or an object of them, but was given ${describeValue(arms)}`,
  );
}

/** An operation is an object, too, but no list of them. */
function isPlain(arms: unknown): boolean {
  return typeof arms === "object" && arms !== null && !(Symbol.iterator in arms);
}
