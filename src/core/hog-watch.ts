/**
 * Finds the task that keeps the thread to itself: one that computes for long between two suspend points, so that all
 * others, and the host, wait.
 *
 * To read the clock costs more than to resume a task, so it is read once for a window of resumes. After a hog in a window of
 * several the windows have one resume each for a while, so that the next time its name is certain. Of the tasks only
 * their numbers are kept: they may end, and are then to be collected.
 *
 * A thread that the operating system does not let run has no hog: where the driver can tell the thread's processor time,
 * a window counts only if that has passed, too. It is read a hundred times a second at most, because it takes a system
 * call.
 */

import { assertTime } from "./errors.ts";

export class HogWatch {
  private readonly ids = new Float64Array(WINDOW_RESUMES);
  private count = 0;
  private windowStartNs = 0;
  private exactResumesLeft = 0;
  private quietUntilNs = 0;
  /** When the processor time was read last, and what it was. */
  private sampledAtNs = -Infinity;
  private sampledCpuNs = 0;
  private readonly longestNs: number;

  constructor(
    /** The longest time that a window may take, in milliseconds; Infinity to watch nobody. */
    longestMs: number,
    private readonly readClock: () => number,
    /** The processor time of this thread; undefined if nobody can tell. */
    private readonly readCpuNs: (() => number) | undefined,
    private readonly report: (ids: readonly number[], tookNs: number) => void,
  ) {
    assertTime("hogMs", longestMs);
    this.longestNs = longestMs * NS_PER_MS;
  }

  /** A window begins: time before it counts for nobody. */
  begin(nowNs: number): void {
    this.count = 0;
    this.windowStartNs = nowNs;
    if (nowNs - this.sampledAtNs > SAMPLE_NS) this.sample(nowNs);
  }

  /** A task was resumed, and has suspended or ended. */
  resumed(id: number): void {
    this.ids[this.count++] = id;
    if (this.count === WINDOW_RESUMES || this.exactResumesLeft > 0) this.look(this.readClock());
  }

  /** The window ends, and another begins. */
  look(nowNs: number): void {
    const tookNs = nowNs - this.windowStartNs;
    if (this.exactResumesLeft > 0) this.exactResumesLeft--;
    if (tookNs > this.longestNs && this.count > 0 && this.hasRun) this.found(nowNs, tookNs);
    this.begin(nowNs);
  }

  /** Whether the thread has run for longer than a window may take since a little before this one began. */
  private get hasRun(): boolean {
    return this.readCpuNs === undefined || this.readCpuNs() - this.sampledCpuNs > this.longestNs;
  }

  private sample(nowNs: number): void {
    if (this.readCpuNs === undefined) return;
    this.sampledAtNs = nowNs;
    this.sampledCpuNs = this.readCpuNs();
  }

  private found(nowNs: number, tookNs: number): void {
    if (this.count > 1) this.exactResumesLeft = EXACT_RESUMES;
    if (nowNs < this.quietUntilNs) return;
    this.quietUntilNs = nowNs + QUIET_NS;
    this.report([...this.ids.subarray(0, this.count)], tookNs);
  }
}

/** What people notice as a stutter, and many times what a turn may take. */
export const DEFAULT_HOG_MS = 100;

/** Few enough to name them all, many enough to hide the cost of the clock. */
const WINDOW_RESUMES = 32;

/** How many resumes are timed one by one after a hog: some turns of a busy program. */
const EXACT_RESUMES = 10_000;

/** How old the processor time may be that a window begins with: a small part of what is too long. */
const SAMPLE_NS = 10_000_000;

/** A program that hogs all the time is told so once in a while. */
const QUIET_NS = 1_000_000_000;
const NS_PER_MS = 1_000_000;
