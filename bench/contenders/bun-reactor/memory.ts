// Waiting tasks on this package.

import { type Operation, park, type Resumption, run, scope, sleep, spawn, yieldNow } from "../../../src/index.ts";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureMemory } from "../measure.ts";

export const jobs: Jobs = {
  sleeping: async (count) => {
    // The first sleep starts the reactor thread, whose memory is no task's.
    await run(() => sleep(1));
    return await measureMemory(count, () => leaveWaiting(count, () => sleep(FOREVER_MS)));
  },

  "sleeping, in a scope": async (count) => {
    await run(() => sleep(1));
    return await measureMemory(count, () => leaveSleepingInScope(count));
  },

  parked: (count) => {
    const resumptions: Resumption<void>[] = [];
    return measureMemory(count, () =>
      leaveWaiting(count, () => park<void>((resumption) => void resumptions.push(resumption))),
    );
  },
};

/** Settles when `count` tasks sleep in one scope. */
function leaveSleepingInScope(count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  void run(() =>
    scope(function* (inside) {
      for (let index = 0; index < count; index++) yield* inside.spawn(sleeper);
      yield* yieldNow();
      resolve();
    }),
  );
  return promise;
}

function* sleeper() {
  yield* sleep(FOREVER_MS);
}

/** Settles when `count` tasks wait. */
function leaveWaiting(count: number, wait: () => Operation<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  function* waiter() {
    yield* wait();
  }
  void run(function* () {
    for (let index = 0; index < count; index++) yield* spawn(waiter);
    yield* yieldNow();
    resolve();
  });
  return promise;
}
