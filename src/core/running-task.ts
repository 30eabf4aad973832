/**
 * The task that runs at this moment: for operations that complete without yielding, and so are not told by the executor
 * for whom. One for each JavaScript thread: a thread runs one task at a time.
 */

import type { Task } from "./task.ts";

let running: Task<unknown> | null = null;

/** Null in code of the host, outside of any task's step. */
export function runningTask(): Task<unknown> | null {
  return running;
}

/**
 * Called by the executor around each step of a task, which may itself run another executor (`blockOn`).
 * @returns what was running before, to be put back after the step
 */
export function setRunningTask(task: Task<unknown> | null): Task<unknown> | null {
  const before = running;
  running = task;
  return before;
}
