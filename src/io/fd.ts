/**
 * Waiting for any descriptor, without consuming its bytes: what Bun itself has no call for. Sockets, pipes, terminals,
 * eventfd, timerfd, pidfd, inotify, signalfd, netlink, evdev, another epoll: whatever poll(2) takes; on Windows sockets
 * alone, by their handles (SOCKET). The descriptor stays its owner's.
 *
 * Facts. Foreign code may leave bytes unread, and may close its number, which the next open then gets; and closing takes a
 * descriptor out of epoll without a word to whoever waits for it (epoll(7)).
 *
 * Decision. Each wait is armed for itself, one-shot and level-triggered: what was left unread makes the next wait end at
 * once, and nothing is remembered of a number. `source` keeps the registration between the waits, which saves a system
 * call for each, and forgets the rest all the same. Whoever closes a number says so with `notifyClosing`.
 */

import { assertInteger, ClosedError, inOtherWords, SystemError } from "../core/errors.ts";
import { Interest, type Readiness } from "../core/interest.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { ready as readySource } from "../core/ready.ts";
import { AskRequest, InterestRequest, ParkRequest, type Suspension, type Undo } from "../core/request.ts";
import { type Named, Source } from "../core/source.ts";
import type { DescriptorKind } from "../core/file-system.ts";
import type { System } from "../core/system.ts";

/**
 * Suspends the task until the descriptor has something to read, is at its end, or has an error pending.
 * @returns what is ready, as `Readiness` flags
 * @throws RangeError if `descriptor` is none; BusyError if another task waits to read it; ClosedError if `notifyClosing`
 *   was called meanwhile; SystemError `EBADF` if it is closed, `EPERM` if it is always ready, as a regular file is
 *   (epoll_ctl(2)); UnsupportedError on Windows, if it is no socket
 */
export function readable(descriptor: number): Operation<Readiness> {
  return waitFor("readable", descriptor, Interest.READABLE);
}

/**
 * Suspends the task until the descriptor has room to write, will take no more, or has an error pending.
 * @returns what is ready, as `Readiness` flags
 * @throws what `readable` throws; BusyError if another task waits to write to it
 */
export function writable(descriptor: number): Operation<Readiness> {
  return waitFor("writable", descriptor, Interest.WRITABLE);
}

/**
 * Suspends the task until a descriptor is ready for one of several interests; a hang-up or an error ends every wait.
 *
 *     const what = yield* ready(fd, Interest.READABLE | Interest.WRITABLE);
 *     if (what & Readiness.READABLE) …
 *
 * Of a source that was registered by hand, edge-triggered, what was reported stays known, and `ready` ends at once, until
 * `source.clearReadable()` or `source.clearWritable()` takes it back: call it when a read or a write has said `EAGAIN`,
 * and not before (epoll(7)).
 * @returns what is ready, as `Readiness` flags
 * @throws RangeError if `interest` is none; what `readable` throws
 */
export function ready(target: number | Source, interest: Interest): Operation<Readiness> {
  if (target instanceof Source) return readySource(target, interest);
  assertInteger("ready: interest", interest, Interest.READABLE, EVERY_INTEREST);
  return waitFor("ready", target, interest);
}

/**
 * Keeps a descriptor registered between waits, for whoever waits for it again and again: each wait then costs one system
 * call instead of two. Waits by its number go on beside it. To be closed before the descriptor is.
 *
 *     using serial = yield* source(fd);
 *     for (;;) { yield* serial.readable(); … }
 *
 * @throws RangeError if `descriptor` is none
 */
export function source(descriptor: number): Operation<DescriptorSource> {
  assertDescriptor("source", descriptor);
  return new RequestOperation("source", new SourceRequest(descriptor));
}

/**
 * Tells that a descriptor is about to be closed by somebody who is not this package: tasks that wait for it get a
 * `ClosedError`, a `source` or an `fdStream` of it is closed, and nothing is left of it in the event queue. Does nothing if
 * there is none of these. (trio's `notify_closing` is the same.)
 *
 * Without this the tasks go on waiting, because a close takes a descriptor out of epoll silently (epoll(7)); if it was
 * duplicated before, it still becomes ready when the duplicate does. They get a `ClosedError` only when the number is waited
 * for again, or registered anew, and so is found to be closed, or to be another file. They are never woken by the file that
 * has the number next.
 * @throws RangeError if `descriptor` is none
 */
export function notifyClosing(descriptor: number): Operation<void> {
  assertDescriptor("notifyClosing", descriptor);
  return new RequestOperation("notifyClosing", new ClosingRequest(descriptor));
}

/** A descriptor that stays registered; see `source`. */
export class DescriptorSource implements Disposable, Named {
  private hasClosed = false;

  /** The latest waits through this object for each direction; whether they are over, they know themselves. */
  private reading: InterestRequest | null = null;
  private writing: InterestRequest | null = null;

  /** For `source`. */
  constructor(private readonly source: Source) {
    source.keepers++;
  }

  /** Words for messages, such as `the source of descriptor 7`. */
  get label(): string {
    return `the source of descriptor ${this.descriptor}`;
  }

  get descriptor(): number {
    return this.source.descriptor;
  }

  /** Whether it was closed, here or by `notifyClosing`. */
  get isClosed(): boolean {
    return this.hasClosed || this.source.isClosed;
  }

  /** See the function `readable`. @throws ClosedError after `close` */
  readable(): Operation<Readiness> {
    return this.ready(Interest.READABLE);
  }

  /** See the function `writable`. @throws ClosedError after `close` */
  writable(): Operation<Readiness> {
    return this.ready(Interest.WRITABLE);
  }

  /** See the function `ready`. @throws ClosedError after `close` */
  ready(interest: Interest): Operation<Readiness> {
    assertInteger("ready: interest", interest, Interest.READABLE, EVERY_INTEREST);
    const arm = (suspension: Suspension): Undo | null => {
      if (this.isClosed) throw new ClosedError(`${this.label} is closed`);
      const request = new InterestRequest(this.source, interest);
      const undo = armRequest(request, "ready", suspension);
      if (interest !== Interest.WRITABLE) this.reading = request;
      if ((interest & Interest.WRITABLE) !== 0) this.writing = request;
      return undo;
    };
    return new RequestOperation("ready", new ParkRequest(arm, this.source.describeWait(interest)));
  }

  /**
   * Gives the registration back. Tasks that wait through this object get a `ClosedError`; those that wait by the number go
   * on. Does nothing the second time.
   */
  close(): void {
    if (this.hasClosed) return;
    this.hasClosed = true;
    this.source.keepers--;
    this.end(this.reading);
    this.end(this.writing);
    if (!this.source.isClosed) this.source.driver?.disarm(this.source);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private end(request: InterestRequest | null): void {
    if (request === null || request.suspension === null) return;
    this.source.removeWaiter(request);
    request.fail(new ClosedError(`${this.label} was closed while a task waited for it`));
  }
}

/** For `fd.ts` and streams on descriptors of others: refuses what is no descriptor. */
export function assertDescriptor(caller: string, descriptor: unknown): asserts descriptor is number {
  assertInteger(`${caller}: descriptor`, descriptor, 0, HIGHEST_DESCRIPTOR);
}

function waitFor(caller: string, descriptor: number, interest: Interest): Operation<Readiness> {
  assertDescriptor(caller, descriptor);
  const arm = (suspension: Suspension): Undo | null =>
    armRequest(new InterestRequest(suspension.scheduler.foreignSource(descriptor), interest), caller, suspension);
  return new RequestOperation(caller, new ParkRequest(arm, `descriptor ${descriptor} to be ${caller}`));
}

function armRequest(request: InterestRequest, caller: string, suspension: Suspension): Undo | null {
  try {
    return request.arm(suspension);
  } catch (error) {
    throw explain(error, caller, request.source.descriptor, suspension.scheduler.driver.system);
  }
}

/** What the errors of epoll_ctl(2) mean, few people would guess. */
function explain(error: unknown, caller: string, descriptor: number, system: System | undefined): unknown {
  if (!(error instanceof SystemError)) return error;
  if (error.code === "EBADF") return closedDescriptor(caller, descriptor, error.errno);
  const description = descriptionOf(error.code, descriptor, system);
  return description === null ? error : inOtherWords(error, description, { syscall: caller });
}

function descriptionOf(code: string, descriptor: number, system: System | undefined): string | null {
  if (code === "EEXIST")
    return `descriptor ${descriptor} belongs to a stream of this package: wait with the stream's own readable(), or just read and write it`;
  if (code !== "EPERM" || system === undefined) return null;
  const kind = system.files.kindOf(descriptor);
  // What is of no kind that fstat(2) knows: a descriptor that has neither bytes nor events.
  if (typeof kind === "number" || kind === "other") return `descriptor ${descriptor} cannot be waited for`;
  return `descriptor ${descriptor} is a ${kind}, which is always ready, so there is nothing to wait for: ${adviceFor(kind)}`;
}

function adviceFor(kind: DescriptorKind): string {
  if (kind === "directory") return "wait for changes of it with watch()";
  const advice = "read or write it at once (fs.readSync, Bun.file, fdStream)";
  return kind === "regular file" ? `${advice}, or wait for changes of it with watch()` : advice;
}

/** For `fd.ts` and streams on descriptors of others: the error for a number that is not open. */
export function closedDescriptor(caller: string, descriptor: number, errno: number): SystemError {
  return new SystemError({
    code: "EBADF",
    errno,
    syscall: caller,
    description: `descriptor ${descriptor} is not open: it was closed, or never opened`,
  });
}

class SourceRequest extends AskRequest {
  constructor(private readonly descriptor: number) {
    super();
  }

  /** A task that is to end does so here: nobody would close the source. */
  override get isSuspendPoint(): boolean {
    return true;
  }

  protected answer({ scheduler }: Suspension): DescriptorSource {
    return new DescriptorSource(scheduler.foreignSource(this.descriptor));
  }
}

class ClosingRequest extends AskRequest {
  constructor(private readonly descriptor: number) {
    super();
  }

  protected answer({ scheduler }: Suspension): void {
    scheduler.foreignSource(this.descriptor).close();
  }
}

const EVERY_INTEREST: Interest = Interest.READABLE | Interest.WRITABLE | Interest.PRIORITY;

/** Descriptors are the non-negative numbers of a C int. */
const HIGHEST_DESCRIPTOR = 0x7fffffff;
