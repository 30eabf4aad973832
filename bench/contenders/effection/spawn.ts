// Spawn and join on Effection 4.

import { type Operation, run, spawn } from "effection";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "spawn and join": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* yield* spawn(child);
      }),
    ),
};

function* child(): Operation<number> {
  return 1;
}
