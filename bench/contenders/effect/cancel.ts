// Interrupted fibers of Effect 4.

import { Effect, Fiber } from "effect";
import { FOREVER_MS, type Jobs } from "../jobs.ts";
import type { Cost } from "../measure.ts";
import { TreeLog } from "../tree-log.ts";
import { repeat } from "./loops.ts";

export const jobs: Jobs = {
  flat: (count) => {
    const log = new TreeLog(count);
    return interruptTree(log, branch(count, waiter(log, Effect.never)));
  },

  nested: (count) => {
    const log = new TreeLog(count);
    return interruptTree(log, tree(log));
  },

  sleeping: (count) => {
    const log = new TreeLog(count);
    return interruptTree(log, branch(count, waiter(log, Effect.sleep(FOREVER_MS))));
  },
};

async function interruptTree(log: TreeLog, root: Effect.Effect<void>): Promise<Cost> {
  const fiber = Effect.runFork(root);
  while (!log.haveAllBegun) await Bun.sleep(1);
  const clock = log.startCancel();
  await Effect.runPromise(Fiber.interrupt(fiber));
  return clock();
}

function tree(log: TreeLog): Effect.Effect<void> {
  const wait = waiter(log, Effect.never);
  return Effect.gen(function* () {
    for (const count of log.branchCounts()) yield* Effect.forkChild(branch(count, wait));
    return yield* Effect.never;
  });
}

/** A fiber's children are interrupted with it. */
function branch(count: number, wait: Effect.Effect<void>): Effect.Effect<void> {
  const start = Effect.forkChild(wait);
  return Effect.andThen(
    repeat(count, () => start),
    Effect.never,
  );
}

function waiter(log: TreeLog, wait: Effect.Effect<void>): Effect.Effect<void> {
  return Effect.ensuring(Effect.andThen(Effect.sync(log.begin), wait), Effect.sync(log.cleanUp));
}
