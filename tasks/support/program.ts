/** How the programs run and end. */

import { main, type MainOptions, type Operation, scope } from "../../src/index.ts";

/**
 * Runs a program's main task with `main`: Ctrl-C (SIGINT) and SIGTERM cancel it and all tasks that it spawned, so that
 * they close what they hold. An expected error does so too, and ends it with a line and exit code 1.
 */
export async function runProgram(task: () => Operation<void>, options?: MainOptions): Promise<void> {
  await main(function* program() {
    try {
      // A scope of its own: what was spawned there has ended before the error comes out.
      yield* scope(task);
    } catch (error) {
      report(error);
      process.exitCode = 1;
    }
  }, options);
}

/**
 * Tells the user in one line of an error that has to be expected: it has a `code`. Any other is a defect, and is thrown
 * again.
 */
export function report(error: unknown): void {
  if (!(error instanceof Error && "code" in error)) throw error;
  console.error(error.message);
}
