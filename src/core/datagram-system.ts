/**
 * Calls on datagram sockets of the internet (UDP): a part of the `System`. They never block, and return a negated error
 * number if they fail.
 */

import type { SocketAddress } from "./system.ts";

/** Which addresses a socket can send to, by the numbers that `zig/src/datagram.zig` has. */
export const Families = { IPV4: 4, IPV6: 6, BOTH: 10 } as const;
export type Families = (typeof Families)[keyof typeof Families];

/** The options that only datagrams have, likewise. */
export const DatagramOption = {
  BROADCAST: 0,
  HOPS: 1,
  MULTICAST_HOPS: 2,
  MULTICAST_LOOPBACK: 3,
  MULTICAST_INTERFACE: 4,
} as const;
export type DatagramOption = (typeof DatagramOption)[keyof typeof DatagramOption];

/**
 * What is known of a datagram beside its bytes, in 32-bit words: how long it is, and whose. Whoever sends back what
 * came needs no text of the address, so it stays as the system has it.
 */
export const SlotWord = {
  /** In bytes; the whole length, also if the datagram was truncated. */
  LENGTH: 0,
  /** Where the address begins: first its family, 0 if there is none. */
  ADDRESS: 2,
  /** How many words there are for each datagram. */
  PER_SLOT: 10,
} as const;

/** How many words an address has. */
export const ADDRESS_WORDS = SlotWord.PER_SLOT - SlotWord.ADDRESS;

/** The most datagrams of one call. */
export const MOST_SLOTS = 256;

/** The memory of several datagrams: slots of equal size, one after the other, and the words of each. */
export interface SlotMemory {
  readonly bytes: Uint8Array;
  readonly slotBytes: number;
  readonly words: Uint32Array;
}

export interface DatagramSystem {
  /** The error number for an address of a family that a socket does not have. */
  readonly wrongFamily: number;
  create(family: SocketAddress["family"]): number;
  /** Takes back what `connect` did. */
  disconnect(descriptor: number): number;
  /** Sends one datagram, to the words of an address, or to the connected peer (null). */
  send(descriptor: number, families: Families, bytes: Uint8Array, to: Uint32Array | null): number;
  /** Takes one datagram into `buffer`, its length and its sender into the words of a slot; returns its whole length. */
  receive(descriptor: number, buffer: Uint8Array, words: Uint32Array): number;
  /** Sends the datagrams of `count` slots from `first` on; returns how many went, an error only if that was none. */
  sendBatch(descriptor: number, families: Families, memory: SlotMemory, first: number, count: number): number;
  /** Takes what has come, at most `count` datagrams; returns how many, an error only if that was none. */
  receiveBatch(descriptor: number, memory: SlotMemory, count: number): number;

  /** The address at a place of the words of slots; the same object for one that came lately. */
  readAddress(words: Uint32Array, at: number): SocketAddress;
  /** The words of an address that `readAddress` has returned; undefined for any other. */
  wordsOf(address: object): Uint32Array | undefined;
  /** The words of an address. */
  toWords(address: SocketAddress): Uint32Array;

  setOption(descriptor: number, family: SocketAddress["family"], option: DatagramOption, value: number): number;
  /** Joins a group on an interface, by its number (0: the system chooses), or leaves it. */
  setMembership(
    descriptor: number,
    group: Pick<SocketAddress, "host" | "family">,
    interfaceIndex: number,
    isMember: boolean,
  ): number;
  /** The number of an interface, by its name or by an address that it has. */
  interfaceIndex(nameOrAddress: string): number;
}
