/** Races, limits, scopes and the like within each other at random: whatever happens, all that began cleans up, once. */

import { expect, test } from "bun:test";
import { InternalError } from "../../src/core/errors.ts";
import type { Operation } from "../../src/core/operation.ts";
import { scope } from "../../src/core/scope-region.ts";
import { shield } from "../../src/core/shield.ts";
import { sleep } from "../../src/core/sleep.ts";
import { spawn } from "../../src/core/task-operations.ts";
import { moveOnAfter, timeout } from "../../src/core/time-limit.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { all, allSettled } from "../../src/flow/all.ts";
import { any } from "../../src/flow/any.ts";
import { map } from "../../src/flow/map.ts";
import { onCancel } from "../../src/flow/on-cancel.ts";
import { race } from "../../src/flow/race.ts";
import { retry } from "../../src/flow/retry.ts";
import { select } from "../../src/flow/select.ts";
import { disposeOperation, use } from "../../src/flow/use.ts";
import { Channel } from "../../src/sync/channel.ts";
import { Semaphore } from "../../src/sync/semaphore.ts";
import type { Random } from "../../src/testing/random.ts";
import { underSeeds } from "../../src/testing/under-seeds.ts";
import type { VirtualWorld } from "../../src/testing/virtual-world.ts";
import { effort } from "../support/effort.ts";
import { patient } from "../support/patience.ts";

/** What the operations share, and what they have come to. */
class Plot {
  readonly permits = new Semaphore(2);
  readonly channel = new Channel<number>(1);
  /** How many leaves have begun and have not cleaned up. */
  open = 0;
  failures = 0;

  constructor(readonly random: Random) {}

  chance(oneIn: number): boolean {
    return this.random.below(oneIn) === 0;
  }

  durationMs(): number {
    return this.random.below(6);
  }
}

class PlannedError extends Error {}

/** A leaf: waits in one way or another, may fail, and cleans up, for which it may need time. */
function* leaf(plot: Plot): Operation<number> {
  plot.open++;
  let cleanUps = 0;
  try {
    yield* wait(plot);
    if (plot.chance(6)) throw new PlannedError("planned");
    return plot.random.below(100);
  } finally {
    try {
      // A cancel that comes while this runs because the body has returned ends it, as it ends any code.
      if (plot.chance(3)) yield* sleep(plot.durationMs());
      if (plot.chance(8)) yield* race([sleep(plot.durationMs()), () => sleep(plot.durationMs())]);
    } finally {
      if (++cleanUps > 1) plot.failures++;
      plot.open--;
    }
    failAtTimes(plot);
  }
}

function failAtTimes(plot: Plot): void {
  if (plot.chance(20)) throw new PlannedError("planned for the clean-up");
}

function* wait(plot: Plot): Operation<void> {
  switch (plot.random.below(6)) {
    case 0:
      return yield* yieldNow();
    case 1:
      return yield* plot.permits.with(() => sleep(plot.durationMs()));
    case 2:
      return void (yield* moveOnAfter(plot.durationMs(), plot.channel.receive()));
    case 3:
      return void (yield* moveOnAfter(plot.durationMs(), plot.channel.send(1)));
    case 4:
      return;
    default:
      return yield* sleep(plot.durationMs());
  }
}

/** An operation made of others, `depth` deep. What goes wrong as planned is caught at some levels. */
function* mixture(plot: Plot, depth: number): Operation<unknown> {
  if (depth === 0) return yield* leaf(plot);
  if (!plot.chance(3)) return yield* composed(plot, depth);
  try {
    return yield* composed(plot, depth);
  } catch (error) {
    if (error instanceof InternalError) throw error;
    return null;
  }
}

function composed(plot: Plot, depth: number): Operation<unknown> {
  const part = (): Operation<unknown> => mixture(plot, depth - 1);
  const parts = (): (() => Operation<unknown>)[] => Array.from({ length: 1 + plot.random.below(3) }, () => part);
  switch (plot.random.below(13)) {
    case 0:
      return race([...parts(), sleep(plot.durationMs()), plot.permits.acquire()].slice(plot.random.below(2), -1));
    case 1:
      return all(parts());
    case 2:
      return allSettled(parts());
    case 3:
      return any(parts());
    case 4:
      return timeout(plot.durationMs(), part);
    case 5:
      return moveOnAfter(plot.durationMs(), part);
    case 6:
      return shield(part);
    case 7:
      return inAScope(plot, part);
    case 8:
      return map([1, 2, 3], { concurrency: 2 }, part);
    case 9:
      return retry(part, { times: 2, backoff: 1 });
    case 10:
      return onCancel(part, () => sleep(plot.durationMs()));
    case 11:
      return use(resource(plot), part);
    default:
      return select({ part, limit: sleep(plot.durationMs()) });
  }
}

function* inAScope(plot: Plot, part: () => Operation<unknown>): Operation<unknown> {
  return yield* scope(function* (own) {
    const child = yield* spawn(part, { supervised: plot.chance(3), daemon: plot.chance(4) });
    yield* own.spawn(part);
    if (plot.chance(3)) yield* sleep(plot.durationMs());
    if (plot.chance(5)) child.cancel("enough");
    if (plot.chance(8)) own.cancel("enough of all");
    return yield* part();
  });
}

/** Something that is open until it is disposed of. */
function* resource(plot: Plot): Operation<{ [disposeOperation](): Operation<void> }> {
  if (plot.chance(2)) yield* sleep(plot.durationMs());
  plot.open++;
  return {
    *[disposeOperation]() {
      if (plot.chance(2)) yield* sleep(plot.durationMs());
      plot.open--;
    },
  };
}

function* withCancels(world: VirtualWorld, plot: Plot): Operation<void> {
  const tasks = [];
  for (let count = 0; count < 3; count++)
    tasks.push(yield* spawn(() => mixture(plot, 1 + plot.random.below(4)), { supervised: true }));
  while (tasks.some((task) => !task.hasEnded)) {
    yield* plot.chance(2) ? yieldNow() : sleep(plot.durationMs());
    if (plot.chance(4)) plot.random.pick(tasks).cancel("by chance");
    if (world.nowMs > LONGEST_MS) throw new Error("it does not come to an end");
  }
  const errors = tasks.filter(({ state }) => state === "failed").map(({ error }) => error);
  for (const error of errors) refuseUnplanned(error);
}

/** Errors that the test has not planned come out of it. */
function refuseUnplanned(error: unknown): void {
  if (error instanceof AggregateError) return error.errors.forEach(refuseUnplanned);
  if (error instanceof SuppressedError) return [error.error, error.suppressed].forEach(refuseUnplanned);
  if (error instanceof PlannedError) return;
  if (error instanceof Error && ["CancelledError", "TimeoutError"].includes(error.name)) return;
  throw error;
}

const LONGEST_MS = patient(10_000);

test("whatever is composed and cancelled, all that began cleans up, and nothing is left behind", async () => {
  await underSeeds(effort(1000), function* (world) {
    const plot = new Plot(world.random);
    try {
      yield* scope(() => withCancels(world, plot));
    } catch (error) {
      refuseUnplanned(error);
    }
    expect([plot.open, plot.failures]).toEqual([0, 0]);
    expect([plot.channel.waitingReceivers, plot.channel.waitingSenders, plot.permits.waiting]).toEqual([0, 0, 0]);
    expect([world.executor.timers.size, world.executor.tasks().flatMap(({ children }) => children)]).toEqual([0, []]);
  });
});
