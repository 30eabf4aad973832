/**
 * Datagram sockets of the unix domain: messages that arrive whole, in order and exactly once, or are not sent.
 *
 * Facts. A receiver's queue holds few messages (net.unix.max_dgram_qlen, 10 or some hundred), and a sender's buffer holds
 * what it has sent and nobody has received yet. If either is full, sendmsg(2) fails with EAGAIN. The event queue knows of a
 * peer's queue only for a socket that is *connected* to that peer: one that is not counts as writable while the peer is full
 * (the kernel's unix_dgram_poll), so whoever waits for that and tries again spins. To connect the sender itself would change
 * who may send to it.
 *
 * Decision. A connected socket waits until it is writable. `sendTo` looks which of the two is full: if it is the buffer, it
 * waits for its own socket as well; if it is the peer's queue, it connects a second, nameless socket to the peer and waits
 * until *that* is writable, which the kernel reports as soon as the peer has received something. So every wait ends with an
 * event, and nothing is tried in vain. ENOBUFS, which here means that the kernel has no memory, is an error: no event would
 * tell when it has.
 */

import { systemToOpen } from "../core/current-system.ts";
import { describeValue, inOtherWords, type SystemError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import type { SuspendRequest } from "../core/request.ts";
import { type CallSubject, SocketOption, type System } from "../core/system.ts";
import { UnixKind } from "../core/unix-system.ts";
import { assertRoom, toBytes } from "./bytes.ts";
import { DatagramSocket } from "./datagram-socket.ts";
import {
  assertDescriptors,
  assertMostDescriptors,
  ReceivedDatagram,
  type ReceiveOptions,
  refusePassing,
} from "./received-descriptors.ts";
import {
  type Destination,
  ReceiveDatagramOperation,
  SendDatagramOperation,
  type Sending,
} from "./unix-datagram-operations.ts";
import { assertBinding, type Binding, bindUnix, type SocketFile, type UnixFileOptions } from "./unix-file.ts";
import { fromNameBytes, nameIn, showUnixName, toNameBytes, type UnixName } from "./unix-name.ts";

export interface UnixDatagramOptions {
  /**
   * Whether each message that comes says who has sent it (SO_PASSCRED of unix(7)); by default not. The kernel gives a socket
   * of this kind an abstract name when it first sends or connects, if it has none.
   */
  readonly passCredentials?: boolean | undefined;
}

export type BindUnixDatagramOptions = UnixName & UnixFileOptions & UnixDatagramOptions;

export interface OpenUnixDatagramOptions extends UnixDatagramOptions {
  /**
   * Whether the kernel gives it an abstract name that nobody else has, so that it can be answered (Linux); by default not.
   */
  readonly autobind?: boolean | undefined;
}

/** Two datagram sockets that are connected to each other; disposing of it closes both. */
export interface UnixDatagramPair extends Disposable {
  readonly left: UnixDatagram;
  readonly right: UnixDatagram;
}

/**
 * Opens a datagram socket with a name, at which others send to it. The file of a path is removed when the socket is closed.
 *
 *     using socket = yield* bindUnixDatagram({ path: "/run/log.sock", mode: 0o666, replaceStale: true });
 *     const buffer = new Uint8Array(65_536);
 *     using message = yield* socket.receive(buffer);
 *
 * @throws TypeError, RangeError for a name or a mode that is none; SystemError such as `EADDRINUSE`, which says who has the
 *   name, `EACCES`, `ENOENT` if there is no such folder
 */
export function* bindUnixDatagram(options: BindUnixDatagramOptions): Operation<UnixDatagram> {
  const binding: Binding = { caller: "bindUnixDatagram", syscall: "bind", options };
  assertBinding(binding);
  const system = yield* systemToOpen();
  const name = nameIn(options);
  return openSocket(system, "bindUnixDatagram", options, (descriptor) => ({
    name,
    file: bindUnix(system, descriptor, binding),
  }));
}

/**
 * Opens a datagram socket that others cannot find by a name of your choice: to send, and with `autobind` to be answered.
 * @throws SystemError such as `EMFILE`
 */
export function* openUnixDatagram(options: OpenUnixDatagramOptions = {}): Operation<UnixDatagram> {
  const system = yield* systemToOpen();
  return openSocket(system, "openUnixDatagram", options, (descriptor) => {
    const result = options.autobind === true ? system.unix.bind(descriptor, NO_NAME) : 0;
    if (result < 0) throw system.errorOf(result, "bind");
    return { name: null, file: null };
  });
}

/**
 * Opens two datagram sockets that are connected to each other (socketpair(2)).
 * @throws SystemError such as `EMFILE`
 */
export function* unixDatagramPair(): Operation<UnixDatagramPair> {
  const system = yield* systemToOpen();
  const ends = system.unix.makePair(UnixKind.DATAGRAM);
  if (typeof ends === "number") throw system.errorOf(ends, "socketpair");
  const bound = { name: null, file: null };
  const left = new UnixDatagram(system, ends.reader, bound, false);
  const right = new UnixDatagram(system, ends.writer, bound, false);
  return {
    left,
    right,
    [Symbol.dispose]: () => {
      left.close();
      right.close();
    },
  };
}

/** What a message is sent with. */
export interface SendDatagramOptions {
  /**
   * Descriptors to pass (SCM_RIGHTS of unix(7)), 253 at most. They stay the caller's to close, once the message was sent;
   * what the other side gets are numbers of its own for the same open files.
   */
  readonly descriptors?: readonly number[] | undefined;
}

export class UnixDatagram extends DatagramSocket<Sending> {
  private peer: UnixName | null = null;

  /** For the functions that open one. */
  constructor(
    system: System,
    descriptor: number,
    private readonly bound: Bound,
    private readonly passesCredentials: boolean,
  ) {
    super(system, descriptor);
  }

  /** Words for messages, such as `datagram socket /run/log.sock`. */
  get label(): string {
    const { name } = this.bound;
    return `datagram socket ${name === null ? `on descriptor ${this.descriptor}` : showUnixName(name)}`;
  }

  /**
   * The name at which others send to this socket; null if it has none.
   * @throws ClosedError after `close`
   */
  get localName(): UnixName | null {
    this.refuseClosed("localName");
    const name = this.system.unix.localName(this.descriptor);
    if (typeof name === "number") throw this.system.errorOf(name, "getsockname");
    return fromNameBytes(name);
  }

  /**
   * Connects it to a peer: `send` goes there, and from nobody else anything is received any more (connect(2)).
   * @throws TypeError, RangeError for a name that is none; BusyError while a task is sending; SystemError `ENOENT`,
   *   `ECONNREFUSED` if nobody has the socket open, `EACCES`, `EPROTOTYPE` if it is a stream socket, `EPERM` if the peer is
   *   connected to another; ClosedError after `close`
   */
  connect(name: UnixName): void {
    const bytes = toNameBytes("connect", name);
    this.refuseClosed("connect");
    if (this.sending !== null) throw this.source.busyError(Interest.WRITABLE);
    const result = this.system.unix.connect(this.descriptor, bytes);
    if (result < 0) throw this.explain(result, "connect", { path: showUnixName(name) });
    this.peer = nameIn(name);
    // What was known was of another peer.
    this.source.readiness |= Readiness.WRITABLE;
  }

  /**
   * Sends a message (a string as UTF-8) to the peer that the socket is connected to; suspends the task while that one's
   * queue, or this socket's buffer, is full. An empty message is a message too.
   * @throws TypeError, RangeError for descriptors that are none, or more than 253; SystemError `ENOTCONN` if it is not
   *   connected, `ECONNREFUSED` if the peer is gone, `EMSGSIZE` if the message is too long, `EBADF` if a descriptor to pass
   *   is not open, `ETOOMANYREFS` if too many are on their way; BusyError if another task is waiting to send; ClosedError if
   *   this side has closed the socket, before or meanwhile. Nothing was sent then
   */
  send(data: Uint8Array | string, options: SendDatagramOptions = {}): Operation<void> {
    return this.sendWith("send", data, null, options);
  }

  /**
   * Sends a message to a name, and otherwise as `send` does. While the receiver's queue is full, this takes one more
   * descriptor.
   * @throws TypeError, RangeError for a name that is none; SystemError `ENOENT` if there is no such file, `EACCES`, `EPERM`
   *   if the receiver is connected to another; what `send` throws
   */
  sendTo(name: UnixName, data: Uint8Array | string, options: SendDatagramOptions = {}): Operation<void> {
    const bytes = toNameBytes("sendTo", name);
    return this.sendWith("sendTo", data, { bytes, path: showUnixName(name) }, options);
  }

  /**
   * Receives the next message into `buffer`; suspends the task until there is one. What does not fit is lost, and that is
   * told.
   * @returns the message; disposing of it closes the descriptors that came with it and were not taken. Receive it in the
   *   task that uses it: one that is lost on the way to another, because that was cancelled, is closed only when it is
   *   collected as garbage
   * @throws RangeError if the buffer is empty, or `mostDescriptors` (0, if nothing else is said) is none; BusyError if
   *   another task is receiving; SystemError; ClosedError if this side has closed the socket, before or meanwhile
   */
  receive(buffer: Uint8Array, options: Partial<ReceiveOptions> = {}): Operation<ReceivedDatagram> {
    assertRoom("receive: buffer", buffer);
    const { mostDescriptors = 0 } = options;
    assertMostDescriptors("receive", { mostDescriptors });
    return new ReceiveDatagramOperation(this, buffer, mostDescriptors);
  }

  /**
   * Closes the socket, and removes the file of its path if that is still the one that this socket has made. Tasks that wait
   * for it get a `ClosedError`. Does nothing the second time.
   */
  override close(): void {
    if (this.isClosed) return;
    this.bound.file?.remove();
    super.close();
    this.sending?.abandonRoom();
  }

  /** For operations: a message, or what to wait for. */
  tryReceive(buffer: Uint8Array, mostDescriptors: number): ReceivedDatagram | SuspendRequest {
    if (!this.source.mayRead) return this.waitToReceive;
    const room = { kind: UnixKind.DATAGRAM, mostDescriptors, hasSender: this.passesCredentials };
    const message = this.system.unix.receive(this.descriptor, buffer, room);
    if (typeof message !== "number") return new ReceivedDatagram(this.system, message, buffer.byteLength);
    if (this.system.meaningOf(message) !== "wouldBlock") throw this.explain(message, "recvmsg");
    this.source.clearReadable();
    return this.waitToReceive;
  }

  /** For operations: null if the message was sent; else what to wait for. */
  trySend(sending: Sending): SuspendRequest | null {
    const { bytes, destination, descriptors } = sending;
    // What is known may be of the peer that it is connected to. A socket that was closed is not tried: its number may be
    // another's.
    if (!this.source.mayWrite && (destination === null || this.isClosed)) return this.waitToSend;
    const result = this.system.unix.send(this.descriptor, bytes, destination?.bytes ?? null, descriptors);
    if (result >= 0) return null;
    if (this.system.meaningOf(result) !== "wouldBlock") throw this.explainSend(result, sending);
    if (destination !== null && !this.isBufferFull) return sending.roomAt(this.system, destination, this.label);
    this.source.clearWritable();
    return this.waitToSend;
  }

  /** Whether what this socket has sent, and nobody has received yet, leaves no room for more. */
  private get isBufferFull(): boolean {
    const queued = this.system.unix.queuedBytes(this.descriptor);
    if (queued < 0) throw this.system.errorOf(queued, "ioctl");
    return queued >= this.system.getOption(this.descriptor, SocketOption.SEND_BUFFER_BYTES);
  }

  private sendWith(
    caller: string,
    data: Uint8Array | string,
    destination: Destination | null,
    { descriptors = [] }: SendDatagramOptions,
  ): Operation<void> {
    const bytes = toBytes(`${caller}: data`, data);
    assertDescriptors(caller, descriptors);
    return new SendDatagramOperation(this, { caller, bytes, destination, descriptors: [...descriptors] });
  }

  private explainSend(result: number, { bytes, destination, descriptors }: Sending): SystemError {
    refusePassing(this.system, result, descriptors);
    const peer = this.peer === null ? {} : { path: showUnixName(this.peer) };
    const error = this.explain(result, "sendmsg", destination === null ? peer : { path: destination.path });
    if (error.code !== "EMSGSIZE") return error;
    const room = this.system.getOption(this.descriptor, SocketOption.SEND_BUFFER_BYTES);
    return inOtherWords(
      error,
      `a message of ${bytes.byteLength} bytes is too long for the socket's send buffer of ${room} bytes (net.core.wmem_max)`,
    );
  }

  private explain(result: number, syscall: string, subject: CallSubject = {}): SystemError {
    const error = this.system.errorOf(result, syscall, subject);
    const description = DESCRIPTIONS[error.code];
    return description === undefined ? error : inOtherWords(error, description);
  }
}

/** The name that a socket was opened with, and its file. */
interface Bound {
  readonly name: UnixName | null;
  readonly file: SocketFile | null;
}

function openSocket(
  system: System,
  caller: string,
  { passCredentials = false }: UnixDatagramOptions,
  bind: (descriptor: number) => Bound,
): UnixDatagram {
  if (typeof passCredentials !== "boolean")
    throw new TypeError(`${caller}: passCredentials must be true or false, but is ${describeValue(passCredentials)}`);
  const descriptor = system.unix.create(UnixKind.DATAGRAM);
  if (descriptor < 0) throw system.errorOf(descriptor, "socket");
  try {
    // Before it has a name, so that no message comes without.
    const result = passCredentials ? system.unix.passCredentials(descriptor) : 0;
    if (result < 0) throw system.errorOf(result, "setsockopt");
    return new UnixDatagram(system, descriptor, bind(descriptor), passCredentials);
  } catch (error) {
    system.close(descriptor);
    throw error;
  }
}

/** What some errors mean here, few people would guess. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  ENOTCONN: "the socket is not connected: use sendTo, or connect it first",
  EPERM: "that socket is connected to another one, and takes messages from there only",
  EPROTOTYPE: "that is a stream socket, and no datagram socket",
};

const NO_NAME = new Uint8Array(0);
