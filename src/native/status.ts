/** What the error numbers of Linux mean, and the errors that are made of them. */

import { constants } from "node:os";
import { SystemError } from "../core/errors.ts";
import type { CallSubject, ErrorMeaning } from "../core/system.ts";

/**
 * What the operations act on; every other number is just an error. accept(2) says which errors concern only the
 * connection.
 */
const MEANINGS: Readonly<Record<string, ErrorMeaning>> = {
  EAGAIN: "wouldBlock",
  EINTR: "inProgress",
  EINPROGRESS: "inProgress",
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

let systemErrors: ReadonlyMap<number, readonly [code: string, description: string]> | undefined;

/** Made when the first call fails: `node:util` takes some milliseconds to load. */
function knownErrors(): NonNullable<typeof systemErrors> {
  systemErrors ??= new Map([
    ...process.getBuiltinModule("node:util").getSystemErrorMap(),
    // libuv, whose names these are, has no call that could give the others.
    [-constants.errno.EINPROGRESS, ["EINPROGRESS", "operation now in progress"]],
    [-109, ["ETOOMANYREFS", "too many references"]],
  ]);
  return systemErrors;
}

let meanings: ReadonlyMap<number, ErrorMeaning> | undefined;

function knownMeanings(): NonNullable<typeof meanings> {
  meanings ??= new Map(
    [...knownErrors()].flatMap(([result, [code]]) => {
      const meaning = MEANINGS[code];
      return meaning === undefined ? [] : [[result, meaning] as const];
    }),
  );
  return meanings;
}

/** What a negated error number means to an operation. */
export function meaningOf(result: number): ErrorMeaning {
  return knownMeanings().get(result) ?? "other";
}

/** The error for a negated error number, in the shape of Node.js's. */
export function errorOf(result: number, syscall: string, subject: CallSubject = {}): SystemError {
  const [code, description] = knownErrors().get(result) ?? [`E${-result}`, `error ${-result}`];
  const { host: address, port, path } = subject;
  return new SystemError({ code, errno: result, description, syscall, address, port, path });
}
