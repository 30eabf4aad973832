// The jobs on async functions, the promises and the timers of the host.

import { FOREVER_MS, type Jobs } from "./jobs.ts";
import { measureCost, measureMemory } from "./measure.ts";
import { SPREAD_MS, WakeUpLog } from "./wake-up-log.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => awaitOften(count)),

  "two tasks": (count) => measureCost(() => Promise.all([awaitOften(count / 2), awaitOften(count / 2)])),

  "under three levels": (count) => measureCost(() => levelOne(count)),

  "through three levels": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await levelOne(1);
    }),

  "spawn and join": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await child();
    }),

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

  "memory, sleeping": (count) =>
    measureMemory(count, () => {
      for (let index = 0; index < count; index++) void waitForTimer();
    }),

  "memory, parked": (count) => {
    const resolvers: (() => void)[] = [];
    return measureMemory(count, () => {
      for (let index = 0; index < count; index++) void waitForCall(resolvers);
    });
  },
};

async function awaitOften(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await Promise.resolve();
}

async function levelOne(count: number): Promise<void> {
  await levelTwo(count);
}

async function levelTwo(count: number): Promise<void> {
  await awaitOften(count);
}

async function child(): Promise<number> {
  return 1;
}

async function sleeper(log: WakeUpLog, index: number): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, log.delayMs(index)));
  log.woke(index);
}

async function bunSleeper(log: WakeUpLog, index: number): Promise<void> {
  await Bun.sleep(log.delayMs(index));
  log.woke(index);
}

async function waitForTimer(): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, FOREVER_MS));
}

async function waitForCall(resolvers: (() => void)[]): Promise<void> {
  await new Promise<void>((resolve) => resolvers.push(resolve));
}
