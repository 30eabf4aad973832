/**
 * What a task can wait for, and what the event queue can answer: two small sets of flags with common numbers.
 * `zig/src/ring.zig` has the same numbers.
 */

/** What to wait for; combine with `|`. */
export const Interest = {
  /** There is something to read, or the peer will send no more, or an error is pending. */
  READABLE: 1,
  /** There is room to write, or the peer will take no more, or an error is pending. */
  WRITABLE: 2,
  /** There is out-of-band data (TCP), or a device changed its state. */
  PRIORITY: 4,
} as const;

/** A set of `Interest` flags. */
export type Interest = number;

/** What became ready, as flags that can be tested with `&`. The first three are those of `Interest`. */
export const Readiness = {
  READABLE: 1,
  WRITABLE: 2,
  PRIORITY: 4,
  /** The peer will send no more: a read gets what is left, then end-of-file. Final. */
  READ_CLOSED: 8,
  /** The peer will take no more: a write fails. Final. */
  WRITE_CLOSED: 16,
  /** An error is pending on the descriptor; the next read or write tells it. */
  FAILED: 32,
  /** Both halves are closed (POLLHUP of poll(2)): the other end of a connection, a pipe or a terminal is gone. */
  HUNG_UP: 64,
} as const;

/** A set of `Readiness` flags. */
export type Readiness = number;

/** The answers that end a wait for reading. An error or a hang-up ends every wait: whoever waits must look. */
export const ENDS_READ: Readiness = Readiness.READABLE | Readiness.READ_CLOSED | Readiness.FAILED;

/** The answers that end a wait for writing. */
export const ENDS_WRITE: Readiness = Readiness.WRITABLE | Readiness.WRITE_CLOSED | Readiness.FAILED;

/** The answers that end a wait for an interest: bytes do not end one for out-of-band data alone, nor the other way round. */
export function endsOf(interest: Interest): Readiness {
  let ends: Readiness = interest | Readiness.FAILED;
  if ((interest & (Interest.READABLE | Interest.PRIORITY)) !== 0) ends |= Readiness.READ_CLOSED;
  if ((interest & Interest.WRITABLE) !== 0) ends |= Readiness.WRITE_CLOSED;
  return ends;
}
