// Suspend and resume on Effection 4: an action that resolves at once, and, beside it, `until(Promise.resolve())`.

import { type Operation, run, spawn, until } from "effection";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { RESOLVED } from "./actions.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => run(() => suspendOften(count))),

  "one task, until": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* until(Promise.resolve());
      }),
    ),

  "two tasks": (count) =>
    measureCost(() =>
      run(function* () {
        const other = yield* spawn(() => suspendOften(count / 2));
        yield* suspendOften(count / 2);
        yield* other;
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

function* suspendOften(count: number): Operation<void> {
  for (let index = 0; index < count; index++) yield* RESOLVED;
}

function* levelOne(count: number): Operation<void> {
  yield* levelTwo(count);
}

function* levelTwo(count: number): Operation<void> {
  yield* suspendOften(count);
}
