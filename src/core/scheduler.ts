/**
 * What a request sees of the executor that arms it. Operations never see the executor at all: they yield.
 */

import type { Driver } from "./driver.ts";
import type { TaskBody } from "./operation.ts";
import type { Source } from "./source.ts";
import type { Task, TaskOptions } from "./task.ts";
import type { Timers } from "./timers.ts";

export interface Scheduler {
  readonly driver: Driver;
  readonly timers: Timers;
  /** How many armed requests wait for a source. */
  interestCount: number;
  /** Whether the thread is blocked while its tasks wait (`blockOn`), so that nothing of the host can run. */
  readonly isBlocking: boolean;
  /** The source for a descriptor that others own, for as long as tasks wait for it. */
  foreignSource(descriptor: number): Source;
  /** Puts a task at the end of the ready queue. */
  enqueue(task: Task<unknown>): void;
  /** Starts a child of `parent`, which runs after those that are ready now. */
  startChild<T>(parent: Task<unknown>, body: TaskBody<T>, options: TaskOptions): Task<T>;
}
