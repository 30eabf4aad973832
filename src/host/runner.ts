/** What starts tasks from host code. Nothing in this folder knows an executor: whoever uses it brings one. */

import type { TaskBody } from "../core/operation.ts";

export interface RunnerOptions {
  /** What messages call the task. */
  readonly name?: string | undefined;
}

export interface CancellableOptions extends RunnerOptions {
  /** Cancels the task when it is aborted; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Starts a task: `run`, or in a test an executor's. */
export type Runner = <T>(body: TaskBody<T>, options: CancellableOptions) => Promise<T>;
