/**
 * How long it pays to wait for the next event awake, before the thread is put to sleep.
 *
 * Facts. Putting the executor to sleep and waking it again takes longer than a peer on the same machine needs to
 * answer: with one connection, polling on for 50 µs gave three times the messages at two thirds of the CPU time a
 * message. Polling on in vain costs that time for nothing.
 *
 * Decision. Estimate the gap between the moment when nothing is left to do and the next event, by a moving average of
 * what was seen, bounded so that one long pause does not hide the burst after it. Poll on only while the estimate is
 * below the bound that the user set. A gap that ended in a wake-up looks longer than it was, by the cost of the
 * wake-up; so that much is taken off it.
 */

/** The bound unless the user sets another: about the cost of a sleep and a wake-up, which is the most that can be saved. */
export const DEFAULT_LINGER_US = 50;

/** Meanwhile nothing else of the host runs, so it must stay short even if nothing comes. */
export const LONGEST_LINGER_US = 1000;

/** Likewise, though asleep. */
export const LONGEST_DOZE_US = 10_000;

export class Linger {
  private boundNs = DEFAULT_LINGER_US * NS_PER_US;
  private expectedGapNs = LONGEST_GAP_NS;
  private idleSinceNs = 0;
  private wasAsleep = false;

  /** The longest time to poll on, in microseconds; 0 turns it off. */
  set boundUs(boundUs: number) {
    this.boundNs = boundUs * NS_PER_US;
  }

  /** How long to poll on this time, in nanoseconds. */
  get durationNs(): number {
    return this.expectedGapNs < this.boundNs ? this.boundNs : 0;
  }

  /** Whether events come so close together that the executor should poll by itself. */
  get isTrafficDense(): boolean {
    return this.expectedGapNs < DENSE_GAP_NS;
  }

  /** Nothing is left to do, or still nothing. */
  becameIdle(nowNs: number): void {
    if (this.idleSinceNs === 0) this.idleSinceNs = nowNs;
  }

  /** The thread goes to sleep. */
  fellAsleep(nowNs: number): void {
    this.becameIdle(nowNs);
    this.wasAsleep = true;
  }

  /** Whether there was nothing to do since the last event. */
  get isIdle(): boolean {
    return this.idleSinceNs !== 0;
  }

  /** An event ended the idleness. */
  sawEvent(nowNs: number): void {
    const seenNs = nowNs - this.idleSinceNs - (this.wasAsleep ? WAKE_UP_NS : 0);
    const gapNs = Math.min(Math.max(seenNs, 0), LONGEST_GAP_NS);
    this.expectedGapNs += (gapNs - this.expectedGapNs) * WEIGHT_OF_NEWEST;
    this.idleSinceNs = 0;
    this.wasAsleep = false;
  }
}

const NS_PER_US = 1000;

/** What a wake-up of the reactor thread and then of the executor takes, measured on virtual machines. */
const WAKE_UP_NS = 60_000;

/** Longer gaps count as this one: four short gaps after a pause, and the estimate is short again. */
const LONGEST_GAP_NS = 150_000;

/** Below it the executor would be woken again before it has slept. */
const DENSE_GAP_NS = 75_000;

/** Follows a change within a few events, and is not thrown off by a single one. */
const WEIGHT_OF_NEWEST = 0.25;
