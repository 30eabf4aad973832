/** The leaf operations that pass descriptors over a unix stream. */

import type { SuspendRequest } from "../core/request.ts";
import type { ReceivedMessage } from "./received-descriptors.ts";
import { ReadingOperation, type Transfer, WOULD_BLOCK, WriteOperation } from "./stream-operations.ts";

/** What the operations need of their stream. */
export interface DescriptorTransfer extends Transfer {
  /** Receives without waiting; null if that would block. */
  tryReceiveDescriptors(buffer: Uint8Array, mostDescriptors: number): ReceivedMessage | null;
  /** Sends the first bytes, and the descriptors with them. Returns how many bytes went, or `WOULD_BLOCK`. */
  trySendDescriptors(bytes: Uint8Array, descriptors: readonly number[]): number;
}

export class ReceiveDescriptorsOperation extends ReadingOperation<ReceivedMessage> {
  constructor(
    private readonly socket: DescriptorTransfer,
    private readonly buffer: Uint8Array,
    private readonly mostDescriptors: number,
  ) {
    super(socket);
  }

  protected override get operationName(): string {
    return "receiveDescriptors";
  }

  protected override attempt(): IteratorResult<SuspendRequest, ReceivedMessage> {
    const message = this.socket.tryReceiveDescriptors(this.buffer, this.mostDescriptors);
    return message === null ? { done: false, value: this.stream.waitToRead } : { done: true, value: message };
  }
}

/** A write whose first bytes carry descriptors. */
export class SendDescriptorsOperation extends WriteOperation {
  private areSent: boolean;

  constructor(
    private readonly socket: DescriptorTransfer,
    bytes: Uint8Array,
    private readonly descriptors: readonly number[],
  ) {
    super(socket, bytes, 0, bytes.byteLength);
    this.areSent = descriptors.length === 0;
  }

  protected override get operationName(): string {
    return "sendDescriptors";
  }

  protected override attempt(): IteratorResult<SuspendRequest, void> {
    if (!this.areSent) {
      const sent = this.socket.trySendDescriptors(this.bytes, this.descriptors);
      if (sent === WOULD_BLOCK) return { done: false, value: this.stream.waitToWrite };
      this.areSent = true;
      this.start += sent;
    }
    return super.attempt();
  }
}
