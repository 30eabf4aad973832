/** What the error numbers of Linux mean, and the errors that are made of them. */

import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { SystemError } from "../core/errors.ts";
import type { CallSubject, ErrorMeaning } from "../core/system.ts";

/**
 * What the operations act on; every other number is just an error. accept(2) says which errors concern only the
 * connection.
 */
const MEANINGS: Readonly<Record<string, ErrorMeaning>> = {
  EAGAIN: "wouldBlock",
  EINTR: "inProgress",
  ECONNABORTED: "brokenConnection",
  EPROTO: "brokenConnection",
  ENETDOWN: "brokenConnection",
  ENOPROTOOPT: "brokenConnection",
  EHOSTDOWN: "brokenConnection",
  ENONET: "brokenConnection",
  EHOSTUNREACH: "brokenConnection",
  ENETUNREACH: "brokenConnection",
  EMFILE: "exhausted",
  ENFILE: "exhausted",
  ENOBUFS: "exhausted",
  ENOMEM: "exhausted",
  ECONNRESET: "disconnected",
  EPIPE: "disconnected",
  ENOTCONN: "disconnected",
  EIO: "hungUp",
};

/** libuv, whose names these are, has no call that could give the others. */
const SYSTEM_ERRORS: ReadonlyMap<number, readonly [code: string, description: string]> = new Map([
  ...getSystemErrorMap(),
  [-109, ["ETOOMANYREFS", "too many references"]],
]);

const MEANING_BY_RESULT: ReadonlyMap<number, ErrorMeaning> = new Map([
  // The map of names leaves it out, because libuv never shows it.
  [-constants.errno.EINPROGRESS, "inProgress"],
  ...[...SYSTEM_ERRORS].flatMap(([result, [code]]) => {
    const meaning = MEANINGS[code];
    return meaning === undefined ? [] : [[result, meaning] as const];
  }),
]);

/** What a negated error number means to an operation. */
export function meaningOf(result: number): ErrorMeaning {
  return MEANING_BY_RESULT.get(result) ?? "other";
}

/** The error for a negated error number, in the shape of Node.js's. */
export function errorOf(result: number, syscall: string, subject: CallSubject = {}): SystemError {
  const [code, description] = SYSTEM_ERRORS.get(result) ?? [`E${-result}`, `error ${-result}`];
  const { host: address, port, path } = subject;
  return new SystemError({ code, errno: result, description, syscall, address, port, path });
}
