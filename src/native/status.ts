/** What error numbers mean, and the errors that are made of them. */

import { SystemError } from "../core/errors.ts";
import type { CallSubject, ErrorMeaning } from "../core/system.ts";
import { errorNumber } from "./error-numbers.ts";

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

type KnownErrors = ReadonlyMap<number, readonly [code: string, description: string]>;

let systemErrors: KnownErrors | undefined;

/**
 * Made when the first call fails: `node:util` takes some milliseconds to load. Its numbers are those of this platform; those
 * that libuv, whose names they are, has no call for are added.
 */
function knownErrors(): KnownErrors {
  systemErrors ??= new Map([
    ...process.getBuiltinModule("node:util").getSystemErrorMap(),
    [errorNumber("EINPROGRESS"), ["EINPROGRESS", "operation now in progress"]],
    [TOO_MANY_REFERENCES, ["ETOOMANYREFS", "too many references"]],
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

/** ETOOMANYREFS, which neither libuv nor `os.constants` has: Linux, and all others with descriptors to pass. */
const TOO_MANY_REFERENCES = process.platform === "linux" ? -109 : -59;
