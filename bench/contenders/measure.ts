// What a contender measures of itself. Its CPU time is that of all its threads, so what the garbage collector and the
// compiler do on the side counts as well.

import { heapStats } from "bun:jsc";

/** The cost of one job, in nanoseconds. */
export interface Cost {
  readonly wallNs: number;
  readonly cpuNs: number;
}

/** What one of many objects takes, in bytes. */
export interface Memory {
  /** The engine's heap, with what its objects keep outside of it. */
  readonly heapBytes: number;
  /** The resident set: with it what the allocators have not given back. */
  readonly residentBytes: number;
  /** How long it took to make one, in nanoseconds. */
  readonly startNs: number;
}

/** Settles with what the work took from its call until its promise settled. */
export async function measureCost(work: () => PromiseLike<unknown>): Promise<Cost> {
  const clock = startClock();
  await work();
  return clock();
}

/** Returns the function that tells what was spent since. */
export function startClock(): () => Cost {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  return () => {
    const wallMs = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpu);
    return { wallNs: wallMs * NS_PER_MS, cpuNs: (user + system) * NS_PER_US };
  };
}

/** What each of `count` objects takes that exist once `build` has returned or its promise has settled. */
export async function measureMemory(count: number, build: () => unknown): Promise<Memory> {
  const before = takeStock();
  const startMs = performance.now();
  await build();
  const startNs = ((performance.now() - startMs) * NS_PER_MS) / count;
  const after = takeStock();
  return {
    startNs,
    heapBytes: (after.heapBytes - before.heapBytes) / count,
    residentBytes: (after.residentBytes - before.residentBytes) / count,
  };
}

function takeStock(): Omit<Memory, "startNs"> {
  Bun.gc(true);
  return { heapBytes: heapStats().heapSize, residentBytes: process.memoryUsage.rss() };
}

const NS_PER_MS = 1_000_000;
const NS_PER_US = 1000;
