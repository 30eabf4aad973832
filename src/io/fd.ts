/**
 * Waiting for any descriptor, without consuming its bytes: what Bun itself has no call for. The descriptor stays its
 * owner's.
 *
 * Each wait is registered for itself, one-shot and level-triggered: what other code has left unread makes the next wait
 * end at once, and nothing is remembered of a number that may be closed and used again.
 */

import { assertInteger } from "../core/errors.ts";
import { Interest, type Readiness } from "../core/interest.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { InterestRequest, ParkRequest } from "../core/request.ts";

/**
 * Suspends the task until the descriptor has something to read, is at its end, or has an error pending.
 * @returns what is ready, as `Readiness` flags
 * @throws RangeError if `descriptor` is none; BusyError if another task waits to read it; SystemError `EBADF` if it is
 *   closed, `EPERM` if it cannot be waited for (a regular file is always ready; see epoll_ctl(2))
 */
export function readable(descriptor: number): Operation<Readiness> {
  return waitFor("readable", descriptor, Interest.READABLE);
}

/**
 * Suspends the task until the descriptor has room to write, will take no more, or has an error pending.
 * @returns what is ready, as `Readiness` flags
 * @throws RangeError if `descriptor` is none; BusyError if another task waits to write to it; SystemError `EBADF` if it
 *   is closed, `EPERM` if it cannot be waited for (a regular file is always ready; see epoll_ctl(2))
 */
export function writable(descriptor: number): Operation<Readiness> {
  return waitFor("writable", descriptor, Interest.WRITABLE);
}

function waitFor(operationName: string, descriptor: number, interest: Interest): Operation<Readiness> {
  assertInteger(`${operationName}: descriptor`, descriptor, 0, HIGHEST_DESCRIPTOR);
  const request = new ParkRequest(
    (suspension) => new InterestRequest(suspension.scheduler.foreignSource(descriptor), interest).arm(suspension),
    `descriptor ${descriptor} to be ${operationName}`,
  );
  return new RequestOperation(operationName, request);
}

/** Descriptors are the non-negative numbers of a C int. */
const HIGHEST_DESCRIPTOR = 0x7fffffff;
