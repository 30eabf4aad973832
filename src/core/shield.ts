/** Keeping cancels away. */

import type { BodyWith, Operation } from "./operation.ts";
import { Ending, Region } from "./region.ts";

/**
 * Runs the body without letting it be cancelled from outside: a cancel of the task, of a scope or of a time limit around
 * the shield takes effect at the task's next wait after it. Limits and scopes within the body work as ever (trio's
 * shielded cancel scope). What a task started that nobody may stop half-way, it should also limit: `shield(timeout(…))`.
 *
 * A `finally` block needs no shield: while a task cleans up it is shielded, within its grace period.
 * @returns what the body returned
 * @throws what the body threw
 */
export function shield<T>(body: BodyWith<void, T>): Operation<T> {
  return new Shield<T>("shield", body);
}

class Shield<T> extends Region<T> {
  override get isShield(): boolean {
    return true;
  }

  protected settle(ending: Ending, result: unknown): T {
    if (ending === Ending.FAILED) throw result;
    return result as T;
  }
}
