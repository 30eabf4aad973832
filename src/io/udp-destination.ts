/** Where datagrams go to: from what users write to the words that the system takes. */

import { assertInteger, describeValue } from "../core/errors.ts";
import type { SocketAddress, System } from "../core/system.ts";
import { assertHost, type Place } from "./resolve.ts";
import { interfaceIndexOf } from "./udp-settings.ts";

/** Where to send to. */
export interface UdpDestination {
  /** A name or an address. */
  readonly host: string;
  /** From 1 to 65,535. */
  readonly port: number;
}

/**
 * The words of a destination; null if its host is a name. An address that came with a datagram has them already.
 * @throws TypeError or RangeError that names the argument
 */
export function destinationWords(system: System, call: string, to: UdpDestination): Uint32Array | null {
  assertDestination(call, to);
  const known = system.datagrams.wordsOf(to);
  if (known !== undefined) return known;
  const place = parsePlace(system, call, to.host);
  return place === null ? null : system.datagrams.toWords({ ...place, port: to.port });
}

/** @throws TypeError or RangeError that names the argument */
export function assertDestination(call: string, to: unknown): asserts to is UdpDestination {
  if (typeof to !== "object" || to === null) {
    throw new TypeError(`${call} goes to { host, port }, but was given ${describeValue(to)}`);
  }
  const { host, port } = to as Partial<UdpDestination>;
  assertHost(`${call}: host`, host);
  assertInteger(`${call}: port`, port, 1, HIGHEST_PORT);
}

/**
 * The address that a host stands for; null if it is a name. The zone of an IPv6 address may be the name of an interface
 * (RFC 4007, section 11).
 * @throws SystemError `ENODEV` if there is no such interface
 */
export function parsePlace(system: System, call: string, host: string): Place | null {
  const [address = "", zone] = host.split("%");
  if (zone === undefined || zone === "" || /^\d+$/.test(zone)) return system.parseAddress(host);
  if (system.parseAddress(address)?.family !== "IPv6") return null;
  return system.parseAddress(`${address}%${interfaceIndexOf(system, call, zone)}`);
}

/** An address as a socket of IPv6 takes it. */
export function toIPv6({ host, port, family }: SocketAddress): SocketAddress {
  return family === "IPv6" ? { host, port, family } : { host: `::ffff:${host}`, port, family: "IPv6" };
}

export const HIGHEST_PORT = 65_535;
