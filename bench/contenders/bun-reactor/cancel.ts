// Cancelled tasks of this package.

import { cancel, type Operation, park, run, scope, sleep, spawn, yieldNow } from "../../../src/index.ts";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import type { Cost } from "../measure.ts";
import { TreeLog } from "../tree-log.ts";

export const jobs: Jobs = {
  flat: (count) => {
    const log = new TreeLog(count);
    return cancelTree(log, () => branch(count, () => waiter(log, never)));
  },

  nested: (count) => {
    const log = new TreeLog(count);
    return cancelTree(log, () => tree(log));
  },

  sleeping: (count) => {
    const log = new TreeLog(count);
    return cancelTree(log, () => branch(count, () => waiter(log, sleepForever)));
  },
};

function cancelTree(log: TreeLog, root: () => Operation<void>): Promise<Cost> {
  return run(function* () {
    const task = yield* spawn(root);
    while (!log.haveAllBegun) yield* yieldNow();
    const clock = log.startCancel();
    yield* cancel(task);
    return clock();
  });
}

function tree(log: TreeLog): Operation<void> {
  return scope(function* (inside) {
    for (const count of log.branchCounts()) yield* inside.spawn(() => branch(count, () => waiter(log, never)));
  });
}

function branch(count: number, body: () => Operation<void>): Operation<void> {
  return scope(function* (inside) {
    for (let index = 0; index < count; index++) yield* inside.spawn(body);
  });
}

function* waiter(log: TreeLog, wait: () => Operation<void>) {
  try {
    log.begin();
    yield* wait();
  } finally {
    log.cleanUp();
  }
}

function never(): Operation<void> {
  return park<void>(ignore);
}

function sleepForever(): Operation<void> {
  return sleep(FOREVER_MS);
}

function ignore(): void {
  // Nobody will resume it.
}
