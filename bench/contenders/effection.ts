// The jobs on Effection 4. It has no operation that only lets others run; the cheapest that suspends is an action that resolves at
// once: the task goes through the queue of its reducer like one that something else resumed. `until(Promise.resolve())` is shown
// beside it.

import { action, type Operation, run, sleep, spawn, suspend, until } from "effection";
import { FOREVER_MS, type Jobs } from "./jobs.ts";
import { measureCost, measureMemory } from "./measure.ts";
import { WakeUpLog } from "./wake-up-log.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => run(() => suspendOften(count))),

  "one task, until": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* until(Promise.resolve());
      }),
    ),

  "two tasks": (count) =>
    measureCost(() =>
      run(function* () {
        const other = yield* spawn(() => suspendOften(count / 2));
        yield* suspendOften(count / 2);
        yield* other;
      }),
    ),

  "under three levels": (count) => measureCost(() => run(() => levelOne(count))),

  "through three levels": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* levelOne(1);
      }),
    ),

  "spawn and join": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* yield* spawn(child);
      }),
    ),

  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* spawn(() => sleeper(log, index));
        yield* until(log.allAwake);
      }),
    );
    return log.report(cost);
  },

  "memory, sleeping": (count) => measureMemory(count, () => leaveWaiting(count, () => sleep(FOREVER_MS))),

  "memory, parked": (count) => {
    const resolvers: (() => void)[] = [];
    const parked = action<void>((resolve) => {
      resolvers.push(resolve as () => void);
      return ignore;
    });
    return measureMemory(count, () => leaveWaiting(count, () => parked));
  },
};

/** Actions are stateless, so one serves all. */
const RESOLVED = action<void>((resolve) => {
  resolve();
  return ignore;
});

function* suspendOften(count: number): Operation<void> {
  for (let index = 0; index < count; index++) yield* RESOLVED;
}

function* levelOne(count: number): Operation<void> {
  yield* levelTwo(count);
}

function* levelTwo(count: number): Operation<void> {
  yield* suspendOften(count);
}

function* child(): Operation<number> {
  return 1;
}

function* sleeper(log: WakeUpLog, index: number): Operation<void> {
  yield* sleep(log.delayMs(index));
  log.woke(index);
}

/** Settles when `count` tasks wait. */
function leaveWaiting(count: number, wait: () => Operation<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  function* waiter(): Operation<void> {
    yield* wait();
  }
  void run(function* () {
    for (let index = 0; index < count; index++) yield* spawn(waiter);
    yield* RESOLVED;
    resolve();
    yield* suspend();
  });
  return promise;
}

function ignore(): void {
  // There is nothing to take back.
}
