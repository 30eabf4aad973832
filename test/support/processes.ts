/** Processes seen from outside, through /proc (proc(5)). */

import { readFileSync } from "node:fs";

/** The state of a process: `R`, `S`, `T` (stopped), `Z` (a zombie); null if there is none of that number. */
export function stateOf(processId: number): string | null {
  return statOf(processId)?.[0] ?? null;
}

/** Whether a process runs, or could: a zombie does not. */
export function isAlive(processId: number): boolean {
  const state = stateOf(processId);
  return state !== null && state !== "Z" && state !== "X";
}

/** The numbers of the group and the session that a process belongs to. */
export function belongingOf(processId: number): { readonly group: number; readonly session: number } {
  const [, , group, session] = statOf(processId)!;
  return { group: Number(group), session: Number(session) };
}

/** What is behind the name of the program, which may have spaces and brackets of its own. */
function statOf(processId: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${processId}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code!)) return null;
    throw error;
  }
}
