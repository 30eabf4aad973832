// The least that a bounded channel of promises can be: no cancellation, no close, no errors.

export class PromiseChannel<T> {
  readonly #items: T[] = [];
  readonly #receivers: ((item: T) => void)[] = [];
  readonly #senders: Sender<T>[] = [];

  constructor(readonly capacity: number) {}

  /** Undefined if there was room, or somebody waited. */
  send(item: T): Promise<void> | undefined {
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) receiver(item);
    else if (this.#items.length < this.capacity) this.#items.push(item);
    else return new Promise((resolve) => this.#senders.push({ item, resolve }));
    return undefined;
  }

  /** The item itself if there was one. */
  receive(): Promise<T> | T {
    const sender = this.#senders.shift();
    if (sender !== undefined) {
      this.#items.push(sender.item);
      sender.resolve();
    }
    if (this.#items.length > 0) return this.#items.shift()!;
    return new Promise((resolve) => this.#receivers.push(resolve));
  }
}

interface Sender<T> {
  readonly item: T;
  readonly resolve: () => void;
}
