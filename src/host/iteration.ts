/**
 * The consumption of a producer by host code. The task that produces is always one step behind: it runs only when the
 * consumer has asked for an item that is not there.
 */

import { spendBudget } from "../core/budget.ts";
import { ClosedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { park } from "../core/park.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import type { Emit, ProducerOptions } from "./producer.ts";
import type { Runner } from "./runner.ts";

/**
 * One consumption: its task starts when the first item is asked for. Whoever stops early calls `return`, which cancels
 * the task and waits for its clean-up.
 */
export class Iteration<T> implements AsyncIterator<T, undefined, undefined>, AsyncDisposable {
  /** What the consumer has asked for and not got. */
  private readonly demands: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  /** Wake the tasks that wait in `emit` for the next demand. */
  private readonly wakers = new Set<() => void>();
  private hasLeft = false;
  private readonly controller = new AbortController();
  /** Settles when the task has ended; null until it has begun. */
  private running: Promise<void> | null = null;
  private hasEnded = false;
  /** What the task failed with, until the consumer is told. */
  private failure: { readonly error: unknown } | null = null;

  constructor(
    private readonly run: Runner,
    private readonly produce: (emit: Emit<T>) => Operation<void>,
    private readonly options: ProducerOptions = {},
  ) {}

  /** Asks for the next item. Several may be asked for at a time: they are answered in order. */
  next(): Promise<IteratorResult<T, undefined>> {
    const demand = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.demands.push(demand);
    if (this.hasEnded) this.answerRest();
    else if (this.running === null) this.running = this.start();
    else this.wake();
    return demand.promise;
  }

  /**
   * Ends the task, and waits until it has cleaned up.
   * @throws what the task failed with and nobody was told yet, in its clean-up mostly
   */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.hasLeft = true;
    this.controller.abort(new ClosedError("the consumer has stopped"));
    if (this.running === null) this.hasEnded = true;
    await this.running;
    if (this.failure !== null) throw this.takeFailure();
    return DONE;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  private async start(): Promise<void> {
    const { signal } = this.options;
    const forward = (): void => this.controller.abort(signal?.reason);
    try {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", forward, { once: true });
      const name = this.options.name ?? this.produce.name;
      await this.run(() => this.produce((item) => this.emit(item)), { name, signal: this.controller.signal });
    } catch (error) {
      if (!this.hasLeft || error !== this.controller.signal.reason) this.failure = { error };
    } finally {
      signal?.removeEventListener("abort", forward);
      this.hasEnded = true;
      this.answerRest();
    }
  }

  private *emit(item: T): Operation<void> {
    yield* this.demanded();
    this.demands.shift()!.resolve({ done: false, value: item });
    if (this.demands.length === 0) yield* this.demanded();
    else if (!spendBudget()) yield YIELD_REQUEST;
  }

  /** Suspends the task until the consumer has asked for an item. */
  private *demanded(): Operation<void> {
    while (this.demands.length === 0) {
      this.refuseAfterEnd();
      yield* park<void>(({ succeed }) => {
        this.wakers.add(succeed);
        return () => void this.wakers.delete(succeed);
      }, "the consumer to ask for an item");
    }
    this.refuseAfterEnd();
  }

  private wake(): void {
    for (const wake of this.wakers) {
      this.wakers.delete(wake);
      wake();
    }
  }

  private refuseAfterEnd(): void {
    if (this.hasEnded || this.controller.signal.aborted) {
      throw new ClosedError("emit: the consumer has stopped, and will take no more items");
    }
  }

  /**
   * The task has ended: the consumer is told how, once, and from then on that there is nothing more. One that has left
   * is told by `return`.
   */
  private answerRest(): void {
    for (const demand of this.demands.splice(0)) {
      if (this.failure === null || this.hasLeft) demand.resolve(DONE);
      else demand.reject(this.takeFailure());
    }
  }

  private takeFailure(): unknown {
    const { error } = this.failure!;
    this.failure = null;
    return error;
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
