/** The bodies of HTTP/1.1 messages, read as they come: so much, in chunks, or up to the end of the connection. */

import { type ByteReader, type ByteWriter, LimitError, type Operation, UnexpectedEndError } from "../../src/index.ts";
import { type Fields, HttpError, parseFields } from "./head.ts";

/** What a body needs of a stream. */
export type BodySource = Pick<ByteReader, "label" | "read" | "readUntil">;

export abstract class Body {
  /** Whether all of it was read. */
  protected isOver = false;

  constructor(protected readonly stream: BodySource) {}

  get isAtEnd(): boolean {
    return this.isOver;
  }

  /** Reads what there is, at most as much as the buffer holds; 0 at the end. */
  abstract read(buffer: Uint8Array): Operation<number>;

  /**
   * Reads all of it.
   * @throws HttpError 413 if there is more than `limitBytes`
   */
  *readToEnd({ limitBytes = DEFAULT_LIMIT_BYTES } = {}): Operation<Uint8Array> {
    let gathered = new Uint8Array(FIRST_BYTES);
    let length = 0;
    for (;;) {
      const received = yield* this.read(gathered.subarray(length));
      if (received === 0) return gathered.subarray(0, length);
      length += received;
      if (length > limitBytes) throw new HttpError(413, `the body is longer than ${limitBytes} bytes`);
      if (length === gathered.byteLength) gathered = doubled(gathered);
    }
  }

  /** All of it as UTF-8. */
  *text(limit?: { readonly limitBytes?: number }): Operation<string> {
    return Buffer.from(yield* this.readToEnd(limit)).toString();
  }

  /** Passes over what nobody has read. Returns false if that is more than the limit. */
  *skip(limitBytes: number): Operation<boolean> {
    const buffer = new Uint8Array(READ_BYTES);
    for (let left = limitBytes; left >= 0;) {
      const received = yield* this.read(buffer);
      if (received === 0) return true;
      left -= received;
    }
    return false;
  }
}

/** The body of a request: there is one only if the fields say so. */
export function requestBody(stream: BodySource, fields: Fields): Body {
  return framedBody(stream, fields) ?? new LengthBody(stream, 0);
}

/** The body of an answer: it may also go on to the end of the connection. */
export function responseBody(stream: BodySource, fields: Fields, hasNone: boolean): Body {
  if (hasNone) return new LengthBody(stream, 0);
  return framedBody(stream, fields) ?? new RestBody(stream);
}

function framedBody(stream: BodySource, fields: Fields): Body | null {
  const coding = fields.get("transfer-encoding");
  const length = fields.get("content-length");
  if (coding !== undefined) {
    // Whoever stands between could see another message in it (RFC 9112, section 6.1).
    if (length !== undefined) throw new HttpError(400, "there is both Content-Length and Transfer-Encoding");
    if (coding.toLowerCase() !== "chunked") throw new HttpError(501, `the transfer coding ${coding} is not known here`);
    return new ChunkedBody(stream);
  }
  if (length === undefined) return null;
  if (!/^\d{1,15}$/.test(length)) throw new HttpError(400, "Content-Length is no number");
  return new LengthBody(stream, Number(length));
}

/** So many bytes. */
class LengthBody extends Body {
  private left: number;

  constructor(
    stream: BodySource,
    private readonly length: number,
  ) {
    super(stream);
    this.left = length;
    this.isOver = length === 0;
  }

  *read(buffer: Uint8Array): Operation<number> {
    if (this.left === 0) return 0;
    const received = yield* this.stream.read(buffer.subarray(0, Math.min(buffer.byteLength, this.left)));
    if (received === 0) throw new UnexpectedEndError(this.stream.label, this.length - this.left, this.length);
    this.left -= received;
    this.isOver = this.left === 0;
    return received;
  }
}

/** Chunks, each after its length, up to an empty one (RFC 9112, section 7.1). */
class ChunkedBody extends Body {
  private left = 0;
  private hasBegun = false;

  *read(buffer: Uint8Array): Operation<number> {
    if (this.isOver) return 0;
    if (this.left === 0 && !(yield* this.nextChunk())) return 0;
    const received = yield* this.stream.read(buffer.subarray(0, Math.min(buffer.byteLength, this.left)));
    if (received === 0) throw UnexpectedEndError.before("its last chunk", this.stream.label, 0);
    this.left -= received;
    return received;
  }

  private *nextChunk(): Operation<boolean> {
    if (this.hasBegun && (yield* this.line()) !== "") throw new HttpError(400, "a chunk is longer than it says");
    this.hasBegun = true;
    const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(yield* this.line())?.[1];
    if (size === undefined) throw new HttpError(400, "a chunk does not begin with its length");
    this.left = Number.parseInt(size, 16);
    if (this.left > 0) return true;
    yield* this.trailers();
    this.isOver = true;
    return false;
  }

  /** Fields after the last chunk: they are checked, and nobody wants them. */
  private *trailers(): Operation<void> {
    for (let count = 0; count < MOST_TRAILERS; count++) {
      const line = yield* this.line();
      if (line === "") return;
      parseFields(["", line]);
    }
    throw new HttpError(431, `there are more than ${MOST_TRAILERS} fields after the last chunk`);
  }

  private *line(): Operation<string> {
    try {
      const line = yield* this.stream.readUntil("\r\n", { limitBytes: CHUNK_LINE_LIMIT_BYTES });
      if (line === null) throw UnexpectedEndError.before("its last chunk", this.stream.label, 0);
      return Buffer.from(line).toString("latin1");
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      throw new HttpError(400, `a line between chunks is longer than ${CHUNK_LINE_LIMIT_BYTES} bytes`);
    }
  }
}

/** All up to the end of the connection. Over TLS an end without a close_notify is an error, so nothing is cut off unseen. */
class RestBody extends Body {
  *read(buffer: Uint8Array): Operation<number> {
    if (this.isOver) return 0;
    const received = yield* this.stream.read(buffer);
    this.isOver = received === 0;
    return received;
  }
}

/** So each byte is copied about once, and small pieces take no more memory than large ones. */
function doubled(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(bytes.byteLength * 2);
  larger.set(bytes);
  return larger;
}

/** Writes a piece of a body whose length nobody knows beforehand. */
export type WriteBody = (piece: Uint8Array | string) => Operation<void>;

/** Writes pieces as chunks, each in one write. */
export function chunkWriter(stream: Pick<ByteWriter, "writeAll">): WriteBody {
  return function* write(piece) {
    const bytes = Buffer.from(piece);
    // An empty chunk would be the end.
    if (bytes.byteLength > 0) yield* stream.writeAll([`${bytes.byteLength.toString(16)}\r\n`, bytes, "\r\n"]);
  };
}

/** What ends a body of chunks. */
export const LAST_CHUNK = "0\r\n\r\n";

/** Enough for a document, and no danger if it comes from a stranger. */
const DEFAULT_LIMIT_BYTES = 1_048_576;

const READ_BYTES = 65_536;

/** Most bodies that are read as a whole are small. */
const FIRST_BYTES = 16_384;

/** Lengths are short, but may have extensions, which nobody uses. */
const CHUNK_LINE_LIMIT_BYTES = 1_024;
const MOST_TRAILERS = 100;
