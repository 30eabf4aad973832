// A mutex of promises.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  uncontended: (count) =>
    measureCost(async () => {
      const mutex = new PromiseMutex();
      for (let index = 0; index < count; index++) {
        await mutex.lock();
        mutex.release();
      }
    }),

  "hand-over": (count) =>
    measureCost(() => {
      const mutex = new PromiseMutex();
      return Promise.all([lockOften(mutex, count / 2), lockOften(mutex, count / 2)]);
    }),
};

async function lockOften(mutex: PromiseMutex, count: number): Promise<void> {
  await mutex.lock();
  await Promise.resolve();
  mutex.release();
  for (let index = 0; index < count; index++) {
    await mutex.lock();
    mutex.release();
  }
}

/** The least that a fair mutex can be: no cancellation, no guard, no check of who releases. */
class PromiseMutex {
  readonly #waiters: (() => void)[] = [];
  #isLocked = false;

  /** Undefined if it was free. */
  lock(): Promise<void> | undefined {
    if (this.#isLocked) return new Promise((resolve) => this.#waiters.push(resolve));
    this.#isLocked = true;
    return undefined;
  }

  release(): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#isLocked = false;
    else waiter();
  }
}
