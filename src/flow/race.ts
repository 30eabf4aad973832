/** `race`: the first of several operations. */

import { assertArms } from "./assert-arms.ts";
import type { Operation, TaskBody } from "../core/operation.ts";
import { firstArm, type ValueOf } from "./arms.ts";

/**
 * Runs all arms at once, and ends with the first that comes to an end: with its value, or with its error. The others
 * are cancelled, the last first, and their clean-up is waited for. An arm that is ready at once ends the race before
 * those after it have begun. Of arms that receive, lock and the like only the winner takes something; nor is that lost
 * if the race's task is cancelled meanwhile.
 * @returns the value of the first arm
 * @throws what the first arm threw, and what others threw that were about to end or clean up (several: an
 *   `AggregateError`); TypeError if there is no arm, or one is no operation
 */
export function* race<const A extends readonly TaskBody<unknown>[]>(arms: A): Operation<ValueOf<A[number]>> {
  assertArms("race", arms);
  const { value } = yield* firstArm(arms);
  return value as ValueOf<A[number]>;
}
