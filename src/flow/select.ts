/** `select`: the first of several operations, and which it was. */

import { describeValue } from "../core/errors.ts";
import type { Operation, TaskBody } from "../core/operation.ts";
import { firstArm, type ValueOf } from "./arms.ts";

/** Which arm was first, and its value: `switch (key)` tells the type of `value`. */
export type Selected<A> = { [K in keyof A]: { readonly key: K; readonly value: ValueOf<A[K]> } }[keyof A];

/**
 * Waits for the first of several operations, as `race` does, and tells which it was (Go's select statement):
 *
 *     const selected = yield* select({ job: jobs.receive(), stop: stopped.wait() });
 *     if (selected.key === "job") work(selected.value);
 *
 * Nothing is lost: an arm that receives, and was not the first, has taken nothing. Of several that are ready the one
 * that was named first counts.
 * @throws what the first arm threw; TypeError if there is no arm, or one is no operation
 */
export function* select<A extends Readonly<Record<string, TaskBody<unknown>>>>(arms: A): Operation<Selected<A>> {
  if (typeof arms !== "object" || arms === null || Symbol.iterator in arms) {
    throw new TypeError(`select takes an object of operations, but was given ${describeValue(arms)}`);
  }
  const keys = Object.keys(arms);
  if (keys.length === 0) throw new TypeError("select takes at least one operation: of none it would never end");
  const { index, value } = yield* firstArm(keys.map((key) => arms[key]!));
  return { key: keys[index]!, value } as Selected<A>;
}
