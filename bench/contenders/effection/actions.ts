// What the jobs on Effection 4 share. It has no operation that only lets others run; the cheapest that suspends is an
// action that resolves at once: the task goes through the queue of its reducer like one that something else resumed.

import { action } from "effection";

/** Actions are stateless, so one serves all. */
export const RESOLVED = action<void>((resolve) => {
  resolve();
  return ignore;
});

/** For actions with nothing to take back. */
export function ignore(): void {
  // There is nothing to take back.
}
