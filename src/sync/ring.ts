/** A queue in an array that wraps around: what a channel holds. It grows as it must, and nothing moves when an item goes. */

export class Ring<T> {
  /** Their number is a power of two, so that a mask makes a slot of any number. */
  private slots: (T | undefined)[] = [];
  private first = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  push(item: T): void {
    if (this.count === this.slots.length) this.grow();
    this.slots[(this.first + this.count) & (this.slots.length - 1)] = item;
    this.count++;
  }

  /** The first item, taken out. There must be one. */
  shift(): T {
    const { slots, first } = this;
    const item = slots[first] as T;
    slots[first] = undefined;
    this.first = (first + 1) & (slots.length - 1);
    this.count--;
    if (this.count === 0 && slots.length > MOST_KEPT_SLOTS) this.clear();
    return item;
  }

  clear(): void {
    this.slots = [];
    this.first = 0;
    this.count = 0;
  }

  private grow(): void {
    const { slots, first } = this;
    const inOrder = [...slots.slice(first), ...slots.slice(0, first)];
    const length = Math.max(slots.length * 2, FEWEST_SLOTS);
    while (inOrder.length < length) inOrder.push(undefined);
    this.slots = inOrder;
    this.first = 0;
  }
}

/** Enough for what most channels hold. */
const FEWEST_SLOTS = 4;

/** A burst that has been worked off gives its memory back if it took more than this. */
const MOST_KEPT_SLOTS = 1024;
