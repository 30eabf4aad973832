/** Random numbers that can be repeated: the seed is printed, and `SEED` in the environment sets it. */

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Prints its seed, so that a run that fails can be repeated. */
  static fromEnvironment(): Random {
    const given = process.env["SEED"];
    const seed = given === undefined ? (Math.random() * 2 ** 32) >>> 0 : Number(given) >>> 0;
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

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}
