/** A stream of bytes over TLS. */

import type { PeerCertificate } from "node:tls";
import { spendBudget } from "../core/budget.ts";
import { BusyError, ClosedError, OperationReusedError, SystemError, UnexpectedEndError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { SuspendRequest } from "../core/request.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import { BufferedReader, type Readable } from "../io/buffered-reader.ts";
import type { ByteStream, Delimiter, LineReader, ReadLimit } from "../io/byte-stream.ts";
import { assertRange, assertRoom, toBytes } from "../io/bytes.ts";
import { TlsError } from "./tls-error.ts";
import { hostTurn, type SessionFacts } from "./tls-session.ts";
import type { TlsWire } from "./tls-wire.ts";

/**
 * What `tlsConnect` and `tlsAccept` return: a stream like any other, except that
 *
 * - an end is one only if the other side has said so (close_notify). A connection that ends without is an
 *   `UnexpectedEndError`: somebody may have cut it off. So end with `shutdown`, then `close`.
 * - once the other side has ended its half, nothing can be written any more (`EPIPE`): Bun's TLS ends both halves then.
 * - a write that is cancelled half-way leaves a record half sent: nothing can be written after it. Reading goes on.
 */
export class TlsStream implements ByteStream {
  /** The protocol of the application that both sides have agreed upon (ALPN, RFC 7301); null if none was. */
  readonly alpnProtocol: string | null;
  /** The name of the server that the client has asked for; null if it has named none. */
  readonly serverName: string | null;
  /** The version, such as `TLSv1.3`. */
  readonly protocol: string;
  /** Who the other side says that it is, as Node.js has it; null if it has shown no certificate. */
  readonly peerCertificate: PeerCertificate | null;
  /**
   * Why the peer's certificate is none to trust, if it was accepted nevertheless (`rejectUnauthorized: false`); else
   * null.
   */
  readonly verificationError: string | null;

  private readonly reader: BufferedReader;
  private isWriting = false;
  private hasShutDown = false;
  private isClosedNow = false;
  private receivedBytes = 0;

  /** For `tlsConnect` and `tlsAccept`. */
  constructor(
    private readonly wire: TlsWire,
    /** Words for messages, such as `TLS with example.com over connection 192.0.2.1:443`. */
    readonly label: string,
    facts: SessionFacts,
  ) {
    this.alpnProtocol = facts.alpnProtocol;
    this.serverName = facts.serverName;
    this.protocol = facts.protocol;
    this.peerCertificate = facts.peerCertificate;
    this.verificationError = facts.verificationError;
    const decrypted: Readable = { label, read: (buffer) => this.readDecrypted(buffer) };
    this.reader = new BufferedReader(decrypted);
  }

  get isClosed(): boolean {
    return this.isClosedNow;
  }

  /**
   * Reads what there is, at most as much as `buffer` holds; suspends the task until there is something.
   * @returns the number of bytes that were read into the beginning of `buffer`; 0 if the other side has said that it
   *   will send no more
   * @throws UnexpectedEndError if the connection ended without that; TlsError if what came was tampered with; what the
   *   stream below throws; BusyError if another task is reading; ClosedError if this side has closed the stream, before
   *   or meanwhile; RangeError if the buffer is empty
   */
  read(buffer: Uint8Array): Operation<number> {
    assertRoom("read: buffer", buffer);
    return new UsedOnce("read", () => this.whileOpen("read", () => this.reader.read(buffer)));
  }

  /**
   * Fills `buffer`. If the task is cancelled meanwhile, what came by then is in the buffer, and lost for the next read.
   * @throws UnexpectedEndError if the stream ends first, with the number of bytes that came; and what `read` throws
   */
  readExactly(buffer: Uint8Array): Operation<void> {
    return this.whileOpen("readExactly", () => this.reader.readExactly(buffer));
  }

  /**
   * Reads up to a delimiter, which is taken from the stream as well.
   * @returns what was before the delimiter, in memory of its own; null if the stream is at its end
   * @throws LimitError if there are more than `limitBytes` (64 KiB, if nothing else is said) before the delimiter;
   *   UnexpectedEndError if the stream ends before it. The bytes can still be read in either case. And what `read`
   *   throws
   */
  readUntil(delimiter: Delimiter, limit?: ReadLimit): Operation<Uint8Array | null> {
    return this.whileOpen("readUntil", () => this.reader.readUntil(delimiter, limit));
  }

  /**
   * The lines of the stream as UTF-8, without their ends; see `ByteReader.lines`.
   * @throws RangeError for a limit that is none
   */
  lines(limit?: ReadLimit): LineReader {
    const lines = this.reader.lines(limit);
    return { next: () => this.whileOpen("lines", () => lines.next()) };
  }

  /**
   * Reads to the end.
   * @throws LimitError if there are more than `limitBytes` (1 MiB, if nothing else is said), which can still be read;
   *   and what `read` throws
   */
  readToEnd(limit?: ReadLimit): Operation<Uint8Array> {
    return this.whileOpen("readToEnd", () => this.reader.readToEnd(limit));
  }

  /**
   * Writes all of `data` (a string as UTF-8), or its bytes from `start` up to `end`; suspends the task while the other
   * side does not take them. The buffer must not change meanwhile. Each write is at least one record of TLS, which adds
   * some 22 bytes: gather small ones, or use `writeAll`.
   * @throws RangeError if `start` and `end` are no range of `data`; SystemError `EPIPE` once the other side has ended,
   *   and others of the stream below; BusyError if another task is writing; ClosedError after `shutdown`, after a write
   *   that was cancelled half-way, or if this side has closed the stream, before or meanwhile
   */
  write(data: Uint8Array | string, start = 0, end?: number): Operation<void> {
    const bytes = toBytes("write: data", data);
    const last = end ?? bytes.byteLength;
    assertRange("write", bytes, start, last);
    return new UsedOnce("write", () => this.send([bytes.subarray(start, last)]));
  }

  /**
   * Writes several buffers in order, in as few records as possible, and otherwise as `write` does.
   * @throws what `write` throws
   */
  writeAll(parts: readonly (Uint8Array | string)[]): Operation<void> {
    const bytes = parts.map((part) => toBytes("writeAll: each part", part));
    return new UsedOnce("writeAll", () => this.send(bytes));
  }

  /**
   * Says that this side will send no more (close_notify), and ends its half of the stream below. What the other side
   * sends can still be read. Suspends the task until that has been taken. Does nothing the second time.
   * @throws BusyError while a task is writing; what the stream below throws; ClosedError after `close`, and after a
   *   write that was cancelled half-way
   */
  *shutdown(): Operation<void> {
    this.refuseClosed("shutdown");
    if (this.hasShutDown) return;
    if (this.isWriting) throw this.busyError();
    this.hasShutDown = true;
    this.isWriting = true;
    try {
      yield* this.wire.session.end();
      this.refuseClosed("shutdown");
      yield* this.wire.flush();
      yield* this.wire.stream.shutdown();
    } finally {
      this.isWriting = false;
    }
  }

  /**
   * Closes the stream and the one below it. Tasks that wait for it get a `ClosedError`. Without a `shutdown` before,
   * the other side takes it for cut off. Does nothing the second time.
   */
  close(): void {
    if (this.isClosedNow) return;
    this.isClosedNow = true;
    this.wire.session.destroy();
    this.wire.stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private *whileOpen<T>(verb: string, read: () => Operation<T>): Operation<T> {
    this.refuseClosed(verb);
    return yield* read();
  }

  /** For the reader: what was decrypted, or what comes next. */
  private *readDecrypted(buffer: Uint8Array): Operation<number> {
    const { session } = this.wire;
    if (!spendBudget()) yield YIELD_REQUEST;
    while (session.plainBytes === 0) {
      this.refuseClosed("read");
      this.refuseFailed();
      if (session.hasEnded) return 0;
      if (!(yield* this.wire.receive()) && !session.hasEnded) throw this.cutOffError();
    }
    this.refuseClosed("read");
    const bytes = session.take(buffer);
    this.receivedBytes += bytes;
    return bytes;
  }

  private *send(parts: readonly Uint8Array[]): Operation<void> {
    this.refuseClosed("write");
    if (this.hasShutDown)
      throw new ClosedError(`${this.label}: write after shutdown(), which says that nothing more will be sent`);
    if (this.isWriting) throw this.busyError();
    this.isWriting = true;
    try {
      for (const piece of piecesOf(parts)) yield* this.sendPiece(piece);
    } finally {
      this.isWriting = false;
    }
  }

  private *sendPiece(piece: Uint8Array): Operation<void> {
    if (!this.wire.session.encrypt(piece)) {
      yield* hostTurn();
      this.refuseClosed("write");
      this.refuseFailed();
      throw this.brokenPipe();
    }
    yield* this.wire.flush();
  }

  private refuseClosed(verb: string): void {
    if (this.isClosedNow) throw new ClosedError(`${this.label}: ${verb} after close()`);
  }

  private refuseFailed(): void {
    const { failure } = this.wire.session;
    if (failure !== null) throw new TlsError(this.label, failure);
  }

  private cutOffError(): Error {
    return UnexpectedEndError.before(
      "the close_notify that ends TLS, so it may have been cut off",
      this.label,
      this.receivedBytes,
    );
  }

  private brokenPipe(): SystemError {
    const description = `${this.label}: the other side has ended the session, and takes no more`;
    return new SystemError({ code: "EPIPE", errno: errnoOf("EPIPE"), syscall: "write", description });
  }

  private busyError(): BusyError {
    return new BusyError(
      `${this.label} is being written to by another task: one task at a time may, so let one task do it for all`,
    );
  }
}

/** An operation that refuses to be used a second time, as those of other streams do. */
class UsedOnce<T> implements Operation<T> {
  private isUsed = false;

  constructor(
    private readonly name: string,
    private readonly begin: () => Operation<T>,
  ) {}

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    if (this.isUsed) throw new OperationReusedError(this.name);
    this.isUsed = true;
    return this.begin()[Symbol.iterator]();
  }
}

/** The bytes in pieces to encrypt: large parts are cut, small ones gathered. None is empty. */
function* piecesOf(parts: readonly Uint8Array[]): Generator<Uint8Array, void, undefined> {
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  for (const part of parts) {
    for (let start = 0; start < part.byteLength;) {
      const end = Math.min(part.byteLength, start + PIECE_BYTES - gatheredBytes);
      gathered.push(part.subarray(start, end));
      gatheredBytes += end - start;
      start = end;
      if (gatheredBytes < PIECE_BYTES) continue;
      yield joined(gathered);
      gathered = [];
      gatheredBytes = 0;
    }
  }
  if (gatheredBytes > 0) yield joined(gathered);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** The number of an error on this platform, negated. Node.js knows them all, once there is one to be told. */
function errnoOf(name: string): number {
  const errors = process.getBuiltinModule("node:util").getSystemErrorMap();
  return errors.entries().find(([, [code]]) => code === name)![0];
}

/** What is encrypted before it is sent: it is in memory twice meanwhile. Four records of TLS. */
const PIECE_BYTES = 65_536;
