// Sleeping tasks on this package.

import { promise, run, sleepUntil, spawn, type Task } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { SPREAD_MS, WakeUpLog } from "../wake-up-log.ts";

export const jobs: Jobs = {
  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* spawn(sleeper(log, index));
      }),
    );
    return log.report(cost);
  },

  "timers armed again": async (count) => {
    const log = new WakeUpLog(count);
    await run(function* () {
      const tasks: Task<void>[] = [];
      for (let index = 0; index < count; index++) tasks.push(yield* spawn(sleepAgain(log, index)));
      yield* promise(log.allAwake);
      for (const task of tasks) task.cancel();
    });
    return log.report();
  },
};

function* sleeper(log: WakeUpLog, index: number) {
  yield* sleepUntil(log.deadlineMs(index));
  log.woke(index);
}

function* sleepAgain(log: WakeUpLog, index: number) {
  yield* sleepUntil(log.deadlineMs(index));
  log.woke(index);
  yield* sleepUntil(log.deadlineMs(index) + SPREAD_MS);
}
