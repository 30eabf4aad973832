/** What a unix socket is found by: a path, or on Linux a name that is no file. */

import { describeValue } from "../core/errors.ts";

/** A socket that is a file. Whoever connects or sends needs the permission to write to it (unix(7)). */
export interface UnixPath {
  /** At most 107 bytes as UTF-8. A relative one is counted from the process's working folder, at each use. */
  readonly path: string;
  readonly abstract?: undefined;
}

/** A name that the kernel keeps as long as the socket is open. It has no permissions: every process may connect (Linux). */
export interface AbstractName {
  /** At most 107 bytes as UTF-8, zeros included. */
  readonly abstract: string;
  readonly path?: undefined;
}

/** The name of a unix socket. One that the system tells and that is no UTF-8 has U+FFFD in it. */
export type UnixName = UnixPath | AbstractName;

/**
 * A name as the system has it.
 * @throws TypeError if it is none; RangeError if it is too long
 */
export function toNameBytes(caller: string, name: UnixName): Uint8Array {
  const { path, abstract } = assertName(caller, name);
  if (path !== undefined) {
    if (typeof path !== "string" || path === "" || path.includes("\0"))
      throw new TypeError(`${caller}: path must be a path, but is ${describeValue(path)}`);
    return encode(`${caller}: path`, path, "use a shorter one, or one relative to the working folder");
  }
  if (typeof abstract !== "string" || abstract === "")
    throw new TypeError(`${caller}: abstract must be a name, but is ${describeValue(abstract)}`);
  encode(`${caller}: abstract`, abstract, "use a shorter one");
  return ENCODER.encode(`\0${abstract}`);
}

/** A name that the system has told; null for none. */
export function fromNameBytes(bytes: Uint8Array): UnixName | null {
  if (bytes.byteLength === 0) return null;
  return bytes[0] === 0 ? { abstract: DECODER.decode(bytes.subarray(1)) } : { path: DECODER.decode(bytes) };
}

/** The part of some options that is a name. */
export function nameIn({ path, abstract }: UnixName): UnixName {
  return path === undefined ? { abstract } : { path };
}

/** A name in messages: a path as it is, an abstract name behind an `@`, as `ss` and systemd write it. */
export function showUnixName({ path, abstract }: UnixName): string {
  return path ?? `@${abstract}`;
}

function assertName(caller: string, name: unknown): Partial<Record<"path" | "abstract", unknown>> {
  if (typeof name !== "object" || name === null)
    throw new TypeError(`${caller}: a name is { path } or { abstract }, but this is ${describeValue(name)}`);
  const { path, abstract } = name as Partial<Record<"path" | "abstract", unknown>>;
  if ((path === undefined) === (abstract === undefined))
    throw new TypeError(
      `${caller}: a name has either a path or an abstract, but this one has ${path === undefined ? "neither" : "both"}`,
    );
  return { path, abstract };
}

function encode(what: string, text: string, advice: string): Uint8Array {
  const bytes = ENCODER.encode(text);
  if (bytes.byteLength <= LONGEST_NAME_BYTES) return bytes;
  throw new RangeError(
    `${what} has ${bytes.byteLength} bytes, and the name of a unix socket at most ${LONGEST_NAME_BYTES} (unix(7)): ${advice}`,
  );
}

/**
 * `sun_path` has 108 bytes. An abstract name begins with a zero there; and a path ends with one for most programs, which
 * could not use a longer path though Linux would.
 */
const LONGEST_NAME_BYTES = 107;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
