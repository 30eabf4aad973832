/**
 * Descriptors that have come over a unix socket, or are about to go.
 *
 * Facts. A received descriptor is a new number of this process, and open until somebody closes it (unix(7), SCM_RIGHTS). A
 * sender may pass any number of any kind, wanted or not.
 *
 * Decision. What has come has an owner from the system call on: disposing of the message closes all descriptors but those
 * that were taken. An operation that receives ends in the step in which it has received, so no cancel comes between. A
 * message that was lost all the same, as the value of an arm of a race whose task was cancelled then, is closed when it is
 * collected as garbage, with a warning: that is late, but not never.
 */

import { assertInteger, describeValue, inOtherWords } from "../core/errors.ts";
import type { System } from "../core/system.ts";
import type { Credentials, UnixMessage } from "../core/unix-system.ts";
import { assertDescriptor } from "./fd.ts";
import { fromNameBytes, type UnixName } from "./unix-name.ts";

/** How many descriptors one message can have (SCM_MAX_FD of the kernel, unix(7)). */
export const MOST_DESCRIPTORS = 253;

/** The descriptors of one message. Closing it closes those that were not taken. */
export class ReceivedDescriptors implements Disposable {
  /** In the order in which they were passed; null for what is not here any more. */
  private readonly owned: (number | null)[];

  /** For messages. */
  constructor(
    private readonly system: System,
    descriptors: readonly number[],
  ) {
    this.owned = [...descriptors];
    if (descriptors.length > 0) LOST.register(this, { system, owned: this.owned }, this);
  }

  /** How many have come, those that were taken included. */
  get count(): number {
    return this.owned.length;
  }

  /**
   * Hands one over: it is the caller's to close from now on.
   * @returns its number, which is close-on-exec
   * @throws RangeError if there is none of this index, or it was taken or closed already
   */
  take(index = 0): number {
    const descriptor = this.owned[index];
    if (descriptor === undefined)
      throw new RangeError(`take: there is no descriptor ${describeValue(index)} of ${this.count} that were passed`);
    if (descriptor === null) throw new RangeError(`take: descriptor ${index} was taken or closed already`);
    this.owned[index] = null;
    return descriptor;
  }

  /** Hands all over that were not taken yet, in order. */
  takeAll(): number[] {
    LOST.unregister(this);
    return takeAllOf(this.owned);
  }

  /** Closes those that were not taken. Does nothing the second time. */
  close(): void {
    for (const descriptor of this.takeAll()) this.system.close(descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What stays of descriptors whose owner is gone. */
interface Lost {
  readonly system: System;
  readonly owned: (number | null)[];
}

const LOST = new FinalizationRegistry<Lost>(({ system, owned }) => {
  const descriptors = takeAllOf(owned);
  if (descriptors.length === 0) return;
  for (const descriptor of descriptors) system.close(descriptor);
  system.warn(
    `descriptors were received over a unix socket, and neither taken nor closed (${descriptors.length}): ` +
      "receive them with using, in the task that takes them",
  );
});

function takeAllOf(owned: (number | null)[]): number[] {
  const descriptors = owned.filter((descriptor) => descriptor !== null);
  owned.fill(null);
  return descriptors;
}

/** What `receiveDescriptors` gives: bytes, which are in the buffer, and descriptors. */
export class ReceivedMessage implements Disposable {
  /** How many bytes are in the buffer. */
  readonly bytes: number;
  /** What was passed with them; disposing of the message closes what was not taken. */
  readonly descriptors: ReceivedDescriptors;
  /**
   * Whether more descriptors were passed than asked for, or than this process may have open (RLIMIT_NOFILE): the system
   * has closed the others.
   */
  readonly areDescriptorsTruncated: boolean;

  /** For sockets. */
  constructor(system: System, { bytes, descriptors, areDescriptorsTruncated }: UnixMessage, roomBytes: number) {
    this.bytes = Math.min(bytes, roomBytes);
    this.descriptors = new ReceivedDescriptors(system, descriptors);
    this.areDescriptorsTruncated = areDescriptorsTruncated;
  }

  /** Closes the descriptors that were not taken. */
  [Symbol.dispose](): void {
    this.descriptors.close();
  }
}

/** A datagram, its bytes in the buffer. */
export class ReceivedDatagram extends ReceivedMessage {
  /** How many bytes the datagram had; more than `bytes` if the buffer was too small. */
  readonly wholeBytes: number;
  /** Whether the buffer was too small: the rest of the datagram is gone. */
  readonly isTruncated: boolean;
  /** The socket that has sent it, to answer with `sendTo`; null if that has no name. */
  readonly from: UnixName | null;
  /** Who has sent it, as the kernel knows; null unless the socket was opened with `passCredentials`. */
  readonly credentials: Credentials | null;

  /** For sockets. */
  constructor(system: System, message: UnixMessage, roomBytes: number) {
    super(system, message, roomBytes);
    this.wholeBytes = message.bytes;
    this.isTruncated = message.isTruncated;
    this.from = fromNameBytes(message.address);
    this.credentials = message.sender;
  }
}

export interface ReceiveOptions {
  /** How many descriptors may come with the message, from 0 to 253; the system closes what is more. */
  readonly mostDescriptors: number;
}

/** Refuses what is no number of descriptors to receive. */
export function assertMostDescriptors(caller: string, options: Partial<ReceiveOptions> | undefined): void {
  assertInteger(`${caller}: mostDescriptors`, options?.mostDescriptors, 0, MOST_DESCRIPTORS);
}

/** Refuses what is no list of descriptors to send. */
export function assertDescriptors(caller: string, descriptors: readonly number[]): void {
  if (!Array.isArray(descriptors))
    throw new TypeError(`${caller}: descriptors must be an array of numbers, but is ${describeValue(descriptors)}`);
  if (descriptors.length > MOST_DESCRIPTORS)
    throw new RangeError(
      `${caller}: one message takes ${MOST_DESCRIPTORS} descriptors at most (SCM_MAX_FD), but was given ${descriptors.length}: send several`,
    );
  for (const descriptor of descriptors) assertDescriptor(caller, descriptor);
}

/** Says what was wrong with descriptors to pass, if that is why a send has returned `result`, which is below zero. */
export function refusePassing(system: System, result: number, descriptors: readonly number[]): void {
  const error = system.errorOf(result, "sendmsg");
  const description = describeRefusal(system, error.code, descriptors);
  if (description !== null) throw inOtherWords(error, description);
}

function describeRefusal(system: System, code: string, descriptors: readonly number[]): string | null {
  if (code === "ETOOMANYREFS")
    return "more descriptors are on their way to receivers than this process may have open (RLIMIT_NOFILE): wait until some have been received";
  if (code !== "EBADF") return null;
  const closed = descriptors.filter((descriptor) => typeof system.files.kindOf(descriptor) === "number");
  if (closed.length === 0) return null;
  const are = closed.length === 1 ? "is" : "are";
  return `of the descriptors to pass, ${closed.join(", ")} ${are} not open: each stays its sender's to close, after it was sent`;
}
