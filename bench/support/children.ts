// A bench that ends early, by an error, Ctrl-C or a signal, takes along the processes that it started.

import type { Subprocess } from "bun";
import { constants } from "node:os";

const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const children = new Map<Subprocess, NodeJS.Signals>();

/**
 * Ends the child when this process ends, if it still runs then.
 *
 * @param signal what ends it: SIGTERM for a child that has children of its own.
 */
export function endWithThisProcess(child: Subprocess, signal: NodeJS.Signals = "SIGKILL"): void {
  if (children.size === 0) watch();
  children.set(child, signal);
  void child.exited.then(() => {
    children.delete(child);
    if (children.size === 0) unwatch();
  });
}

function watch(): void {
  process.once("exit", endChildren);
  for (const signal of ENDING_SIGNALS) process.once(signal, exitBy);
}

function unwatch(): void {
  process.off("exit", endChildren);
  for (const signal of ENDING_SIGNALS) process.off(signal, exitBy);
}

function endChildren(): void {
  for (const [child, signal] of children) child.kill(signal);
}

/** Without a handler the signal would end this process before its "exit" event. */
function exitBy(signal: NodeJS.Signals): void {
  process.exit(128 + constants.signals[signal]);
}
