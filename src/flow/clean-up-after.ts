/** Clean-up whose error does not hide the one that came before it. */

import type { Operation } from "../core/operation.ts";

/**
 * Runs a clean-up after something that may have failed.
 * @throws what the clean-up threw; if there was a failure before, a `SuppressedError` of both
 */
export function* cleanUpAfter(failures: readonly unknown[], cleanUp: () => Operation<void>): Operation<void> {
  try {
    yield* cleanUp();
  } catch (error) {
    if (failures.length === 0) throw error;
    throw new SuppressedError(error, failures[0], "a clean-up failed after what it cleaned up for");
  }
}
