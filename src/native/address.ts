/** Internet addresses in the library's form (`Address` in `zig/src/socket.zig`) and in text. */

import { isIP } from "node:net";
import { invariant } from "../core/errors.ts";
import type { SocketAddress } from "../core/system.ts";
import { ADDRESS_BYTES } from "./library.ts";

/** The memory of one address; used for one call at a time, so one serves a whole thread. */
export class AddressMemory {
  readonly bytes = new Uint8Array(ADDRESS_BYTES);
  private readonly words = new Uint32Array(this.bytes.buffer);

  /** Writes an address for a call to read. */
  write({ host, port, family }: SocketAddress): Uint8Array {
    const [text = "", zone = "0"] = host.split("%");
    this.words[Word.FAMILY] = family === "IPv4" ? FAMILY_IPV4 : FAMILY_IPV6;
    this.words[Word.PORT] = port;
    this.words[Word.SCOPE] = Number(zone);
    this.bytes.fill(0, FIRST_BYTE);
    this.bytes.set(family === "IPv4" ? parseIPv4(text) : parseIPv6(text), FIRST_BYTE);
    return this.bytes;
  }

  /** Reads the address that a call has written. */
  read(): SocketAddress {
    const port = this.words[Word.PORT]!;
    const bytes = this.bytes.subarray(FIRST_BYTE);
    if (this.words[Word.FAMILY] === FAMILY_IPV4) return { host: bytes.subarray(0, 4).join("."), port, family: "IPv4" };
    const scope = this.words[Word.SCOPE]!;
    return { host: formatIPv6(bytes) + (scope === 0 ? "" : `%${scope}`), port, family: "IPv6" };
  }
}

/** The usual form of a numeric address; null if the host is a name. A zone must be a number. */
export function parseAddress(host: string): Pick<SocketAddress, "host" | "family"> | null {
  const [text = "", zone] = host.split("%");
  if (zone !== undefined && !/^\d{1,9}$/.test(zone)) return null;
  switch (isIP(text)) {
    case 4:
      return zone === undefined ? { host: text, family: "IPv4" } : null;
    case 6:
      return { host: formatIPv6(parseIPv6(text)) + (zone === undefined ? "" : `%${zone}`), family: "IPv6" };
    default:
      return null;
  }
}

function parseIPv4(text: string): number[] {
  return text.split(".").map(Number);
}

function parseIPv6(text: string): Uint8Array {
  const groups = canonicalIPv6(text);
  const [head = "", tail] = groups.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const bytes = new Uint8Array(16);
  const writeAt = (group: string, index: number): void => {
    const value = Number.parseInt(group, 16);
    bytes[2 * index] = value >> 8;
    bytes[2 * index + 1] = value & 0xff;
  };
  for (const [index, group] of first.entries()) writeAt(group, index);
  for (const [index, group] of last.entries()) writeAt(group, 8 - last.length + index);
  return bytes;
}

/** As RFC 5952 recommends, which writes an IPv4-mapped address (section 5) with the IPv4 part in its own form. */
function formatIPv6(bytes: Uint8Array): string {
  if (isMappedIPv4(bytes)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups: string[] = [];
  for (let index = 0; index < 16; index += 2) groups.push(((bytes[index]! << 8) | bytes[index + 1]!).toString(16));
  return canonicalIPv6(groups.join(":"));
}

function isMappedIPv4(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** The compressed form in groups of hexadecimal digits: the URL parser of the WHATWG knows all spellings. */
function canonicalIPv6(text: string): string {
  const { hostname } = new URL(`http://[${text}]`);
  invariant(hostname.startsWith("["), `${text} is no IPv6 address`);
  return hostname.slice(1, -1);
}

const FAMILY_IPV4 = 4;
const FAMILY_IPV6 = 6;
const FIRST_BYTE = 16;
const Word = { FAMILY: 0, PORT: 1, SCOPE: 2 } as const;
