// The jobs on Effect 4. Loops are `whileLoop`s, which cost less than generators; what is repeated is made once.
//
// Effect's scheduler hands work that has yielded to `setImmediate`, so that the host's event loop has a turn each time. Its "sync" mode
// hands it to a microtask instead, which keeps the event loop waiting for as long as fibers have something to do.

import { Effect, Fiber, Scheduler } from "effect";
import { FOREVER_MS, type Jobs } from "./jobs.ts";
import { measureCost, measureMemory } from "./measure.ts";
import { WakeUpLog } from "./wake-up-log.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => Effect.runPromise(yieldOften(count))),

  "one task, sync scheduler": (count) => measureCost(() => runInMicrotasks(yieldOften(count))),

  "two tasks": (count) => measureCost(() => Effect.runPromise(inTwo(count))),

  "two tasks, sync scheduler": (count) => measureCost(() => runInMicrotasks(inTwo(count))),

  "under three levels": (count) => measureCost(() => Effect.runPromise(levelOne(count))),

  "under three levels, sync scheduler": (count) => measureCost(() => runInMicrotasks(levelOne(count))),

  "through three levels": (count) => measureCost(() => Effect.runPromise(repeat(count, () => levelOne(1)))),

  "through three levels, sync scheduler": (count) =>
    measureCost(() => runInMicrotasks(repeat(count, () => levelOne(1)))),

  "spawn and join": (count) => measureCost(() => Effect.runPromise(repeat(count, () => FORK_AND_JOIN))),

  "spawn and join, started at once": (count) =>
    measureCost(() => Effect.runPromise(repeat(count, () => START_AND_JOIN))),

  "spawn and join, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeat(count, () => FORK_AND_JOIN))),

  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const indices = Array.from({ length: count }, (_, index) => index);
    const sleepers = Effect.forEach(indices, (index) => sleeper(log, index), {
      concurrency: "unbounded",
      discard: true,
    });
    return log.report(await measureCost(() => Effect.runPromise(sleepers)));
  },

  "memory, sleeping": (count) => measureMemory(count, () => leaveWaiting(count, Effect.sleep(FOREVER_MS))),

  "memory, parked": (count) => {
    const resumes: ((effect: Effect.Effect<void>) => void)[] = [];
    const parked = Effect.callback<void>((resume) => void resumes.push(resume));
    return measureMemory(count, () => leaveWaiting(count, parked));
  },
};

const CHILD = Effect.succeed(1);
const FORK_AND_JOIN = Effect.flatMap(Effect.forkChild(CHILD), Fiber.join);
const START_AND_JOIN = Effect.flatMap(Effect.forkChild(CHILD, { startImmediately: true }), Fiber.join);

function repeat(count: number, body: () => Effect.Effect<unknown>): Effect.Effect<void> {
  return Effect.suspend(() => {
    let index = 0;
    return Effect.whileLoop({ while: () => index++ < count, body, step: ignore });
  });
}

function yieldOften(count: number): Effect.Effect<void> {
  return repeat(count, () => Effect.yieldNow);
}

function inTwo(count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    const other = yield* Effect.forkChild(yieldOften(count / 2));
    yield* yieldOften(count / 2);
    yield* Fiber.join(other);
  });
}

function levelOne(count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    yield* levelTwo(count);
  });
}

function levelTwo(count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    yield* levelThree(count);
  });
}

function levelThree(count: number): Effect.Effect<void> {
  return Effect.gen(function* () {
    for (let index = 0; index < count; index++) yield* Effect.yieldNow;
  });
}

function runInMicrotasks(effect: Effect.Effect<void>): Promise<void> {
  return Effect.runPromise(effect, { scheduler: new Scheduler.MixedScheduler("sync") });
}

function sleeper(log: WakeUpLog, index: number): Effect.Effect<void> {
  return Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(log.delayMs(index)),
      Effect.sync(() => log.woke(index)),
    ),
  );
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

function ignore(): void {
  // The loop has no use for what its body makes.
}
