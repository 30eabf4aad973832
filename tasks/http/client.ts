/**
 * A client of HTTP/1.1 over any stream: one request after the other on one connection.
 *
 *     const http = new HttpClient(stream, "example.com");
 *     const answer = yield* http.request({ target: "/" });
 *     console.log(answer.status, yield* answer.body.text());
 */

import type { ByteStream, Operation } from "../../src/index.ts";
import { type Body, chunkWriter, LAST_CHUNK, responseBody, type WriteBody } from "./body.ts";
import { type FieldValues, formatHead, hasWord, HEAD_LIMIT_BYTES, HttpError, readResponseHead } from "./head.ts";
import type { ResponseHead } from "./head.ts";

export interface HttpRequest {
  /** By default GET. */
  readonly method?: string;
  /** The path and what follows it. */
  readonly target: string;
  readonly fields?: FieldValues;
  /** What to send: all of it, or an operation that writes it piece by piece, in chunks. */
  readonly body?: Uint8Array | string | ((write: WriteBody) => Operation<void>);
}

export interface HttpResponse extends ResponseHead {
  /** To be read before the next request. */
  readonly body: Body;
}

export class HttpClient {
  private lastBody: Body | null = null;
  private isLast = false;

  constructor(
    private readonly stream: ByteStream,
    /** The name of the server, for the field Host. */
    private readonly host: string,
  ) {}

  /** Whether the connection can carry another request, once the last answer is read. */
  get isReusable(): boolean {
    return !this.isLast && !this.stream.isClosed;
  }

  /**
   * Sends a request and waits for the head of its answer. Answers that only announce another (100 Continue) are passed
   * over.
   * @throws HttpError if the answer is none; Error if the last answer was not read, or the server has said that it was
   *   its last; what the stream throws
   */
  *request(request: HttpRequest): Operation<HttpResponse> {
    if (this.lastBody?.isAtEnd === false) throw new Error("the body of the last answer must be read first");
    if (this.isLast) throw new Error("the server answers no more on this connection");
    const { method = "GET" } = request;
    // Until the answer says otherwise: what breaks off half-way leaves a connection of no use.
    this.isLast = true;
    yield* this.send(method, request);
    let head = yield* readResponseHead(this.stream, HEAD_LIMIT_BYTES);
    while (head.status < 200) head = yield* readResponseHead(this.stream, HEAD_LIMIT_BYTES);
    const hasNone = method === "HEAD" || head.status === 204 || head.status === 304;
    const body = responseBody(this.stream, head.fields, hasNone);
    const isFramed = hasNone || head.fields.has("content-length") || head.fields.has("transfer-encoding");
    this.isLast = !head.isModern || !isFramed || hasWord(head.fields, "connection", "close");
    this.lastBody = body;
    return { ...head, body };
  }

  private *send(method: string, { target, fields = {}, body }: HttpRequest): Operation<void> {
    if (/\s/.test(target) || target === "") throw new HttpError(400, `${JSON.stringify(target)} is no target`);
    const firstLine = `${method} ${target} HTTP/1.1`;
    const common = { Host: this.host, ...fields };
    if (body === undefined) yield* this.stream.write(formatHead(firstLine, common));
    else if (typeof body === "function") {
      yield* this.stream.write(formatHead(firstLine, { ...common, "Transfer-Encoding": "chunked" }));
      yield* body(chunkWriter(this.stream));
      yield* this.stream.write(LAST_CHUNK);
    } else {
      const bytes = Buffer.from(body);
      yield* this.stream.writeAll([formatHead(firstLine, { ...common, "Content-Length": bytes.byteLength }), bytes]);
    }
  }
}
