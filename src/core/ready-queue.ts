/** The tasks that can be resumed, first come, first served: a list linked through the tasks, so that it never allocates. */

import type { Task } from "./task.ts";

export class ReadyQueue {
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
