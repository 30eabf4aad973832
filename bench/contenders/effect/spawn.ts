// Fork and join on Effect 4.

import { Effect, Fiber } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  "spawn and join": (count) => measureCost(() => Effect.runPromise(repeat(count, () => FORK_AND_JOIN))),

  "spawn and join, started at once": (count) =>
    measureCost(() => Effect.runPromise(repeat(count, () => START_AND_JOIN))),

  "spawn and join, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeat(count, () => FORK_AND_JOIN))),
};

const CHILD = Effect.succeed(1);
const FORK_AND_JOIN = Effect.flatMap(Effect.forkChild(CHILD), Fiber.join);
const START_AND_JOIN = Effect.flatMap(Effect.forkChild(CHILD, { startImmediately: true }), Fiber.join);
