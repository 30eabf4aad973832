/**
 * What the executor sees of a reactor. Any object that meets this interface will do: the package's `Reactor`, or one
 * without a kernel and without a thread, in a test.
 *
 * The executor alternates: it polls without waiting while tasks are ready, and parks when none is. While it is parked,
 * the driver watches the sources on its own, and calls the client when something became ready or the deadline has come.
 */

import type { Interest } from "./interest.ts";
import type { Source } from "./source.ts";
import type { System } from "./system.ts";

export interface Driver {
  /** The calls that the tasks of this driver's executor make to the world; absent if they can make none. */
  readonly system?: System | undefined;

  /**
   * By how much a deadline may be missed, in nanoseconds, while so many come that each waking fires several anyway;
   * absent if waking costs nothing. A deadline that comes alone is kept as exactly as the driver can.
   */
  readonly timerSlackNs?: number | undefined;

  /**
   * Whether an edge source must be armed for each wait, because what was reported once is reported again only then. Absent
   * if every change is reported by itself.
   */
  readonly armsForEachWait?: boolean | undefined;

  /** The time on the driver's clock, in nanoseconds; it never goes back. */
  now(): number;

  /** The processor time that the executor's thread has had, in nanoseconds; absent if the driver cannot tell. */
  threadCpuNs?(): number;

  /**
   * Names the one executor that this driver serves from now on.
   * @throws an Error if it serves another one
   */
  attach(client: DriverClient): void;

  /** Ends the service to the executor, which may then be attached to another driver. */
  detach(): void;

  /**
   * Watches the source for the interest, in addition to what it is watched for already.
   * @throws SystemError if the operating system refuses
   */
  arm(source: Source, interest: Interest): void;

  /** One that waited for the source does not any more: it need be watched only for what is still wanted. */
  disarm(source: Source): void;

  /** Lets go of the source, which is about to be closed. */
  release(source: Source): void;

  /**
   * Delivers what is ready to its sources, waiting at most `timeoutNs` nanoseconds for the first (0: not at all,
   * Infinity: as long as it takes). Returns how many it delivered; 0 also when the wait was cut short.
   */
  poll(timeoutNs: number): number;

  /**
   * The executor has nothing to do until a source is ready or `deadlineNs` has come on the driver's clock; the driver calls
   * `client.onReady()` then. Returns false if it came to that at once, so that the executor goes on instead.
   * `isWaiting` is false if no task waits for a source or a deadline: the driver then lets the process end.
   */
  park(deadlineNs: number, isWaiting: boolean): boolean;

  /**
   * Calls `client.onReady()` once soon: before the host's event loop goes on, or, `afterHost`, when it has had its
   * turn.
   */
  schedule(afterHost: boolean): void;

  /** Gives back all that the driver holds of the operating system. */
  close(): void;
}

/** What the driver sees of its executor. */
export interface DriverClient {
  /** Something is ready, a deadline has come, or the call was scheduled. */
  onReady(): void;
  /** The driver cannot go on; whoever waits for it must be told. */
  onFailure(error: Error): void;
}
