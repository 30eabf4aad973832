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
  assertListenOptions("listen", options);
  return yield* open(options, (system, descriptor) => {
    const { backlog = DEFAULT_BACKLOG } = options;
    const result = system.listen(descriptor, backlog);
    return result < 0 ? result : new TcpListener(system, descriptor, system.localAddress(descriptor));
  });
}

/** Refuses what is no place to listen on. */
export function assertListenOptions(caller: string, { port, host, backlog = DEFAULT_BACKLOG }: ListenOptions): void {
  assertInteger(`${caller}: port`, port, 0, HIGHEST_PORT);
  if (host !== undefined) assertHost(`${caller}: host`, host);
  assertInteger(`${caller}: backlog`, backlog, 1, LONGEST_BACKLOG);
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

/**
 * A place that is taken, though nobody listens there yet: for several listeners that are to share it with `reusePort`. The
 * system gives its port to nobody who leaves the choice to it. Linux hands connections only to those that listen.
 */
export class TcpReservation implements Disposable {
  private isClosed = false;

  /** For `reserve`. */
  constructor(
    private readonly system: System,
    private readonly descriptor: number,
    readonly address: SocketAddress,
  ) {}

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.system.close(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Takes a place for listeners with `reusePort`; throws what `listen` does. */
export function reserve(options: ListenOptions): Operation<TcpReservation> {
  return open(
    { ...options, reusePort: true },
    (system, descriptor) => new TcpReservation(system, descriptor, system.localAddress(descriptor)),
  );
}

/**
 * A listener on a descriptor that is another thread's: several threads accept from it, each with a reactor of its own.
 *
 * Facts. A descriptor is the process's, so its number means the same in all threads. An event queue is edge-triggered for
 * itself: a connection that comes is an edge in each of them, so each thread tries to accept, one has it, and the others find
 * nothing and wait for the next. The number must stay until no queue has it any more.
 *
 * Decision. Closing it takes it out of this thread's queue, and says so; the thread whose descriptor it is closes it when
 * all have.
 */
export class SharedTcpListener extends TcpListener {
  constructor(
    system: System,
    descriptor: number,
    address: SocketAddress,
    private readonly released: () => void,
  ) {
    super(system, descriptor, address);
  }

  protected override closeDescriptor(): void {
    this.released();
  }
}

/** Makes something of a socket that is bound to a place, or returns an error. */
type Finish<T> = (system: System, descriptor: number) => T | number;

function* open<T extends object>(options: ListenOptions, finish: Finish<T>): Operation<T> {
  const { port, host } = options;
  const system = yield* systemToOpen();
  if (host === undefined) return openEverywhere(system, options, finish);
  const [place] = yield* resolveHost(system, host);
  return openAt(system, { ...place!, port }, options, finish);
}

/** On a machine without IPv6 there is no such family, or no such address. */
function openEverywhere<T extends object>(system: System, options: ListenOptions, finish: Finish<T>): T {
  const { port } = options;
  try {
    return openAt(system, { host: "::", port, family: "IPv6" }, options, finish);
  } catch (error) {
    if (!(error instanceof SystemError) || !NO_IPV6.includes(error.code)) throw error;
    return openAt(system, { host: "0.0.0.0", port, family: "IPv4" }, options, finish);
  }
}

function openAt<T extends object>(
  system: System,
  address: SocketAddress,
  { reusePort = false }: ListenOptions,
  finish: Finish<T>,
): T {
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
    const finished = finish(system, descriptor);
    if (typeof finished !== "number") return finished;
    throw system.errorOf(finished, "listen", address);
  } catch (error) {
    system.close(descriptor);
    throw error;
  }
}

const NO_IPV6 = ["EAFNOSUPPORT", "EADDRNOTAVAIL"];

const HIGHEST_PORT = 65_535;
