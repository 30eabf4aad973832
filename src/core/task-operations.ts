/** What a task does with other tasks: spawn, join, cancel. */

import { type Operation, RequestOperation, type TaskBody } from "./operation.ts";
import { AskRequest, SuspendRequest, type Suspension, type Undo } from "./request.ts";
import type { Joiner, Task, TaskOptions } from "./task.ts";

/**
 * Starts a task beside this one, which goes on at once: `spawn` is no suspend point. The new task runs when its turn
 * comes, and reaches its first suspend point even if it is cancelled before, so that what was handed to it is in its
 * care. In a run that is being cancelled it is cancelled as well. The run waits for it. If it fails while no task is
 * joining it, all tasks of the run are cancelled and the run fails with an `UnhandledTaskError`.
 * @returns the new task
 * @throws TypeError if `body` is neither a generator function nor an operation
 */
export function spawn<T>(body: TaskBody<T>, options: TaskOptions = NO_OPTIONS): Operation<Task<T>> {
  return new RequestOperation("spawn", new SpawnRequest(body, options));
}

/**
 * Suspends the task until another has ended.
 * @returns what the other returned
 * @throws what it threw; `CancelledError` if it was cancelled, which cancels nobody else
 */
export function join<T>(task: Task<T>): Operation<T> {
  return new RequestOperation("join", new JoinRequest(task.task));
}

/**
 * Cancels another task and suspends this one until its clean-up is done. A task that has ended already is left as it is.
 * `task.cancel(reason)` does the first half alone.
 * @throws what the other failed with meanwhile, mostly in its clean-up
 */
export function cancel(task: Task<unknown>, reason?: unknown): Operation<void> {
  return new RequestOperation("cancel", new CancelRequest(task, reason));
}

class SpawnRequest<T> extends AskRequest {
  constructor(
    private readonly body: TaskBody<T>,
    private readonly options: TaskOptions,
  ) {
    super();
  }

  protected answer({ scheduler, task }: Suspension): Task<T> {
    return scheduler.startChild(task, this.body, this.options);
  }
}

class JoinRequest extends SuspendRequest implements Joiner, Undo {
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

function refuseSelf(suspension: Suspension, task: Task<unknown>, verb: string): void {
  if (suspension.task !== task) return;
  throw new TypeError(
    `${task.name} cannot ${verb} itself: it would wait for its own end. task.cancel() ends it at its next suspend point`,
  );
}

const NO_OPTIONS: TaskOptions = {};
