/** What a task does with other tasks: spawn, join, cancel. */

import { type Operation, RequestOperation, type TaskBody } from "./operation.ts";
import { AskRequest, SuspendRequest, type Suspension, type Undo } from "./request.ts";
import { SpawnRequest } from "./scope.ts";
import { spawnSite } from "./spawn-site.ts";
import type { Joiner, SpawnOptions, Task } from "./task.ts";

/**
 * Starts a child in the innermost `scope` that is open in this task, or as a child of the task itself; this one goes on
 * at once: `spawn` is no suspend point. The child runs when its turn comes, and reaches its first suspend point even if
 * it is cancelled before, so that what was handed to it is in its care. In a scope that is being cancelled it is
 * cancelled as well.
 *
 * The scope, or the task, does not end before the child has. If the child fails while no task is joining it, its siblings
 * and their scope's body are cancelled, and the error comes out of the scope.
 * @returns the child
 * @throws TypeError if `body` is neither a generator function nor an operation
 */
export function spawn<T>(body: TaskBody<T>, options?: SpawnOptions): Operation<Task<T>> {
  const request = new SpawnRequest(null, body, options, spawnSite());
  return new RequestOperation("spawn", request);
}

/** The task that asks: its name and id, its `cancel`. */
export function currentTask(): Operation<Task<unknown>> {
  return new RequestOperation("currentTask", CURRENT_TASK);
}

/**
 * Suspends the task until another has ended.
 * @returns what the other returned
 * @throws what it threw; `CancelledError` if it was cancelled, which cancels nobody else
 */
export function join<T>(task: Task<T>): Operation<T> {
  return new RequestOperation("join", new JoinRequest(task.task));
}

/** Suspends the task until another has ended, however it has; its error counts as taken care of. */
export function ended(task: Task<unknown>): Operation<void> {
  return new RequestOperation("ended", new EndRequest(task.task));
}

/**
 * Cancels another task and suspends this one until its clean-up is done. A task that has ended already is left as it is.
 * `task.cancel(reason)` does the first half alone.
 * @throws what the other failed with meanwhile, mostly in its clean-up
 */
export function cancel(task: Task<unknown>, reason?: unknown): Operation<void> {
  return new RequestOperation("cancel", new CancelRequest(task, reason));
}

class CurrentTaskRequest extends AskRequest {
  protected answer({ task }: Suspension): Task<unknown> {
    return task;
  }
}

const CURRENT_TASK = new CurrentTaskRequest();

export class JoinRequest extends SuspendRequest implements Joiner, Undo {
  nextJoiner: Joiner | null = null;
  previousJoiner: Joiner | null = null;
  protected suspension: Suspension | null = null;

  constructor(protected readonly awaited: Task<unknown>) {
    super();
  }

  describe(): string {
    return `the end of ${this.awaited.name}`;
  }

  arm(suspension: Suspension): Undo | null {
    refuseSelf(suspension, this.awaited, "join");
    return this.wait(suspension);
  }

  undo(): void {
    this.awaited.removeJoiner(this);
  }

  joined(ended: Task<unknown>): void {
    const suspension = this.suspension!;
    if (ended.state === "cancelled") suspension.fail(ended.cancelledError());
    else if (ended.state === "failed") suspension.fail(ended.error);
    else suspension.resume(ended.value);
  }

  protected wait(suspension: Suspension): Undo | null {
    this.suspension = suspension;
    return this.awaited.addJoiner(this) ? this : null;
  }
}

class EndRequest extends JoinRequest {
  override joined(): void {
    this.suspension!.resume(undefined);
  }
}

class CancelRequest extends JoinRequest {
  constructor(
    task: Task<unknown>,
    private readonly reason: unknown,
  ) {
    super(task);
  }

  override arm(suspension: Suspension): Undo | null {
    refuseSelf(suspension, this.awaited, "cancel");
    if (this.awaited.hasEnded) {
      suspension.resume(undefined);
      return null;
    }
    this.awaited.cancel(this.reason);
    return this.wait(suspension);
  }

  /** Whoever cancelled a task does not want what it returned. */
  override joined(ended: Task<unknown>): void {
    if (ended.state === "failed") this.suspension!.fail(ended.error);
    else this.suspension!.resume(undefined);
  }
}

/** A task that waits for itself, or for one whose child it is, would wait for ever. */
function refuseSelf(suspension: Suspension, task: Task<unknown>, verb: string): void {
  for (let waiting: Task<unknown> | null = suspension.task; waiting !== null; waiting = waiting.parent) {
    if (waiting === task) throw new TypeError(describeCircle(suspension.task, task, verb));
  }
}

function describeCircle(waiting: Task<unknown>, task: Task<unknown>, verb: string): string {
  const whom = waiting === task ? "itself" : `${task.name}, whose child it is`;
  return `${waiting.name} cannot ${verb} ${whom}: it would wait for its own end. task.cancel() does not wait`;
}
