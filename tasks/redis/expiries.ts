/** When keys expire: a heap, the earliest first. A key that was given another time leaves its old place behind for a while. */
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
    if (this.heap.length > MOST_PLACES_A_KEY * this.times.size + FEW_PLACES) this.sweep();
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

  /** At most so many keys whose time has come, the earliest first; they are forgotten here. */
  takeDue(nowMs: number, most: number): string[] {
    const due: string[] = [];
    while (due.length < most && this.earliestMs <= nowMs) {
      const { key } = this.pop();
      this.times.delete(key);
      due.push(key);
    }
    return due;
  }

  /** How many places there are, those left behind included. */
  get places(): number {
    return this.heap.length;
  }

  private isValid({ key, atMs }: Place): boolean {
    return this.times.get(key) === atMs;
  }

  /** Drops the places that were left behind. In ascending order the places are a heap. */
  private sweep(): void {
    this.heap = Array.from(this.times, ([key, atMs]) => ({ key, atMs })).sort((a, b) => a.atMs - b.atMs);
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

/** A sweep costs about as much as it took to leave the places behind. */
const MOST_PLACES_A_KEY = 4;

/** So many are kept in any case. */
const FEW_PLACES = 64;
