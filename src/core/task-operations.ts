/** What a task does with other tasks: spawn, join, cancel. */

import type { Operation, TaskBody } from "./operation.ts";
import { ParkOperation } from "./park.ts";
import { AskRequest, ParkRequest, type Suspension } from "./request.ts";
import type { Task, TaskOptions } from "./task.ts";

/**
 * Starts a task beside this one, which goes on at once: `spawn` is no suspend point. The new task runs when its turn comes, and
 * reaches its first suspend point even if it is cancelled before, so that what was handed to it is in its care. In a run that is
 * being cancelled it is cancelled as well. The run waits for it. If it fails while no task is joining it, all tasks of the run are
 * cancelled and the run fails with an `UnhandledTaskError`.
 * @returns the new task
 * @throws TypeError if `body` is neither a generator function nor an operation
 */
export function spawn<T>(body: TaskBody<T>, options: TaskOptions = {}): Operation<Task<T>> {
  const request = new AskRequest(({ scheduler, task }) => scheduler.startChild(task, body, options));
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
    return task.addJoiner({ joined: (ended) => tellOutcome(ended, suspension) });
  }, `the end of ${task.name}`);
  return new ParkOperation("join", request);
}

/**
 * Cancels another task and suspends this one until its clean-up is done. A task that has ended already is left as it is.
 * `task.cancel(reason)` does the first half alone.
 * @throws what the other failed with meanwhile, mostly in its clean-up
 */
export function cancel(task: Task<unknown>, reason?: unknown): Operation<void> {
  const request = new ParkRequest((suspension) => {
    refuseSelf(suspension, task, "cancel");
    if (task.hasEnded) {
      suspension.resume(undefined);
      return null;
    }
    task.cancel(reason);
    return task.addJoiner({ joined: (ended) => tellEnd(ended, suspension) });
  }, `the end of ${task.name}`);
  return new ParkOperation("cancel", request);
}

function tellOutcome(ended: Task<unknown>, suspension: Suspension): void {
  if (ended.state === "cancelled") suspension.fail(ended.cancelledError());
  else if (ended.state === "failed") suspension.fail(ended.error);
  else suspension.resume(ended.value);
}

/** Whoever cancelled a task does not want what it returned. */
function tellEnd(ended: Task<unknown>, suspension: Suspension): void {
  if (ended.state === "failed") suspension.fail(ended.error);
  else suspension.resume(undefined);
}

function refuseSelf(suspension: Suspension, task: Task<unknown>, verb: string): void {
  if (suspension.task !== task) return;
  throw new TypeError(
    `${task.name} cannot ${verb} itself: it would wait for its own end. task.cancel() ends it at its next suspend point`,
  );
}
