// Timeouts of this package.

import { run, timeout, yieldNow } from "../../../src/index.ts";
import { GUARD_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  ready: (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* timeout(GUARD_MS, ready);
      }),
    ),

  "suspends once": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* timeout(GUARD_MS, suspendOnce);
      }),
    ),
};

function* ready() {
  return 1;
}

function* suspendOnce() {
  yield* yieldNow();
  return 1;
}
