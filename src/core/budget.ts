/**
 * The budget of the task that runs: how many operations it may complete without suspending before it must let others run.
 *
 * An operation that finds its answer at once does not suspend, so a task whose peer is fast enough would never let go
 * of the thread. Such an operation spends one unit, and once the budget is used up it yields first (tokio's cooperative
 * budget does the same). The executor refills it at each resume. One for each JavaScript thread: a thread runs one task
 * at a time.
 */

/** Enough to make the cost of yielding vanish, few enough for others to wait only microseconds. */
const OPERATIONS_PER_RESUME = 128;

let left = OPERATIONS_PER_RESUME;

/** Called by the executor whenever a task is resumed. */
export function refillBudget(): void {
  left = OPERATIONS_PER_RESUME;
}

/** Called by the executor whenever a task is resumed that is to end at its next operation. */
export function exhaustBudget(): void {
  left = 0;
}

/** Called by an operation that may complete at once. False means: yield now, then go on. */
export function spendBudget(): boolean {
  return --left >= 0;
}

/** Called by an operation that did the work of several, in addition. */
export function chargeBudget(operations: number): void {
  left -= operations;
}
