/** The entry points: `run` beside the host's event loop, `blockOn` instead of it. They put an executor on a reactor. */

import { assertTime } from "./core/errors.ts";
import { type BlockOptions, Executor, type RunOptions as ExecutorRunOptions } from "./core/executor.ts";
import type { InstrumentHooks } from "./core/instrument.ts";
import type { TaskBody } from "./core/operation.ts";
import { formatTree, type TaskSnapshot } from "./core/task-tree.ts";
import { DEFAULT_LINGER_US, LONGEST_DOZE_US, LONGEST_LINGER_US } from "./reactor/linger.ts";
import { Reactor } from "./reactor/reactor.ts";

export type { BlockOptions } from "./core/executor.ts";

export interface RunOptions extends ExecutorRunOptions {
  /**
   * How long to go on polling before the thread sleeps, at most, in microseconds, while that pays off; by default 50,
   * and 1,000 at the most. 0 turns it off. Runs of one thread share a reactor: the longest of theirs counts.
   */
  readonly lingerUs?: number | undefined;
  /**
   * How long this thread may sleep in the event queue itself before it leaves that to the reactor's thread, in
   * microseconds; by default 0, and 10,000 at the most. It spares the waking of two threads where several threads share few
   * cores, and everything else of Bun in this thread, such as its timers, may come that much later: for threads that have
   * nothing else, as the Workers of a cluster. The longest of a thread's runs counts.
   */
  readonly dozeUs?: number | undefined;
}

/**
 * Runs a task beside Bun's event loop, on the reactor of this thread. The promise settles when the task and all that
 * were spawned in it have ended: with the task's value; with the error of the task, or of one that nobody joined (an
 * `AggregateError` if there are several); with the signal's reason if it was aborted, or a `CancelledError` if the task
 * was cancelled otherwise.
 *
 * Rejects with a `TypeError` if `body` is neither a generator function nor an operation, with a `RangeError` for a
 * linger out of range, and with the reason if the native library cannot be loaded.
 */
export async function run<T>(body: TaskBody<T>, options: RunOptions = {}): Promise<T> {
  const { lingerUs = DEFAULT_LINGER_US, dozeUs = 0 } = options;
  assertTime("run: lingerUs", lingerUs, "microseconds", LONGEST_LINGER_US);
  assertTime("run: dozeUs", dozeUs, "microseconds", LONGEST_DOZE_US);
  const runtime = threadRuntime();
  runtime.add(lingerUs, dozeUs);
  try {
    return await runtime.executor.run(body, options);
  } finally {
    runtime.remove(lingerUs, dozeUs);
  }
}

/**
 * Runs a task on a reactor of its own and blocks the thread until it and all that were spawned in it have ended.
 * Nothing of the host runs meanwhile: no promise settles, no timer fires.
 * @throws what the task throws, or one that nobody joined (an `AggregateError` if there are several); `DeadlockError` if
 *   every task waits and nothing can come; a `TypeError` if `body` is neither a generator function nor an operation
 */
export function blockOn<T>(body: TaskBody<T>, options: BlockOptions = {}): T {
  using reactor = new Reactor();
  return new Executor(reactor).blockOn(body, options);
}

/**
 * The live tasks of this thread's runs, as a tree: what each waits for, since when, and, after `traceSpawns(true)`, where
 * it was spawned.
 */
export function taskTree(): TaskSnapshot[] {
  return host[RUNTIME]?.executor.tasks() ?? [];
}

/** The same as text, a line for each task. */
export function dumpTasks(): string {
  return formatTree(taskTree());
}

/**
 * Tells the hooks of what this thread's tasks do from now on: created, resumed, suspended, ended. Costs one comparison for
 * each resume while there are none.
 * @returns to be disposed of, which ends it
 */
export function instrument(hooks: InstrumentHooks): Disposable {
  const remove = threadRuntime().executor.addInstrument(hooks);
  return { [Symbol.dispose]: remove };
}

/**
 * Ends the reactor of this thread: its thread and its descriptors. Runs that are still going on end with a
 * `ClosedError`. The next `run` opens another. A program need not call it: a reactor on which nobody waits does not
 * keep the process alive.
 */
export function shutdown(): Promise<void> {
  const runtime = host[RUNTIME];
  if (runtime !== undefined) {
    delete host[RUNTIME];
    lastClosed = runtime.close();
  }
  return lastClosed;
}

/** Settles when the last reactor that `shutdown` ended is gone. */
let lastClosed: Promise<void> = Promise.resolve();

/** One executor on one reactor, for all runs of a thread. */
class Runtime {
  readonly reactor = new Reactor();
  readonly executor = new Executor(this.reactor);
  private readonly lingersUs = new Bounds();
  private readonly dozesUs = new Bounds();

  /** A run with these bounds begins. */
  add(lingerUs: number, dozeUs: number): void {
    this.lingersUs.add(lingerUs);
    this.dozesUs.add(dozeUs);
    this.useLongest();
  }

  /** It has ended. */
  remove(lingerUs: number, dozeUs: number): void {
    this.lingersUs.remove(lingerUs);
    this.dozesUs.remove(dozeUs);
    this.useLongest();
  }

  /** The code that made this runtime was loaded anew: its tasks clean up, and it goes. */
  retire(): void {
    this.executor.abandon();
    void this.close();
  }

  async close(): Promise<void> {
    this.reactor.close();
    await this.reactor.closed;
  }

  private useLongest(): void {
    this.reactor.lingerUs = this.lingersUs.longest;
    this.reactor.dozeUs = this.dozesUs.longest;
  }
}

/** The bounds that the runs of a thread have set, each with the number of runs that set it. */
class Bounds {
  private readonly runs = new Map<number, number>();

  /** 0 if there are none. */
  get longest(): number {
    return Math.max(0, ...this.runs.keys());
  }

  add(bound: number): void {
    this.runs.set(bound, (this.runs.get(bound) ?? 0) + 1);
  }

  remove(bound: number): void {
    const left = this.runs.get(bound)! - 1;
    if (left === 0) this.runs.delete(bound);
    else this.runs.set(bound, left);
  }
}

/**
 * The runtime is kept with the host, and not in this module: `bun --hot` loads the modules again in the same thread,
 * and the code before would leave its reactor thread behind.
 */
const RUNTIME = Symbol.for("bun-reactor.runtime");
const host = globalThis as { [RUNTIME]?: Runtime };

function threadRuntime(): Runtime {
  const current = host[RUNTIME];
  if (current instanceof Runtime && !current.reactor.hasEnded) return current;
  delete host[RUNTIME];
  current?.retire();
  const runtime = new Runtime();
  host[RUNTIME] = runtime;
  return runtime;
}
