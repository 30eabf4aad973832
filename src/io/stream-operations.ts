/**
 * The leaf operations of streams. Each first tries; only if the operating system says "would block", or is known to, does
 * the task suspend.
 */

import { spendBudget } from "../core/budget.ts";
import { OperationReusedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { SuspendRequest } from "../core/request.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import { assertRange, assertRoom } from "./bytes.ts";

/** What the operations need of their stream. */
export interface Transfer {
  /** The request that waits until a read is worth a try. */
  readonly waitToRead: SuspendRequest;
  /** The request that waits until a write is worth a try. */
  readonly waitToWrite: SuspendRequest;
  /** Whether a read would not have to wait, as far as is known. */
  readonly mayRead: boolean;
  /** Whether this side has closed it; a wait then ends with an error. */
  readonly isClosed: boolean;
  /** Refuses a read that cannot begin. */
  beginRead(): void;
  /** Refuses a write that cannot begin. */
  beginWrite(): void;
  /** Keeps others from reading until the operation has ended (null). */
  holdRead(operation: StreamOperation<unknown> | null): void;
  /** Keeps others from writing until the operation has ended (null). */
  holdWrite(operation: StreamOperation<unknown> | null): void;
  /** Reads without waiting. Returns how many bytes came, or `WOULD_BLOCK`. */
  tryRead(buffer: Uint8Array, offset: number): number;
  /** Likewise, behind what was read ahead. */
  tryReadBehind(buffer: Uint8Array, offset: number): number;
  /** Writes without waiting. Returns how many bytes went, or `WOULD_BLOCK`. */
  tryWrite(bytes: Uint8Array, start: number, end: number): number;
  /** Likewise with parts, from `parts[first]`, `offset` bytes into it. */
  tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number;
}

/** No number of bytes. */
export const WOULD_BLOCK = -1;

type Step<T> = IteratorResult<SuspendRequest, T>;

/**
 * The common part of a stream's leaf operations: used once, begun once, then tried until done. One that has to wait holds
 * its direction of the stream until it ends, also while it is about to go on, so that no other slips in between.
 */
export abstract class StreamOperation<T> implements Operation<T>, Iterator<SuspendRequest, T, unknown> {
  private isUsed = false;
  private hasBegun = false;
  private isHolding = false;

  protected abstract readonly operationName: string;

  /** Refuses what cannot begin. */
  protected abstract begin(): void;

  /** Tries once more. */
  protected abstract attempt(): Step<T>;

  /** Holds the direction of the stream (this), or lets it go (null). */
  protected abstract hold(operation: this | null): void;

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    if (this.isUsed) throw new OperationReusedError(this.operationName);
    this.isUsed = true;
    return this;
  }

  next(): Step<T> {
    if (!this.hasBegun) {
      this.begin();
      this.hasBegun = true;
    }
    const step = spendBudget() ? this.attemptOrLetGo() : YIELDED;
    if (step.done !== true && !this.isHolding) {
      this.isHolding = true;
      this.hold(this);
    } else if (step.done === true) this.letGo();
    return step;
  }

  throw(error: unknown): Step<T> {
    this.letGo();
    throw error;
  }

  /** The task was cancelled. */
  return(): Step<T> {
    this.letGo();
    return { done: true, value: undefined as T };
  }

  private attemptOrLetGo(): Step<T> {
    try {
      return this.attempt();
    } catch (error) {
      this.letGo();
      throw error;
    }
  }

  private letGo(): void {
    if (!this.isHolding) return;
    this.isHolding = false;
    this.hold(null);
  }
}

/** The operations that read. */
export abstract class ReadingOperation<T> extends StreamOperation<T> {
  constructor(protected readonly stream: Transfer) {
    super();
  }

  protected override begin(): void {
    this.stream.beginRead();
  }

  protected override hold(operation: this | null): void {
    this.stream.holdRead(operation);
  }
}

/** The operations that write. */
abstract class WritingOperation extends StreamOperation<void> {
  constructor(protected readonly stream: Transfer) {
    super();
  }

  protected override begin(): void {
    this.stream.beginWrite();
  }

  protected override hold(operation: this | null): void {
    this.stream.holdWrite(operation);
  }
}

export class ReadOperation extends ReadingOperation<number> {
  constructor(
    stream: Transfer,
    private readonly buffer: Uint8Array,
    private readonly offset: number,
  ) {
    super(stream);
    assertRoom("read: buffer", buffer);
  }

  protected override get operationName(): string {
    return "read";
  }

  protected override attempt(): Step<number> {
    const received = this.receive(this.buffer, this.offset);
    return received === WOULD_BLOCK ? { done: false, value: this.stream.waitToRead } : { done: true, value: received };
  }

  protected receive(buffer: Uint8Array, offset: number): number {
    return this.stream.tryRead(buffer, offset);
  }
}

/** Reads behind what was read ahead. */
export class ReadBehindOperation extends ReadOperation {
  protected override receive(buffer: Uint8Array, offset: number): number {
    return this.stream.tryReadBehind(buffer, offset);
  }
}

export class ReadableOperation extends ReadingOperation<void> {
  /** A stream of which nothing is known cannot tell afterwards that the wait was answered. */
  private hasWaited = false;

  protected override get operationName(): string {
    return "readable";
  }

  protected override attempt(): Step<void> {
    if (this.stream.mayRead || (this.hasWaited && !this.stream.isClosed)) return DONE;
    this.hasWaited = true;
    return { done: false, value: this.stream.waitToRead };
  }
}

export class WriteOperation extends WritingOperation {
  constructor(
    stream: Transfer,
    protected readonly bytes: Uint8Array,
    protected start: number,
    private readonly end: number,
  ) {
    super(stream);
    if (start !== 0 || end !== bytes.byteLength) assertRange("write", bytes, start, end);
  }

  protected override get operationName(): string {
    return "write";
  }

  protected override attempt(): Step<void> {
    while (this.start < this.end) {
      const sent = this.stream.tryWrite(this.bytes, this.start, this.end);
      if (sent === WOULD_BLOCK) return { done: false, value: this.stream.waitToWrite };
      this.start += sent;
      if (this.start < this.end && !spendBudget()) return YIELDED;
    }
    return DONE;
  }
}

export class WriteAllOperation extends WritingOperation {
  private first = 0;
  private offset = 0;

  constructor(
    stream: Transfer,
    private readonly parts: readonly Uint8Array[],
  ) {
    super(stream);
    this.skipFullySent();
  }

  protected override get operationName(): string {
    return "writeAll";
  }

  protected override attempt(): Step<void> {
    while (this.first < this.parts.length) {
      const sent = this.stream.tryWriteAll(this.parts, this.first, this.offset);
      if (sent === WOULD_BLOCK) return { done: false, value: this.stream.waitToWrite };
      this.offset += sent;
      this.skipFullySent();
      if (this.first < this.parts.length && !spendBudget()) return YIELDED;
    }
    return DONE;
  }

  private skipFullySent(): void {
    while (this.first < this.parts.length && this.offset >= this.parts[this.first]!.byteLength) {
      this.offset -= this.parts[this.first]!.byteLength;
      this.first++;
    }
  }
}

const YIELDED: IteratorYieldResult<SuspendRequest> = { done: false, value: YIELD_REQUEST };
const DONE: Step<void> = { done: true, value: undefined };
