/** What a virtual world ends its runs with when it gives up on them. */

/**
 * A virtual world gave up on a run that does not come to its end: for a time of the host nothing happened that somebody
 * outside could have done, or the clock has jumped without end. The message says what each task waits for.
 */
export class StalledError extends Error {
  override readonly name = "StalledError";
}
