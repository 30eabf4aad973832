/** Internet addresses in the library's form (`Address` in `zig/src/socket.zig`) and in text. */

import type { SocketAddress } from "../core/system.ts";
import { ADDRESS_BYTES } from "./library.ts";

/** The memory of one address; used for one call at a time, so one serves a whole thread. */
export class AddressMemory {
  readonly bytes = new Uint8Array(ADDRESS_BYTES);
  readonly words = new Uint32Array(this.bytes.buffer);

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

  /** Reads an address from the words of another memory. */
  readWords(words: Uint32Array): SocketAddress {
    this.words.set(words);
    return this.read();
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

/**
 * The usual form of a numeric address; null if the host is a name. A zone must be a number.
 *
 * `node:net` is loaded when the first address is parsed: few of a program's modules take longer to import.
 */
export function parseAddress(host: string): Pick<SocketAddress, "host" | "family"> | null {
  const [text = "", zone] = host.split("%");
  if (zone !== undefined && !/^\d{1,9}$/.test(zone)) return null;
  switch (process.getBuiltinModule("node:net").isIP(text)) {
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

/**
 * Of a text that is an IPv6 address: eight groups of hexadecimal digits, the longest run of zeros maybe left out, the
 * end maybe as IPv4.
 */
function parseIPv6(text: string): Uint8Array {
  const [head = "", tail = ""] = text.split("::");
  const first = parseGroups(head);
  const last = parseGroups(tail);
  const bytes = new Uint8Array(IPV6_BYTES);
  bytes.set(first, 0);
  bytes.set(last, IPV6_BYTES - last.length);
  return bytes;
}

function parseGroups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return parseIPv4(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** As RFC 5952 recommends, which writes an IPv4-mapped address (section 5) with the IPv4 part in its own form. */
function formatIPv6(bytes: Uint8Array): string {
  if (isMappedIPv4(bytes)) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups: string[] = [];
  for (let index = 0; index < IPV6_BYTES; index += 2) {
    groups.push(((bytes[index]! << 8) | bytes[index + 1]!).toString(16));
  }
  return compress(groups);
}

function isMappedIPv4(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Leaves out the first of the longest runs of two or more zeros (RFC 5952, section 4.2). */
function compress(groups: readonly string[]): string {
  let start = 0;
  let length = 1;
  for (let from = 0; from < groups.length; from++) {
    const found = groups.slice(from).findIndex((group) => group !== "0");
    const run = found === -1 ? groups.length - from : found;
    if (run > length) [start, length] = [from, run];
  }
  if (length === 1) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

const IPV6_BYTES = 16;
export const FAMILY_IPV4 = 4;
export const FAMILY_IPV6 = 6;
const FIRST_BYTE = 16;
const Word = { FAMILY: 0, PORT: 1, SCOPE: 2 } as const;
