// Timeouts on Effection 4: a race with a sleep that fails.

import { type Operation, race, run, sleep } from "effection";
import { GUARD_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { RESOLVED } from "./actions.ts";

export const jobs: Jobs = {
  ready: (count) => measureCost(() => run(() => repeat(count, ready))),

  "suspends once": (count) => measureCost(() => run(() => repeat(count, suspendOnce))),
};

function* repeat(count: number, operation: () => Operation<number>): Operation<void> {
  for (let index = 0; index < count; index++) yield* race([operation(), elapse()]);
}

function* ready(): Operation<number> {
  return 1;
}

function* suspendOnce(): Operation<number> {
  yield* RESOLVED;
  return 1;
}

function* elapse(): Operation<never> {
  yield* sleep(GUARD_MS);
  throw new Error(`timed out after ${GUARD_MS} ms`);
}
