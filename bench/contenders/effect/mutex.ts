// A semaphore of one permit on Effect 4.

import { Effect, Fiber, Semaphore } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  uncontended: (count) =>
    measureCost(() => {
      const locked = Semaphore.makeUnsafe(1).withPermit(Effect.void);
      return Effect.runPromise(repeat(count, () => locked));
    }),

  "hand-over": (count) => measureCost(() => Effect.runPromise(handOver(count))),

  "hand-over, sync scheduler": (count) => measureCost(() => runInMicrotasks(handOver(count))),
};

function handOver(count: number): Effect.Effect<void> {
  return Effect.suspend(() => {
    const mutex = Semaphore.makeUnsafe(1);
    const lockedUntilContended = mutex.withPermit(Effect.yieldNow);
    const locked = mutex.withPermit(Effect.void);
    const lockOften = Effect.andThen(
      lockedUntilContended,
      repeat(count / 2, () => locked),
    );
    return Effect.gen(function* () {
      const other = yield* Effect.forkChild(lockOften);
      yield* lockOften;
      yield* Fiber.join(other);
    });
  });
}
