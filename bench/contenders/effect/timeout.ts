// Timeouts of Effect 4.

import { Effect } from "effect";
import { GUARD_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { repeat, runInMicrotasks } from "./loops.ts";

export const jobs: Jobs = {
  ready: (count) => measureCost(() => Effect.runPromise(repeatedly(count, READY))),

  "ready, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeatedly(count, READY))),

  "suspends once": (count) => measureCost(() => Effect.runPromise(repeatedly(count, SUSPENDING))),

  "suspends once, sync scheduler": (count) => measureCost(() => runInMicrotasks(repeatedly(count, SUSPENDING))),
};

const READY = Effect.timeout(
  Effect.sync(() => 1),
  GUARD_MS,
);
const SUSPENDING = Effect.timeout(Effect.as(Effect.yieldNow, 1), GUARD_MS);

function repeatedly(count: number, timed: typeof READY): Effect.Effect<void> {
  return repeat(count, () => Effect.orDie(timed));
}
