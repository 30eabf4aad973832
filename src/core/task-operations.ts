/** What a task does with other tasks: spawn, join, cancel. */

import type { Operation, TaskBody } from "./operation.ts";
import { ParkOperation } from "./park.ts";
import { ParkRequest, type Suspension } from "./request.ts";
import type { Task, TaskOptions } from "./task.ts";

/**
 * Starts a task beside this one, which goes on at once; the new task runs when its turn comes. The run waits for it. If it
 * fails while no task is joining it, all tasks of the run are cancelled and the run fails with an `UnhandledTaskError`.
 * @returns the new task
 * @throws TypeError if `body` is neither a generator function nor an operation; `ClosedError` if the run is being cancelled
 */
export function spawn<T>(body: TaskBody<T>, options: TaskOptions = {}): Operation<Task<T>> {
  const request = new ParkRequest((suspension) => {
    suspension.resume(suspension.scheduler.startChild(suspension.task, body, options));
    return null;
  }, "a new task");
  return new ParkOperation("spawn", request);
}

/**
 * Suspends the task until another has ended.
 * @returns what the other returned
 * @throws what it threw; `CancelledError` if it was cancelled, which cancels nobody else
 */
export function join<T>(task: Task<T>): Operation<T> {
  const request = new ParkRequest((suspension) => {
    refuseSelf(suspension, task, "join");
    return task.addJoiner(suspension);
  }, `the end of ${task.name}`);
  return new ParkOperation("join", request);
}

/**
 * Cancels another task and suspends this one until its clean-up is done. A task that has ended already is left as it is.
 * `task.cancel(reason)` does the first half alone.
 * @throws what the other's clean-up threw
 */
export function* cancel(task: Task<unknown>, reason?: unknown): Operation<void> {
  const request = new ParkRequest((suspension) => {
    refuseSelf(suspension, task, "cancel");
    const wasOver = task.hasEnded;
    task.cancel(reason);
    if (!wasOver) return task.addJoiner(suspension);
    suspension.resume(undefined);
    return null;
  }, `the end of ${task.name}`);
  try {
    yield* new ParkOperation<unknown>("cancel", request);
  } catch (error) {
    if (task.state !== "cancelled") throw error;
  }
}

function refuseSelf(suspension: Suspension, task: Task<unknown>, verb: string): void {
  if (suspension.task !== task) return;
  throw new TypeError(
    `${task.name} cannot ${verb} itself: it would wait for its own end. task.cancel() ends it at its next suspend point`,
  );
}
