/** When keys expire: a heap, the earliest first. A key that was given another time leaves its old place behind. */
export class Expiries {
  /** Called when the earliest time has become earlier. */
  onEarlier: () => void = () => {};
  private readonly times = new Map<string, number>();
  private heap: Place[] = [];

  get(key: string): number | undefined {
    return this.times.get(key);
  }

  /** The time is asked for only if the key has an end. */
  hasPassed(key: string, nowMs: () => number): boolean {
    if (this.times.size === 0) return false;
    const atMs = this.times.get(key);
    return atMs !== undefined && atMs <= nowMs();
  }

  set(key: string, atMs: number): void {
    const earliestMs = this.earliestMs;
    this.times.set(key, atMs);
    this.push({ key, atMs });
    if (atMs < earliestMs) this.onEarlier();
  }

  forget(key: string): boolean {
    return this.times.size > 0 && this.times.delete(key);
  }

  clear(): void {
    this.times.clear();
    this.heap = [];
  }

  /** Infinity if nothing expires. */
  get earliestMs(): number {
    while (this.heap.length > 0 && !this.isValid(this.heap[0]!)) this.pop();
    return this.heap[0]?.atMs ?? Infinity;
  }

  /** The keys whose time has come, which are forgotten here. */
  takeDue(nowMs: number): string[] {
    const due: string[] = [];
    while (this.earliestMs <= nowMs) {
      const { key } = this.pop();
      this.times.delete(key);
      due.push(key);
    }
    return due;
  }

  private isValid({ key, atMs }: Place): boolean {
    return this.times.get(key) === atMs;
  }

  private push(place: Place): void {
    const { heap } = this;
    let at = heap.length;
    for (; at > 0; at = (at - 1) >> 1) {
      const parent = heap[(at - 1) >> 1]!;
      if (parent.atMs <= place.atMs) break;
      heap[at] = parent;
    }
    heap[at] = place;
  }

  private pop(): Place {
    const { heap } = this;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

interface Place {
  readonly key: string;
  readonly atMs: number;
}
