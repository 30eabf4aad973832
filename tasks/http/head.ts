/** The heads of HTTP/1.1 messages: the first line and the fields (RFC 9112, RFC 9110). */

import { LimitError, type Operation } from "../../src/index.ts";
import type { ByteReader } from "../../src/index.ts";

/** A message that is none, or more than is allowed. A server answers with the status. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code = "ERR_HTTP";

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The fields of a message, by name in lower case. Several of one name are one list with commas between. */
export type Fields = ReadonlyMap<string, string>;

/** What a program gives as fields. */
export type FieldValues = Readonly<Record<string, string | number>>;

export interface RequestHead {
  readonly method: string;
  /** What is asked for, as the client wrote it: `/path?query` mostly. */
  readonly target: string;
  /** Whether it is HTTP/1.1; else it is 1.0, in which a connection carries one request. */
  readonly isModern: boolean;
  readonly fields: Fields;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly isModern: boolean;
  readonly fields: Fields;
}

/**
 * Reads the head of a request; null if the client has ended instead.
 * @throws HttpError with the status to answer; what the stream throws
 */
export function* readRequestHead(stream: ByteReader, limitBytes: number): Operation<RequestHead | null> {
  const lines = yield* readHeadLines(stream, limitBytes);
  if (lines === null) return null;
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.([01])$/.exec(lines[0]!);
  if (match === null) throw new HttpError(400, "the first line is no request of HTTP/1.1");
  const [, method, target, minor] = match as unknown as [string, string, string, string];
  const fields = parseFields(lines);
  const isModern = minor === "1";
  if (isModern && !fields.has("host")) throw new HttpError(400, "the field Host is missing");
  return { method, target, isModern, fields };
}

/**
 * Reads the head of an answer.
 * @throws HttpError if it is none; what the stream throws
 */
export function* readResponseHead(stream: ByteReader, limitBytes: number): Operation<ResponseHead> {
  const lines = yield* readHeadLines(stream, limitBytes);
  if (lines === null) throw new HttpError(502, "the server has ended the connection instead of answering");
  const match = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/.exec(lines[0]!);
  if (match === null) throw new HttpError(502, "the first line is no answer of HTTP/1.1");
  const [, minor, status, reason = ""] = match;
  return { status: Number(status), reason, isModern: minor === "1", fields: parseFields(lines) };
}

/** A head as text. The fields must be a program's own: a line's end in a value is refused. */
export function formatHead(firstLine: string, fields: FieldValues): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  for (const line of [firstLine, ...lines]) {
    if (/[\r\n\0]/.test(line))
      throw new TypeError(`a line of a head has an end of line in it: ${JSON.stringify(line)}`);
  }
  return `${[firstLine, ...lines].join("\r\n")}\r\n\r\n`;
}

/** Whether a field that is a list has the word in it. */
export function hasWord(fields: Fields, name: string, word: string): boolean {
  const words = fields.get(name)?.toLowerCase().split(",") ?? [];
  return words.some((item) => item.trim() === word);
}

/** The fields of the lines after the first. */
export function parseFields(lines: readonly string[]): Fields {
  const fields = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (match === null) throw new HttpError(400, "a line of the head is no field");
    const name = match[1]!.toLowerCase();
    const known = fields.get(name);
    // Two messages in one, depending on who reads it, if these were joined (RFC 9112, section 6.3; RFC 9110, section 7.2).
    if (known !== undefined && SINGLE_FIELDS.has(name)) throw new HttpError(400, `the field ${name} comes twice`);
    fields.set(name, known === undefined ? match[2]! : `${known}, ${match[2]!}`);
  }
  return fields;
}

function* readHeadLines(stream: ByteReader, limitBytes: number): Operation<string[] | null> {
  try {
    const bytes = yield* stream.readUntil("\r\n\r\n", { limitBytes });
    if (bytes === null) return null;
    // An empty line before the first one is passed over (RFC 9112, section 2.2).
    const text = Buffer.from(bytes).toString("latin1").replace(/^\r\n/, "");
    const lines = text.split("\r\n");
    if (lines.some((line) => /[\r\n\0]/.test(line))) throw new HttpError(400, "a line of the head has no proper end");
    return lines;
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    throw new HttpError(431, `the head is longer than ${limitBytes} bytes`);
  }
}

const SINGLE_FIELDS: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "host"]);

/** More than browsers send with all their cookies. */
export const HEAD_LIMIT_BYTES = 32_768;
