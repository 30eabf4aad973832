// Spawn and join on this package.

import { join, run, spawn } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "spawn and join": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* join(yield* spawn(child));
      }),
    ),
};

function* child() {
  return 1;
}
