/** `onCancel`: what to do if an operation is cancelled, and only then. */

import { openBody, type Operation, RequestOperation, type TaskBody } from "../core/operation.ts";
import { AskRequest, type SuspendRequest, type Suspension } from "../core/request.ts";
import { ENDED, type Frame, throwInto } from "../core/unwinding.ts";
import { cleanUpAfter } from "./clean-up-after.ts";

/**
 * Runs an operation; if it is cancelled, runs the clean-up with the reason, and waits for it, once the operation's own
 * clean-up is done or has failed. A `finally` block runs always; this does not when the operation returns or throws.
 * @returns what the operation returned
 * @throws what the operation threw, and what the clean-up threw (both: a `SuppressedError`); TypeError if `body` is
 *   neither a generator function nor an operation
 */
export function* onCancel<T>(body: TaskBody<T>, cleanUp: (reason: unknown) => Operation<unknown> | void): Operation<T> {
  const watched = new Watched<T>(openBody(body, "onCancel") as Frame);
  const failures: unknown[] = [];
  try {
    return yield* watched;
  } catch (error) {
    failures.push(error);
    throw error;
  } finally {
    if (watched.isCancelled) yield* cleanUpAfter(failures, () => cleanUpWithReason(cleanUp));
  }
}

function* cleanUpWithReason(cleanUp: (reason: unknown) => Operation<unknown> | void): Operation<void> {
  const operation = cleanUp(yield* cancelReason());
  if (operation !== undefined) yield* operation;
}

/**
 * The body as it is, and whether it was told to end: who looks at its outcome alone takes a failed clean-up for a
 * failure.
 */
class Watched<T> implements Operation<T>, Iterator<SuspendRequest, T, unknown> {
  isCancelled = false;

  constructor(private readonly body: Frame) {}

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    return this;
  }

  next(answer: unknown): IteratorResult<SuspendRequest, T> {
    return this.body.next(answer) as IteratorResult<SuspendRequest, T>;
  }

  throw(error: unknown): IteratorResult<SuspendRequest, T> {
    return throwInto(this.body, error) as IteratorResult<SuspendRequest, T>;
  }

  return(): IteratorResult<SuspendRequest, T> {
    this.isCancelled = true;
    return (this.body.return?.() ?? ENDED) as IteratorResult<SuspendRequest, T>;
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
