/**
 * A stream on a descriptor: the base of TCP connections, unix sockets, pipes and terminals.
 *
 * Facts. Edge-triggered readiness is told once for each change (epoll(7)), so what was told stays known until a call has
 * found the opposite. A read that is shorter than its buffer need not have found it: a line of a terminal ends a read, and
 * so do a packet of a pipe (O_DIRECT of pipe(2)), a descriptor that comes with the bytes of a unix socket (unix(7)), and
 * the place of out-of-band data in a TCP connection (tcp(7)). A descriptor of somebody else may be read by others
 * meanwhile, so of it nothing is ever known.
 *
 * Decision. A stream of the package's own is registered at the first wait, edge-triggered, and stays so until it is
 * closed; reads and writes first try, unless they are known to block. Only a stream that knows better takes a short read
 * for the last one, which saves it a system call. A foreign descriptor is armed for each wait, and tried each time.
 */

import { ClosedError, type SystemError, UnexpectedEndError } from "../core/errors.ts";
import type { TransferCalls } from "../core/file-system.ts";
import { Interest, Readiness } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import { InterestRequest, type SuspendRequest } from "../core/request.ts";
import { Delivery, Source, type SourceUser } from "../core/source.ts";
import type { CallSubject, System } from "../core/system.ts";
import { BufferedReader, type Readable } from "./buffered-reader.ts";
import type { ByteStream, Delimiter, LineReader, ReadLimit } from "./byte-stream.ts";
import { assertBytes, toBytes } from "./bytes.ts";
import {
  ReadableOperation,
  ReadBehindOperation,
  ReadOperation,
  type StreamOperation,
  type Transfer,
  WOULD_BLOCK,
  WriteAllOperation,
  WriteOperation,
} from "./stream-operations.ts";

export abstract class DescriptorStream implements ByteStream, SourceUser, Transfer {
  protected readonly source: Source;
  /** The operations that have begun and have not ended; while they wait, while they are about to go on, and in between. */
  private reading: StreamOperation<unknown> | null = null;
  private writing: StreamOperation<unknown> | null = null;
  private readWait: InterestRequest | null = null;
  private writeWait: InterestRequest | null = null;
  private ahead: BufferedReader | null = null;
  private hasShutDown = false;

  constructor(
    protected readonly system: System,
    /** A descriptor of the stream's own, or the source of one that others use as well. */
    descriptor: number | Source,
    /** How its bytes are moved: sockets have calls of their own. */
    private readonly calls: TransferCalls,
  ) {
    if (typeof descriptor === "number") {
      this.source = new Source(descriptor, Delivery.EDGE, this);
      // Nothing is known yet, so the first read and the first write try.
      this.source.readiness = Readiness.READABLE | Readiness.WRITABLE;
    } else this.source = descriptor;
    this.source.user = this;
  }

  /** Words for messages, such as `connection 127.0.0.1:80`. */
  abstract readonly label: string;

  /** The number. It stays this object's: use it for calls of your own, and close the stream here. */
  get descriptor(): number {
    return this.source.descriptor;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /**
   * Reads what there is, at most as much as `buffer` holds; suspends the task until there is something.
   * @returns the number of bytes that were read into the beginning of `buffer`; 0 if the other side will send no more
   * @throws SystemError such as `ECONNRESET`; BusyError if another task is reading; ClosedError if this side has closed the
   *   stream, before or meanwhile; RangeError if the buffer is empty
   */
  read(buffer: Uint8Array): Operation<number> {
    return new ReadOperation(this, buffer, 0);
  }

  /**
   * Fills `buffer`; suspends the task as often as it takes. If the task is cancelled meanwhile, what came by then is in the
   * buffer, and lost for the next read.
   * @throws UnexpectedEndError if the other side ends first, with the number of bytes that came; and what `read` throws
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
   * Reads up to a delimiter, which is taken from the stream as well.
   * @returns what was before the delimiter, in memory of its own; null if the stream is at its end
   * @throws LimitError if there are more than `limitBytes` (64 KiB, if nothing else is said) before the delimiter;
   *   UnexpectedEndError if the stream ends before it. The bytes can still be read in either case. And what `read` throws
   */
  readUntil(delimiter: Delimiter, limit?: ReadLimit): Operation<Uint8Array | null> {
    return this.reader.readUntil(delimiter, limit);
  }

  /**
   * The lines of the stream as UTF-8, without their ends; see `ByteReader.lines`.
   * @throws RangeError for a limit that is none
   */
  lines(limit?: ReadLimit): LineReader {
    return this.reader.lines(limit);
  }

  /**
   * Reads to the end.
   * @throws LimitError if there are more than `limitBytes` (1 MiB, if nothing else is said), which can still be read; and
   *   what `read` throws
   */
  readToEnd(limit?: ReadLimit): Operation<Uint8Array> {
    return this.reader.readToEnd(limit);
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
   * Writes all of `data` (a string as UTF-8), or its bytes from `start` up to `end`; suspends the task while the other
   * side does not take them. The buffer must not change meanwhile.
   * @throws RangeError if `start` and `end` are no range of `data`; SystemError such as `EPIPE` or `ECONNRESET`;
   *   BusyError if another task is writing; ClosedError after `shutdown`, or if this side has closed the stream,
   *   before or meanwhile. Some bytes may have been sent by then.
   */
  write(data: Uint8Array | string, start = 0, end?: number): Operation<void> {
    const bytes = toBytes("write: data", data);
    return new WriteOperation(this, bytes, start, end ?? bytes.byteLength);
  }

  /**
   * Writes several buffers in order, in as few system calls as possible (sendmsg(2), writev(2)), and otherwise as `write`
   * does.
   * @throws what `write` throws
   */
  writeAll(parts: readonly (Uint8Array | string)[]): Operation<void> {
    return new WriteAllOperation(
      this,
      parts.map((part) => toBytes("writeAll: each part", part)),
    );
  }

  /**
   * Says that this side will send no more; the other side reads to the end. Reading goes on. Does nothing the second time.
   * @throws BusyError while a task is writing; SystemError `ENOTCONN` if the connection is gone; ClosedError after `close`
   */
  *shutdown(): Operation<void> {
    if (this.hasShutDown) return;
    this.refuseClosed("shutdown");
    if (this.writing !== null) throw this.source.busyError(Interest.WRITABLE);
    this.endWriting();
    this.hasShutDown = true;
  }

  /**
   * Closes the stream. What was written is still delivered; tasks that wait for the stream get a `ClosedError`. Does
   * nothing the second time.
   */
  close(): void {
    if (this.isClosed) return;
    this.source.close();
    this.closeDescriptor();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For the source: nothing is read or written any more, and what was read ahead is lost. */
  sourceClosed(): void {
    this.ahead?.discard();
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
    if (this.hasShutDown)
      throw new ClosedError(`${this.label}: write after shutdown(), which says that nothing more will be sent`);
    this.refuseClosed("write");
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

  /** For operations: whether a read would not have to wait, as far as is known. */
  get mayRead(): boolean {
    return this.source.mayRead || this.readAheadBytes > 0;
  }

  /** For operations: reads without waiting. Returns how many bytes came, or `WOULD_BLOCK`. */
  tryRead(buffer: Uint8Array, offset: number): number {
    if (this.ahead !== null && this.ahead.bufferedBytes > 0) return this.ahead.take(buffer, offset);
    return this.tryReadBehind(buffer, offset);
  }

  /** For operations: likewise, behind what was read ahead. */
  tryReadBehind(buffer: Uint8Array, offset: number): number {
    const { source } = this;
    if (!source.mayRead && this.mustWait) return WOULD_BLOCK;
    const wanted = Math.min(buffer.byteLength - offset, MOST_AT_ONCE_BYTES);
    const received = this.calls.receive(source.descriptor, buffer, offset, wanted);
    if (received === wanted) return received;
    return this.received(received);
  }

  /** For operations: writes without waiting. Returns how many bytes went, or `WOULD_BLOCK`. */
  tryWrite(bytes: Uint8Array, start: number, end: number): number {
    const { source } = this;
    if (!source.mayWrite && this.mustWait) return WOULD_BLOCK;
    return this.sent(this.calls.send(source.descriptor, bytes, start, Math.min(end - start, MOST_AT_ONCE_BYTES)));
  }

  /** For operations: likewise with parts, from `parts[first]`, `offset` bytes into it. */
  tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    const { source } = this;
    if (!source.mayWrite && this.mustWait) return WOULD_BLOCK;
    return this.sent(this.calls.sendVectored(source.descriptor, parts, first, offset));
  }

  /** Whether a read that is shorter than its buffer has found all that there is, out-of-band data aside. */
  protected get shortReadMeansEmpty(): boolean {
    return false;
  }

  /** Whether the error number of a read stands for the end of the stream. */
  protected isEnd(_result: number): boolean {
    return false;
  }

  /** Tells the other side that no more will come. */
  protected abstract endWriting(): void;

  protected closeDescriptor(): void {
    this.system.close(this.descriptor);
  }

  /** The place that errors of the system name, if there is one. */
  protected get place(): CallSubject {
    return NO_PLACE;
  }

  /** Forgets what was read ahead. @throws BusyError while a task is reading */
  protected dropReadAhead(): void {
    if (this.reading !== null) throw this.source.busyError(Interest.READABLE);
    this.ahead?.consume(this.ahead.bufferedBytes);
  }

  protected refuseClosed(verb: string): void {
    if (this.isClosed) throw new ClosedError(`${this.label}: ${verb} after close()`);
  }

  protected check(result: number, call: string): void {
    if (result < 0) throw this.errorOf(result, call);
  }

  /** The error for `result`, which is below zero; some streams know more of its reason. */
  protected errorOf(result: number, call: string): SystemError {
    return this.system.errorOf(result, call, this.place);
  }

  /**
   * Whether what is not known to be ready is known not to be. A stream that was closed waits as well, which ends with an
   * error: its number may be another's by now.
   */
  private get mustWait(): boolean {
    return this.source.isCached || this.source.isClosed;
  }

  private get readAheadBytes(): number {
    return this.ahead === null ? 0 : this.ahead.bufferedBytes;
  }

  /** The reader of `readUntil` and `lines`, which reads ahead. */
  private get reader(): BufferedReader {
    this.ahead ??= new BufferedReader(new Behind(this));
    return this.ahead;
  }

  /** For calls of their own: takes what was read ahead. Returns how many bytes there were, 0 for none. */
  protected takeAhead(buffer: Uint8Array): number {
    return this.ahead === null || this.ahead.bufferedBytes === 0 ? 0 : this.ahead.take(buffer);
  }

  /** A read that did not fill its buffer. Returns how many bytes came, or `WOULD_BLOCK`. */
  protected received(result: number): number {
    const { source } = this;
    if (result > 0) {
      if (this.shortReadMeansEmpty && (source.readiness & Readiness.PRIORITY) === 0) source.clearReadable();
      return result;
    }
    if (result === 0 || this.isEnd(result)) {
      // Only what is remembered can be final: a foreign descriptor is asked each time.
      if (source.isCached) source.readiness |= Readiness.READ_CLOSED;
      source.clearReadable();
      return 0;
    }
    this.refuseUnlessWouldBlock(result, "read");
    source.clearReadable();
    return WOULD_BLOCK;
  }

  /**
   * Returns how many bytes went, or `WOULD_BLOCK`. A write that takes nothing, and does not say why, would otherwise be tried
   * for ever.
   */
  protected sent(result: number): number {
    if (result > 0) return result;
    if (result < 0) this.refuseUnlessWouldBlock(result, "write");
    this.source.clearWritable();
    return WOULD_BLOCK;
  }

  private refuseUnlessWouldBlock(result: number, verb: string): void {
    if (this.system.meaningOf(result) !== "wouldBlock") throw this.errorOf(result, verb);
  }
}

/** A stream behind what was read ahead of it. */
class Behind implements Readable {
  constructor(private readonly stream: DescriptorStream) {}

  get label(): string {
    return this.stream.label;
  }

  read(buffer: Uint8Array): Operation<number> {
    return new ReadBehindOperation(this.stream, buffer, 0);
  }
}

const NO_PLACE: CallSubject = {};

/** As much as read(2) and write(2) transfer, whatever they are asked for; a length of 4 GiB would be one of 0 to them. */
const MOST_AT_ONCE_BYTES = 0x7ffff000;
