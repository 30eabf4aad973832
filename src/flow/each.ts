/**
 * Loops over what comes in the course of time: the items of a channel, a broadcast, an async iterable.
 *
 *     for (const line of yield* each(lines)) {
 *       …
 *       yield* each.next();
 *     }
 *
 * Facts. `for…of` asks its iterator for the next item by a plain call, in which a generator cannot wait; and it tells the
 * iterator, by `return`, when the loop is left early, be it by `break`, by an error, or because the task is cancelled.
 *
 * Decision. The waiting is done outside, by `each` for the first item and by `each.next` for each other: they put into the
 * loop what the plain call then takes. The loops that a task is in are a stack, so that `each.next()` needs to be told
 * nothing; and a loop that goes round without an `each.next()` is refused, because it would have nothing to show.
 */

import { hostRuns } from "../core/current-system.ts";
import { describeValue, invariant, UnsupportedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { promise } from "../core/park.ts";
import { runningTask } from "../core/running-task.ts";
import { shield } from "../core/shield.ts";
import type { Task } from "../core/task.ts";

/** Items one after the other, for whoever asks. */
export interface Subscription<T> {
  /** Waits for the next item, or for the end. */
  next(): Operation<IteratorResult<T, void>>;
  /** Nobody will ask any more, though the end was not reached. */
  close?(): void;
}

/** What can be subscribed to: a channel, a broadcast. */
export interface Subscribable<T> {
  subscribe(): Subscription<T>;
}

export type EachSource<T> = Subscription<T> | Subscribable<T> | AsyncIterable<T>;

/**
 * Begins a loop over the items of a channel, a broadcast, a subscription, or an async iterable (a web stream, Node's
 * `events.on`); suspends the task until there is a first one, or the end. In the loop, `yield* each.next()` waits for the
 * next; it is the last thing of each turn, also before `continue`. The end of the source ends the loop.
 *
 * A loop that is left early closes its subscription. Of an async iterable that is the iterator's own `return()`: the task
 * goes on, but it, or its scope, does not end before that promise has settled, and its rejection is an error of a child.
 * Only if the task is cancelled while it waits for a promise of the iterable is nothing waited for, because that may never come.
 *
 * @throws TypeError, from this call itself, for a source that is none of these; what the source ends with, such as a
 *   rejection; UnsupportedError for an async iterable in `blockOn`, where no promise can settle
 */
export function each<T>(source: EachSource<T>): Operation<Iterable<T>> {
  if (!isAsyncIterable(source) && !isSubscribable(source) && !isSubscription(source)) {
    throw new TypeError(
      `each takes a channel, a broadcast, a subscription or an async iterable, but was given ${describeValue(source)}`,
    );
  }
  return begin(source);
}

/**
 * Suspends the task until the next item for the innermost loop over `each` has come, or its end.
 * @throws TypeError, from this call itself, if the task is in no such loop, or if it has the next item already; what the source
 *   ends with
 */
each.next = function next(): Operation<void> {
  const task = runningTask();
  const loop = task === null ? undefined : innermostLoops.get(task);
  if (loop === undefined) throw new TypeError("each.next() is called in no loop over each(…)");
  loop.refuseTwice();
  return advance(loop);
};

function* begin<T>(source: EachSource<T>): Operation<Iterable<T>> {
  const task = runningTask();
  invariant(task !== null, "an operation runs in no task");
  const loop = new Loop(task, yield* open(source, task));
  try {
    yield* advance(loop);
  } finally {
    if (!loop.hasNext) loop.close();
  }
  return loop;
}

function* advance(loop: Loop<unknown>): Operation<void> {
  loop.accept(yield* loop.subscription.next());
}

/** The innermost loop of each task that is in one. */
const innermostLoops = new WeakMap<Task<unknown>, Loop<unknown>>();

/** The iterable of one loop, and its iterator. */
class Loop<T> implements Iterable<T>, Iterator<T, void> {
  /** The loop of the same task that this one is in. */
  private outer: Loop<unknown> | undefined = undefined;
  private upcoming: IteratorResult<T, void> | null = null;
  private isBegun = false;

  constructor(
    private readonly task: Task<unknown>,
    readonly subscription: Subscription<T>,
  ) {}

  /** Whether there is an item that the loop has not seen, or the end. */
  get hasNext(): boolean {
    return this.upcoming !== null;
  }

  accept(result: IteratorResult<T, void>): void {
    this.upcoming = result;
  }

  refuseTwice(): void {
    if (this.upcoming === null) return;
    throw new TypeError("each.next() was called twice in one turn of a loop over each(…): an item would be lost");
  }

  close(): void {
    this.subscription.close?.();
  }

  [Symbol.iterator](): Iterator<T, void> {
    if (this.isBegun) throw new TypeError("what each(…) gave was iterated already: it serves one loop");
    this.isBegun = true;
    this.outer = innermostLoops.get(this.task);
    innermostLoops.set(this.task, this as Loop<unknown>);
    return this;
  }

  next(): IteratorResult<T, void> {
    const { upcoming } = this;
    if (upcoming === null) {
      this.return();
      throw new TypeError(
        "a loop over each(…) went round without yield* each.next(): it comes last, and before continue",
      );
    }
    if (upcoming.done === true) this.leave();
    else this.upcoming = null;
    return upcoming;
  }

  return(): IteratorResult<T, void> {
    this.leave();
    this.close();
    return { done: true, value: undefined };
  }

  /** Loops are left in the reverse order. */
  private leave(): void {
    if (this.outer === undefined) innermostLoops.delete(this.task);
    else innermostLoops.set(this.task, this.outer);
  }
}

function* open<T>(source: EachSource<T>, task: Task<unknown>): Operation<Subscription<T>> {
  if (!isAsyncIterable(source)) return isSubscribable(source) ? source.subscribe() : source;
  if (yield* hostRuns()) return new AsyncSubscription(task, source[Symbol.asyncIterator]());
  throw new UnsupportedError(
    "each over an async iterable inside blockOn, which blocks the thread that would settle its promises: use run instead",
  );
}

function isAsyncIterable<T>(source: EachSource<T>): source is AsyncIterable<T> {
  return has(source, Symbol.asyncIterator);
}

function isSubscribable<T>(source: EachSource<T>): source is Subscribable<T> {
  return has(source, "subscribe");
}

function isSubscription<T>(source: EachSource<T>): source is Subscription<T> {
  return has(source, "next");
}

function has(source: unknown, method: PropertyKey): boolean {
  if (typeof source !== "object" || source === null) return false;
  return typeof (source as Record<PropertyKey, unknown>)[method] === "function";
}

/** The items of an async iterable, for a loop of one task. */
class AsyncSubscription<T> implements Subscription<T> {
  private isAsking = false;
  private hasEnded = false;

  constructor(
    private readonly task: Task<unknown>,
    private readonly iterator: AsyncIterator<T>,
  ) {}

  next(): Operation<IteratorResult<T, void>> {
    const answer = this.ask();
    // A task that is cancelled at this moment does not come to wait, and what a cancelled task waited for is ignored.
    answer.catch(ignoreRejection);
    return promise(answer);
  }

  /** An iterator that has come to its end, or failed, needs no `return` (`for await` does the same). */
  close(): void {
    const { task, isAsking, hasEnded } = this;
    if (hasEnded || this.iterator.return === undefined) return;
    this.hasEnded = true;
    const leaving = this.leave();
    if (isAsking) {
      leaving.catch((error: unknown) => {
        throw new Error(`${task.name} was cancelled in a loop over an async iterable, which then failed to end`, {
          cause: error,
        });
      });
    } else {
      const body = (): Operation<void> => shield(promise(leaving));
      task.scheduler.startChild(task, task.currentScope, body, { name: "the end of an async iterable" }, null);
    }
  }

  private async ask(): Promise<IteratorResult<T, void>> {
    this.isAsking = true;
    try {
      const result: unknown = await this.iterator.next();
      if (typeof result !== "object" || result === null) {
        throw new TypeError(
          `each: the next() of an async iterator came to ${describeValue(result)}, which is no result`,
        );
      }
      if ((result as IteratorResult<T>).done === true) this.hasEnded = true;
      return result as IteratorResult<T, void>;
    } catch (error) {
      this.hasEnded = true;
      throw error;
    } finally {
      this.isAsking = false;
    }
  }

  private async leave(): Promise<void> {
    await this.iterator.return!();
  }
}

function ignoreRejection(): void {
  // The promise is waited for; if the task is cancelled meanwhile, nobody wants to know any more.
}
