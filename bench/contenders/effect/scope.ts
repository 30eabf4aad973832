// Scopes of Effect 4, and what waits for children there.

import { Effect, Fiber, FiberSet } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  empty: (count) => measureCost(() => Effect.runPromise(repeat(count, () => EMPTY))),

  "ten children, all": (count) => measureCost(() => Effect.runPromise(repeat(count, () => ALL_TEN))),

  "ten children, FiberSet": (count) => measureCost(() => Effect.runPromise(repeat(count, () => SET_OF_TEN))),

  "ten that yield, all": (count) => measureCost(() => Effect.runPromise(repeat(count, () => ALL_TEN_YIELD))),

  "ten that yield, FiberSet": (count) => measureCost(() => Effect.runPromise(repeat(count, () => SET_OF_TEN_YIELD))),

  "spawn and join": (count) => measureCost(() => Effect.runPromise(Effect.scoped(repeat(count, () => FORK_AND_JOIN)))),

  "spawn and join, sync scheduler": (count) =>
    measureCost(() => runInMicrotasks(Effect.scoped(repeat(count, () => FORK_AND_JOIN)))),

  "spawn and join, scoped": (count) =>
    measureCost(() =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            for (let index = 0; index < count; index++) yield* FORK_SCOPED_AND_JOIN;
          }),
        ),
      ),
    ),
};

const CHILDREN = 10;
const CHILD = Effect.sync(() => 1);
const YIELDING_CHILD = Effect.as(Effect.yieldNow, 1);

const EMPTY = Effect.scoped(CHILD);
const ALL_TEN = allOfTen(CHILD);
const ALL_TEN_YIELD = allOfTen(YIELDING_CHILD);
const SET_OF_TEN = setOfTen(CHILD);
const SET_OF_TEN_YIELD = setOfTen(YIELDING_CHILD);
const FORK_AND_JOIN = Effect.flatMap(Effect.forkChild(CHILD), Fiber.join);
const FORK_SCOPED_AND_JOIN = Effect.flatMap(Effect.forkScoped(CHILD), Fiber.join);

function allOfTen(child: Effect.Effect<number>): Effect.Effect<void> {
  return Effect.all(
    Array.from({ length: CHILDREN }, () => child),
    { concurrency: "unbounded", discard: true },
  );
}

function setOfTen(child: Effect.Effect<number>): Effect.Effect<void> {
  return Effect.scoped(
    Effect.gen(function* () {
      const set = yield* FiberSet.make<number>();
      for (let index = 0; index < CHILDREN; index++) yield* FiberSet.run(set, child);
      yield* FiberSet.awaitEmpty(set);
    }),
  );
}
