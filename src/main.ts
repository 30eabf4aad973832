/** `main`: the entry point of a program. It ends as shells and service managers expect, and cleans up before. */

import { assertTime, UnsupportedError } from "./core/errors.ts";
import type { TaskBody } from "./core/operation.ts";
import { Program } from "./host/program.ts";
import { assertSignal } from "./host/signal.ts";
import { dumpTasks, run, type RunOptions, taskTree } from "./run.ts";

export { SignalError } from "./host/program.ts";

export interface MainOptions extends Omit<RunOptions, "signal"> {
  /** The signals that cancel the program; by default SIGINT (Ctrl-C) and SIGTERM. */
  readonly signals?: readonly NodeJS.Signals[] | undefined;
  /**
   * How long after the first signal the same one does not count as the second, in milliseconds; by default 200. `bun run`
   * sends the program once more what the terminal has sent to both.
   */
  readonly echoMs?: number | undefined;
}

/**
 * Runs a program's main task beside Bun's event loop, and sets the exit code:
 *
 * - 0 if the task has returned, unless the program has set `process.exitCode` itself;
 * - 1 if it has thrown: the error is printed with its stack;
 * - 128 + n if the signal with the number n has ended it: 130 for SIGINT, 143 for SIGTERM.
 *
 * The first SIGINT or SIGTERM cancels the task and all others of its run, with a `SignalError` as the reason; their
 * `finally` blocks run and are waited for. The second one ends the process at once. SIGUSR1, where
 * there is one, prints the live tasks to stderr. When the run is over nobody listens for signals any more, and the process ends by itself as soon as nothing
 * else keeps it.
 *
 * If nothing at all could wake a task any more, the tasks are cancelled with a `DeadlockError`; but if the module waits
 * with `await main(…)`, Bun does not notice, and waits as well.
 *
 * Tasks that were started beside this run, as by `handler`, are not cancelled with it: stop what starts them in a
 * `finally` block.
 * @throws nothing that the task throws; TypeError for a signal that is none, or that no program can listen for;
 *   RangeError for a time that is none; BusyError if another main task runs; UnsupportedError in a Worker
 */
export async function main(body: TaskBody<unknown>, options: MainOptions = {}): Promise<void> {
  if (!Bun.isMainThread)
    throw new UnsupportedError("main: a Worker gets no signals, and ends no process: use run there, or clusterWorker");
  const { signals = CANCELLING_SIGNALS, echoMs = ECHO_MS, ...runOptions } = options;
  assertTime("main: echoMs", echoMs);
  for (const name of signals) assertSignal("main: signals", name);
  using program = new Program(signals, echoMs, { taskTree, dumpTasks });
  try {
    await run(body, { ...runOptions, signal: program.signal });
  } catch (error) {
    program.failed(error);
  }
}

const CANCELLING_SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/** Long for one process to pass a signal on to another, short for whoever presses Ctrl-C twice. */
const ECHO_MS = 200;
