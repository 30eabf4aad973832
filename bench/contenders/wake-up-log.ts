// Who sleeps until when, and did they wake at the right time and in the right order? The same for all contenders.

import { type Cost, startClock } from "./measure.ts";

/** How the sleepers did. */
export interface WakeUps extends Cost {
  /** How many woke before their deadline. */
  readonly early: number;
  /** How many woke after one whose deadline is later. */
  readonly outOfOrder: number;
  /** How long after its deadline the middle one woke, in microseconds. */
  readonly lateP50Us: number;
  readonly lateP99Us: number;
}

export class WakeUpLog {
  /** Settles when all are awake. */
  readonly allAwake: Promise<void>;
  private wakingCost: Cost = { wallNs: 0, cpuNs: 0 };
  private readonly resolve: () => void;
  private readonly deadlinesMs: Float64Array;
  private readonly latenessMs: Float64Array;
  private awake = 0;
  private latestDeadlineMs = 0;
  private clock: () => Cost = startClock();
  private outOfOrder = 0;

  /** Deadlines on the clock of `performance.now()`, at random within a second, from a moment on that leaves time to arm them. */
  constructor(
    readonly count: number,
    seed = SEED,
  ) {
    ({ promise: this.allAwake, resolve: this.resolve } = Promise.withResolvers<void>());
    const random = randomNumbers(seed);
    const startMs = performance.now() + HEAD_START_MS;
    this.deadlinesMs = Float64Array.from({ length: count }, () => startMs + random() * SPREAD_MS);
    this.latenessMs = new Float64Array(count);
  }

  deadlineMs(index: number): number {
    return this.deadlinesMs[index]!;
  }

  /** For sleeps that take a delay. */
  delayMs(index: number): number {
    return this.deadlinesMs[index]! - performance.now();
  }

  /** To be called by each sleeper as it wakes. */
  readonly woke = (index: number): void => {
    if (this.awake === 0) this.clock = startClock();
    const deadlineMs = this.deadlinesMs[index]!;
    this.latenessMs[this.awake++] = performance.now() - deadlineMs;
    if (deadlineMs < this.latestDeadlineMs) this.outOfOrder++;
    else this.latestDeadlineMs = deadlineMs;
    if (this.awake < this.count) return;
    this.wakingCost = this.clock();
    this.resolve();
  };

  /** @param cost by default what was spent from the first waking to the last */
  report(cost = this.wakingCost): WakeUps {
    const sorted = this.latenessMs.toSorted();
    const lateUs = (fraction: number): number => sorted[Math.floor(fraction * (this.count - 1))]! * US_PER_MS;
    return {
      ...cost,
      early: sorted.findIndex((latenessMs) => latenessMs >= 0),
      outOfOrder: this.outOfOrder,
      lateP50Us: lateUs(0.5),
      lateP99Us: lateUs(0.99),
    };
  }
}

/** Numbers from 0 to 1 by a multiplicative congruential generator modulo 2^31 - 1 (Park and Miller's). */
function randomNumbers(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** The same for all contenders, so that all sleep until the same moments. */
const SEED = 20_261_122;

/** More than any contender needs to arm its sleepers. */
const HEAD_START_MS = 1000;
export const SPREAD_MS = 1000;
const US_PER_MS = 1000;
