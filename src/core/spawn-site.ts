/**
 * Where tasks are spawned: the file and line, for the task tree. Off unless somebody asks, because to look at the stack
 * costs more than to spawn.
 */

let isTracing = false;

/** From now on each task knows where it was spawned, or no more does. Costs a microsecond and some memory for each. */
export function traceSpawns(enabled: boolean): void {
  isTracing = enabled;
}

/** The place in the user's code from which the caller was called, such as `server.ts:12:9`; null if nobody asks. */
export function spawnSite(): string | null {
  return isTracing ? callersPlace(new Error().stack ?? "") : null;
}

/** The stack begins with this module and the function that asked. */
function callersPlace(stack: string): string | null {
  const lines = stack.split("\n").filter((line) => line.trimStart().startsWith("at "));
  return /\(?([^\s()]+:\d+:\d+)\)?$/.exec(lines[FRAMES_OF_OURS] ?? "")?.[1] ?? null;
}

/** `spawnSite`, and `spawn` or `run`. */
const FRAMES_OF_OURS = 2;
