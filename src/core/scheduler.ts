/**
 * What a request sees of the executor that arms it. Operations never see the executor at all: they yield.
 */

import type { Driver } from "./driver.ts";
import type { TaskBody } from "./operation.ts";
import type { Instrument } from "./instrument.ts";
import type { Scope } from "./scope.ts";
import type { Source } from "./source.ts";
import type { SpawnOptions, Task } from "./task.ts";
import type { Timers } from "./timers.ts";

export interface Scheduler {
  readonly driver: Driver;
  readonly timers: Timers;
  /** The driver's clock when the executor last read it, in nanoseconds. */
  readonly nowNs: number;
  /** Who is told of what the tasks do, if anybody is. */
  readonly instrument: Instrument | null;
  /** How many armed requests wait for a source. */
  interestCount: number;
  /** How many armed requests wait for the host: for a promise or a callback. */
  hostWaitCount: number;
  /** Whether the thread is blocked while its tasks wait (`blockOn`), so that nothing of the host can run. */
  readonly isBlocking: boolean;
  /** The source for a descriptor that others own, for as long as tasks wait for it. */
  foreignSource(descriptor: number): Source;
  /** A deadline was moved, perhaps by code of the host while all tasks wait: the driver must hear of it. */
  timersChanged(): void;
  /** Puts a task at the end of the ready queue. */
  enqueue(task: Task<unknown>): void;
  /** Starts a child in a scope for `spawner`; it runs after those that are ready now. */
  startChild<T>(
    spawner: Task<unknown>,
    scope: Scope,
    body: TaskBody<T>,
    options: SpawnOptions,
    spawnedAt: string | null,
  ): Task<T>;
}
