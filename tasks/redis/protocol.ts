/**
 * The protocol of Redis, RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/): what its parts have in common.
 * Strings may hold any bytes; here each character stands for one byte.
 */

/** The other side has sent what is no RESP. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code = "ERR_REDIS_PROTOCOL";
}

/** An error that the server has sent as its reply. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  readonly code = "ERR_REDIS_REPLY";
}

/** What a server answers. An integer that a number cannot hold exactly is a bigint. */
export type Reply = string | number | bigint | null | ReplyError | readonly Reply[];

/** Text as words of a command have it: a character for each byte of its UTF-8. */
export function encodeText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** The text in a reply, if it is UTF-8. */
export function decodeText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString();
}

export const STAR = 0x2a;
export const DOLLAR = 0x24;
export const PLUS = 0x2b;
export const MINUS = 0x2d;
export const COLON = 0x3a;
export const ZERO = 0x30;
export const LINE_FEED = 0x0a;
export const CARRIAGE_RETURN = 0x0d;

/** As the original server had it for long; today it accepts more. */
export const MOST_ITEMS = 1_048_576;

/** 512 MB in the original server. */
export const LONGEST_STRING_BYTES = 67_108_864;
