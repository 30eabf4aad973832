/** Being told of what tasks do: for metrics and tracing. Costs one comparison for each resume while nobody is told. */

import type { Task } from "./task.ts";

/**
 * Called by the executor at each step in the life of its tasks. The calls are synchronous and on the hot path; what they
 * throw ends the program, as it would be nobody's else.
 */
export interface InstrumentHooks {
  created?(task: Task<unknown>): void;
  resumed?(task: Task<unknown>): void;
  /** The task waits; `task.waitsFor` says for what, and is empty if it waits for its turn. */
  suspended?(task: Task<unknown>): void;
  /** `task.state` says how. */
  ended?(task: Task<unknown>): void;
}

/** All hooks that are registered with one executor. */
export class Instrument {
  private readonly all = new Set<InstrumentHooks>();

  add(hooks: InstrumentHooks): void {
    this.all.add(hooks);
  }

  /** Returns whether nobody is left. */
  remove(hooks: InstrumentHooks): boolean {
    this.all.delete(hooks);
    return this.all.size === 0;
  }

  created(task: Task<unknown>): void {
    for (const hooks of this.all) hooks.created?.(task);
  }

  resumed(task: Task<unknown>): void {
    for (const hooks of this.all) hooks.resumed?.(task);
  }

  suspended(task: Task<unknown>): void {
    for (const hooks of this.all) hooks.suspended?.(task);
  }

  ended(task: Task<unknown>): void {
    for (const hooks of this.all) hooks.ended?.(task);
  }
}
