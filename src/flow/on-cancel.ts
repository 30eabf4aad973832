/** `onCancel`: what to do if an operation is cancelled, and only then. */

import { type Operation, RequestOperation, type TaskBody } from "../core/operation.ts";
import { AskRequest, type Suspension } from "../core/request.ts";
import { startBody } from "../sync/body.ts";

/**
 * Runs an operation; if it is cancelled, runs the clean-up with the reason, and waits for it. A `finally` block runs
 * always; this does not when the operation returns or throws.
 * @returns what the operation returned
 * @throws what the operation threw, and what the clean-up threw; TypeError if `body` is neither a generator function nor
 *   an operation
 */
export function* onCancel<T>(body: TaskBody<T>, cleanUp: (reason: unknown) => Operation<unknown> | void): Operation<T> {
  let hasEnded = false;
  try {
    const value = yield* startBody(body, "onCancel");
    hasEnded = true;
    return value;
  } catch (error) {
    hasEnded = true;
    throw error;
  } finally {
    if (!hasEnded) {
      const operation = cleanUp(yield* cancelReason());
      if (operation !== undefined) yield* operation;
    }
  }
}

/** What the part of the task that cleans up at this moment was cancelled for. */
function cancelReason(): Operation<unknown> {
  return new RequestOperation("onCancel", CANCEL_REASON);
}

class CancelReasonRequest extends AskRequest {
  protected answer({ task }: Suspension): unknown {
    return task.unwindingReason;
  }
}

const CANCEL_REASON = new CancelReasonRequest();
