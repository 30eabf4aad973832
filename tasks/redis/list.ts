/** A list that grows and shrinks at both ends: two stacks, back to back. */
export class RedisList {
  /** The first item is the last of `front`, or else the first of `back`. */
  private front: string[] = [];
  private back: string[] = [];

  get length(): number {
    return this.front.length + this.back.length;
  }

  pushFront(item: string): void {
    this.front.push(item);
  }

  pushBack(item: string): void {
    this.back.push(item);
  }

  popFront(): string | undefined {
    if (this.front.length === 0) {
      // Half of the rest moves over, so that each item moves a few times at most, from whichever end is taken.
      const half = Math.ceil(this.back.length / 2);
      this.front = this.back.slice(0, half).reverse();
      this.back = this.back.slice(half);
    }
    return this.front.pop();
  }

  popBack(): string | undefined {
    if (this.back.length === 0) {
      const half = Math.ceil(this.front.length / 2);
      this.back = this.front.slice(0, half).reverse();
      this.front = this.front.slice(half);
    }
    return this.back.pop();
  }

  /** The items from `first` to `last`, both included; below zero they count from the end, as LRANGE has it. */
  slice(first: number, last: number): string[] {
    const from = Math.max(0, first < 0 ? this.length + first : first);
    const to = Math.min(this.length - 1, last < 0 ? this.length + last : last);
    const items: string[] = [];
    for (let index = from; index <= to; index++) items.push(this.at(index));
    return items;
  }

  private at(index: number): string {
    const { front, back } = this;
    return index < front.length ? front[front.length - 1 - index]! : back[index - front.length]!;
  }
}
