// Calls of async functions, awaited together.

import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  empty: (count) => measureCost(() => repeat(count, child)),

  "ten children": (count) => measureCost(() => repeat(count, () => tenOf(child))),

  "ten that yield": (count) => measureCost(() => repeat(count, () => tenOf(yieldingChild))),

  "spawn and join": (count) => measureCost(() => repeat(count, child)),
};

const CHILDREN = 10;

async function repeat(count: number, work: () => Promise<unknown>): Promise<void> {
  for (let index = 0; index < count; index++) await work();
}

function tenOf(work: () => Promise<number>): Promise<number[]> {
  const promises: Promise<number>[] = [];
  for (let index = 0; index < CHILDREN; index++) promises.push(work());
  return Promise.all(promises);
}

async function child(): Promise<number> {
  return 1;
}

async function yieldingChild(): Promise<number> {
  await Promise.resolve();
  return 1;
}
