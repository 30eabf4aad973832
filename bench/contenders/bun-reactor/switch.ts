// Suspend and resume on this package.

import { run, spawn, yieldNow } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => run(() => yieldOften(count))),

  "two tasks": (count) =>
    measureCost(() =>
      run(function* () {
        yield* spawn(() => yieldOften(count / 2));
        yield* yieldOften(count / 2);
      }),
    ),

  "under three levels": (count) => measureCost(() => run(() => levelOne(count))),

  "through three levels": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* levelOne(1);
      }),
    ),
};

function* yieldOften(count: number) {
  for (let index = 0; index < count; index++) yield* yieldNow();
}

function* levelOne(count: number) {
  yield* levelTwo(count);
}

function* levelTwo(count: number) {
  yield* yieldOften(count);
}
