/**
 * A broadcast: every subscriber gets every item that is sent after it has subscribed.
 *
 * Each subscription has a buffer of its own. An item goes into all of them at once or, while one that makes senders wait is full,
 * into none: so a sender that is cancelled while it waits has sent to nobody.
 */

import { assertInteger, ClosedError, describeValue, invariant } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { SuspendRequest, Suspension, Undo } from "../core/request.ts";
import { Channel, type ChannelOptions, type ChannelSubscription, NOTHING } from "./channel.ts";
import { WaiterList, WaitOperation } from "./waiters.ts";

export interface SubscribeOptions {
  /** How many items the subscription holds that were not received yet; by default 16. Infinity for no limit. */
  readonly capacity?: number | undefined;
  /**
   * What becomes of an item for which the subscription has no room:
   *
   * - `wait`, by default: senders wait, and all subscribers with them, for the slowest
   * - `dropOldest`: the oldest item of this subscription goes for it; `dropped` counts
   * - `fail`: the subscription ends with an `OverflowError`, after the items that it holds
   */
  readonly overflow?: Overflow | undefined;
}

export type Overflow = "wait" | "dropOldest" | "fail";

/**
 *     const prices = new Broadcast<Price>();
 *     using subscription = prices.subscribe();                       // each subscriber
 *     for (const price of yield* each(subscription)) { …; yield* each.next(); }
 *     yield* prices.send(price);                                     // whoever has news
 *
 * What is sent while nobody subscribes is gone. Senders come first come, first served. Callbacks of the host use
 * `trySend`, `subscribe` and `close`, which never wait.
 */
export class Broadcast<T> implements Disposable {
  private readonly label: string;
  private readonly inboxes = new Set<Inbox<T>>();
  private readonly senders = new WaiterList<SendOperation<T>>();
  /** How many inboxes are full and make senders wait. */
  private fullInboxes = 0;
  private closing: { readonly reason: unknown } | null = null;

  constructor(options: ChannelOptions = {}) {
    this.label = options.name === undefined ? "a broadcast" : `the broadcast ${options.name}`;
  }

  /** Whether nothing can be sent any more. */
  get isClosed(): boolean {
    return this.closing !== null;
  }

  /** How many subscriptions are open. */
  get subscribers(): number {
    return this.inboxes.size;
  }

  /** How many tasks wait to send. */
  get waitingSenders(): number {
    return this.senders.length;
  }

  /**
   * Sends an item to all subscribers; suspends the task while there is one without room that makes senders wait.
   * @throws ClosedError if the broadcast is closed, before or meanwhile; nobody gets the item then
   */
  send(item: T): Operation<void> {
    return new SendOperation(this, item);
  }

  /**
   * Sends an item to all subscribers if that needs no wait; for code of the host, too.
   * @returns whether it did: not if the broadcast is closed, or if it had to wait for a subscriber
   */
  trySend(item: T): boolean {
    if (this.closing !== null || this.mustWait) return false;
    this.deliver(item);
    return true;
  }

  /**
   * Subscribes: from now on every item is kept for this subscription until it is received or the subscription is closed,
   * best with `using`. One to a broadcast that is closed has ended.
   * @throws RangeError if the capacity is neither an integer from 1 nor Infinity; TypeError for an `overflow` that is none
   */
  subscribe(options: SubscribeOptions = {}): BroadcastSubscription<T> {
    const { capacity = DEFAULT_CAPACITY, overflow = "wait" } = options;
    if (capacity !== Infinity) assertInteger("subscribe: capacity", capacity, 1, Number.MAX_SAFE_INTEGER);
    if (!OVERFLOWS.includes(overflow)) {
      throw new TypeError(
        `subscribe: overflow must be one of ${OVERFLOWS.join(", ")}, but is ${describeValue(overflow)}`,
      );
    }
    const inbox = new Inbox<T>(this, capacity, overflow, this.label);
    if (this.closing === null) this.inboxes.add(inbox);
    else inbox.close(this.closing.reason);
    return new BroadcastSubscription(inbox);
  }

  /**
   * Ends the broadcast: subscribers get what they hold, and then the end. Whoever waits to send gets a `ClosedError`, and
   * so does whoever sends from now on. The second time it does nothing.
   * @param reason what is the `cause` of these errors
   */
  close(reason?: unknown): void {
    if (this.closing !== null) return;
    this.closing = { reason };
    for (const inbox of this.inboxes) inbox.close(reason);
    this.inboxes.clear();
    for (let next = this.senders.shift(); next !== null; next = this.senders.shift()) next.refuse();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For operations: whether there is no room for another item. As long as a sender waits there is none. */
  get mustWait(): boolean {
    return this.fullInboxes > 0;
  }

  /** For operations: passes an item to all. */
  deliver(item: T): void {
    for (const inbox of this.inboxes) inbox.accept(item);
  }

  /** For operations: refuses what came too late. */
  refuseClosed(): void {
    if (this.closing !== null) throw this.closedError();
  }

  /** For operations. */
  closedError(): ClosedError {
    const reason = this.closing?.reason;
    return new ClosedError(`send: ${this.label} is closed`, reason === undefined ? undefined : { cause: reason });
  }

  /** For requests. */
  awaitRoom(sender: SendOperation<T>): void {
    this.senders.push(sender);
  }

  /** For requests. */
  awaitRoomNoMore(sender: SendOperation<T>): void {
    this.senders.remove(sender);
  }

  /** For requests: words for what is waited for. */
  describeWait(): string {
    return `room for each subscriber of ${this.label}`;
  }

  /** For subscriptions: one that makes senders wait is full now, or is not any more. */
  inboxChanged(isFull: boolean): void {
    this.fullInboxes += isFull ? 1 : -1;
    while (this.fullInboxes === 0) {
      const sender = this.senders.shift();
      if (sender === null) return;
      // First the end of the wait: the task may wait, in a `select`, to receive from this very broadcast.
      sender.sent();
      this.deliver(sender.item);
    }
  }

  /** For subscriptions: one gets nothing any more. */
  unsubscribe(inbox: Inbox<T>): void {
    this.inboxes.delete(inbox);
  }
}

/**
 * One subscriber's place in a broadcast: iterate it with `each`, or take one item after the other. Several tasks that
 * receive from one subscription share its items.
 */
export class BroadcastSubscription<T> implements Disposable {
  private readonly items: ChannelSubscription<T>;

  /** For `subscribe`. */
  constructor(private readonly inbox: Inbox<T>) {
    this.items = inbox.subscribe();
  }

  get capacity(): number {
    return this.inbox.capacity;
  }

  /** How many items it holds that were not received yet. */
  get size(): number {
    return this.inbox.size;
  }

  /** How many items were dropped for want of room, with `dropOldest`. */
  get dropped(): number {
    return this.inbox.dropped;
  }

  /** Whether no more items come. There may be some left to receive, unless the subscription itself was closed. */
  get isClosed(): boolean {
    return this.inbox.isClosed;
  }

  /**
   * Receives the next item, or the end of the broadcast; suspends the task until there is one.
   * @throws OverflowError if an item was lost for want of room, with `fail`
   */
  next(): Operation<IteratorResult<T, void>> {
    return this.items.next();
  }

  /**
   * Receives the next item; suspends the task until there is one.
   * @throws ClosedError if the broadcast or the subscription is closed, before or meanwhile, and nothing is left;
   *   OverflowError if an item was lost for want of room, with `fail`
   */
  receive(): Operation<T> {
    return this.inbox.receive();
  }

  /**
   * Receives an item if that needs no wait; for code of the host, too.
   * @returns the item in a box, because it may be anything; null if there is none
   */
  tryReceive(): { readonly value: T } | null {
    return this.inbox.tryReceive();
  }

  /** Ends the subscription: what it holds is gone, and no sender waits for it. The second time it does nothing. */
  close(): void {
    this.inbox.leave();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A subscription with `overflow: "fail"` had no room for an item. It has ended: what it held before was received. */
export class OverflowError extends Error {
  override readonly name = "OverflowError";
  readonly code = "ERR_OVERFLOW";

  constructor(
    label: string,
    /** How many items the subscription could hold. */
    readonly capacity: number,
  ) {
    super(`a subscriber of ${label} fell behind: it holds ${capacity} items and had no room for another`);
  }
}

/** The items of one subscription: a channel into which the broadcast puts them. */
class Inbox<T> extends Channel<T> {
  dropped = 0;
  /** Whether senders wait for this inbox. */
  private isBlocking = false;

  constructor(
    private readonly broadcast: Broadcast<T>,
    capacity: number,
    private readonly overflow: Overflow,
    private readonly broadcastLabel: string,
  ) {
    super(capacity, { name: `of a subscriber of ${broadcastLabel}` });
  }

  /** An item was sent. */
  accept(item: T): void {
    if (!this.offer(item, null)) this.overflowed(item);
    this.noteRoom();
  }

  /** The subscriber goes. */
  leave(): void {
    this.broadcast.unsubscribe(this);
    this.close();
    while (this.take() !== NOTHING);
  }

  protected override itemTaken(): void {
    this.noteRoom();
  }

  override takeBack(item: T, place: number): void {
    super.takeBack(item, place);
    this.noteRoom();
  }

  private overflowed(item: T): void {
    if (this.overflow === "dropOldest") return this.dropFor(item);
    invariant(this.overflow === "fail", "a broadcast sent to a subscriber without room");
    this.broadcast.unsubscribe(this);
    this.end({ reason: undefined, failure: new OverflowError(this.broadcastLabel, this.capacity) });
  }

  /** What cancelled receivers gave back may be more than there is room for. */
  private dropFor(item: T): void {
    do {
      this.take();
      this.dropped++;
    } while (!this.offer(item, null));
  }

  private noteRoom(): void {
    if (this.overflow !== "wait") return;
    const isFull = !this.isClosed && this.size >= this.capacity;
    if (isFull === this.isBlocking) return;
    this.isBlocking = isFull;
    this.broadcast.inboxChanged(isFull);
  }
}

/** Waits until all subscribers have room. Resumes with nothing. */
class SendOperation<T> extends WaitOperation<void> {
  constructor(
    private readonly broadcast: Broadcast<T>,
    readonly item: T,
  ) {
    super();
  }

  protected get callName(): string {
    return "Broadcast.send";
  }

  protected attempt(): IteratorResult<SuspendRequest, void> | null {
    return this.broadcast.trySend(this.item) ? SENT : null;
  }

  describe(): string {
    return this.broadcast.describeWait();
  }

  protected wait(suspension: Suspension): Undo | null {
    const { broadcast } = this;
    broadcast.refuseClosed();
    this.suspension = suspension;
    if (broadcast.mustWait) {
      broadcast.awaitRoom(this);
      return this;
    }
    this.sent();
    broadcast.deliver(this.item);
    return null;
  }

  undo(): void {
    this.broadcast.awaitRoomNoMore(this);
  }

  /** The item is about to be delivered. */
  sent(): void {
    this.suspension!.resume(undefined);
  }

  /** The broadcast was closed. */
  refuse(): void {
    this.suspension!.fail(this.broadcast.closedError());
  }
}

const SENT: IteratorResult<SuspendRequest, void> = { done: true, value: undefined };

/** Enough for a burst, and few enough for a subscriber that has stalled to be noticed. */
const DEFAULT_CAPACITY = 16;

const OVERFLOWS: readonly Overflow[] = ["wait", "dropOldest", "fail"];
