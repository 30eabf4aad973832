// Sleeping fibers on Effect 4.

import { Effect } from "effect";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { WakeUpLog } from "../wake-up-log.ts";

export const jobs: Jobs = {
  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const indices = Array.from({ length: count }, (_, index) => index);
    const sleepers = Effect.forEach(indices, (index) => sleeper(log, index), {
      concurrency: "unbounded",
      discard: true,
    });
    return log.report(await measureCost(() => Effect.runPromise(sleepers)));
  },
};

function sleeper(log: WakeUpLog, index: number): Effect.Effect<void> {
  return Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(log.delayMs(index)),
      Effect.sync(() => log.woke(index)),
    ),
  );
}
