/**
 * What the system tells a watcher, one event after the other, and the two halves of a move together.
 *
 * Facts. A move is two events with the same cookie. The second mostly follows the first at once; but others may come
 * between, a read may end between them, and of a move into or out of what is watched there is only one half
 * (inotify(7)).
 *
 * Decision. When the first half comes, the second is looked for a little way ahead, in what has been read, and in more
 * that is read for it. If all has been read, others get a turn, and one more look decides. Nothing is held back
 * meanwhile but what follows, in its order, so that what is told stays true: the memory of it is that of one read and
 * of the way ahead.
 */

import type { Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { Happened, type SystemWatchEvent } from "../core/watch-system.ts";

/** What whoever asks for events is to do before it asks again. */
export const Pause = {
  /** Let others run. */
  TURN: "turn",
  /** Wait until there is something to read. */
  DRAINED: "drained",
} as const;
export type Pause = (typeof Pause)[keyof typeof Pause];

export class WatchQueue {
  /** What has been read and not been taken, from `at` on. */
  private events: readonly SystemWatchEvent[] = [];
  private at = 0;

  constructor(
    private readonly system: System,
    private readonly source: Source,
  ) {}

  /** The next event; null if all has been told. */
  take(): SystemWatchEvent | null {
    if (this.at === this.events.length && !this.readMore()) return null;
    return this.events[this.at++]!;
  }

  /** Takes the other half of a move out of its place in the order; null if there is none. */
  *takeOtherHalf({ cookie }: SystemWatchEvent): Generator<Pause, SystemWatchEvent | null, void> {
    for (let hasWaited = false; ;) {
      const index = this.events.findIndex((event, place) => place >= this.at && isSecondHalf(event, cookie));
      if (index !== -1) return this.takeAt(index);
      if (this.events.length - this.at >= WAY_AHEAD_EVENTS) return null;
      if (this.readMore()) continue;
      if (hasWaited) return null;
      hasWaited = true;
      yield Pause.TURN;
    }
  }

  private takeAt(index: number): SystemWatchEvent {
    const event = this.events[index]!;
    if (index === this.at) this.at++;
    else this.events = this.events.toSpliced(index, 1);
    return event;
  }

  /** Returns false if there is nothing more. */
  private readMore(): boolean {
    const read = this.system.watching.read(this.source.descriptor);
    if (typeof read === "number") {
      if (this.system.meaningOf(read) !== "wouldBlock") throw this.system.errorOf(read, "read");
      this.source.clearReadable();
      return false;
    }
    this.events = this.at === this.events.length ? read : [...this.events.slice(this.at), ...read];
    this.at = 0;
    return true;
  }
}

function isSecondHalf(event: SystemWatchEvent, cookie: number): boolean {
  return event.cookie === cookie && (event.happened & Happened.MOVED_TO) !== 0;
}

/** More than what comes between the halves when all processors move files at once. */
const WAY_AHEAD_EVENTS = 64;
