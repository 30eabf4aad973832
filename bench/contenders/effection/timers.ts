// Sleeping tasks on Effection 4.

import { type Operation, run, sleep, spawn, until } from "effection";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { WakeUpLog } from "../wake-up-log.ts";

export const jobs: Jobs = {
  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* spawn(() => sleeper(log, index));
        yield* until(log.allAwake);
      }),
    );
    return log.report(cost);
  },
};

function* sleeper(log: WakeUpLog, index: number): Operation<void> {
  yield* sleep(log.delayMs(index));
  log.woke(index);
}
