/**
 * Keeps the process alive while a task waits for something that Bun's event loop does not count: the loop would end,
 * and the program with it, in the middle of the task.
 */
export class KeepAlive {
  private timer: ReturnType<typeof setInterval> | null = null;

  start(): void {
    this.timer ??= setInterval(doNothing, LONGEST_INTERVAL_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }
}

function doNothing(): void {
  // That the timer is there is what counts.
}

/** What fits into a timer, some 25 days: an idle program is hardly ever woken. */
const LONGEST_INTERVAL_MS = 0x7fffffff;
