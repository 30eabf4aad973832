// Waiting fibers on Effect 4.

import { Effect } from "effect";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureMemory } from "../measure.ts";
import { repeat } from "./loops.ts";

export const jobs: Jobs = {
  sleeping: (count) => measureMemory(count, () => leaveWaiting(count, Effect.sleep(FOREVER_MS))),

  "sleeping, in a scope": (count) => measureMemory(count, () => leaveSleepingInScope(count)),

  parked: (count) => {
    const resumes: ((effect: Effect.Effect<void>) => void)[] = [];
    const parked = Effect.callback<void>((resume) => void resumes.push(resume));
    return measureMemory(count, () => leaveWaiting(count, parked));
  },
};

/** Settles when `count` fibers sleep in one scope. */
function leaveSleepingInScope(count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = Effect.forkScoped(Effect.sleep(FOREVER_MS));
  Effect.runFork(
    Effect.scoped(
      Effect.gen(function* () {
        for (let index = 0; index < count; index++) yield* start;
        yield* Effect.yieldNow;
        resolve();
        return yield* Effect.never;
      }),
    ),
  );
  return promise;
}

/** Settles when `count` fibers wait. */
function leaveWaiting(count: number, wait: Effect.Effect<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const start = Effect.forkChild(wait);
  Effect.runFork(
    Effect.gen(function* () {
      yield* repeat(count, () => start);
      yield* Effect.yieldNow;
      resolve();
      return yield* Effect.never;
    }),
  );
  return promise;
}
