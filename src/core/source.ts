/**
 * A source: a descriptor that tasks wait for, with its cached readiness and its waiters, at most one for each direction.
 *
 * Streams that the package owns are *edge* sources: registered once, and the kernel reports changes. What it reported
 * stays cached until an operation has found the opposite (`EAGAIN`, or a short read) and clears it; an event that comes
 * when nobody waits is kept that way. Only the executor's thread touches the cache, and it clears before it drains the
 * next events, so that no event is erased unseen. That the peer closed is final and is never cleared.
 *
 * Descriptors of others are *one-shot* sources: armed for each wait and never cached, because foreign code may leave
 * bytes unread or reuse the number.
 */

import type { Driver } from "./driver.ts";
import { BusyError, ClosedError, invariant } from "./errors.ts";
import { ENDS_READ, ENDS_WRITE, endsOf, Interest, Readiness } from "./interest.ts";
import type { InterestRequest, Suspension } from "./request.ts";

/** How often the event queue reports a source; `zig/src/queue.zig` has the same numbers. */
export const Delivery = { EDGE: 0, LEVEL: 1, ONE_SHOT: 2 } as const;
export type Delivery = (typeof Delivery)[keyof typeof Delivery];

/** What messages call by name, such as `connection to 127.0.0.1:80` or `descriptor 7`. */
export interface Named {
  readonly label: string;
}

/** What reads and writes through a source, and must let go when it is closed: by itself, or by `notifyClosing`. */
export interface SourceUser {
  sourceClosed(): void;
}

export class Source {
  /** The driver that watches the source, from the first wait on. */
  driver: Driver | null = null;
  /** What the driver watches the source for at this moment. */
  armed: Interest = 0;
  /** What is known to be ready. */
  readiness: Readiness = 0;
  /** The place in the registrator's table, which owns it; -1 while the source is not registered. */
  slot = -1;
  /** How many want it to stay registered while nobody waits for it. */
  keepers = 0;
  /** The stream on the descriptor, if there is one. */
  user: SourceUser | null = null;
  /** Why the last wait for a descriptor of others has ended: all else that was reported of it is forgotten. */
  private lastReport: Readiness = 0;
  private reader: InterestRequest | null = null;
  private writer: InterestRequest | null = null;
  private isClosedNow = false;

  constructor(
    readonly descriptor: number,
    readonly delivery: Delivery,
    /** Whom messages name. */
    private readonly owner: Named,
  ) {}

  /** Whether a read may succeed; a wait for it would end at once. */
  get mayRead(): boolean {
    return (this.readiness & ENDS_READ) !== 0;
  }

  /** Whether a write may succeed; a wait for it would end at once. */
  get mayWrite(): boolean {
    return (this.readiness & ENDS_WRITE) !== 0;
  }

  get isClosed(): boolean {
    return this.isClosedNow;
  }

  /** Whether what is known of it stays known: not of a descriptor that others use as well. */
  get isCached(): boolean {
    return this.delivery !== Delivery.ONE_SHOT;
  }

  get hasReader(): boolean {
    return this.reader !== null;
  }

  get hasWriter(): boolean {
    return this.writer !== null;
  }

  /** There is nothing to read any more, and no error pending. Only a later event can say otherwise. */
  clearReadable(): void {
    this.readiness &= ~(Readiness.READABLE | Readiness.PRIORITY | Readiness.FAILED);
  }

  /** There is no room to write any more, and no error pending. Only a later event can say otherwise. */
  clearWritable(): void {
    this.readiness &= ~(Readiness.WRITABLE | Readiness.FAILED);
  }

  /** Whether it was reported that the peer will take no more. */
  get isWriteClosed(): boolean {
    return ((this.readiness | this.lastReport) & Readiness.WRITE_CLOSED) !== 0;
  }

  /** Of a terminal that is not final. Whoever waits is told again if it is still so. */
  forgetWriteClosed(): void {
    this.readiness &= ~Readiness.WRITE_CLOSED;
    this.lastReport &= ~Readiness.WRITE_CLOSED;
  }

  /** Whether an error was what the last wait for a descriptor of others ended with, which then is forgotten. */
  takeFailure(): boolean {
    const hasFailed = (this.lastReport & Readiness.FAILED) !== 0;
    this.lastReport &= ~Readiness.FAILED;
    return hasFailed;
  }

  /** The driver reports what became ready. */
  deliver(readiness: Readiness): void {
    if (this.delivery === Delivery.ONE_SHOT) this.deliverOnce(readiness);
    else {
      this.readiness |= readiness;
      this.resumeWaiters(readiness);
    }
  }

  /** The driver failed: every wait ends with the error. */
  fail(error: unknown): void {
    this.takeReader()?.fail(error);
    this.takeWriter()?.fail(error);
  }

  /** Ends every wait and the registration. The descriptor itself is the caller's to close, afterwards. */
  close(): void {
    if (this.isClosedNow) return;
    this.isClosedNow = true;
    // A task that was about to go on must wait again, which ends with an error, and not try: the number may be
    // another's by then.
    this.readiness = 0;
    this.driver?.release(this);
    this.user?.sourceClosed();
    this.user = null;
    if (this.hasReader || this.hasWriter)
      this.fail(new ClosedError(`${this.owner.label} was closed while a task waited for it`));
  }

  describeWait(interest: Interest): string {
    return `${interest === Interest.WRITABLE ? "writing to" : "reading from"} ${this.owner.label}`;
  }

  /** The error of a second task that wants what `request` waits for. */
  busyError(interest: Interest): BusyError {
    const waiting = interest === Interest.WRITABLE ? this.writer : this.reader;
    const verb = interest === Interest.WRITABLE ? "written to" : "read";
    const who = waiting?.suspension?.task.name ?? "another task";
    return new BusyError(
      `${this.owner.label} is being ${verb} by ${who}: one task at a time may, so let one task do it for all`,
    );
  }

  /** Returns false, with the suspension resumed, if the source is ready already. */
  addWaiter(request: InterestRequest, suspension: Suspension): boolean {
    const { interest } = request;
    if (this.isClosedNow) throw new ClosedError(`${this.owner.label} is closed`);
    const ready = this.readiness & endsOf(interest);
    if (ready !== 0) {
      suspension.resume(this.readiness);
      return false;
    }
    if (this.delivery === Delivery.ONE_SHOT && (this.wanted & interest) !== 0) this.expelStale();
    this.refuseSecond(interest);
    this.watch(suspension.scheduler.driver, interest);
    if (wantsRead(interest)) this.reader = request;
    if (wantsWrite(interest)) this.writer = request;
    return true;
  }

  removeWaiter(request: InterestRequest): void {
    if (this.reader === request) this.reader = null;
    if (this.writer === request) this.writer = null;
    if (this.delivery === Delivery.ONE_SHOT) this.driver!.disarm(this);
  }

  protected watch(driver: Driver, interest: Interest): void {
    if (this.driver === null) this.driver = driver;
    else if (this.driver !== driver) {
      throw new BusyError(
        `${this.owner.label} belongs to another reactor: use it in the run or blockOn (and the thread) in which it was first waited for`,
      );
    }
    if ((this.armed & interest) !== interest || driver.armsForEachWait === true) driver.arm(this, interest);
  }

  /**
   * Whoever waits already may wait for a file that its owner has closed, while the number is another's: armed again, the
   * driver finds out, and tells it.
   */
  private expelStale(): void {
    this.driver!.arm(this, this.wanted);
  }

  private refuseSecond(interest: Interest): void {
    if (wantsRead(interest) && this.hasReader) throw this.busyError(Interest.READABLE);
    if (wantsWrite(interest) && this.hasWriter) throw this.busyError(Interest.WRITABLE);
  }

  /** The kernel has disarmed the registration; the direction that still waits, if one does, is armed again. */
  private deliverOnce(readiness: Readiness): void {
    this.armed = 0;
    this.lastReport = readiness;
    this.resumeWaiters(readiness);
    this.driver!.disarm(this);
  }

  private resumeWaiters(readiness: Readiness): void {
    if (this.reader !== null && (readiness & endsOf(this.reader.interest)) !== 0) this.takeReader()!.resume(readiness);
    if (this.writer !== null && (readiness & endsOf(this.writer.interest)) !== 0) this.takeWriter()!.resume(readiness);
  }

  /** A request for both directions leaves both places at once: it is resumed once. */
  private takeReader(): InterestRequest | null {
    const request = this.reader;
    this.reader = null;
    if (request !== null && this.writer === request) this.writer = null;
    return request;
  }

  private takeWriter(): InterestRequest | null {
    const request = this.writer;
    this.writer = null;
    if (request !== null && this.reader === request) this.reader = null;
    return request;
  }

  /** What the waiters of a source wait for. */
  get wanted(): Interest {
    invariant(this.delivery === Delivery.ONE_SHOT, "only one-shot sources are armed for what is wanted");
    return (this.reader?.interest ?? 0) | (this.writer?.interest ?? 0);
  }
}

/** A source that the host tells the readiness of, by `deliver`: there is no descriptor, and nothing for a driver to watch. */
export class HostSource extends Source {
  constructor(owner: Named) {
    super(NO_DESCRIPTOR, Delivery.EDGE, owner);
    // Nothing is known yet, so the first read and the first write try.
    this.readiness = Readiness.READABLE | Readiness.WRITABLE;
  }

  protected override watch(): void {}
}

/** No number of a descriptor. */
export const NO_DESCRIPTOR = -1;

function wantsRead(interest: Interest): boolean {
  return (interest & (Interest.READABLE | Interest.PRIORITY)) !== 0;
}

function wantsWrite(interest: Interest): boolean {
  return (interest & Interest.WRITABLE) !== 0;
}
