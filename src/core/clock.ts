/** The time as the current task's executor has it. */

import { type Operation, RequestOperation } from "./operation.ts";
import { AskRequest, type Suspension } from "./request.ts";

/**
 * The time on the executor's clock, in milliseconds: that of `performance.now()` with `run` and `blockOn`, virtual time in
 * a test. `sleepUntil` and `deadline` count on the same clock.
 */
export function now(): Operation<number> {
  return new RequestOperation("now", NOW);
}

class NowRequest extends AskRequest {
  protected answer({ scheduler }: Suspension): number {
    return scheduler.driver.now() / NS_PER_MS;
  }
}

const NOW = new NowRequest();
const NS_PER_MS = 1_000_000;
