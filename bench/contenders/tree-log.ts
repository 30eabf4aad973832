// The tasks of a tree that is to be cancelled: have all begun, and has each cleaned up? The same for all contenders.

import { type Cost, startClock } from "./measure.ts";

/** How many branches the nested trees have. */
export const BRANCHES = 100;

export class TreeLog {
  private begun = 0;
  private cleanedUp = 0;

  constructor(readonly count: number) {}

  /** How many tasks each of the branches has, so that all together are `count`. */
  branchCounts(): number[] {
    return Array.from(
      { length: BRANCHES },
      (_, index) => Math.floor(((index + 1) * this.count) / BRANCHES) - Math.floor((index * this.count) / BRANCHES),
    );
  }

  /** To be called by each task as it begins to wait. */
  readonly begin = (): void => {
    this.begun++;
  };

  /** To be called by each task in its `finally`. */
  readonly cleanUp = (): void => {
    this.cleanedUp++;
  };

  get haveAllBegun(): boolean {
    return this.begun === this.count;
  }

  /**
   * Returns the function that tells what the cancel took. The garbage of the start is not to be collected meanwhile.
   */
  startCancel(): () => Cost {
    Bun.gc(true);
    const clock = startClock();
    return () => {
      const cost = clock();
      if (this.cleanedUp === this.count) return cost;
      throw new Error(`only ${this.cleanedUp} of ${this.count} tasks have cleaned up`);
    };
  }
}
