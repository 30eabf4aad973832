// Suspend and resume in async functions.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => awaitOften(count)),

  "two tasks": (count) => measureCost(() => Promise.all([awaitOften(count / 2), awaitOften(count / 2)])),

  "under three levels": (count) => measureCost(() => levelOne(count)),

  "through three levels": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await levelOne(1);
    }),
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
