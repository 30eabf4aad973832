/** A listening TCP socket. */

import { assertInteger, SystemError } from "../core/errors.ts";
import { systemToOpen } from "../core/current-system.ts";
import type { Operation } from "../core/operation.ts";
import { type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { DEFAULT_BACKLOG, Listener, LONGEST_BACKLOG } from "./listener.ts";
import { assertHost, resolveHost } from "./resolve.ts";
import { showAddress, TcpStream } from "./tcp-stream.ts";

export interface ListenOptions {
  /** From 0 to 65,535; 0 lets the system choose a free one, which `address` tells. */
  readonly port: number;
  /** An address of this machine, or a name of one. By default all of them, IPv6 and IPv4. */
  readonly host?: string | undefined;
  /** How many connections may wait to be accepted; by default 511. The system has a limit of its own (listen(2)). */
  readonly backlog?: number | undefined;
  /**
   * Whether other sockets may listen on the same port, the kernel spreading the connections (SO_REUSEPORT of
   * socket(7)); by default not.
   */
  readonly reusePort?: boolean | undefined;
}

/**
 * Opens a listening socket.
 * @throws RangeError for a port or a backlog out of range; TypeError for a host that is none; SystemError such as `EADDRINUSE` or `EACCES`; what the name
 *   look-up throws (`ENOTFOUND`)
 */
export function* listen(options: ListenOptions): Operation<TcpListener> {
  const { port, host, backlog = DEFAULT_BACKLOG } = options;
  assertInteger("listen: port", port, 0, HIGHEST_PORT);
  if (host !== undefined) assertHost("listen: host", host);
  assertInteger("listen: backlog", backlog, 1, LONGEST_BACKLOG);
  const system = yield* systemToOpen();
  if (host === undefined) return listenEverywhere(system, options);
  const [place] = yield* resolveHost(system, host);
  return open(system, { ...place!, port }, options);
}

export class TcpListener extends Listener<TcpStream> {
  /** For `listen`. */
  constructor(
    system: System,
    descriptor: number,
    /** Where the socket listens. */
    readonly address: SocketAddress,
  ) {
    super(system, descriptor);
  }

  /** Words for messages. */
  get label(): string {
    return `listener ${showAddress(this.address)}`;
  }

  protected override get place(): SocketAddress {
    return this.address;
  }

  protected override toStream(descriptor: number): TcpStream {
    return new TcpStream(this.system, descriptor);
  }
}

/** On a machine without IPv6 there is no such family, or no such address. */
function listenEverywhere(system: System, options: ListenOptions): TcpListener {
  const { port } = options;
  try {
    return open(system, { host: "::", port, family: "IPv6" }, options);
  } catch (error) {
    if (!(error instanceof SystemError) || !NO_IPV6.includes(error.code)) throw error;
    return open(system, { host: "0.0.0.0", port, family: "IPv4" }, options);
  }
}

function open(
  system: System,
  address: SocketAddress,
  { backlog = DEFAULT_BACKLOG, reusePort = false }: ListenOptions,
): TcpListener {
  const descriptor = system.createSocket(address.family);
  if (descriptor < 0) throw system.errorOf(descriptor, "socket", address);
  const check = (result: number, call: string): void => {
    if (result < 0) throw system.errorOf(result, call, address);
  };
  try {
    // Without it a port stays unusable for a minute after a server on it has ended (socket(7)).
    check(system.setOption(descriptor, SocketOption.REUSE_ADDRESS, 1), "setsockopt");
    if (reusePort) check(system.setOption(descriptor, SocketOption.REUSE_PORT, 1), "setsockopt");
    if (address.host === "::") check(system.setOption(descriptor, SocketOption.IPV6_ONLY, 0), "setsockopt");
    check(system.bind(descriptor, address), "listen");
    check(system.listen(descriptor, backlog), "listen");
    return new TcpListener(system, descriptor, system.localAddress(descriptor));
  } catch (error) {
    system.close(descriptor);
    throw error;
  }
}

const NO_IPV6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL"];

const HIGHEST_PORT = 65_535;
