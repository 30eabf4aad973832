// Sleeping async functions, and bare callbacks, on the timers of the host.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";
import { SPREAD_MS, WakeUpLog } from "../wake-up-log.ts";

export const jobs: Jobs = {
  "timers armed again": async (count) => {
    const log = new WakeUpLog(count);
    const timers: Timer[] = [];
    const wake = (index: number): void => {
      log.woke(index);
      timers[index] = setTimeout(wake, log.delayMs(index) + SPREAD_MS, index);
    };
    for (let index = 0; index < count; index++) timers.push(setTimeout(wake, log.delayMs(index), index));
    await log.allAwake;
    for (const timer of timers) clearTimeout(timer);
    return log.report();
  },

  "setTimeout, awaited": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() => {
      for (let index = 0; index < count; index++) void sleeper(log, index);
      return log.allAwake;
    });
    return log.report(cost);
  },

  "Bun.sleep": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() => {
      for (let index = 0; index < count; index++) void bunSleeper(log, index);
      return log.allAwake;
    });
    return log.report(cost);
  },
};

async function sleeper(log: WakeUpLog, index: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, log.delayMs(index)));
  log.woke(index);
}

async function bunSleeper(log: WakeUpLog, index: number): Promise<void> {
  await Bun.sleep(log.delayMs(index));
  log.woke(index);
}
