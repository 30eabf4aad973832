/**
 * The deadlines that tasks wait for: a four-ary heap, ordered by deadline and, among equal ones, by the order of arming.
 *
 * Insert and remove are O(log n): each request knows its place. Four children a node make the heap half as deep as two
 * do and keep a node's children side by side.
 */

import type { DeadlineRequest } from "./request.ts";

export class Timers {
  private readonly heap: DeadlineRequest[] = [];
  private nextSequence = 0;

  get size(): number {
    return this.heap.length;
  }

  /** The earliest deadline in nanoseconds; Infinity if there is none. */
  get nextDeadlineNs(): number {
    return this.heap.length === 0 ? Infinity : this.heap[0]!.deadlineNs;
  }

  insert(request: DeadlineRequest): void {
    request.sequence = this.nextSequence++;
    this.heap.push(request);
    this.siftUp(request, this.heap.length - 1);
  }

  remove(request: DeadlineRequest): void {
    const last = this.heap.pop()!;
    if (last === request) return;
    if (isBefore(last, request)) this.siftUp(last, request.position);
    else this.siftDown(last, request.position);
  }

  /**
   * Expires all whose deadline is not after `nowNs`, earliest first; returns how many. Those that are armed meanwhile
   * wait for the next call, so that a task that sleeps for no time again and again starves nobody.
   */
  expire(nowNs: number): number {
    if (this.nextDeadlineNs > nowNs) return 0;
    const firstUnseen = this.nextSequence;
    let count = 0;
    while (this.nextDeadlineNs <= nowNs && this.heap[0]!.sequence < firstUnseen) {
      const request = this.heap[0]!;
      this.remove(request);
      request.expire();
      count++;
    }
    return count;
  }

  /** Ends every wait with an error. */
  failAll(error: unknown): void {
    // One at a time: the end of one wait may take back another.
    while (this.heap.length > 0) {
      const request = this.heap[0]!;
      this.remove(request);
      request.fail(error);
    }
  }

  private siftUp(request: DeadlineRequest, from: number): void {
    let position = from;
    while (position > 0) {
      const parentPosition = (position - 1) >> ARITY_BITS;
      const parent = this.heap[parentPosition]!;
      if (!isBefore(request, parent)) break;
      this.place(parent, position);
      position = parentPosition;
    }
    this.place(request, position);
  }

  private siftDown(request: DeadlineRequest, from: number): void {
    let position = from;
    for (;;) {
      const childPosition = this.earliestChild(position);
      if (childPosition === -1) break;
      const child = this.heap[childPosition]!;
      if (!isBefore(child, request)) break;
      this.place(child, position);
      position = childPosition;
    }
    this.place(request, position);
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

  private place(request: DeadlineRequest, position: number): void {
    this.heap[position] = request;
    request.position = position;
  }
}

function isBefore(left: DeadlineRequest, right: DeadlineRequest): boolean {
  if (left.deadlineNs !== right.deadlineNs) return left.deadlineNs < right.deadlineNs;
  return left.sequence < right.sequence;
}

const ARITY_BITS = 2;
const ARITY = 1 << ARITY_BITS;
