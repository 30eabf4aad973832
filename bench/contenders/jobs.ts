// What a contender can be asked to do. Each library has a file with the jobs that it can do, written as somebody would who
// knows it well.

/** Does something `count` times and settles with what it measured of itself. */
export type Job = (count: number) => Promise<object>;

export type Jobs = Readonly<Record<string, Job>>;

/** Longer than any bench takes, and no more than a timer of the host takes: 2^31 - 1 ms. */
export const FOREVER_MS = 2_147_483_647;
