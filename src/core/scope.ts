/**
 * A scope owns tasks: it knows them, cancels them, and collects their errors. Every task has one; today each `run` and
 * `blockOn` makes one for its main task and all that is spawned in it.
 */

import { combineErrors, UnhandledTaskError } from "./errors.ts";
import type { Task } from "./task.ts";

export class Scope {
  /** The first task, whose failure is the scope's own. */
  private main: Task<unknown> | null = null;
  private youngest: Task<unknown> | null = null;
  private readonly errors: unknown[] = [];
  private isEnding = false;
  private reasonToEnd: unknown = undefined;

  constructor(
    /** Called each time the last task has ended. */
    private readonly onEmpty: () => void,
  ) {}

  get isEmpty(): boolean {
    return this.youngest === null;
  }

  /** Whether the tasks are being cancelled, those included that are still spawned. */
  get isClosing(): boolean {
    return this.isEnding;
  }

  /** What the tasks are cancelled for. */
  get reason(): unknown {
    return this.reasonToEnd;
  }

  get hasFailed(): boolean {
    return this.errors.length > 0;
  }

  /** All errors as one. */
  takeError(): unknown {
    const errors = this.errors.splice(0);
    this.isEnding = false;
    return combineErrors(errors, `${errors.length} tasks failed`);
  }

  add(task: Task<unknown>): void {
    task.older = this.youngest;
    if (this.youngest !== null) this.youngest.younger = task;
    this.youngest = task;
  }

  /** Makes the task the one that the scope is for. */
  setMain(task: Task<unknown>): void {
    this.main = task;
  }

  remove(task: Task<unknown>): void {
    if (task.older !== null) task.older.younger = task.younger;
    if (task.younger !== null) task.younger.older = task.older;
    else this.youngest = task.older;
    task.older = null;
    task.younger = null;
    if (this.isEmpty) this.onEmpty();
  }

  /** A task failed and nobody was joining it: the others are cancelled, and the error comes out of the scope. */
  taskFailed(task: Task<unknown>, error: unknown): void {
    this.fail(task === this.main ? error : new UnhandledTaskError(task.name, error));
  }

  /** Cancels all tasks; the error comes out of the scope. */
  fail(error: unknown): void {
    this.errors.push(error);
    this.cancel(error);
  }

  /** Cancels all tasks, the youngest first. */
  cancel(reason: unknown): void {
    this.isEnding = true;
    this.reasonToEnd = reason;
    for (let task = this.youngest; task !== null; task = task.older) task.cancel(reason);
  }

  /** The tasks, the youngest first. */
  *tasks(): Generator<Task<unknown>, void, unknown> {
    for (let task = this.youngest; task !== null; task = task.older) yield task;
  }
}
