/**
 * A channel between tasks: items go in at one end and come out at the other, in order.
 *
 * Facts. A task that waits is given its item by the one that sends, but takes it only when it runs next; until then it
 * may be cancelled, or another arm of its `race` or `select` may have been first. The item must not go with it, and must
 * not come after those that were sent later.
 *
 * Decision. Items are handed over (`Suspension.handOver`), and each that is has a number: its place. What comes back is
 * kept apart, by place, and is taken before all else: whatever waits in the channel meanwhile was sent later, because an
 * item is handed to a waiting task only when none is stored. So nothing is lost, and the order is that of sending,
 * whoever is cancelled when. As long as a receiver waits, no item is stored; as long as a sender waits, there is no room.
 */

import { assertInteger, ClosedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Giver, SuspendRequest, Suspension, Undo } from "../core/request.ts";
import type { Task } from "../core/task.ts";
import { Ring } from "./ring.ts";
import { Waiter, WaiterList, WaitOperation } from "./waiters.ts";

export interface ChannelOptions {
  /** What messages call the channel. */
  readonly name?: string | undefined;
}

/**
 *     const lines = new Channel<string>(100);
 *     yield* lines.send("hello");           // one task
 *     const line = yield* lines.receive();  // another
 *
 * With a capacity of 0, which is the default, `send` waits until a receiver has come (a rendezvous, as Go's channels
 * and trio's memory channels have it); otherwise it waits only while the channel is full. First come, first served, on
 * both sides. Of several receivers each item goes to one; what all shall get belongs in a `Broadcast`.
 *
 * Callbacks of the host use `trySend`, `tryReceive` and `close`, which never wait.
 *
 * A task that is cancelled before it has received leaves the item to the next, and one that is cancelled before it has
 * sent leaves none behind. An item that comes back from a cancelled receiver takes its old place, at the front, even if
 * the channel is full by now, or has a capacity of 0: whoever sent it has sent it.
 */
export class Channel<T> implements Disposable {
  private readonly label: string;
  private readonly items = new Ring<T>();
  private readonly returned = new ReturnedItems<T>();
  private readonly receivers = new WaiterList<Receiver<T>>();
  private readonly senders = new WaiterList<SendOperation<T>>();
  private nextPlace = 0;
  private closing: Closing | null = null;

  /** @throws RangeError if `capacity` is neither an integer from 0 nor Infinity */
  constructor(
    /**
     * How many items the channel holds while no receiver waits. Infinity never lets a sender wait: then nothing limits
     * the memory but the receivers' speed.
     */
    readonly capacity = 0,
    options: ChannelOptions = {},
  ) {
    if (capacity !== Infinity) assertInteger("Channel: capacity", capacity, 0, Number.MAX_SAFE_INTEGER);
    this.label = options.name === undefined ? "a channel" : `the channel ${options.name}`;
  }

  /** How many items are in the channel, sent and not received. */
  get size(): number {
    return this.items.size + this.returned.size;
  }

  /** Whether nothing can be sent any more. There may be items left to receive. */
  get isClosed(): boolean {
    return this.closing !== null;
  }

  /** How many tasks wait for an item. */
  get waitingReceivers(): number {
    return this.receivers.length;
  }

  /** How many tasks wait to send. */
  get waitingSenders(): number {
    return this.senders.length;
  }

  /**
   * Sends an item; suspends the task until there is a receiver or room for it.
   * @throws ClosedError if the channel is closed, before or meanwhile; the item is not sent then
   */
  send(item: T): Operation<void> {
    return new SendOperation(this, item);
  }

  /**
   * Receives the next item; suspends the task until there is one.
   * @throws ClosedError if the channel is closed, before or meanwhile, and nothing is left in it
   */
  receive(): Operation<T> {
    return new ReceiveOperation(this);
  }

  /**
   * Sends an item if that needs no wait; for code of the host, too.
   * @returns whether it did: not if the channel is closed, or if there is neither a receiver that waits nor room
   */
  trySend(item: T): boolean {
    return this.closing === null && this.offer(item, null);
  }

  /**
   * Receives an item if that needs no wait; for code of the host, too.
   * @returns the item in a box, because it may be anything; null if there is none, be the channel closed or not
   */
  tryReceive(): { readonly value: T } | null {
    const item = this.take();
    return item === NOTHING ? null : { value: item };
  }

  /**
   * Ends the channel: what is in it can still be received; then `receive` throws a `ClosedError`, and loops over the
   * channel end. Whoever waits to send gets a `ClosedError`, as in Go, and so does whoever sends from now on. The second
   * time it does nothing.
   * @param reason what is the `cause` of these errors
   */
  close(reason?: unknown): void {
    this.end({ reason, failure: null });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * For `each`: the items that this subscription receives, to the end of the channel. All that receive share the items,
   * subscriptions among them.
   */
  subscribe(): ChannelSubscription<T> {
    return new ChannelSubscription(this);
  }

  /** Ends the channel. With a failure, that is what receivers and loops are told instead of the end. */
  protected end(closing: Closing): void {
    if (this.closing !== null) return;
    this.closing = closing;
    for (let next = this.receivers.shift(); next !== null; next = this.receivers.shift()) next.end();
    for (let next = this.senders.shift(); next !== null; next = this.senders.shift()) next.refuse();
  }

  /** An item was taken: the first sender that waits has room. */
  protected itemTaken(): void {
    const sender = this.senders.first;
    if (sender === null || this.size >= this.capacity) return;
    this.senders.remove(sender);
    this.items.push(sender.item);
    sender.sent();
  }

  /**
   * For operations: passes an item to a receiver that waits, or stores it. Returns false if it can do neither.
   * @param sender the task that waits for other things as well, and must not be its own receiver; or null
   */
  offer(item: T, sender: Task<unknown> | null): boolean {
    const receiver = firstOfOthers(this.receivers, sender);
    if (receiver !== null) {
      this.receivers.remove(receiver);
      receiver.give(item, this.nextPlace++);
      return true;
    }
    if (this.size >= this.capacity) return false;
    this.items.push(item);
    return true;
  }

  /** For operations: the next item, taken out; `NOTHING` if there is none, nor a sender that waits with one. */
  take(): T | typeof NOTHING {
    const returned = this.returned.shift();
    if (returned === null && this.items.size === 0) return this.takeFromSender();
    const item = returned === null ? this.items.shift() : returned.item;
    this.itemTaken();
    return item;
  }

  private takeFromSender(): T | typeof NOTHING {
    const sender = this.senders.shift();
    return sender === null ? NOTHING : sender.takeItem();
  }

  /** For requests: gives the next item to a task that has just begun to wait. Returns false if there is none. */
  serve(receiver: Receiver<T>): boolean {
    const returned = this.returned.shift();
    if (returned === null && this.items.size === 0) return this.serveFromSender(receiver);
    if (returned === null) receiver.give(this.items.shift(), this.nextPlace++);
    else receiver.give(returned.item, returned.place);
    this.itemTaken();
    return true;
  }

  private serveFromSender(receiver: Receiver<T>): boolean {
    const sender = firstOfOthers(this.senders, receiver.waitingTask);
    if (sender === null) return false;
    this.senders.remove(sender);
    receiver.give(sender.takeItem(), this.nextPlace++);
    return true;
  }

  /** For requests: an item has come back, and goes to the next receiver or to its place. */
  takeBack(item: T, place: number): void {
    const receiver = this.receivers.shift();
    if (receiver === null) this.returned.insert(item, place);
    else receiver.give(item, place);
  }

  /** For requests. */
  awaitItem(receiver: Receiver<T>): void {
    this.receivers.push(receiver);
  }

  /** For requests. */
  awaitItemNoMore(receiver: Receiver<T>): void {
    this.receivers.remove(receiver);
  }

  /** For requests. */
  awaitRoom(sender: SendOperation<T>): void {
    this.senders.push(sender);
  }

  /** For requests. */
  awaitRoomNoMore(sender: SendOperation<T>): void {
    this.senders.remove(sender);
  }

  /** For operations: refuses what came too late. */
  refuseClosed(verb: string): void {
    if (this.closing !== null) throw this.closedError(verb);
  }

  /** For operations: the error that ended the channel, if one did. */
  get failure(): Error | null {
    return this.closing === null ? null : this.closing.failure;
  }

  /** For operations: the error of one that can have nothing of this channel any more. */
  closedError(verb: string): Error {
    const { reason, failure } = this.closing!;
    if (failure !== null) return failure;
    return new ClosedError(`${verb}: ${this.label} is closed`, reason === undefined ? undefined : { cause: reason });
  }

  /** For requests: words for what is waited for. */
  describeWait(what: string): string {
    return `${what} ${this.label}`;
  }
}

/** What `each` iterates: one item after the other. */
export class ChannelSubscription<T> {
  constructor(private readonly channel: Channel<T>) {}

  /** Receives the next item, or the end of the channel; suspends the task until there is one. */
  next(): Operation<IteratorResult<T, void>> {
    return new NextOperation(this.channel);
  }
}

/** How a channel was closed. */
export interface Closing {
  readonly reason: unknown;
  /** What receivers are told instead of the end, when they have come so far. */
  readonly failure: Error | null;
}

/** No item, where any value may be one. */
export const NOTHING = Symbol("nothing");

/** Waits until the item is sent. Resumes with nothing. */
class SendOperation<T> extends WaitOperation<void> {
  declare private readonly channel: Channel<T>;
  declare readonly item: T;

  constructor(channel: Channel<T>, item: T) {
    super();
    this.channel = channel;
    this.item = item;
  }

  protected get callName(): string {
    return "Channel.send";
  }

  protected attempt(): IteratorResult<SuspendRequest, void> | null {
    this.channel.refuseClosed("send");
    return this.channel.offer(this.item, null) ? SENT : null;
  }

  get waitingTask(): Task<unknown> {
    return this.suspension!.task;
  }

  describe(): string {
    return this.channel.describeWait(this.channel.capacity === 0 ? "a receiver of" : "room in");
  }

  protected wait(suspension: Suspension): Undo | null {
    const { channel } = this;
    channel.refuseClosed("send");
    this.suspension = suspension;
    if (!channel.offer(this.item, suspension.task)) {
      channel.awaitRoom(this);
      return this;
    }
    suspension.resume(undefined);
    return null;
  }

  undo(): void {
    this.channel.awaitRoomNoMore(this);
  }

  /** The item is in the channel. */
  sent(): void {
    this.suspension!.resume(undefined);
  }

  /** A receiver takes the item. */
  takeItem(): T {
    this.sent();
    return this.item;
  }

  /** The channel was closed. */
  refuse(): void {
    this.suspension!.fail(this.channel.closedError("send"));
  }
}

/** Waits for an item. */
abstract class Receiver<T, R = unknown> extends WaitOperation<R> {
  declare protected readonly channel: Channel<T>;
  /** That of the item that was given. */
  declare protected place: number;

  constructor(channel: Channel<T>) {
    super();
    this.channel = channel;
    this.place = 0;
  }

  /** Resumes with the item. */
  protected abstract handOver(item: T): void;

  /** The channel is closed, and nothing is left in it. */
  abstract end(): void;

  get waitingTask(): Task<unknown> {
    return this.suspension!.task;
  }

  describe(): string {
    return this.channel.describeWait("an item of");
  }

  protected wait(suspension: Suspension): Undo | null {
    const { channel } = this;
    this.suspension = suspension;
    if (channel.serve(this)) return null;
    if (!channel.isClosed) {
      channel.awaitItem(this);
      return this;
    }
    this.end();
    return null;
  }

  undo(): void {
    this.channel.awaitItemNoMore(this);
  }

  give(item: T, place: number): void {
    this.place = place;
    this.handOver(item);
  }
}

class ReceiveOperation<T> extends Receiver<T, T> implements Giver<T> {
  constructor(channel: Channel<T>) {
    super(channel);
  }

  protected get callName(): string {
    return "Channel.receive";
  }

  protected attempt(): IteratorResult<SuspendRequest, T> | null {
    const item = this.channel.take();
    if (item !== NOTHING) return { done: true, value: item };
    this.channel.refuseClosed("receive");
    return null;
  }

  protected handOver(item: T): void {
    this.suspension!.handOver(item, this);
  }

  giveBack(item: T): void {
    this.channel.takeBack(item, this.place);
  }

  end(): void {
    this.suspension!.fail(this.channel.closedError("receive"));
  }
}

/** Like `receive`, but the end of the channel is a value. */
class NextOperation<T> extends Receiver<T, IteratorResult<T, void>> implements Giver<IteratorYieldResult<T>> {
  protected get callName(): string {
    return "next";
  }

  protected attempt(): IteratorResult<SuspendRequest, IteratorResult<T, void>> | null {
    const { channel } = this;
    const item = channel.take();
    if (item !== NOTHING) return { done: true, value: { done: false, value: item } };
    if (channel.failure !== null) throw channel.failure;
    return channel.isClosed ? { done: true, value: ENDED } : null;
  }

  protected handOver(item: T): void {
    this.suspension!.handOver({ done: false, value: item }, this);
  }

  giveBack(result: IteratorYieldResult<T>): void {
    this.channel.takeBack(result.value, this.place);
  }

  end(): void {
    const { failure } = this.channel;
    if (failure === null) this.suspension!.resume(ENDED);
    else this.suspension!.fail(failure);
  }
}

const SENT: IteratorResult<SuspendRequest, void> = { done: true, value: undefined };
const ENDED: IteratorResult<never, void> = { done: true, value: undefined };

/** The first that is not another wait of the same task: its `select` must not send to itself. */
function firstOfOthers<W extends Waiter & { readonly waitingTask: Task<unknown> }>(
  line: WaiterList<W>,
  task: Task<unknown> | null,
): W | null {
  let waiter = line.first;
  while (waiter !== null && waiter.waitingTask === task) waiter = waiter.behind;
  return waiter;
}

/** Items that were given back, by their places. There are mostly none, and few at any time. */
class ReturnedItems<T> {
  private first: ReturnedItem<T> | null = null;
  private last: ReturnedItem<T> | null = null;
  private count = 0;

  get size(): number {
    return this.count;
  }

  shift(): ReturnedItem<T> | null {
    const { first } = this;
    if (first === null) return null;
    this.first = first.next;
    if (this.first === null) this.last = null;
    else this.first.previous = null;
    this.count--;
    return first;
  }

  /** Looks for the place from the end, after a look at the beginning: tasks are cancelled in either order. */
  insert(item: T, place: number): void {
    let previous = this.last;
    if (this.first !== null && place < this.first.place) previous = null;
    while (previous !== null && previous.place > place) previous = previous.previous;
    const next = previous === null ? this.first : previous.next;
    const returned: ReturnedItem<T> = { item, place, previous, next };
    if (previous === null) this.first = returned;
    else previous.next = returned;
    if (next === null) this.last = returned;
    else next.previous = returned;
    this.count++;
  }
}

interface ReturnedItem<T> {
  readonly item: T;
  readonly place: number;
  previous: ReturnedItem<T> | null;
  next: ReturnedItem<T> | null;
}
