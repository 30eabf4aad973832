/** The tasks that can be resumed, first come, first served: a list linked through the tasks, so that it never allocates. */

import type { Task } from "./task.ts";

/** What an executor takes the next task from; in a test also one that shuffles them. */
export interface TaskQueue {
  readonly isEmpty: boolean;
  push(task: Task<unknown>): void;
  /** The next task, taken out; null if there is none. */
  shift(): Task<unknown> | null;
}

export class ReadyQueue implements TaskQueue {
  private first: Task<unknown> | null = null;
  private last: Task<unknown> | null = null;

  get isEmpty(): boolean {
    return this.first === null;
  }

  push(task: Task<unknown>): void {
    if (this.last === null) this.first = task;
    else this.last.nextReady = task;
    this.last = task;
  }

  /** The first task, taken out; null if there is none. */
  shift(): Task<unknown> | null {
    const task = this.first;
    if (task === null) return null;
    this.first = task.nextReady;
    if (this.first === null) this.last = null;
    task.nextReady = null;
    return task;
  }
}
