/**
 * The leaf operations of UDP sockets. Each first tries; only if the operating system says "would block" does the task
 * suspend.
 */

import { chargeBudget } from "../core/budget.ts";
import { assertInteger, describeValue } from "../core/errors.ts";
import { DeadlineRequest, type SuspendRequest } from "../core/request.ts";
import { assertRoom } from "./bytes.ts";
import { StreamOperation, WOULD_BLOCK } from "./stream-operations.ts";
import { DatagramBatch } from "./udp-batch.ts";
import type { Datagram, UdpSocket } from "./udp-socket.ts";

type Step<T> = IteratorResult<SuspendRequest, T>;

/** The operating system's own queue is full: no descriptor tells when it is not any more. */
export const QUEUE_FULL = -2;

abstract class Receiving<T> extends StreamOperation<T> {
  constructor(protected readonly socket: UdpSocket) {
    super();
  }

  protected override begin(): void {
    this.socket.beginReceive();
  }

  protected override hold(operation: this | null): void {
    this.socket.holdReceive(operation);
  }
}

abstract class Sending extends StreamOperation<void> {
  constructor(protected readonly socket: UdpSocket) {
    super();
  }

  protected override begin(): void {
    this.socket.beginSend();
  }

  protected override hold(operation: this | null): void {
    this.socket.holdSend(operation);
  }

  /** What to wait for after a call that sent nothing. */
  protected waitAfter(result: number): Step<void> {
    const request = result === QUEUE_FULL ? DeadlineRequest.after(QUEUE_PAUSE_NS) : this.socket.waitToSend;
    return { done: false, value: request };
  }
}

export class ReceiveOperation extends Receiving<Datagram> {
  constructor(
    socket: UdpSocket,
    private readonly buffer: Uint8Array,
  ) {
    super(socket);
    assertRoom("receive: buffer", buffer);
  }

  protected override get operationName(): string {
    return "receive";
  }

  protected override attempt(): Step<Datagram> {
    const datagram = this.socket.tryReceive(this.buffer);
    return datagram === null ? { done: false, value: this.socket.waitToReceive } : { done: true, value: datagram };
  }
}

export class ReceiveBatchOperation extends Receiving<number> {
  private readonly most: number;

  constructor(
    socket: UdpSocket,
    private readonly batch: DatagramBatch,
    most?: number,
  ) {
    super(socket);
    assertBatch("receiveBatch", batch);
    this.most = most ?? batch.slots;
    if (most !== undefined) assertInteger("receiveBatch: most", most, 1, batch.slots);
  }

  protected override get operationName(): string {
    return "receiveBatch";
  }

  protected override attempt(): Step<number> {
    const count = this.socket.tryReceiveBatch(this.batch, this.most);
    if (count === WOULD_BLOCK) return { done: false, value: this.socket.waitToReceive };
    chargeFor(count);
    return { done: true, value: count };
  }
}

export class SendOperation extends Sending {
  constructor(
    socket: UdpSocket,
    private readonly bytes: Uint8Array,
    /** The words of an address; null for the connected peer. */
    private readonly to: Uint32Array | null,
  ) {
    super(socket);
  }

  protected override get operationName(): string {
    return "send";
  }

  protected override attempt(): Step<void> {
    const result = this.socket.trySend(this.bytes, this.to);
    return result < 0 ? this.waitAfter(result) : DONE;
  }
}

export class SendBatchOperation extends Sending {
  private readonly end: number;

  constructor(
    socket: UdpSocket,
    private readonly batch: DatagramBatch,
    end: number | undefined,
    private slot: number,
  ) {
    super(socket);
    assertBatch("sendBatch", batch);
    this.end = end ?? batch.slots;
    assertInteger("sendBatch: end", this.end, 0, batch.slots);
    assertInteger("sendBatch: start", slot, 0, this.end);
  }

  protected override get operationName(): string {
    return "sendBatch";
  }

  /** The system may send fewer than it was given, and then says why only when it is called again. */
  protected override attempt(): Step<void> {
    while (this.slot < this.end) {
      const count = this.socket.trySendBatch(this.batch, this.slot, this.end - this.slot);
      if (count < 0) return this.waitAfter(count);
      chargeFor(count);
      this.slot += count;
    }
    return DONE;
  }
}

function assertBatch(call: string, batch: unknown): asserts batch is DatagramBatch {
  if (batch instanceof DatagramBatch) return;
  throw new TypeError(`${call}: batch must be what createBatch() has made, but is ${describeValue(batch)}`);
}

/** A batch is the work of several operations, and others must not wait for hundreds of them. */
function chargeFor(count: number): void {
  chargeBudget(Math.floor(count / DATAGRAMS_PER_UNIT));
}

const DONE: Step<void> = { done: true, value: undefined };

/** In the time of one other operation, which makes a system call, the kernel moves some datagrams more. */
const DATAGRAMS_PER_UNIT = 4;

/** A queue of a network interface empties in less; and a task that waits must not burn the CPU. */
const QUEUE_PAUSE_NS = 1_000_000;
