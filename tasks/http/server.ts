/**
 * A server of HTTP/1.1 over any stream: answers the requests of one connection, one after the other.
 *
 *     yield* serveHttp(stream, function* answer(request) {
 *       return { body: `you asked for ${request.target}\n` };
 *     });
 */

import {
  type ByteStream,
  moveOnAfter,
  type Operation,
  SystemError,
  timeout,
  TimeoutError,
  UnexpectedEndError,
} from "../../src/index.ts";
import { type Body, type BodySource, chunkWriter, LAST_CHUNK, requestBody, type WriteBody } from "./body.ts";
import { type FieldValues, formatHead, hasWord, HEAD_LIMIT_BYTES, HttpError, readRequestHead } from "./head.ts";
import type { RequestHead } from "./head.ts";

export interface HttpServerRequest extends RequestHead {
  /** To be read before it is answered; what is left is passed over afterwards. */
  readonly body: Body;
}

export interface HttpAnswer {
  /** By default 200. */
  readonly status?: number;
  readonly fields?: FieldValues;
  /** What to send: all of it, or an operation that writes it piece by piece. */
  readonly body?: Uint8Array | string | ((write: WriteBody) => Operation<void>);
  /** Whether the connection ends with it. */
  readonly isLast?: boolean;
}

export interface HttpServerOptions {
  /**
   * How long the client may take for the head of a request, from the end of the last answer on, and for each piece of a
   * body, in either direction; by default for ever.
   */
  readonly silenceMs?: number;
}

/**
 * Answers until the client has ended, or either side wants to close. What is no request gets an answer that says why. The
 * stream is the caller's to close.
 * @throws TimeoutError if no head came within `silenceMs`, or no more of an answer was taken (a body that stops coming is
 *   answered with 408); what `answer` throws, after a 500 was sent (an HttpError is an answer itself); what
 *   the stream throws
 */
export function* serveHttp(
  stream: ByteStream,
  answer: (request: HttpServerRequest) => Operation<HttpAnswer>,
  { silenceMs = Infinity }: HttpServerOptions = {},
): Operation<void> {
  const connection = new ServerConnection(stream, answer, silenceMs);
  while (yield* connection.serveOne());
  yield* connection.end();
}

class ServerConnection {
  private readonly source: BodySource;

  constructor(
    private readonly stream: ByteStream,
    private readonly answer: (request: HttpServerRequest) => Operation<HttpAnswer>,
    private readonly silenceMs: number,
  ) {
    this.source = impatient(stream, silenceMs);
  }

  /** Returns whether the connection goes on. */
  *serveOne(): Operation<boolean> {
    let request: HttpServerRequest | null;
    try {
      request = yield* this.receive();
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      yield* this.send(NO_REQUEST, refusal(error), true);
      return false;
    }
    if (request === null) return false;
    const reply = yield* this.decide(request);
    const isLast = reply.isLast === true || !request.isModern || hasWord(request.fields, "connection", "close");
    yield* this.send(request, reply, isLast);
    return !isLast && (yield* skipRest(request.body));
  }

  /** Says that no more comes. Then waits a little for the client to have read that: a reset could overtake the answer. */
  *end(): Operation<void> {
    yield* this.stream.shutdown();
    yield* moveOnAfter(LINGER_MS, () => drain(this.stream));
  }

  private *receive(): Operation<HttpServerRequest | null> {
    const head = yield* timeout(this.silenceMs, readRequestHead(this.stream, HEAD_LIMIT_BYTES));
    if (head === null) return null;
    const body = requestBody(this.source, head.fields);
    // The client waits with a large body until it is told that somebody wants it.
    if (head.isModern && hasWord(head.fields, "expect", "100-continue") && !body.isAtEnd)
      yield* this.stream.write("HTTP/1.1 100 Continue\r\n\r\n");
    return { ...head, body };
  }

  private *decide(request: HttpServerRequest): Operation<HttpAnswer> {
    try {
      return yield* this.answer(request);
    } catch (error) {
      if (error instanceof HttpError) return refusal(error);
      yield* this.sayFailed(request);
      throw error;
    }
  }

  /** What has failed may be the connection itself. */
  private *sayFailed(request: RequestHead): Operation<void> {
    try {
      yield* this.send(request, { status: 500, body: "the server has failed\n" }, true);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof TimeoutError)) throw error;
    }
  }

  private *send(
    request: Pick<RequestHead, "method" | "isModern">,
    reply: HttpAnswer,
    isLast: boolean,
  ): Operation<void> {
    const { status = 200, fields = {}, body = "" } = reply;
    const firstLine = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}`;
    const common = { ...fields, ...(isLast ? { Connection: "close" } : {}) };
    const hasBody = request.method !== "HEAD" && status !== 204 && status !== 304;
    if (typeof body === "function") return yield* this.sendPieces(request, firstLine, common, hasBody ? body : null);
    const bytes = Buffer.from(body);
    const length = status === 204 ? {} : { "Content-Length": bytes.byteLength };
    yield* this.writeAll([formatHead(firstLine, { ...common, ...length }), hasBody ? bytes : ""]);
  }

  /** In chunks; a client of HTTP/1.0 knows none, and gets what comes up to the end. */
  private *sendPieces(
    { isModern }: Pick<RequestHead, "isModern">,
    firstLine: string,
    fields: FieldValues,
    body: ((write: WriteBody) => Operation<void>) | null,
  ): Operation<void> {
    const coding = isModern ? { "Transfer-Encoding": "chunked" } : {};
    yield* this.writeAll([formatHead(firstLine, { ...fields, ...coding })]);
    if (body === null) return;
    yield* body(isModern ? chunkWriter(this) : (piece) => this.writeAll([piece]));
    if (isModern) yield* this.writeAll([LAST_CHUNK]);
  }

  /** What is large is no piece: who takes it slowly, but takes it, is not let go. */
  *writeAll(parts: readonly (Uint8Array | string)[]): Operation<void> {
    const { stream, silenceMs } = this;
    const encoded = parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part));
    const length = encoded.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (length <= PIECE_BYTES) return yield* timeout(silenceMs, stream.writeAll(encoded));
    for (const part of encoded) {
      for (let start = 0; start < part.byteLength; start += PIECE_BYTES)
        yield* timeout(silenceMs, stream.write(part, start, Math.min(start + PIECE_BYTES, part.byteLength)));
    }
  }
}

/** Where the next request would begin is not known then, so there is none. */
function refusal({ status, message }: HttpError): HttpAnswer {
  return { status, fields: { "Content-Type": "text/plain" }, body: `${message}\n`, isLast: true };
}

/** A stream whose reads do not wait for ever: who has begun with a body has to go on with it. */
function impatient(stream: ByteStream, silenceMs: number): BodySource {
  return {
    label: stream.label,
    read: (buffer) => inTime(silenceMs, stream.read(buffer)),
    readUntil: (delimiter, limit) => inTime(silenceMs, stream.readUntil(delimiter, limit)),
  };
}

function* inTime<Value>(silenceMs: number, reading: Operation<Value>): Operation<Value> {
  try {
    return yield* timeout(silenceMs, reading);
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    throw new HttpError(408, `nothing more of the body came within ${silenceMs} ms`);
  }
}

/** Passes over what nobody has read of a request. Returns whether another can follow. */
function* skipRest(body: Body): Operation<boolean> {
  try {
    return yield* body.skip(MOST_SKIPPED_BYTES);
  } catch (error) {
    if (error instanceof HttpError) return false;
    throw error;
  }
}

/** Reads up to the end, however the client brings that about: it has its answers. */
function* drain(stream: ByteStream): Operation<void> {
  const buffer = new Uint8Array(READ_BYTES);
  try {
    for (let left = MOST_SKIPPED_BYTES; left > 0;) {
      const received = yield* stream.read(buffer);
      if (received === 0) return;
      left -= received;
    }
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof UnexpectedEndError)) throw error;
  }
}

/** What is answered when there is no request to answer. */
const NO_REQUEST = { method: "GET", isModern: true };

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
};

const READ_BYTES = 65_536;

/** Of an answer, what a client must take within `silenceMs`. A chunk of 64 KiB is one, with its length. */
const PIECE_BYTES = 66_560;

/** What a client may send that nobody wants, before it is cheaper to connect again. */
const MOST_SKIPPED_BYTES = 1_048_576;

/** Long enough for an answer to arrive, short enough not to hold a seat. */
const LINGER_MS = 1_000;
