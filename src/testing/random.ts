/** Random numbers that can be repeated: the same seed gives the same ones. */

import { freshSeed, seedFromEnvironment } from "./seed.ts";

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Prints its seed, so that a run that fails can be repeated; `SEED` in the environment sets it. */
  static fromEnvironment(): Random {
    const seed = seedFromEnvironment() ?? freshSeed();
    console.log(`seed ${seed}: repeat with SEED=${seed}`);
    return new Random(seed);
  }

  /** An integer from 0 to `limit` - 1: Marsaglia's 32-bit xorshift over a Weyl sequence, so that no seed is bad. */
  below(limit: number): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let bits = this.state;
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    bits = Math.imul(bits, 0x2c1b3c6d);
    return ((bits ^ (bits >>> 15)) >>> 0) % limit;
  }

  /** A number from 0 up to, but not including, 1: for what else takes `Math.random`. */
  fraction(): number {
    return this.below(FRACTIONS) / FRACTIONS;
  }

  /** One of the choices, each as likely as the others. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** As many as there are numbers of 32 bits. */
const FRACTIONS = 2 ** 32;
