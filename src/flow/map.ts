/** `map`: an operation for each of many items, some at a time. */

import { assertInteger } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { scope } from "../core/scope-region.ts";

export interface MapOptions {
  /** How many items are worked on at a time, at most; Infinity for all at once. */
  readonly concurrency: number;
}

/**
 * Runs an operation for each item, up to `concurrency` at a time. Items are taken as there is somebody to work on them,
 * so the list may be long or endless. The first error cancels all that is under way.
 * @returns the values, in the order of the items
 * @throws what `work` threw; RangeError if `concurrency` is no positive integer or Infinity
 */
export function* map<I, T>(
  items: Iterable<I>,
  { concurrency }: MapOptions,
  work: (item: I, index: number) => Operation<T>,
): Operation<T[]> {
  if (concurrency !== Infinity) assertInteger("map: concurrency", concurrency, 1, Number.MAX_SAFE_INTEGER);
  const values: T[] = [];
  const iterator = items[Symbol.iterator]();
  let index = 0;
  let isDone = false;

  function* workOn(item: I): Operation<void> {
    const own = index++;
    values[own] = yield* work(item, own);
  }

  function take(): { readonly item: I } | null {
    if (isDone) return null;
    const { done, value } = iterator.next();
    if (done !== true) return { item: value };
    isDone = true;
    return null;
  }

  function* worker(first: I): Operation<void> {
    yield* workOn(first);
    for (let next = take(); next !== null; next = take()) yield* workOn(next.item);
  }

  try {
    yield* scope(function* (own) {
      for (let workers = 0; workers < concurrency; workers++) {
        const first = take();
        if (first === null) return;
        yield* own.spawn(worker(first.item));
      }
    });
  } finally {
    if (!isDone) iterator.return?.();
  }
  return values;
}
