/** What watchers report. */

import { cancel, type Operation, spawn, type Watcher, type WatchEvent, yieldNow } from "../../src/index.ts";

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
