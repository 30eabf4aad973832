/**
 * Calls on sockets of the unix domain: a part of the `System`. They never block, and return a negated error number if
 * they fail.
 */

import type { PipeEnds } from "./file-system.ts";

/** The two kinds of socket, by the numbers that `zig/src/unix.zig` has. */
export const UnixKind = { STREAM: 0, DATAGRAM: 1 } as const;
export type UnixKind = (typeof UnixKind)[keyof typeof UnixKind];

/** Who is at the other side (SO_PEERCRED of unix(7)): what the kernel knows, not what was claimed. */
export interface Credentials {
  readonly processId: number;
  readonly userId: number;
  readonly groupId: number;
}

/** What `receive` is to take besides bytes. */
export interface UnixRoom {
  readonly kind: UnixKind;
  /** How many descriptors; the system closes what is more. */
  readonly mostDescriptors: number;
  /** Whether the socket was told to pass credentials. */
  readonly hasSender: boolean;
}

/** What came with the bytes of a message. */
export interface UnixMessage {
  readonly bytes: number;
  /** The sender's name as the system writes it; empty if it has none. */
  readonly address: Uint8Array;
  /** The message was longer than the buffer. `bytes` is its whole length. */
  readonly isTruncated: boolean;
  readonly descriptors: readonly number[];
  /** More descriptors came than there was room for; they are closed. */
  readonly areDescriptorsTruncated: boolean;
  readonly sender: Credentials | null;
}

/** Names are bytes as the system has them: a path, or a zero and an abstract name; empty for none. */
export interface UnixSystem {
  /**
   * The kind of a socket that asks, by connecting, whether somebody has a name: the fewer servers hear of it, the better.
   */
  readonly probeKind: UnixKind;
  create(kind: UnixKind): number;
  /** Two sockets that are connected to each other, or an error number. */
  makePair(kind: UnixKind): PipeEnds | number;
  bind(descriptor: number, name: Uint8Array): number;
  connect(descriptor: number, name: Uint8Array): number;
  /** Or an error number. */
  localName(descriptor: number): Uint8Array | number;
  /** Or an error number. */
  peerName(descriptor: number): Uint8Array | number;
  /** Or an error number. */
  peerCredentials(descriptor: number): Credentials | number;
  /** From now on each message that comes says who has sent it. */
  passCredentials(descriptor: number): number;
  /** How much of the send buffer is taken by messages that nobody has received yet, in bytes. */
  queuedBytes(descriptor: number): number;
  /** Sends one message, to a name if it is given, with descriptors; returns how many bytes went. */
  send(descriptor: number, bytes: Uint8Array, to: Uint8Array | null, descriptors: readonly number[]): number;
  /** Or an error number. */
  receive(descriptor: number, buffer: Uint8Array, room: UnixRoom): UnixMessage | number;
}
