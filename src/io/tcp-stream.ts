/**
 * A TCP connection.
 *
 * Reads and writes first try; only if the kernel says "would block", or is known to, does the task suspend. The socket
 * is registered at the first wait, edge-triggered, and stays so until it is closed. A read that was shorter than its
 * buffer has emptied the socket (epoll(7)), so the next one waits without trying.
 */

import { spendBudget } from "../core/budget.ts";
import {
  assertInteger,
  assertTime,
  ClosedError,
  describeValue,
  OperationReusedError,
  UnexpectedEndError,
} from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import { InterestRequest, type SuspendRequest } from "../core/request.ts";
import { Delivery, type Named, Source } from "../core/source.ts";
import { Half, type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";

export interface KeepAliveOptions {
  /** Idle time before the first probe, in milliseconds; rounded up to whole seconds. */
  readonly idleMs?: number;
  /** Time between probes, in milliseconds; rounded up to whole seconds. */
  readonly intervalMs?: number;
  /** How many unanswered probes end the connection. */
  readonly probes?: number;
}

export class TcpStream implements Disposable, Named {
  private readonly source: Source;
  private hasShutDown = false;
  private readWait: InterestRequest | null = null;
  private writeWait: InterestRequest | null = null;
  /** The operations that have begun and have not ended; while they wait, while they are about to go on, and in between. */
  private reading: StreamOperation<unknown> | null = null;
  private writing: StreamOperation<unknown> | null = null;
  private knownPeer: SocketAddress | null = null;

  /** For `accept` and `connect`. */
  constructor(
    private readonly system: System,
    descriptor: number,
  ) {
    this.source = new Source(descriptor, Delivery.EDGE, this);
    // Nothing is known yet, so the first read and the first write try.
    this.source.readiness = Readiness.READABLE | Readiness.WRITABLE;
  }

  /** The number of the socket. It stays this object's: use it for calls of your own, and close the connection here. */
  get descriptor(): number {
    return this.source.descriptor;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /** Words for messages, such as `connection 127.0.0.1:80`. */
  get label(): string {
    return this.knownPeer === null
      ? `connection on descriptor ${this.descriptor}`
      : `connection ${showAddress(this.knownPeer)}`;
  }

  /**
   * Reads what there is, at most as much as `buffer` holds; suspends the task until there is something.
   * @returns the number of bytes that were read into the beginning of `buffer`; 0 if the peer will send no more
   * @throws SystemError such as `ECONNRESET`; BusyError if another task is reading; ClosedError if this side has closed the
   *   connection, before or meanwhile; RangeError if the buffer is empty
   */
  read(buffer: Uint8Array): Operation<number> {
    return new ReadOperation(this, buffer, 0);
  }

  /**
   * Fills `buffer`; suspends the task as often as it takes.
   * @throws UnexpectedEndError if the peer ends first, with the number of bytes that came; and what `read` throws
   */
  *readExactly(buffer: Uint8Array): Operation<void> {
    assertBytes("readExactly: buffer", buffer);
    let receivedBytes = 0;
    while (receivedBytes < buffer.byteLength) {
      const bytes = yield* new ReadOperation(this, buffer, receivedBytes);
      if (bytes === 0) throw new UnexpectedEndError(this.label, receivedBytes, buffer.byteLength);
      receivedBytes += bytes;
    }
  }

  /**
   * Suspends the task until there is something to read, without reading it: a server with many idle connections takes a
   * buffer only then.
   * @throws what `read` throws
   */
  readable(): Operation<void> {
    return new ReadableOperation(this);
  }

  /**
   * Writes all of `data` (a string as UTF-8), or its bytes from `start` up to `end`; suspends the task while the peer
   * does not take them. The buffer must not change meanwhile.
   * @throws RangeError if `start` and `end` are no range of `data`; SystemError such as `EPIPE` or `ECONNRESET`;
   *   BusyError if another task is writing; ClosedError after `shutdown`, or if this side has closed the connection,
   *   before or meanwhile. Some bytes may have been sent by then.
   */
  write(data: Uint8Array | string, start = 0, end?: number): Operation<void> {
    const bytes = toBytes(data);
    return new WriteOperation(this, bytes, start, end ?? bytes.byteLength);
  }

  /**
   * Writes several buffers in order, in as few system calls as possible (sendmsg(2)), and otherwise as `write` does.
   * @throws what `write` throws
   */
  writeAll(parts: readonly (Uint8Array | string)[]): Operation<void> {
    return new WriteAllOperation(this, parts.map(toBytes));
  }

  /**
   * Says that this side will send no more; the peer reads to the end. Reading goes on.
   * @throws BusyError while a task is writing; SystemError `ENOTCONN` if the connection is gone; ClosedError after `close`
   */
  shutdown(): void {
    this.refuseClosed("shutdown");
    if (this.hasShutDown) return;
    if (this.writing !== null) throw this.source.busyError(Interest.WRITABLE);
    this.hasShutDown = true;
    this.check(this.system.shutdown(this.descriptor, Half.WRITE), "shutdown");
  }

  /**
   * Closes the connection. What was written is still delivered; tasks that wait for the connection get a `ClosedError`.
   * Does nothing the second time.
   */
  close(): void {
    if (this.isClosed) return;
    this.source.close();
    this.system.close(this.descriptor);
  }

  /** Closes the connection at once and lets the peer know that it was broken off: it gets `ECONNRESET`. */
  reset(): void {
    if (this.isClosed) return;
    this.system.setOption(this.descriptor, SocketOption.LINGER_S, 0);
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Whether small writes are sent at once (TCP_NODELAY of tcp(7)) instead of being held back until the peer has
   * confirmed earlier ones.
   * @throws SystemError; ClosedError after `close`
   */
  noDelay(isOn = true): void {
    this.setOption(SocketOption.NO_DELAY, isOn ? 1 : 0);
  }

  /**
   * Whether an idle connection is probed, so that a peer that is gone is noticed (SO_KEEPALIVE of socket(7),
   * TCP_KEEPIDLE and others of tcp(7)). What is not given stays as the system has it.
   * @throws RangeError for a time that is none; SystemError; ClosedError after `close`
   */
  keepAlive(options: KeepAliveOptions | false = {}): void {
    if (options === false) return this.setOption(SocketOption.KEEP_ALIVE, 0);
    const { idleMs, intervalMs, probes } = options;
    if (idleMs !== undefined)
      this.setOption(SocketOption.KEEP_ALIVE_IDLE_S, toWholeSeconds("keepAlive: idleMs", idleMs));
    if (intervalMs !== undefined) {
      this.setOption(SocketOption.KEEP_ALIVE_INTERVAL_S, toWholeSeconds("keepAlive: intervalMs", intervalMs));
    }
    if (probes !== undefined) {
      assertInteger("keepAlive: probes", probes, 1, MOST_PROBES);
      this.setOption(SocketOption.KEEP_ALIVE_COUNT, probes);
    }
    this.setOption(SocketOption.KEEP_ALIVE, 1);
  }

  /**
   * The address of this side.
   * @throws ClosedError after `close`
   */
  get localAddress(): SocketAddress {
    this.refuseClosed("localAddress");
    return this.system.localAddress(this.descriptor);
  }

  /**
   * The address of the peer.
   * @throws SystemError `ENOTCONN` if the connection is gone and the address was not asked for before; ClosedError
   *   likewise after `close`
   */
  get remoteAddress(): SocketAddress {
    if (this.knownPeer === null) {
      this.refuseClosed("remoteAddress");
      this.knownPeer = this.system.peerAddress(this.descriptor);
    }
    return this.knownPeer;
  }

  /** For operations: the request that waits until a read is worth a try. */
  get waitToRead(): SuspendRequest {
    this.readWait ??= new InterestRequest(this.source, Interest.READABLE);
    return this.readWait;
  }

  /** For operations: the request that waits until a write is worth a try. */
  get waitToWrite(): SuspendRequest {
    this.writeWait ??= new InterestRequest(this.source, Interest.WRITABLE);
    return this.writeWait;
  }

  /** For operations: refuses a read that cannot begin. */
  beginRead(): void {
    this.refuseClosed("read");
    if (this.reading !== null) throw this.source.busyError(Interest.READABLE);
  }

  /** For operations: refuses a write that cannot begin. */
  beginWrite(): void {
    this.refuseClosed("write");
    if (this.hasShutDown)
      throw new ClosedError(`${this.label}: write after shutdown(), which says that nothing more will be sent`);
    if (this.writing !== null) throw this.source.busyError(Interest.WRITABLE);
  }

  /** For operations: keeps others from reading until the operation has ended (null). */
  holdRead(operation: StreamOperation<unknown> | null): void {
    this.reading = operation;
  }

  /** For operations: keeps others from writing until the operation has ended (null). */
  holdWrite(operation: StreamOperation<unknown> | null): void {
    this.writing = operation;
  }

  get mayRead(): boolean {
    return this.source.mayRead;
  }

  /** For operations: reads without waiting. Returns how many bytes came, or `WOULD_BLOCK`. */
  tryRead(buffer: Uint8Array, offset: number): number {
    const { source } = this;
    if (!source.mayRead) return WOULD_BLOCK;
    const wanted = buffer.byteLength - offset;
    const received = this.system.receive(source.descriptor, buffer, offset, wanted);
    if (received === wanted) return received;
    if (received === 0) source.readiness |= Readiness.READ_CLOSED;
    else if (received < 0) this.refuseUnlessWouldBlock(received, "read");
    source.clearReadable();
    return received < 0 ? WOULD_BLOCK : received;
  }

  /** For operations: writes without waiting. Returns how many bytes went, or `WOULD_BLOCK`. */
  tryWrite(bytes: Uint8Array, start: number, end: number): number {
    const { source } = this;
    if (!source.mayWrite) return WOULD_BLOCK;
    return this.sent(this.system.send(source.descriptor, bytes, start, end - start));
  }

  /** For operations: likewise with parts, from `parts[first]`, `offset` bytes into it. */
  tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    const { source } = this;
    if (!source.mayWrite) return WOULD_BLOCK;
    return this.sent(this.system.sendVectored(source.descriptor, parts, first, offset));
  }

  private sent(result: number): number {
    if (result >= 0) return result;
    this.refuseUnlessWouldBlock(result, "write");
    this.source.clearWritable();
    return WOULD_BLOCK;
  }

  private refuseUnlessWouldBlock(result: number, verb: string): void {
    if (this.system.meaningOf(result) !== "wouldBlock") throw this.system.errorOf(result, verb, this.knownPeer ?? {});
  }

  private refuseClosed(verb: string): void {
    if (this.isClosed) throw new ClosedError(`${this.label}: ${verb} after close()`);
  }

  private setOption(option: SocketOption, value: number): void {
    this.refuseClosed("an option was set");
    this.check(this.system.setOption(this.descriptor, option, value), "setsockopt");
  }

  private check(result: number, call: string): void {
    if (result < 0) throw this.system.errorOf(result, call, this.knownPeer ?? {});
  }
}

/** An address as in a URL: `127.0.0.1:80`, `[::1]:80`. */
export function showAddress({ host, port }: Pick<SocketAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

type Step<T> = IteratorResult<SuspendRequest, T>;

/**
 * The common part of a connection's leaf operations: used once, begun once, then tried until done. One that has to wait
 * holds its direction of the stream until it ends, also while it is about to go on, so that no other slips in between.
 */
abstract class StreamOperation<T> implements Operation<T>, Iterator<SuspendRequest, T, unknown> {
  private isUsed = false;
  private hasBegun = false;
  private isHolding = false;

  protected abstract readonly operationName: string;

  /** Refuses what cannot begin. */
  protected abstract begin(): void;

  /** Tries once more. */
  protected abstract attempt(): Step<T>;

  /** Holds the direction of the stream (this), or lets it go (null). */
  protected abstract hold(operation: this | null): void;

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    if (this.isUsed) throw new OperationReusedError(this.operationName);
    this.isUsed = true;
    return this;
  }

  next(): Step<T> {
    if (!this.hasBegun) {
      this.begin();
      this.hasBegun = true;
    }
    const step = spendBudget() ? this.attemptOrLetGo() : YIELDED;
    if (step.done !== true && !this.isHolding) {
      this.isHolding = true;
      this.hold(this);
    } else if (step.done === true) this.letGo();
    return step;
  }

  throw(error: unknown): Step<T> {
    this.letGo();
    throw error;
  }

  /** The task was cancelled. */
  return(): Step<T> {
    this.letGo();
    return { done: true, value: undefined as T };
  }

  private attemptOrLetGo(): Step<T> {
    try {
      return this.attempt();
    } catch (error) {
      this.letGo();
      throw error;
    }
  }

  private letGo(): void {
    if (!this.isHolding) return;
    this.isHolding = false;
    this.hold(null);
  }
}

/** The operations that read. */
abstract class ReadingOperation<T> extends StreamOperation<T> {
  constructor(protected readonly stream: TcpStream) {
    super();
  }

  protected override begin(): void {
    this.stream.beginRead();
  }

  protected override hold(operation: this | null): void {
    this.stream.holdRead(operation);
  }
}

/** The operations that write. */
abstract class WritingOperation extends StreamOperation<void> {
  constructor(protected readonly stream: TcpStream) {
    super();
  }

  protected override begin(): void {
    this.stream.beginWrite();
  }

  protected override hold(operation: this | null): void {
    this.stream.holdWrite(operation);
  }
}

class ReadOperation extends ReadingOperation<number> {
  constructor(
    stream: TcpStream,
    private readonly buffer: Uint8Array,
    private readonly offset: number,
  ) {
    super(stream);
    assertBytes("read: buffer", buffer);
    if (buffer.byteLength === 0) throw new RangeError("read: buffer is empty, so nothing could be read into it");
  }

  protected override get operationName(): string {
    return "read";
  }

  protected override attempt(): Step<number> {
    const received = this.stream.tryRead(this.buffer, this.offset);
    return received === WOULD_BLOCK ? { done: false, value: this.stream.waitToRead } : { done: true, value: received };
  }
}

class ReadableOperation extends ReadingOperation<void> {
  protected override get operationName(): string {
    return "readable";
  }

  protected override attempt(): Step<void> {
    return this.stream.mayRead ? DONE : { done: false, value: this.stream.waitToRead };
  }
}

class WriteOperation extends WritingOperation {
  constructor(
    stream: TcpStream,
    private readonly bytes: Uint8Array,
    private start: number,
    private readonly end: number,
  ) {
    super(stream);
    if (start !== 0 || end !== bytes.byteLength) assertRange(bytes, start, end);
  }

  protected override get operationName(): string {
    return "write";
  }

  protected override attempt(): Step<void> {
    while (this.start < this.end) {
      const sent = this.stream.tryWrite(this.bytes, this.start, this.end);
      if (sent === WOULD_BLOCK) return { done: false, value: this.stream.waitToWrite };
      this.start += sent;
    }
    return DONE;
  }
}

class WriteAllOperation extends WritingOperation {
  private first = 0;
  private offset = 0;

  constructor(
    stream: TcpStream,
    private readonly parts: readonly Uint8Array[],
  ) {
    super(stream);
    this.skipFullySent();
  }

  protected override get operationName(): string {
    return "writeAll";
  }

  protected override attempt(): Step<void> {
    while (this.first < this.parts.length) {
      const sent = this.stream.tryWriteAll(this.parts, this.first, this.offset);
      if (sent === WOULD_BLOCK) return { done: false, value: this.stream.waitToWrite };
      this.offset += sent;
      this.skipFullySent();
    }
    return DONE;
  }

  private skipFullySent(): void {
    while (this.first < this.parts.length && this.offset >= this.parts[this.first]!.byteLength) {
      this.offset -= this.parts[this.first]!.byteLength;
      this.first++;
    }
  }
}

const YIELDED: IteratorYieldResult<SuspendRequest> = { done: false, value: YIELD_REQUEST };
const DONE: Step<void> = { done: true, value: undefined };

function assertBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array))
    throw new TypeError(`${name} must be a Uint8Array, but is ${describeValue(value)}`);
}

function assertRange(bytes: Uint8Array, start: number, end: number): void {
  assertInteger("write: end", end, 0, bytes.byteLength);
  assertInteger("write: start", start, 0, end);
}

function toBytes(data: Uint8Array | string): Uint8Array {
  if (typeof data === "string") return ENCODER.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`write: data must be a Uint8Array or a string, but is ${describeValue(data)}`);
}

function toWholeSeconds(name: string, durationMs: number): number {
  assertTime(name, durationMs);
  const seconds = Math.ceil(durationMs / 1000);
  assertInteger(`${name} / 1000`, seconds, 1, LONGEST_KEEP_ALIVE_S);
  return seconds;
}

const ENCODER = new TextEncoder();

/** No number of bytes. */
const WOULD_BLOCK = -1;

/** The limits that Linux sets (tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPCNT). */
const LONGEST_KEEP_ALIVE_S = 32_767;
const MOST_PROBES = 127;
