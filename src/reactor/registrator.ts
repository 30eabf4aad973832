/**
 * The registrator: tells the event queue which descriptors are of interest. It may be used while the reactor thread is
 * blocked in the queue; the change takes effect at once.
 *
 * Each registered source has a slot in a table, and each slot a generation that counts its owners. The two are the
 * token that the queue hands back: an event of an earlier owner, even one that was fetched together with the event that
 * closed it, does not match. A one-shot source gets a new generation with each arming as well: what was fetched for a wait
 * that was cancelled must not end the next one.
 */

import type { Driver } from "../core/driver.ts";
import { ClosedError, invariant } from "../core/errors.ts";
import { Interest, type Readiness } from "../core/interest.ts";
import { Delivery, Source } from "../core/source.ts";
import { type NativeQueue, NOT_REGISTERED, refusalOf } from "../native/queue.ts";

export interface RegisterOptions {
  /** How often the queue reports; by default `Delivery.EDGE`, once for each change. */
  readonly delivery?: Delivery;
}

export class Registrator {
  private readonly sources: (Source | null)[] = [];
  private readonly generations: number[] = [];
  private readonly freeSlots: number[] = [];
  /** The slot of each descriptor that is registered; NO_SLOT for others. */
  private readonly slotOfDescriptor: number[] = [];

  constructor(
    private readonly queue: NativeQueue,
    /** Whose sources are registered here; no other can watch them. */
    private readonly driver: Driver,
  ) {}

  /** How many sources are registered. */
  get size(): number {
    return this.sources.length - this.freeSlots.length;
  }

  /**
   * Registers a descriptor. What is ready already is reported as well.
   * @throws SystemError `EEXIST` if it is registered, `EBADF` if it is closed, `EPERM` if it cannot be waited for (a
   *   regular file); UnsupportedError if this platform waits for sockets only
   */
  register(descriptor: number, interest: Interest, options: RegisterOptions = {}): Source {
    const source = new Source(descriptor, options.delivery ?? Delivery.EDGE, { label: `descriptor ${descriptor}` });
    source.driver = this.driver;
    this.add(source, interest);
    return source;
  }

  /**
   * Replaces the interest, and re-arms: what is ready now is reported again.
   * @throws SystemError `ENOENT` if the descriptor was closed meanwhile
   */
  reregister(source: Source, interest: Interest): void {
    this.check(this.modify(source, interest));
    source.armed = interest;
  }

  /**
   * Says that what was reported of an edge source is not so any more, because a read or a write has said `EAGAIN`, and is to be
   * reported again. For whoever takes events with `drain`; a task that waits for the source does this by itself. On Windows
   * nothing is reported a second time without it; elsewhere the kernel knows, and it costs nothing.
   * @throws SystemError `ENOENT` if the descriptor was closed meanwhile
   */
  rearm(source: Source, interest: Interest): void {
    if (this.driver.armsForEachWait === true) this.check(this.queue.rearm(source.descriptor, interest));
  }

  /**
   * Removes a source; it reports no more, and a task that waits for it gets a `ClosedError`. Must be called before the
   * descriptor is closed. Does nothing if the source is not registered.
   */
  deregister(source: Source): void {
    this.release(source);
    if (!source.hasReader && !source.hasWriter) return;
    source.fail(new ClosedError(`descriptor ${source.descriptor} was deregistered while a task waited for it`));
  }

  /** Removes a source whose waiters are taken care of. */
  release(source: Source): void {
    if (source.slot === NO_SLOT) return;
    // The descriptor may be closed already, which has removed it: there is nothing to do about that here.
    this.queue.deregister(source.descriptor);
    this.freeSlot(source);
  }

  /** Makes sure that the source is watched for the interest, besides what it is watched for already. */
  arm(source: Source, interest: Interest): void {
    const isEdge = source.delivery === Delivery.EDGE;
    const wanted = isEdge ? EVERYTHING : source.armed | interest;
    if (source.slot === NO_SLOT) return this.add(source, wanted);
    const isAskedAgain = isEdge && (source.armed & interest) === interest;
    const result = isAskedAgain ? this.askAgain(source, interest) : this.renew(source, wanted);
    if (result >= 0) return;
    // Those who waited for the old file are told; who asks now gets an answer about what the number is now.
    if (result !== NOT_REGISTERED) this.check(result);
    this.arm(source, interest);
  }

  /** Watches a one-shot source for what is still wanted; if that is nothing, lets go of it. */
  disarm(source: Source): void {
    if (source.delivery !== Delivery.ONE_SHOT || source.slot === NO_SLOT) return;
    if (source.wanted === 0) this.letGo(source);
    else if (source.wanted !== source.armed) this.renew(source, source.wanted);
  }

  /** The source that a token stands for; null if its owner is gone. */
  find(slot: number, generation: number): Source | null {
    return this.generations[slot] === generation ? this.sources[slot]! : null;
  }

  /** All registered sources. */
  *[Symbol.iterator](): Generator<Source, void, unknown> {
    for (const source of this.sources) if (source !== null) yield source;
  }

  /**
   * Nobody waits for a one-shot source. One that is to stay registered counts as armed for nothing, so that the next wait
   * asks the kernel in any case, and finds out if the descriptor was closed meanwhile.
   */
  private letGo(source: Source): void {
    if (source.keepers === 0) this.release(source);
    else source.armed = 0;
  }

  private add(source: Source, interest: Interest): void {
    invariant(source.slot === NO_SLOT, `${source.descriptor} is registered twice`);
    this.takeSlot(source);
    const { descriptor, slot, delivery } = source;
    const result = this.queue.register(descriptor, slot, this.generations[slot]!, interest, delivery);
    if (result < 0) this.freeSlot(source);
    this.check(result);
    source.armed = interest;
    this.dropStale(descriptor);
    this.slotOfDescriptor[descriptor] = slot;
  }

  /**
   * The kernel takes no descriptor twice. So another source of this number is one whose owner has closed it, and the
   * number is in use again: it must not take the new registration along when it goes.
   */
  private dropStale(descriptor: number): void {
    const stale = this.sources[this.slotOfDescriptor[descriptor] ?? NO_SLOT] ?? null;
    if (stale === null) return;
    this.freeSlot(stale);
    stale.fail(closedByOwner(descriptor));
  }

  /**
   * A source that can be re-armed no more is one whose number was closed while it was armed, and that may be another file's
   * by now: whoever still waits for it is told, and does not wait for a file that it never meant.
   */
  private renew(source: Source, interest: Interest): number {
    const result = this.modify(source, interest);
    if (result >= 0) source.armed = interest;
    else this.expel(source);
    return result;
  }

  /** The queue reports no change by itself: who waits has found that what it reported last is not so any more. */
  private askAgain(source: Source, interest: Interest): number {
    const result = this.queue.rearm(source.descriptor, interest);
    if (result < 0) this.expel(source);
    return result;
  }

  private expel(source: Source): void {
    this.release(source);
    source.fail(closedByOwner(source.descriptor));
  }

  private modify(source: Source, interest: Interest): number {
    const { descriptor, slot, delivery } = source;
    invariant(slot !== NO_SLOT, `${descriptor} is not registered`);
    if (delivery === Delivery.ONE_SHOT) this.nextGeneration(slot);
    return this.queue.reregister(descriptor, slot, this.generations[slot]!, interest, delivery);
  }

  private takeSlot(source: Source): void {
    const slot = this.freeSlots.pop() ?? this.sources.push(null) - 1;
    this.sources[slot] = source;
    this.nextGeneration(slot);
    source.slot = slot;
  }

  private nextGeneration(slot: number): void {
    this.generations[slot] = ((this.generations[slot] ?? 0) + 1) | 0;
  }

  private freeSlot(source: Source): void {
    this.sources[source.slot] = null;
    this.freeSlots.push(source.slot);
    if (this.slotOfDescriptor[source.descriptor] === source.slot) this.slotOfDescriptor[source.descriptor] = NO_SLOT;
    source.slot = NO_SLOT;
    source.armed = 0;
  }

  private check(result: number): void {
    if (result < 0) throw refusalOf(result);
  }
}

function closedByOwner(descriptor: number): ClosedError {
  return new ClosedError(`descriptor ${descriptor} was closed by its owner while a task waited for it`);
}

/** What a handler of ready events gets. */
export type ReadyHandler = (source: Source, readiness: Readiness) => void;

const NO_SLOT = -1;

/** Out-of-band data as well: it makes a read of a TCP connection shorter than what there is (tcp(7)). */
const EVERYTHING: Interest = Interest.READABLE | Interest.WRITABLE | Interest.PRIORITY;
