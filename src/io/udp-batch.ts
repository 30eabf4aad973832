/**
 * Several datagrams in memory that is used again and again: `receiveBatch` fills it, `sendBatch` empties it, and what
 * came can go back as it is.
 *
 * Facts. One by one, the echo of a small datagram costs 1.4 times what the kernel needs for it: for two system calls,
 * and the objects that say what came and from whom.
 *
 * Decision. The bytes of all slots are one array, what is known of each is words in another; nothing is made for a
 * datagram unless it is asked for.
 */

import { MOST_SLOTS, type SlotMemory, SlotWord } from "../core/datagram-system.ts";
import { assertInteger, describeValue, SystemError } from "../core/errors.ts";
import type { SocketAddress, System } from "../core/system.ts";
import { toBytes } from "./bytes.ts";
import { destinationWords, type UdpDestination } from "./udp-destination.ts";

export interface DatagramBatchOptions {
  /** How many datagrams there is room for, from 1 to 256; by default 64. */
  readonly slots?: number | undefined;
  /** Room for each, in bytes, from 1 to 65,535; by default 2,048. What is longer is truncated. */
  readonly slotBytes?: number | undefined;
}

/** Room for several datagrams, each in a slot with its length and the address that it came from or goes to. */
export class DatagramBatch implements SlotMemory {
  /** How many datagrams there is room for. */
  readonly slots: number;
  /** Room for each, in bytes. */
  readonly slotBytes: number;
  /** All slots, one after the other: the datagram in slot `n` begins at `n * slotBytes`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For sockets. */
  readonly words: Uint32Array<ArrayBuffer>;

  /** For `UdpSocket.createBatch`. */
  constructor(
    private readonly system: System,
    { slots = DEFAULT_SLOTS, slotBytes = DEFAULT_SLOT_BYTES }: DatagramBatchOptions = {},
  ) {
    assertInteger("createBatch: slots", slots, 1, MOST_SLOTS);
    assertInteger("createBatch: slotBytes", slotBytes, 1, LONGEST_DATAGRAM_BYTES);
    this.slots = slots;
    this.slotBytes = slotBytes;
    this.bytes = new Uint8Array(slots * slotBytes);
    this.words = new Uint32Array(slots * SlotWord.PER_SLOT);
  }

  /**
   * How many bytes of a slot are its datagram's.
   * @throws RangeError if there is no such slot
   */
  lengthOf(slot: number): number {
    return Math.min(this.wholeLength("lengthOf", slot), this.slotBytes);
  }

  /**
   * How long the datagram was that came into a slot, in bytes: more than the slot has if it was truncated.
   * @throws RangeError if there is no such slot
   */
  wholeLengthOf(slot: number): number {
    return this.wholeLength("wholeLengthOf", slot);
  }

  /**
   * Whether the datagram that came into a slot was longer than the slot, and the rest is gone.
   * @throws RangeError if there is no such slot
   */
  isTruncated(slot: number): boolean {
    return this.wholeLength("isTruncated", slot) > this.slotBytes;
  }

  /**
   * The bytes of the datagram in a slot, in the batch's own memory: valid until the slot is used again.
   * @throws RangeError if there is no such slot
   */
  data(slot: number): Uint8Array<ArrayBuffer> {
    const length = Math.min(this.wholeLength("data", slot), this.slotBytes);
    const start = slot * this.slotBytes;
    return this.bytes.subarray(start, start + length);
  }

  /**
   * The address in a slot: where its datagram came from, or goes to; null if it goes to the peer that the socket is
   * connected to.
   * @throws RangeError if there is no such slot
   */
  addressOf(slot: number): SocketAddress | null {
    const at = this.wordsAt("addressOf", slot) + SlotWord.ADDRESS;
    return this.words[at] === NO_FAMILY ? null : this.system.datagrams.readAddress(this.words, at);
  }

  /**
   * Puts a datagram (a string as UTF-8) into a slot, to be sent to an address, or to the peer that the socket is
   * connected to.
   * @throws RangeError if there is no such slot, if the data are longer than it, or for a port that is none; TypeError
   *   for a host that is no address: a batch looks no names up
   */
  set(slot: number, data: Uint8Array | string, to?: UdpDestination): void {
    const at = this.wordsAt("set", slot);
    const bytes = toBytes("set: data", data);
    if (bytes.byteLength > this.slotBytes) {
      throw new RangeError(
        `set: data are ${bytes.byteLength} bytes, and a slot of this batch has ${this.slotBytes}: create it with more slotBytes`,
      );
    }
    const address = to === undefined ? NO_ADDRESS : this.toWords(to);
    this.bytes.set(bytes, slot * this.slotBytes);
    this.words[at + SlotWord.LENGTH] = bytes.byteLength;
    this.words.set(address, at + SlotWord.ADDRESS);
  }

  /**
   * Says how many bytes of a slot are its datagram's, for an answer that was written into `bytes` or `data`. The
   * address stays.
   * @throws RangeError if there is no such slot, or if it has fewer bytes
   */
  setLength(slot: number, length: number): void {
    const at = this.wordsAt("setLength", slot);
    assertInteger("setLength: length", length, 0, this.slotBytes);
    this.words[at + SlotWord.LENGTH] = length;
  }

  /**
   * Gives a slot the address of another, of this batch or of one more: to answer some of those who have sent something.
   * @throws RangeError if there is no such slot
   */
  copyAddress(slot: number, from: DatagramBatch, fromSlot: number): void {
    const at = this.wordsAt("copyAddress", slot) + SlotWord.ADDRESS;
    const start = from.wordsAt("copyAddress", fromSlot) + SlotWord.ADDRESS;
    this.words.set(from.words.subarray(start, start + NO_ADDRESS.length), at);
  }

  private wholeLength(call: string, slot: number): number {
    return this.words[this.wordsAt(call, slot) + SlotWord.LENGTH]!;
  }

  private wordsAt(call: string, slot: number): number {
    if (!(Number.isInteger(slot) && slot >= 0 && slot < this.slots))
      assertInteger(`${call}: slot`, slot, 0, this.slots - 1);
    return slot * SlotWord.PER_SLOT;
  }

  private toWords(to: UdpDestination): Uint32Array {
    const words = destinationWords(this.system, "set", to);
    if (words !== null) return words;
    throw new TypeError(
      `set: host must be an address, but is ${describeValue(to.host)}: a batch looks no names up, so use send(), or connect the socket`,
    );
  }
}

/** A datagram of a batch could not be sent. Those before it were; it and those behind it were not. */
export class DatagramError extends SystemError {
  constructor(
    cause: SystemError,
    /** The slot of the datagram: to go on behind it, send from the next one. */
    readonly slot: number,
    reason: string,
  ) {
    const { code, errno, syscall, address, port } = cause;
    super({ code, errno, syscall, address, port, description: `the datagram in slot ${slot} was not sent: ${reason}` });
  }
}

const DEFAULT_SLOTS = 64;
/** What fits into a packet of an Ethernet, and some. */
const DEFAULT_SLOT_BYTES = 2048;
/** The length field of UDP has 16 bits. */
const LONGEST_DATAGRAM_BYTES = 65_535;
const NO_FAMILY = 0;
const NO_ADDRESS = new Uint32Array(SlotWord.PER_SLOT - SlotWord.ADDRESS);
