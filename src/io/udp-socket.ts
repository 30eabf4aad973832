/**
 * A UDP socket.
 *
 * Facts. Edge-triggered readiness is told once for each change (epoll(7)). A datagram that cannot be delivered comes
 * back as an ICMP message; on a connected socket that becomes an error, which the next call reports, whichever that is,
 * and the socket goes on (udp(7)). The event queue tells it as an error alone: nothing to read, nothing closed. Linux
 * takes the port away with the connection if it has chosen it, a new connection keeps the old one's source address, and
 * a socket of IPv6 whose connection was taken back still drops what others than its last peer send.
 *
 * Decision. The socket is registered at the first wait and stays so until it is closed; what was told stays known until
 * a call has found the opposite. An error ends any wait, is thrown once, and leaves what is known as it is, so that the
 * next call tries. Datagrams are taken from the kernel only when somebody takes them from here: a cancelled `receive`
 * loses none. A connection is taken back before the next, and the port bound again.
 */

import { Families, SlotWord } from "../core/datagram-system.ts";
import { type SystemError, UnsupportedError } from "../core/errors.ts";
import { Interest } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import type { SocketAddress, System } from "../core/system.ts";
import { toBytes } from "./bytes.ts";
import { type Place, resolveHost } from "./resolve.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";
import { showAddress } from "./tcp-stream.ts";
import { DatagramBatch, type DatagramBatchOptions, DatagramError } from "./udp-batch.ts";
import { assertDestination, destinationWords, parsePlace, toIPv6, type UdpDestination } from "./udp-destination.ts";
import {
  QUEUE_FULL,
  ReceiveBatchOperation,
  ReceiveOperation,
  SendBatchOperation,
  SendOperation,
} from "./udp-operations.ts";
import { UdpSettings } from "./udp-settings.ts";

/** A datagram that was received. */
export interface Datagram {
  /** How many bytes are in the buffer; 0 for an empty datagram. */
  readonly bytes: number;
  /** How many bytes the datagram had. */
  readonly wholeBytes: number;
  /** Whether the datagram was longer than the buffer. The rest is gone. */
  readonly isTruncated: boolean;
  /**
   * Who has sent it. `send` takes it as it is. On a socket for both families an IPv4 address has its mapped form,
   * `::ffff:1.2.3.4`.
   */
  readonly from: SocketAddress;
}

export class UdpSocket extends UdpSettings {
  /** The words of the datagram that came last. */
  private readonly arrival = new Uint32Array(SlotWord.PER_SLOT);
  private local: SocketAddress;
  private remote: SocketAddress | null = null;

  /** For `bindUdp` and `connectUdp`. */
  constructor(
    system: System,
    descriptor: number,
    families: Families,
    /** Where the socket is bound, with the port that it got. */
    private readonly bound: SocketAddress,
  ) {
    super(system, descriptor, families);
    this.local = bound;
  }

  /** Words for messages, such as `UDP socket 127.0.0.1:53`. */
  get label(): string {
    return `UDP socket ${showAddress(this.local)}`;
  }

  /** Where the socket is bound; while it is connected, the address that it sends from. */
  get address(): SocketAddress {
    return this.local;
  }

  /** The peer that the socket is connected to; null if it is not. */
  get remoteAddress(): SocketAddress | null {
    return this.remote;
  }

  /**
   * Connects the socket to a peer: `send` needs no destination then, only what the peer sends is received, and that the
   * peer cannot be reached is an error (`ECONNREFUSED`) of the call after. No message is exchanged. What had come from
   * others before can still be received. A second call connects to another peer; if it fails,
   * the socket is connected to none.
   * @throws TypeError or RangeError for a destination that is none; SystemError such as `ENETUNREACH`, or
   *   `EAFNOSUPPORT` for an address of a family that the socket does not have; what the name look-up throws; BusyError
   *   while a task is sending; ClosedError after `close`
   */
  *connect(to: UdpDestination): Operation<void> {
    this.refuseClosed("connect");
    assertDestination("connect", to);
    const { port } = to;
    const place = parsePlace(this.system, "connect", to.host) ?? (yield* this.resolve("connect", to.host));
    this.refuseNewPeer("connect");
    if (!this.has(place.family)) throw this.wrongFamily("connect", { ...place, port });
    if (this.remote !== null) this.takeConnectionBack();
    const address = this.families === Families.BOTH ? toIPv6({ ...place, port }) : { ...place, port };
    const result = this.system.connect(this.descriptor, address);
    if (result < 0) throw this.failure(result, "connect", address, 0);
    this.remote = address;
    this.local = this.system.localAddress(this.descriptor);
  }

  /**
   * Takes back what `connect` did. The port stays. Does nothing if the socket is not connected.
   * @throws UnsupportedError for a socket with IPv6, which Linux goes on to close to all but its last peer: connect it
   *   to another, or open another; SystemError; BusyError while a task is sending; ClosedError after `close`
   */
  disconnect(): void {
    this.refuseNewPeer("disconnect");
    if (this.remote === null) return;
    if (this.has("IPv6")) {
      throw new UnsupportedError(
        `${this.label}: on Linux a socket with IPv6 that was connected hears nobody but its last peer: ` +
          "connect() it to another peer, or open another socket",
      );
    }
    this.takeConnectionBack();
  }

  /**
   * Receives one datagram into the beginning of `buffer`; suspends the task until there is one. What does not fit is
   * gone, and the result says so. A cancelled `receive` takes nothing.
   * @throws SystemError: `ECONNREFUSED` if an earlier datagram has found nobody at the peer that the socket is
   *   connected to, after which the socket goes on; BusyError if another task is receiving; ClosedError if the socket
   *   is closed, before or meanwhile; RangeError if the buffer is empty
   */
  receive(buffer: Uint8Array): Operation<Datagram> {
    return new ReceiveOperation(this, buffer);
  }

  /**
   * Receives what has come, at most `most` datagrams (by default as many as the batch has slots), in one system call;
   * suspends the task until there is one.
   * @returns how many came, at least 1; they are in the first slots
   * @throws RangeError if the batch has fewer slots; and what `receive` throws
   */
  receiveBatch(batch: DatagramBatch, most?: number): Operation<number> {
    return new ReceiveBatchOperation(this, batch, most);
  }

  /**
   * Sends one datagram (a string as UTF-8), which may be empty, to a destination, or to the peer that the socket is
   * connected to; suspends the task while the system has no room for it, and while a queue of a network interface is
   * full (`ENOBUFS`), which is tried again every millisecond. A host that is a name is looked up each time: connect the
   * socket if there are many datagrams. The data must not change meanwhile.
   *
   * That it was sent does not mean that it arrives.
   * @throws TypeError or RangeError for a destination that is none; SystemError: `EMSGSIZE` if it is too long, `EACCES`
   *   for a broadcast address without `broadcast()`, `EAFNOSUPPORT` for an address of a family that the socket does not
   *   have, `EDESTADDRREQ` without a destination if the socket is not connected, `ECONNREFUSED` if an earlier datagram
   *   has found nobody, in which case this one was not sent; what the name look-up throws; BusyError if another task is
   *   sending; ClosedError if the socket is closed, before or meanwhile
   */
  send(data: Uint8Array | string, to?: UdpDestination): Operation<void> {
    const bytes = toBytes("send: data", data);
    if (to === undefined) return new SendOperation(this, bytes, null);
    const words = destinationWords(this.system, "send", to);
    return words === null ? this.sendToName(bytes, to) : new SendOperation(this, bytes, words);
  }

  /**
   * Sends the datagrams in the slots of a batch from `start` up to, but not including, `end` (by default all), in order
   * and in as few system calls as possible; suspends the task as `send` does. So `sendBatch(batch, count)` answers the
   * `count` datagrams that `receiveBatch` has brought.
   * @throws DatagramError, with the `slot` of the datagram that could not be sent, for the reasons for which `send`
   *   throws a SystemError; those before it went, and `sendBatch(batch, end, slot + 1)` goes on behind it. RangeError
   *   if `start` and `end` are no range of the batch. And what else `send` throws
   */
  sendBatch(batch: DatagramBatch, end?: number, start = 0): Operation<void> {
    return new SendBatchOperation(this, batch, end, start);
  }

  /**
   * Makes room for several datagrams; any UDP socket of this thread can use it.
   * @throws RangeError for a number out of range
   */
  createBatch(options?: DatagramBatchOptions): DatagramBatch {
    return new DatagramBatch(this.system, options);
  }

  /** For operations: receives without waiting; null if there is nothing. */
  tryReceive(buffer: Uint8Array): Datagram | null {
    const { source, arrival } = this;
    if (!source.mayRead) return null;
    const { datagrams } = this.system;
    const wholeBytes = datagrams.receive(source.descriptor, buffer, arrival);
    if (wholeBytes < 0) {
      this.nothingReceived(wholeBytes);
      return null;
    }
    const isTruncated = wholeBytes > buffer.byteLength;
    const bytes = isTruncated ? buffer.byteLength : wholeBytes;
    return { bytes, wholeBytes, isTruncated, from: datagrams.readAddress(arrival, SlotWord.ADDRESS) };
  }

  /** For operations: receives without waiting. Returns how many datagrams came, or `WOULD_BLOCK`. */
  tryReceiveBatch(batch: DatagramBatch, most: number): number {
    const { source } = this;
    if (!source.mayRead) return WOULD_BLOCK;
    const count = this.system.datagrams.receiveBatch(source.descriptor, batch, most);
    if (count < 0) return this.nothingReceived(count);
    // The system stops before there are as many only when it has found no more. An error that came meanwhile is an
    // event of its own, which is yet to come.
    if (count < most) source.clearReadable();
    return count;
  }

  /** For operations: sends without waiting. Returns 0 or more, `WOULD_BLOCK` or `QUEUE_FULL`. */
  trySend(bytes: Uint8Array, to: Uint32Array | null): number {
    const { source } = this;
    if (!source.mayWrite) return WOULD_BLOCK;
    const result = this.system.datagrams.send(source.descriptor, this.families, bytes, to);
    if (result >= 0) return result;
    const reason = this.reasonToWait(result);
    if (reason === null) throw this.failure(result, "send", this.placeOf(to, 0), bytes.byteLength);
    return reason;
  }

  /** For operations: likewise with the datagrams of slots. Returns how many went, `WOULD_BLOCK` or `QUEUE_FULL`. */
  trySendBatch(batch: DatagramBatch, first: number, count: number): number {
    const { source } = this;
    if (!source.mayWrite) return WOULD_BLOCK;
    const { datagrams } = this.system;
    const sent = datagrams.sendBatch(source.descriptor, this.families, batch, first, count);
    if (sent >= 0) return sent;
    const reason = this.reasonToWait(sent);
    if (reason === null) throw this.failureOfSlot(sent, batch, first);
    return reason;
  }

  private *sendToName(bytes: Uint8Array, { host, port }: UdpDestination): Operation<void> {
    this.refuseClosed("send");
    const place = yield* this.resolve("send", host);
    yield* new SendOperation(this, bytes, this.system.datagrams.toWords({ ...place, port }));
  }

  /** What waits to be sent is for the peer that the socket has now. */
  private refuseNewPeer(call: string): void {
    this.refuseClosed(call);
    if (this.sending !== null) throw this.source.busyError(Interest.WRITABLE);
  }

  private takeConnectionBack(): void {
    this.check(this.system.datagrams.disconnect(this.descriptor), "connect", this.remote ?? undefined);
    this.remote = null;
    this.local = this.system.localAddress(this.descriptor);
    if (this.local.port !== 0) return;
    this.check(this.system.bind(this.descriptor, this.bound), "bind", this.bound);
    this.local = this.system.localAddress(this.descriptor);
  }

  /** The first address of a name that the socket can send to. */
  private *resolve(call: string, name: string): Operation<Place> {
    const places = yield* resolveHost(this.system, name);
    const place = places.find(({ family }) => this.has(family));
    if (place === undefined) throw this.wrongFamily(call, { host: name });
    return place;
  }

  /** Judges a receive that brought nothing: there is nothing, or an error. */
  private nothingReceived(result: number): number {
    if (this.system.meaningOf(result) !== "wouldBlock") {
      throw this.system.errorOf(result, "receive", this.remote ?? undefined);
    }
    this.source.clearReadable();
    return WOULD_BLOCK;
  }

  /** Why a send that has failed is to be tried again: `WOULD_BLOCK` or `QUEUE_FULL`; null if it is an error. */
  private reasonToWait(result: number): number | null {
    const meaning = this.system.meaningOf(result);
    if (meaning === "exhausted") return QUEUE_FULL;
    if (meaning !== "wouldBlock") return null;
    this.source.clearWritable();
    return WOULD_BLOCK;
  }

  private failure(
    result: number,
    call: string,
    place: Partial<SocketAddress> | null,
    lengthBytes: number,
  ): SystemError {
    const error = this.system.errorOf(result, call, place ?? undefined);
    const words = this.explain(error.code, lengthBytes);
    if (words !== null) error.message += `. ${words}`;
    return error;
  }

  private failureOfSlot(result: number, batch: DatagramBatch, slot: number): DatagramError {
    const place = this.placeOf(batch.words, slot * SlotWord.PER_SLOT + SlotWord.ADDRESS);
    const cause = this.system.errorOf(result, "send", place ?? undefined);
    const reason = this.explain(cause.code, batch.lengthOf(slot)) ?? this.system.errorOf(result, "send").message;
    return new DatagramError(cause, slot, reason);
  }

  /** The address that words stand for, or the peer. */
  private placeOf(words: Uint32Array | null, at: number): SocketAddress | null {
    return words === null || words[at] === 0 ? this.remote : this.system.datagrams.readAddress(words, at);
  }

  /** What the error numbers of sendto(2) mean to the user of this socket. */
  private explain(code: string, lengthBytes: number): string | null {
    switch (code) {
      case "EMSGSIZE":
        return `A datagram of ${lengthBytes} bytes is too long: UDP takes at most 65,507 over IPv4 and 65,527 over IPv6`;
      case "EAFNOSUPPORT":
        return this.familyWords;
      case "EACCES":
        return "For a broadcast address, call broadcast() first";
      case "EDESTADDRREQ":
        return `${this.label} is not connected: say where to send to, or connect it first`;
      default:
        return null;
    }
  }

  private wrongFamily(call: string, place: Partial<SocketAddress>): SystemError {
    return this.failure(this.system.datagrams.wrongFamily, call, place, 0);
  }

  private get familyWords(): string {
    if (this.families === Families.IPV4)
      return `${this.label} sends to IPv4 addresses alone: bind one to "::" for IPv6`;
    return `${this.label} sends to IPv6 addresses alone: bind one to "0.0.0.0" for IPv4, or to "::" without ipv6Only for both`;
  }
}
