/** Letting other tasks run. */

import type { Operation } from "./operation.ts";
import { SuspendRequest, type Suspension } from "./request.ts";

/** Suspends the task until those that are ready now have run. A loop that computes for long calls it now and then. */
export function yieldNow(): Operation<void> {
  return YIELD;
}

const RESUMED = Symbol("resumed");

class YieldRequest extends SuspendRequest {
  describe(): string {
    return "its turn";
  }

  arm(suspension: Suspension): null {
    suspension.resumeLater(RESUMED);
    return null;
  }
}

/** The request of `yieldNow`, for operations that have used up their task's budget. */
export const YIELD_REQUEST: SuspendRequest = new YieldRequest();

const SUSPENDED: IteratorResult<SuspendRequest, void> = { done: false, value: YIELD_REQUEST };
const ENDED: IteratorResult<SuspendRequest, void> = { done: true, value: undefined };

/**
 * Has no state of its own (the answer tells the second step from the first), so that one object serves all and nothing
 * is allocated.
 */
class YieldOperation implements Operation<void>, Iterator<SuspendRequest, void, unknown> {
  [Symbol.iterator](): this {
    return this;
  }

  next(answer: unknown): IteratorResult<SuspendRequest, void> {
    return answer === RESUMED ? ENDED : SUSPENDED;
  }

  throw(error: unknown): never {
    throw error;
  }
}

const YIELD = new YieldOperation();
