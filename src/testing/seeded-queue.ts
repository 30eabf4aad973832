/**
 * A ready queue in an order that a seed decides: the same seed, the same order.
 *
 * Facts. The order in which tasks that are ready run is nobody's promise but for two things: a task that yields its
 * turn (`yieldNow`, a budget that is used up) runs after all that were ready at that moment, and nobody waits for
 * ever. What runs in one order in production may run in another one tomorrow, after a change of something else.
 *
 * Decision. A task that becomes ready is put at a random place of the queue, so that it may overtake, or be overtaken
 * by, any other; a task that yields goes to the end. The first of the queue is resumed, as always. Deadlines, and who
 * gets a lock, an item or a permit, are decided before a task is ready, and stay as they are.
 */

import type { TaskQueue } from "../core/ready-queue.ts";
import type { Task } from "../core/task.ts";
import type { Random } from "./random.ts";

export class SeededQueue implements TaskQueue {
  /** Those before `head` have been taken. */
  private readonly tasks: (Task<unknown> | null)[] = [];
  private head = 0;
  /** The task that was taken last, which runs now; null once the queue was found empty, when none does. */
  private running: Task<unknown> | null = null;

  constructor(private readonly random: Random) {}

  get isEmpty(): boolean {
    return this.head === this.tasks.length;
  }

  push(task: Task<unknown>): void {
    if (task === this.running) this.tasks.push(task);
    else this.tasks.splice(this.randomPlace(), 0, task);
  }

  shift(): Task<unknown> | null {
    this.running = this.isEmpty ? null : this.tasks[this.head]!;
    if (this.running !== null) this.tasks[this.head++] = null;
    if (this.isEmpty) this.forgetTaken();
    else if (this.head >= MOST_TAKEN && this.head * 2 >= this.tasks.length) this.forgetTaken();
    return this.running;
  }

  private randomPlace(): number {
    const waiting = this.tasks.length - this.head;
    return this.tasks.length - this.random.below(Math.min(waiting, LONGEST_LEAP) + 1);
  }

  private forgetTaken(): void {
    this.tasks.splice(0, this.head);
    this.head = 0;
  }
}

/** How many others a task can overtake: enough for any test, and a bound to what putting it there costs. */
const LONGEST_LEAP = 1_024;

/** So many places of taken tasks are kept before they are given back. */
const MOST_TAKEN = 1_024;
