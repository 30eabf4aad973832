/**
 * Where tasks are spawned: the file and line, for the task tree. Off unless somebody asks, because to look at the stack
 * costs more than to spawn.
 */

let isTracing = false;

/** From now on each task knows where it was spawned, or no more does. Costs a microsecond and some memory for each. */
export function traceSpawns(enabled: boolean): void {
  isTracing = enabled;
}

/** The place in the user's code that called the package, such as `/home/me/server.ts:12:9`; null if nobody asks. */
export function spawnSite(): string | null {
  return isTracing ? callersPlace(new Error().stack ?? "") : null;
}

/** The first frame that is not the package's own, nor the engine's. */
function callersPlace(stack: string): string | null {
  for (const line of stack.split("\n")) {
    const place = /\(?([^\s()]+:\d+:\d+)\)?$/.exec(line)?.[1];
    if (place !== undefined && !place.startsWith(PACKAGE) && !place.startsWith("native:")) return place;
  }
  return null;
}

/** The folder of the package's sources. */
const PACKAGE = import.meta.dir.slice(0, -"core".length);
