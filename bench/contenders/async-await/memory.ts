// Waiting async functions.

import { FOREVER_MS, type Jobs } from "../jobs.ts";
import { measureMemory } from "../measure.ts";

export const jobs: Jobs = {
  sleeping: (count) =>
    measureMemory(count, () => {
      for (let index = 0; index < count; index++) void waitForTimer();
    }),

  parked: (count) => {
    const resolvers: (() => void)[] = [];
    return measureMemory(count, () => {
      for (let index = 0; index < count; index++) void waitForCall(resolvers);
    });
  },
};

async function waitForTimer(): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, FOREVER_MS));
}

async function waitForCall(resolvers: (() => void)[]): Promise<void> {
  await new Promise<void>((resolve) => resolvers.push(resolve));
}
