/** Opening UDP sockets: one that is bound to an address, or one that is connected to a peer. */

import { systemToOpen } from "../core/current-system.ts";
import { Families } from "../core/datagram-system.ts";
import { assertInteger, SystemError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { assertHost, type Place, resolveHost } from "./resolve.ts";
import { assertDestination, HIGHEST_PORT, parsePlace, type UdpDestination } from "./udp-destination.ts";
import { UdpSocket } from "./udp-socket.ts";

export interface BindUdpOptions {
  /** An address of this machine, or a name of one. By default all of them, IPv6 and IPv4. */
  readonly host?: string | undefined;
  /** From 0 to 65,535; by default 0, which lets the system choose a free one, which `address` tells. */
  readonly port?: number | undefined;
  /** With `::` as the host, or none: whether the socket takes IPv6 alone; by default not. */
  readonly ipv6Only?: boolean | undefined;
  /**
   * Whether other sockets may be bound to the same address as well (SO_REUSEADDR of socket(7)); by default not. All of
   * them receive what is sent to a group, and the last one everything else.
   */
  readonly reuseAddress?: boolean | undefined;
  /**
   * Whether other sockets may share the port, the kernel spreading what comes by its sender (SO_REUSEPORT); by default
   * not.
   */
  readonly reusePort?: boolean | undefined;
}

export interface ConnectUdpOptions {
  /** A name or an address; by default `localhost`. */
  readonly host?: string | undefined;
  /** From 1 to 65,535. */
  readonly port: number;
}

/**
 * Opens a UDP socket that is bound to an address.
 * @throws TypeError or RangeError for options that are none; SystemError such as `EADDRINUSE`, `EADDRNOTAVAIL` or
 *   `EACCES`; what the name look-up throws (`ENOTFOUND`)
 */
export function* bindUdp(options: BindUdpOptions = {}): Operation<UdpSocket> {
  const { host, port = 0 } = options;
  assertInteger("bindUdp: port", port, 0, HIGHEST_PORT);
  if (host !== undefined) assertHost("bindUdp: host", host);
  const system = yield* systemToOpen();
  if (host === undefined) return bindEverywhere(system, port, options);
  const [place] = yield* resolve(system, "bindUdp", host);
  return open(system, { ...place!, port }, options);
}

/**
 * Opens a UDP socket that is connected to a peer, from an address and a port that the system chooses. Of the addresses
 * of a name it takes the first to which there is a route. Nothing is sent: a peer that is not there shows with the
 * first datagram.
 * @throws TypeError or RangeError for options that are none; SystemError such as `ENETUNREACH`; what the name look-up
 *   throws (`ENOTFOUND`)
 */
export function* connectUdp(options: ConnectUdpOptions): Operation<UdpSocket> {
  const { host = "localhost", port } = options;
  assertDestination("connectUdp", { host, port });
  const system = yield* systemToOpen();
  const errors: unknown[] = [];
  for (const place of yield* resolve(system, "connectUdp", host)) {
    try {
      return yield* openTo(system, { host: place.host, port }, place.family);
    } catch (error) {
      errors.push(error);
    }
  }
  throw errors[0];
}

function* openTo(system: System, to: UdpDestination, family: SocketAddress["family"]): Operation<UdpSocket> {
  const any = { host: family === "IPv4" ? "0.0.0.0" : "::", port: 0, family };
  const socket = open(system, any, { ipv6Only: true });
  // An address is not looked up, so nothing suspends in here, and no cancel comes.
  try {
    yield* socket.connect(to);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function* resolve(system: System, call: string, host: string): Operation<readonly Place[]> {
  const place = parsePlace(system, call, host);
  return place === null ? yield* resolveHost(system, host) : [place];
}

/** On a machine without IPv6 there is no such family, or no such address. */
function bindEverywhere(system: System, port: number, options: BindUdpOptions): UdpSocket {
  try {
    return open(system, { host: "::", port, family: "IPv6" }, options);
  } catch (error) {
    if (options.ipv6Only === true || !(error instanceof SystemError) || !NO_IPV6.includes(error.code)) throw error;
    return open(system, { host: "0.0.0.0", port, family: "IPv4" }, options);
  }
}

function open(
  system: System,
  address: SocketAddress,
  { ipv6Only = false, reuseAddress = false, reusePort = false }: BindUdpOptions,
): UdpSocket {
  const descriptor = system.datagrams.create(address.family);
  if (descriptor < 0) throw system.errorOf(descriptor, "socket", address);
  const check = (result: number, call: string): void => {
    if (result < 0) throw system.errorOf(result, call, address);
  };
  try {
    if (reuseAddress) check(system.setOption(descriptor, SocketOption.REUSE_ADDRESS, 1), "setsockopt");
    if (reusePort) check(system.setOption(descriptor, SocketOption.REUSE_PORT, 1), "setsockopt");
    if (address.family === "IPv6") {
      check(system.setOption(descriptor, SocketOption.IPV6_ONLY, ipv6Only ? 1 : 0), "setsockopt");
    }
    check(system.bind(descriptor, address), "bind");
    return new UdpSocket(system, descriptor, familiesOf(address, ipv6Only), system.localAddress(descriptor));
  } catch (error) {
    system.close(descriptor);
    throw error;
  }
}

/** Only a wildcard of IPv6, and an address of IPv4 in mapped form, have a source address for IPv4. */
function familiesOf({ host, family }: SocketAddress, ipv6Only: boolean): Families {
  if (family === "IPv4") return Families.IPV4;
  return !ipv6Only && (host === "::" || host.startsWith("::ffff:")) ? Families.BOTH : Families.IPV6;
}

const NO_IPV6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL"];
