// The call of an async function.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  "spawn and join": (count) =>
    measureCost(async () => {
      for (let index = 0; index < count; index++) await child();
    }),
};

async function child(): Promise<number> {
  return 1;
}
