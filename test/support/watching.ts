/** What watchers report, and what is hard to bring about. */

import { cancel, type Operation, spawn, type Watcher, type WatchEvent, yieldNow } from "../../src/index.ts";
import { cLibrary } from "./c-library.ts";

/** All that a watcher has to report of what has happened by now: it asks until that would wait for something to happen. */
export function* eventsUpToNow(watcher: Watcher): Operation<WatchEvent[]> {
  const events: WatchEvent[] = [];
  for (;;) {
    const asking = yield* spawn(() => watcher.next());
    while (asking.state !== "completed") {
      if (asking.waitsFor === `reading from ${watcher.label}`) {
        yield* cancel(asking);
        return events;
      }
      yield* yieldNow();
    }
    const { done, value } = asking.value;
    if (done === true) return events;
    events.push(value);
  }
}

/** Gives two files each other's name in one step (rename(2)). */
export function exchange(first: string, second: string): void {
  const [old, other] = [first, second].map((path) => Buffer.from(`${path}\0`));
  if (libc.renameat2(CURRENT_FOLDER, old!, CURRENT_FOLDER, other!, RENAME_EXCHANGE) !== 0)
    throw new Error(`${first} and ${second} cannot be exchanged`);
}

const libc = cLibrary({
  renameat2: { args: ["i32", "ptr", "i32", "ptr", "u32"], returns: "i32" },
});
const CURRENT_FOLDER = -100;
const RENAME_EXCHANGE = 2;
