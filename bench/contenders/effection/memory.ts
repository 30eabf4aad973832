// Waiting tasks on Effection 4.

import { action, type Operation, run, scoped, sleep, spawn, suspend } from "effection";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureMemory } from "../measure.ts";
import { ignore, RESOLVED } from "./actions.ts";

export const jobs: Jobs = {
  sleeping: (count) => measureMemory(count, () => leaveWaiting(count, () => sleep(FOREVER_MS))),

  "sleeping, in a scope": (count) => measureMemory(count, () => leaveSleepingInScope(count)),

  parked: (count) => {
    const resolvers: (() => void)[] = [];
    const parked = action<void>((resolve) => {
      resolvers.push(resolve as () => void);
      return ignore;
    });
    return measureMemory(count, () => leaveWaiting(count, () => parked));
  },
};

/** Settles when `count` tasks sleep in one scope. */
function leaveSleepingInScope(count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  void run(() =>
    scoped(function* () {
      for (let index = 0; index < count; index++) yield* spawn(sleeper);
      yield* RESOLVED;
      resolve();
      yield* suspend();
    }),
  );
  return promise;
}

function* sleeper(): Operation<void> {
  yield* sleep(FOREVER_MS);
}

/** Settles when `count` tasks wait. */
function leaveWaiting(count: number, wait: () => Operation<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  function* waiter(): Operation<void> {
    yield* wait();
  }
  void run(function* () {
    for (let index = 0; index < count; index++) yield* spawn(waiter);
    yield* RESOLVED;
    resolve();
    yield* suspend();
  });
  return promise;
}
