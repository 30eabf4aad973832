// What the jobs on Effect 4 share. Loops are `whileLoop`s, which cost less than generators; what is repeated is made
// once.
//
// Effect's scheduler hands work that has yielded to `setImmediate`, so that the host's event loop has a turn each
// time. Its "sync" mode hands it to a microtask instead, which keeps the event loop waiting for as long as fibers
// have something to do.

import { Effect, Scheduler } from "effect";

export function repeat(count: number, body: () => Effect.Effect<unknown>): Effect.Effect<void> {
  return Effect.suspend(() => {
    let index = 0;
    return Effect.whileLoop({ while: () => index++ < count, body, step: ignore });
  });
}

export function runInMicrotasks(effect: Effect.Effect<void>): Promise<void> {
  return Effect.runPromise(effect, { scheduler: new Scheduler.MixedScheduler("sync") });
}

function ignore(): void {
  // The loop has no use for what its body makes.
}
