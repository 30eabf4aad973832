/** What host code can consume item by item: a task that emits, a channel, a subscription. */

import { describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Subscribable, Subscription } from "../flow/each.ts";
import type { RunnerOptions } from "./runner.ts";

/** Hands an item to the consumer, and suspends the task until the consumer asks for the next. */
export type Emit<T> = (item: T) => Operation<void>;

/** A generator function that emits items, or something that has them already. */
export type Producer<T> = ((emit: Emit<T>) => Operation<void>) | Subscribable<T> | Subscription<T>;

export interface ProducerOptions extends RunnerOptions {
  /** Cancels the task when it is aborted; the consumer then gets the signal's reason as an error. */
  readonly signal?: AbortSignal | undefined;
}

/** The producer as a generator function. */
export function toProduce<T>(caller: string, producer: Producer<T>): (emit: Emit<T>) => Operation<void> {
  if (typeof producer === "function") return producer;
  if (isSubscribable(producer)) return (emit) => emitAll(producer.subscribe(), emit);
  if (isSubscription(producer)) return (emit) => emitAll(producer, emit);
  throw new TypeError(
    `${caller} takes a generator function (function*), a channel or a subscription, but was given ${describeValue(producer)}`,
  );
}

function* emitAll<T>(subscription: Subscription<T>, emit: Emit<T>): Operation<void> {
  try {
    for (;;) {
      const item = yield* subscription.next();
      if (item.done === true) return;
      yield* emit(item.value);
    }
  } finally {
    subscription.close?.();
  }
}

function isSubscribable<T>(value: object): value is Subscribable<T> {
  return typeof (value as Partial<Subscribable<T>> | null)?.subscribe === "function";
}

/** An operation has a `next`, too, but it is iterable. */
function isSubscription<T>(value: object): value is Subscription<T> {
  return typeof (value as Partial<Subscription<T>> | null)?.next === "function" && !(Symbol.iterator in value);
}
