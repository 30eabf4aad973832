// Timeouts around async functions.

import { GUARD_MS, type Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  ready: (count) => measureCost(() => repeat(count, () => withTimeout(ready))),

  "ready, AbortSignal": (count) => measureCost(() => repeat(count, () => readyUnless(AbortSignal.timeout(GUARD_MS)))),

  "suspends once": (count) => measureCost(() => repeat(count, () => withTimeout(suspendOnce))),

  "suspends once, AbortSignal": (count) =>
    measureCost(() => repeat(count, () => suspendOnceUnless(AbortSignal.timeout(GUARD_MS)))),
};

async function repeat(count: number, work: () => Promise<number>): Promise<void> {
  for (let index = 0; index < count; index++) await work();
}

async function withTimeout(work: () => Promise<number>): Promise<number> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`timed out after ${GUARD_MS} ms`)), GUARD_MS);
  try {
    return await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function ready(): Promise<number> {
  return 1;
}

async function suspendOnce(): Promise<number> {
  await Promise.resolve();
  return 1;
}

async function readyUnless(signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  return 1;
}

async function suspendOnceUnless(signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  await Promise.resolve();
  signal.throwIfAborted();
  return 1;
}
