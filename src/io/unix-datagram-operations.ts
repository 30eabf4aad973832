/** The leaf operations of datagram sockets of the unix domain. */

import { Interest } from "../core/interest.ts";
import { InterestRequest, SuspendRequest } from "../core/request.ts";
import { Delivery, Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import { UnixKind } from "../core/unix-system.ts";
import type { ReceivedDatagram } from "./received-descriptors.ts";
import { StreamOperation } from "./stream-operations.ts";

/** A name to send to. */
export interface Destination {
  /** As the system has it. */
  readonly bytes: Uint8Array;
  /** In messages. */
  readonly path: string;
}

/** What is sent. */
export interface DatagramToSend {
  /** The function that the user has called. */
  readonly caller: string;
  readonly bytes: Uint8Array;
  /** Null if it is the peer that the socket is connected to. */
  readonly destination: Destination | null;
  readonly descriptors: readonly number[];
}

/** A send that may have to wait. */
export interface Sending extends DatagramToSend {
  /** The request that waits for room in the queue of the receiver; `label` is the sender's. */
  roomAt(system: System, destination: Destination, label: string): SuspendRequest;
  /** Ends such a wait with a `ClosedError`: the sender was closed. */
  abandonRoom(): void;
}

/** What the operations need of their socket. */
export interface DatagramTransfer {
  /** Refuses a receive that cannot begin. */
  beginReceive(): void;
  /** Refuses a send that cannot begin. */
  beginSend(): void;
  /** Keeps others from receiving until the operation has ended (null). */
  holdReceive(operation: StreamOperation<unknown> | null): void;
  /** Keeps others from sending until the operation has ended (null). */
  holdSend(operation: Sending | null): void;
  /** A message, or what to wait for. */
  tryReceive(buffer: Uint8Array, mostDescriptors: number): ReceivedDatagram | SuspendRequest;
  /** Null if the message was sent; else what to wait for. */
  trySend(sending: Sending): SuspendRequest | null;
}

export class ReceiveDatagramOperation extends StreamOperation<ReceivedDatagram> {
  constructor(
    private readonly socket: DatagramTransfer,
    private readonly buffer: Uint8Array,
    private readonly mostDescriptors: number,
  ) {
    super();
  }

  protected override get operationName(): string {
    return "receive";
  }

  protected override begin(): void {
    this.socket.beginReceive();
  }

  protected override hold(operation: this | null): void {
    this.socket.holdReceive(operation);
  }

  protected override attempt(): IteratorResult<SuspendRequest, ReceivedDatagram> {
    const outcome = this.socket.tryReceive(this.buffer, this.mostDescriptors);
    return outcome instanceof SuspendRequest ? { done: false, value: outcome } : { done: true, value: outcome };
  }
}

export class SendDatagramOperation extends StreamOperation<void> implements Sending {
  readonly caller: string;
  readonly bytes: Uint8Array;
  readonly destination: Destination | null;
  readonly descriptors: readonly number[];
  private room: PeerRoom | null = null;

  constructor(
    private readonly socket: DatagramTransfer,
    { caller, bytes, destination, descriptors }: DatagramToSend,
  ) {
    super();
    this.caller = caller;
    this.bytes = bytes;
    this.destination = destination;
    this.descriptors = descriptors;
  }

  roomAt(system: System, destination: Destination, label: string): SuspendRequest {
    this.room ??= new PeerRoom(system, destination, label);
    try {
      this.room.connect();
    } catch (error) {
      this.abandonRoom();
      throw error;
    }
    return this.room.wait;
  }

  abandonRoom(): void {
    this.room?.close();
    this.room = null;
  }

  protected override get operationName(): string {
    return this.caller;
  }

  protected override begin(): void {
    this.socket.beginSend();
  }

  protected override hold(operation: this | null): void {
    this.socket.holdSend(operation);
    if (operation === null) this.abandonRoom();
  }

  protected override attempt(): IteratorResult<SuspendRequest, void> {
    const wait = this.socket.trySend(this);
    return wait === null ? { done: true, value: undefined } : { done: false, value: wait };
  }
}

/**
 * A nameless socket that is connected to a receiver, and writable while that one's queue has room. Armed for each wait anew,
 * so that the kernel looks anew: if somebody else has filled the queue meanwhile, no edge would tell. And connected anew,
 * for another may have the name by now: to one that is gone it would be writable for ever.
 */
class PeerRoom {
  readonly wait: InterestRequest;
  private readonly source: Source;

  constructor(
    private readonly system: System,
    private readonly destination: Destination,
    label: string,
  ) {
    const { path } = destination;
    const descriptor = system.unix.create(UnixKind.DATAGRAM);
    if (descriptor < 0) throw system.errorOf(descriptor, "socket", { path });
    this.source = new Source(descriptor, Delivery.ONE_SHOT, { label: `${label}, whose receiver ${path} is full` });
    this.wait = new InterestRequest(this.source, Interest.WRITABLE);
  }

  /** To whoever has the name now. */
  connect(): void {
    const { bytes, path } = this.destination;
    const result = this.system.unix.connect(this.source.descriptor, bytes);
    if (result < 0) throw this.system.errorOf(result, "sendmsg", { path });
  }

  close(): void {
    this.source.close();
    this.system.close(this.source.descriptor);
  }
}
