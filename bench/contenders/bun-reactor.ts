// The jobs on this package.

import {
  join,
  type Operation,
  park,
  promise,
  type Resumption,
  run,
  sleep,
  sleepUntil,
  spawn,
  type Task,
  yieldNow,
} from "../../src/index.ts";
import { FOREVER_MS, type Jobs } from "./jobs.ts";
import { measureCost, measureMemory } from "./measure.ts";
import { SPREAD_MS, WakeUpLog } from "./wake-up-log.ts";

export const jobs: Jobs = {
  "one task": (count) => measureCost(() => run(() => yieldOften(count))),

  "two tasks": (count) =>
    measureCost(() =>
      run(function* () {
        yield* spawn(() => yieldOften(count / 2));
        yield* yieldOften(count / 2);
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
        for (let index = 0; index < count; index++) yield* join(yield* spawn(child));
      }),
    ),

  "sleeping tasks": async (count) => {
    const log = new WakeUpLog(count);
    const cost = await measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* spawn(sleeper(log, index));
      }),
    );
    return log.report(cost);
  },

  "timers armed again": async (count) => {
    const log = new WakeUpLog(count);
    await run(function* () {
      const tasks: Task<void>[] = [];
      for (let index = 0; index < count; index++) tasks.push(yield* spawn(sleepAgain(log, index)));
      yield* promise(log.allAwake);
      for (const task of tasks) task.cancel();
    });
    return log.report();
  },

  "memory, sleeping": async (count) => {
    // The first sleep starts the reactor thread, whose memory is no task's.
    await run(() => sleep(1));
    return await measureMemory(count, () => leaveWaiting(count, () => sleep(FOREVER_MS)));
  },

  "memory, parked": (count) => {
    const resumptions: Resumption<void>[] = [];
    return measureMemory(count, () =>
      leaveWaiting(count, () => park<void>((resumption) => void resumptions.push(resumption))),
    );
  },
};

function* yieldOften(count: number) {
  for (let index = 0; index < count; index++) yield* yieldNow();
}

function* levelOne(count: number) {
  yield* levelTwo(count);
}

function* levelTwo(count: number) {
  yield* yieldOften(count);
}

function* child() {
  return 1;
}

function* sleeper(log: WakeUpLog, index: number) {
  yield* sleepUntil(log.deadlineMs(index));
  log.woke(index);
}

function* sleepAgain(log: WakeUpLog, index: number) {
  yield* sleepUntil(log.deadlineMs(index));
  log.woke(index);
  yield* sleepUntil(log.deadlineMs(index) + SPREAD_MS);
}

/** Settles when `count` tasks wait. */
function leaveWaiting(count: number, wait: () => Operation<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  function* waiter() {
    yield* wait();
  }
  void run(function* () {
    for (let index = 0; index < count; index++) yield* spawn(waiter);
    yield* yieldNow();
    resolve();
  });
  return promise;
}
