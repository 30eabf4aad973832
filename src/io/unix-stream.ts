/**
 * Streams between sockets of the unix domain, which can pass descriptors.
 *
 * Facts. A descriptor is passed with a byte, at the least: recvmsg(2) brings it with the first byte that it was sent with,
 * and ends behind the last one, also in the middle of what else there is. So on a socket that may get descriptors a short
 * read does not mean that nothing is left. A read that has no room for descriptors (recv(2), which all of `read`,
 * `readUntil` and `lines` are) makes the kernel close them without a word.
 *
 * Decision. Such a stream asks until the system says "would block". Descriptors are received by a call of its own,
 * `receiveDescriptors`, which a protocol that passes any uses for all of its reads; a `BufferedReader` can be put on it.
 */

import { systemToOpen } from "../core/current-system.ts";
import type { Operation } from "../core/operation.ts";
import { type CallSubject, Half, type System } from "../core/system.ts";
import { type Credentials, UnixKind } from "../core/unix-system.ts";
import { assertRoom, toBytes } from "./bytes.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import {
  assertDescriptors,
  assertMostDescriptors,
  ReceivedMessage,
  type ReceiveOptions,
  refusePassing,
} from "./received-descriptors.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";
import { fromNameBytes, showUnixName, type UnixName } from "./unix-name.ts";
import { ReceiveDescriptorsOperation, SendDescriptorsOperation } from "./unix-stream-operations.ts";

/** Two streams that are connected to each other; disposing of it closes both. */
export interface UnixPair extends Disposable {
  readonly left: UnixStream;
  readonly right: UnixStream;
}

/**
 * Opens two streams that are connected to each other (socketpair(2)).
 * @throws SystemError such as `EMFILE`
 */
export function* unixPair(): Operation<UnixPair> {
  const system = yield* systemToOpen();
  const ends = system.unix.makePair(UnixKind.STREAM);
  if (typeof ends === "number") throw system.errorOf(ends, "socketpair");
  const left = new UnixStream(system, ends.reader, null);
  const right = new UnixStream(system, ends.writer, null);
  return {
    left,
    right,
    [Symbol.dispose]: () => {
      left.close();
      right.close();
    },
  };
}

export class UnixStream extends DescriptorStream {
  /** For `accept` and `connectUnix`. */
  constructor(
    system: System,
    descriptor: number,
    /** The name that the connection was made by: the server's; null for a pair. */
    readonly name: UnixName | null,
  ) {
    super(system, descriptor, system);
  }

  /** Words for messages, such as `unix connection /run/server.sock`. */
  get label(): string {
    return `unix connection ${this.name === null ? `on descriptor ${this.descriptor}` : showUnixName(this.name)}`;
  }

  /**
   * Who is at the other side (SO_PEERCRED of unix(7)): the process that has connected, or called `listen`, as it was then.
   * @throws SystemError; ClosedError after `close`
   */
  peerCredentials(): Credentials {
    this.refuseClosed("peerCredentials");
    const credentials = this.system.unix.peerCredentials(this.descriptor);
    if (typeof credentials === "number") throw this.system.errorOf(credentials, "getsockopt", this.place);
    return credentials;
  }

  /**
   * The name of the other side's socket, if that has bound one; clients mostly have not.
   * @throws SystemError `ENOTCONN` if the connection is gone; ClosedError after `close`
   */
  get remoteName(): UnixName | null {
    this.refuseClosed("remoteName");
    const name = this.system.unix.peerName(this.descriptor);
    if (typeof name === "number") throw this.system.errorOf(name, "getpeername", this.place);
    return fromNameBytes(name);
  }

  /**
   * Writes all of `data` as `write` does, and passes descriptors with its first byte (SCM_RIGHTS of unix(7)). They stay the
   * caller's to close, once this has returned; what the other side gets are numbers of its own for the same open files.
   * @throws TypeError, RangeError if there are more than 253, or one is none, or `data` is empty, which could not carry
   *   them; SystemError `EBADF` if one is not open, `ETOOMANYREFS` if too many are on their way (unix(7)); what `write`
   *   throws
   */
  sendDescriptors(data: Uint8Array | string, descriptors: readonly number[]): Operation<void> {
    const bytes = toBytes("sendDescriptors: data", data);
    assertDescriptors("sendDescriptors", descriptors);
    if (bytes.byteLength === 0 && descriptors.length > 0)
      throw new RangeError("sendDescriptors: data is empty, and a stream passes descriptors with a byte at least");
    return new SendDescriptorsOperation(this, bytes, [...descriptors]);
  }

  /**
   * Reads what there is, as `read` does, and the descriptors that came with it. What it brings ends where a message with
   * descriptors ends, so at most one such message comes at a time, maybe behind bytes that were sent before it.
   *
   *     using message = yield* stream.receiveDescriptors(buffer, { mostDescriptors: 1 });
   *     const descriptor = message.descriptors.take();
   *
   * At the end of the stream its `bytes` is 0. Descriptors that come while something else reads are lost; what `readUntil`
   * or `lines` have read ahead comes first, without any.
   * @returns the message; disposing of it closes the descriptors that were not taken. Receive it in the task that uses it:
   *   one that is lost on the way to another task, because that was cancelled, is closed only when it is collected as
   *   garbage
   * @throws RangeError if `mostDescriptors` is none; what `read` throws
   */
  receiveDescriptors(buffer: Uint8Array, options: ReceiveOptions): Operation<ReceivedMessage> {
    assertRoom("receiveDescriptors: buffer", buffer);
    assertMostDescriptors("receiveDescriptors", options);
    return new ReceiveDescriptorsOperation(this, buffer, options.mostDescriptors);
  }

  /** For operations: receives without waiting; null if that would block. */
  tryReceiveDescriptors(buffer: Uint8Array, mostDescriptors: number): ReceivedMessage | null {
    const bytes = this.takeAhead(buffer);
    if (bytes > 0) return new ReceivedMessage(this.system, { ...NOTHING, bytes }, bytes);
    if (!this.source.mayRead) return null;
    const room = { kind: UnixKind.STREAM, mostDescriptors, hasSender: false };
    const message = this.system.unix.receive(this.descriptor, buffer, room);
    if (typeof message === "number") {
      this.received(message);
      return null;
    }
    if (message.bytes === 0) this.received(0);
    return new ReceivedMessage(this.system, message, buffer.byteLength);
  }

  /** For operations: sends the first bytes, and the descriptors with them. Returns how many bytes went, or `WOULD_BLOCK`. */
  trySendDescriptors(bytes: Uint8Array, descriptors: readonly number[]): number {
    if (!this.source.mayWrite) return WOULD_BLOCK;
    const result = this.system.unix.send(this.descriptor, bytes, null, descriptors);
    if (result < 0) refusePassing(this.system, result, descriptors);
    return this.sent(result);
  }

  protected override endWriting(): void {
    this.check(this.system.shutdown(this.descriptor, Half.WRITE), "shutdown");
  }

  protected override get place(): CallSubject {
    return this.name === null ? super.place : { path: showUnixName(this.name) };
  }
}

const NOTHING = {
  address: new Uint8Array(0),
  isTruncated: false,
  descriptors: [],
  areDescriptorsTruncated: false,
  sender: null,
};
