// Suspend and resume on Effect 4.

import { Effect, Fiber } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

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
};

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
