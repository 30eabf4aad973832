/** Our items for the host's `for await`. */

import { Iteration } from "./iteration.ts";
import { type Producer, type ProducerOptions, toProduce } from "./producer.ts";
import type { Runner } from "./runner.ts";

/** The producer as an async iterable whose iterations are started with `run`. */
export function asyncIterableOf<T>(
  run: Runner,
  producer: Producer<T>,
  options?: ProducerOptions,
): AsyncIterable<T, undefined, undefined> {
  const produce = toProduce<T>("toAsyncIterable", producer);
  return { [Symbol.asyncIterator]: () => new Iteration(run, produce, options) };
}
