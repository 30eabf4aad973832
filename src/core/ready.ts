/**
 * Waiting for a source that was registered by hand, with a registrator. The package's own streams wait for theirs
 * themselves.
 */

import { assertInteger } from "./errors.ts";
import { Interest, type Readiness } from "./interest.ts";
import { type Operation, RequestOperation } from "./operation.ts";
import { InterestRequest } from "./request.ts";
import type { Source } from "./source.ts";

/**
 * Suspends the task until the source is ready for the interest.
 *
 * What an edge source (`Delivery.EDGE`) has reported stays known, and `ready` ends at once, until
 * `source.clearReadable()` or `source.clearWritable()` takes it back: call it when a read or a write has said `EAGAIN`,
 * and not before (epoll(7)).
 * @returns what is ready, as `Readiness` flags
 * @throws RangeError if `interest` is none; BusyError if another task waits for the same direction, or if the source
 *   belongs to another reactor; ClosedError if the source is closed, before or meanwhile; SystemError `EBADF` if its
 *   descriptor is closed
 */
export function ready(source: Source, interest: Interest): Operation<Readiness> {
  assertInteger("ready: interest", interest, Interest.READABLE, EVERY_INTEREST);
  return new RequestOperation("ready", new InterestRequest(source, interest));
}

const EVERY_INTEREST: Interest = Interest.READABLE | Interest.WRITABLE | Interest.PRIORITY;
