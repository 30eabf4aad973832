/** `map`: an operation for each of many items, some at a time. */

import { spendBudget } from "../core/budget.ts";
import { assertInteger, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { scope } from "../core/scope-region.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import { use } from "./use.ts";

export interface MapOptions {
  /** How many items are worked on at a time, at most; Infinity for all at once. */
  readonly concurrency: number;
}

/**
 * Runs an operation for each item, up to `concurrency` at a time. Items are taken as there is somebody to work on them,
 * so the list may be long or endless. The first error cancels all that is under way. A list that was not taken to its
 * end is told so, as by `break` in a loop.
 * @returns the values, in the order of the items
 * @throws what `work` threw; RangeError if `concurrency` is no positive integer or Infinity; TypeError if `items`
 *   cannot be iterated
 */
export function* map<I, T>(
  items: Iterable<I>,
  { concurrency }: MapOptions,
  work: (item: I, index: number) => Operation<T>,
): Operation<T[]> {
  if (concurrency !== Infinity) assertInteger("map: concurrency", concurrency, 1, Number.MAX_SAFE_INTEGER);
  const values: T[] = [];

  function* worker(queue: ItemQueue<I>, first: Taken<I>): Operation<void> {
    for (let next: Taken<I> | null = first; next !== null; next = queue.take()) {
      values[next.index] = yield* work(next.item, next.index);
      // Work that never waits would keep the thread.
      if (!spendBudget()) yield YIELD_REQUEST;
    }
  }

  yield* use(new ItemQueue(items), (queue) =>
    scope(function* (own) {
      for (let workers = 0; workers < concurrency; workers++) {
        const first = queue.take();
        if (first === null) return;
        yield* own.spawn(worker(queue, first));
        if (!spendBudget()) yield YIELD_REQUEST;
      }
    }),
  );
  return values;
}

interface Taken<I> {
  readonly item: I;
  readonly index: number;
}

/** The items that nobody has taken yet. */
class ItemQueue<I> implements Disposable {
  private readonly iterator: Iterator<I>;
  private taken = 0;
  private isOver = false;

  constructor(items: Iterable<I>) {
    if (typeof (items as Partial<Iterable<I>> | null | undefined)?.[Symbol.iterator] !== "function")
      throw new TypeError(`map takes a list of items, but was given ${describeValue(items)}`);
    this.iterator = items[Symbol.iterator]();
  }

  /** The next item; null if there is none. */
  take(): Taken<I> | null {
    if (this.isOver) return null;
    // An iterator that throws is not asked again, nor told that it is over.
    this.isOver = true;
    const { done, value } = this.iterator.next();
    if (done === true) return null;
    this.isOver = false;
    return { item: value, index: this.taken++ };
  }

  [Symbol.dispose](): void {
    if (!this.isOver) this.iterator.return?.();
  }
}
