/** What a virtual world ends its runs with when it gives up on them. */

/**
 * A virtual world gave up on a run that does not come to its end: somebody outside could have resumed a task and did
 * not for a long time, or the clock has jumped again and again without end. The message lists every task with what it
 * waits for.
 */
export class StalledError extends Error {
  override readonly name = "StalledError";
}
