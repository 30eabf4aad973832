// What a contender can be asked to do. Each library has a folder, and in it a file for each bench with the jobs that
// it can do, written as somebody would who knows the library well.

/** Does something `count` times and settles with what it measured of itself. */
export type Job = (count: number) => Promise<object>;

export type Jobs = Readonly<Record<string, Job>>;

/** Longer than any bench takes, and no more than a timer of the host takes: 2^31 - 1 ms. */
export const FOREVER_MS = 2_147_483_647;

/** How long a timeout would let an operation go on that takes microseconds. */
export const GUARD_MS = 1000;
