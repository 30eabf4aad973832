// Halted tasks of Effection 4.

import { type Operation, run, scoped, sleep, spawn, suspend } from "effection";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import type { Cost } from "../measure.ts";
import { TreeLog } from "../tree-log.ts";

export const jobs: Jobs = {
  flat: (count) => {
    const log = new TreeLog(count);
    return haltTree(log, () => branch(count, () => waiter(log, suspend)));
  },

  nested: (count) => {
    const log = new TreeLog(count);
    return haltTree(log, () => tree(log));
  },

  sleeping: (count) => {
    const log = new TreeLog(count);
    return haltTree(log, () => branch(count, () => waiter(log, sleepForever)));
  },
};

async function haltTree(log: TreeLog, root: () => Operation<void>): Promise<Cost> {
  const task = run(root);
  while (!log.haveAllBegun) await Bun.sleep(1);
  const clock = log.startCancel();
  await task.halt();
  return clock();
}

function tree(log: TreeLog): Operation<void> {
  return scoped(function* () {
    for (const count of log.branchCounts()) yield* spawn(() => branch(count, () => waiter(log, suspend)));
    yield* suspend();
  });
}

function branch(count: number, body: () => Operation<void>): Operation<void> {
  return scoped(function* () {
    for (let index = 0; index < count; index++) yield* spawn(body);
    yield* suspend();
  });
}

function* waiter(log: TreeLog, wait: () => Operation<void>): Operation<void> {
  try {
    log.begin();
    yield* wait();
  } finally {
    log.cleanUp();
  }
}

function sleepForever(): Operation<void> {
  return sleep(FOREVER_MS);
}
