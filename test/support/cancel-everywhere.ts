/**
 * Cancels a job at each of its suspend points in turn, and looks at what is left of it then: descriptors, registrations,
 * threads, listeners of the process, children.
 */

import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { CancelledError, type Operation, park, type Resumption, spawn, type Task, yieldNow } from "../../src/index.ts";
import { leftBehind, holdings } from "./descriptors.ts";
import { STRIDE } from "./effort.ts";
import { TestReactor } from "./reactors.ts";

export interface CancelEverywhereOptions {
  /** How many suspend points the job has at the least, so that a job that fails early is noticed. */
  readonly leastPoints: number;
  /**
   * Whether the job may end with this error when it is cancelled: a task that was about to be resumed may find its peer gone.
   * Being cancelled always counts as fair.
   */
  readonly isFair?: (error: unknown) => boolean;
}

/**
 * Runs the job once for each of its suspend points, those of the tasks that it spawns included, and cancels it there: at
 * once, from another task right after it has suspended, and from the host. Fails if anything is left of it, and if an
 * uncancelled job fails.
 */
export async function expectNothingLeftWhenCancelled(
  job: () => Operation<unknown>,
  options: CancelEverywhereOptions,
): Promise<void> {
  await using reactor = new TestReactor();
  // What stays from the first time on is no leak: the reactor's thread, which it may not have needed yet, and what a name
  // look-up keeps.
  await reactor.run(job);
  await reactor.open();
  for (const [index, moment] of [Moment.AT_ONCE, Moment.FROM_A_TASK, Moment.FROM_THE_HOST].entries()) {
    let point = 1 + (index % STRIDE);
    while (await cancelAt(reactor, job, point, moment, options)) point += STRIDE;
    expect(point).toBeGreaterThan(options.leastPoints);
  }
}

const Moment = { AT_ONCE: "at once", FROM_A_TASK: "from another task", FROM_THE_HOST: "from the host" } as const;
type Moment = (typeof Moment)[keyof typeof Moment];

/** Returns whether the job came that far. */
async function cancelAt(
  { executor, reactor }: TestReactor,
  job: () => Operation<unknown>,
  point: number,
  moment: Moment,
  { isFair = () => false }: CancelEverywhereOptions,
): Promise<boolean> {
  const before = held();
  const controller = new AbortController();
  let canceller: Resumption<void> | undefined;
  let cancelling: Task<void> | undefined;
  let points = 0;
  const remove = executor.addInstrument({
    suspended(task) {
      if (task === cancelling || canceller === undefined || ++points !== point) return;
      if (moment === Moment.AT_ONCE) controller.abort(CANCELLED);
      else if (moment === Moment.FROM_A_TASK) canceller.succeed();
      else setImmediate(() => controller.abort(CANCELLED));
    },
  });
  let failure: unknown = null;
  try {
    await executor.run(
      function* main() {
        cancelling = yield* spawn(function* cancelling() {
          yield* park<void>((resumption) => void (canceller = resumption));
          controller.abort(CANCELLED);
        });
        while (canceller === undefined) yield* yieldNow();
        yield* job();
        cancelling.cancel();
      },
      { signal: controller.signal },
    );
  } catch (error) {
    failure = error;
  } finally {
    remove();
  }
  const cameSoFar = points >= point;
  const errors: unknown[] = failure instanceof AggregateError ? failure.errors : [failure];
  const isExpected = (error: unknown): boolean => isCancel(error) || isFair(error);
  if (failure !== null && !(cameSoFar && errors.every(isExpected))) throw failure;
  const left = await leftBehind(before.holdings);
  expect({ point, moment, ...left, registrations: reactor.registrator().size, ...others() }).toEqual({
    point,
    moment,
    descriptors: [],
    workerThreads: 0,
    registrations: 0,
    ...before.others,
  });
  return cameSoFar;
}

function isCancel(error: unknown): boolean {
  return error === CANCELLED || error instanceof CancelledError;
}

function held(): { readonly holdings: ReturnType<typeof holdings>; readonly others: ReturnType<typeof others> } {
  return { holdings: holdings(), others: others() };
}

/** What the process has besides descriptors and threads: listeners for its own events, and children that still exist. */
function others(): { readonly listeners: number; readonly children: readonly string[] } {
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name as string), 0);
  return { listeners, children: childrenOf(process.pid) };
}

/**
 * The children of a process, zombies included (proc(5)); any of its threads may have started them. Where there is no /proc
 * nobody is seen.
 */
function childrenOf(processId: number): string[] {
  if (process.platform !== "linux") return [];
  const lists = readdirSync(`/proc/${processId}/task`).map((thread) => {
    try {
      return readFileSync(`/proc/${processId}/task/${thread}/children`, "utf8");
    } catch {
      // The thread has ended, and its children are another thread's.
      return "";
    }
  });
  return lists
    .join(" ")
    .split(" ")
    .filter((child) => child !== "")
    .sort();
}

const CANCELLED = new Error("cancelled by the test");
