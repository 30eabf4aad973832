/**
 * A turn of the host's event loop.
 *
 * Facts, of Bun 1.4.5. `await expect(promise).rejects` and `.resolves` block the thread and run the event loop within
 * the call until the promise has settled. In there, `setImmediate` does not wake the loop: if a timer, a server or a
 * Worker keeps it alive, it sleeps until something else does, for up to a second, and so it does when a callback of
 * `setImmediate` has settled the promise. And the callbacks that were about to be called when the call began stay
 * where they are until it ends.
 *
 * Decision. A turn is a `setImmediate`, as the loop has its I/O and its timers between two of them. Before a turn,
 * and after one that is not followed by another, something is posted to the loop, which wakes it. A timer calls back
 * where the `setImmediate` is stuck.
 */

/** Calls back once the host's event loop has had a turn, with all the microtasks that belong to it. */
export function afterHostTurn(callback: () => void): void {
  let isOver = false;
  const once = (): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    const wakes = wakeCount;
    callback();
    if (wakeCount === wakes) wakeLoop();
  };
  setImmediate(once);
  const timer = setTimeout(once, STUCK_MS);
  wakeLoop();
}

/** Lets the host's event loop have one turn, with all the microtasks that belong to it. */
export function hostTurn(): Promise<void> {
  return new Promise(afterHostTurn);
}

/** The end of a wait that began at once is posted to the event loop, as if another thread had ended it. */
function wakeLoop(): void {
  wakeCount++;
  void Atomics.waitAsync(BELL, 0, 0);
  Atomics.notify(BELL, 0);
}

let wakeCount = 0;
const BELL = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Far longer than a turn takes, and short where one is stuck. */
const STUCK_MS = 10;
