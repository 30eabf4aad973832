/**
 * The deadlines that tasks wait for: a four-ary heap, ordered by deadline and, among equal ones, by the order of arming;
 * but what ends a wait early comes after what ends by itself at the same time, so that completion wins.
 *
 * Insert and remove are O(log n): each timer knows its place. Four children a node make the heap half as deep as two
 * do and keep a node's children side by side.
 */

/** Something that happens at a time. */
export interface Timer {
  /** On the executor's clock. Does not change while the timer is armed. */
  readonly deadlineNs: number;
  /** Whether it ends a wait early: then waits that end by themselves at the same time come first. */
  readonly isLimit: boolean;
  /** The order of arming among equal deadlines; owned by the timers. */
  sequence: number;
  /** The place in the heap; owned by the timers. */
  position: number;
  /** The deadline has come, and the timers have let the timer go. */
  expire(): void;
  /** The reactor failed, and the timers have let the timer go. */
  fail(error: unknown): void;
}

export class Timers {
  private readonly heap: Timer[] = [];
  private nextSequence = 0;

  get size(): number {
    return this.heap.length;
  }

  /** The earliest deadline in nanoseconds; Infinity if there is none. */
  get nextDeadlineNs(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0]!.deadlineNs;
  }

  insert(timer: Timer): void {
    timer.sequence = this.nextSequence++;
    this.heap.push(timer);
    this.siftUp(timer, this.heap.length - 1);
  }

  remove(timer: Timer): void {
    const last = this.heap.pop()!;
    if (last === timer) return;
    if (isBefore(last, timer)) this.siftUp(last, timer.position);
    else this.siftDown(last, timer.position);
  }

  /**
   * Expires all whose deadline is not after `nowNs`, earliest first; returns how many. Those that are armed meanwhile
   * wait for the next call, so that a task that sleeps for no time again and again starves nobody. So does a limit that
   * comes after what is not one: whoever has just been woken may be what it limits, and about to end.
   */
  expire(nowNs: number): number {
    if (this.nextDeadlineNs > nowNs) return 0;
    const firstUnseen = this.nextSequence;
    let count = 0;
    let wokeSomebody = false;
    while (this.nextDeadlineNs <= nowNs && this.heap[0]!.sequence < firstUnseen) {
      const timer = this.heap[0]!;
      if (timer.isLimit && wokeSomebody) break;
      wokeSomebody ||= !timer.isLimit;
      this.remove(timer);
      timer.expire();
      count++;
    }
    return count;
  }

  /** Ends every wait with an error. */
  failAll(error: unknown): void {
    // One at a time: the end of one wait may take back another. What arms itself anew is not told again.
    const firstUnseen = this.nextSequence;
    for (;;) {
      const timer = this.heap.find(({ sequence }) => sequence < firstUnseen);
      if (timer === undefined) return;
      this.remove(timer);
      timer.fail(error);
    }
  }

  private siftUp(timer: Timer, from: number): void {
    let position = from;
    while (position > 0) {
      const parentPosition = (position - 1) >> ARITY_BITS;
      const parent = this.heap[parentPosition]!;
      if (!isBefore(timer, parent)) break;
      this.place(parent, position);
      position = parentPosition;
    }
    this.place(timer, position);
  }

  private siftDown(timer: Timer, from: number): void {
    let position = from;
    for (;;) {
      const childPosition = this.earliestChild(position);
      if (childPosition === -1) break;
      const child = this.heap[childPosition]!;
      if (!isBefore(child, timer)) break;
      this.place(child, position);
      position = childPosition;
    }
    this.place(timer, position);
  }

  /** The position of the earliest child, or -1 if there is none. */
  private earliestChild(position: number): number {
    const first = (position << ARITY_BITS) + 1;
    if (first >= this.heap.length) return -1;
    const end = Math.min(first + ARITY, this.heap.length);
    let earliest = first;
    for (let candidate = first + 1; candidate < end; candidate++) {
      if (isBefore(this.heap[candidate]!, this.heap[earliest]!)) earliest = candidate;
    }
    return earliest;
  }

  private place(timer: Timer, position: number): void {
    this.heap[position] = timer;
    timer.position = position;
  }
}

function isBefore(left: Timer, right: Timer): boolean {
  if (left.deadlineNs !== right.deadlineNs) return left.deadlineNs < right.deadlineNs;
  if (left.isLimit !== right.isLimit) return right.isLimit;
  return left.sequence < right.sequence;
}

const ARITY_BITS = 2;
const ARITY = 1 << ARITY_BITS;
