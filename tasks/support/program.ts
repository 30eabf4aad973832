/** How the programs run and end. */

import { run, type TaskBody } from "../../src/index.ts";

/**
 * Runs a program's main task. Ctrl-C (SIGINT) and SIGTERM cancel it and all tasks that it spawned, so that they close
 * what they hold, and the program ends with exit code 0; an expected error ends it with a line and exit code 1.
 */
export async function runProgram(main: TaskBody<void>): Promise<void> {
  const interruption = new AbortController();
  const { signal } = interruption;
  for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => interruption.abort());
  try {
    await run(main, { signal });
  } catch (error) {
    if (error === signal.reason) return;
    process.exitCode = 1;
    report(error);
  }
}

/**
 * Tells the user in one line of an error that has to be expected: it has a `code`. Any other is a defect, and is thrown
 * again.
 */
export function report(error: unknown): void {
  if (!(error instanceof Error && "code" in error)) throw error;
  console.error(error.message);
}
