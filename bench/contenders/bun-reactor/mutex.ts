// Mutexes of this package.

import { join, Mutex, run, spawn, yieldNow } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  uncontended: (count) =>
    measureCost(() =>
      run(function* () {
        const mutex = new Mutex();
        for (let index = 0; index < count; index++) {
          const guard = yield* mutex.lock();
          guard.release();
        }
      }),
    ),

  "uncontended, using": (count) =>
    measureCost(() =>
      run(function* () {
        const mutex = new Mutex();
        for (let index = 0; index < count; index++) {
          using _ = yield* mutex.lock();
        }
      }),
    ),

  "hand-over": (count) =>
    measureCost(() =>
      run(function* () {
        const mutex = new Mutex();
        const other = yield* spawn(() => lockOften(mutex, count / 2));
        yield* lockOften(mutex, count / 2);
        yield* join(other);
      }),
    ),
};

function* lockOften(mutex: Mutex, count: number) {
  const first = yield* mutex.lock();
  yield* yieldNow();
  first.release();
  for (let index = 0; index < count; index++) {
    const guard = yield* mutex.lock();
    guard.release();
  }
}
