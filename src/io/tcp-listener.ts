/**
 * A listening TCP socket.
 *
 * Facts. When the process has no descriptor left, accept4(2) fails and the connection stays in the backlog; with
 * edge-triggered readiness nobody is told again, and a loop that tries at once spins. Some errors of accept concern the
 * one connection that was about to be accepted, not the listener.
 *
 * Decision. A broken connection is skipped. When descriptors are used up, `accept` says so once, waits a moment, and
 * tries again until it works; it never gives up the listener.
 */

import { spendBudget } from "../core/budget.ts";
import { assertInteger, ClosedError, SystemError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import { currentSystem } from "../core/current-system.ts";
import type { Operation } from "../core/operation.ts";
import { DeadlineRequest, InterestRequest, type SuspendRequest } from "../core/request.ts";
import { Delivery, type Named, Source } from "../core/source.ts";
import { type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import { resolveHost } from "./resolve.ts";
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
 * @throws RangeError for a port or a backlog out of range; SystemError such as `EADDRINUSE` or `EACCES`; what the name
 *   look-up throws (`ENOTFOUND`)
 */
export function* listen(options: ListenOptions): Operation<TcpListener> {
  const { port, host, backlog = DEFAULT_BACKLOG } = options;
  assertInteger("listen: port", port, 0, HIGHEST_PORT);
  assertInteger("listen: backlog", backlog, 1, LONGEST_BACKLOG);
  const system = yield* currentSystem();
  if (host === undefined) return listenEverywhere(system, options);
  const [place] = yield* resolveHost(system, host);
  return open(system, { ...place!, port }, options);
}

export class TcpListener implements Disposable, Named {
  private readonly source: Source;
  private readonly wait: InterestRequest;
  private hasWarned = false;

  /** For `listen`. */
  constructor(
    private readonly system: System,
    descriptor: number,
    /** Where the socket listens. */
    readonly address: SocketAddress,
  ) {
    this.source = new Source(descriptor, Delivery.EDGE, this);
    this.source.readiness = Readiness.READABLE;
    this.wait = new InterestRequest(this.source, Interest.READABLE);
  }

  get descriptor(): number {
    return this.source.descriptor;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /** Words for messages. */
  get label(): string {
    return `listener ${showAddress(this.address)}`;
  }

  /**
   * Takes the next connection; suspends the task until there is one. Goes on when a connection broke before it was
   * accepted, and when descriptors are used up: it warns then, and tries again every 100 ms.
   * @throws BusyError if another task is accepting; ClosedError if the listener is closed, before or meanwhile; SystemError
   */
  accept(): Operation<TcpStream> {
    return new AcceptOperation(this);
  }

  /**
   * Stops listening. Connections that were accepted stay. A task that accepts gets a `ClosedError`. Does nothing the
   * second time.
   */
  close(): void {
    if (this.isClosed) return;
    this.source.close();
    this.system.close(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For the operation: refuses to begin, or to go on. */
  beginAccept(): void {
    this.refuseClosed();
    if (this.source.hasReader) throw this.source.busyError(Interest.READABLE);
  }

  /** For the operation: a connection, or what to wait for. */
  tryAccept(): TcpStream | SuspendRequest {
    this.refuseClosed();
    while (this.source.mayRead) {
      const result = this.system.accept(this.descriptor);
      if (result >= 0) return new TcpStream(this.system, result);
      const meaning = this.system.meaningOf(result);
      if (meaning === "wouldBlock") this.backlogIsEmpty();
      else if (meaning === "exhausted") return this.waitForDescriptors(result);
      else if (meaning !== "brokenConnection") throw this.system.errorOf(result, "accept", this.address);
    }
    return this.wait;
  }

  /** A shortage is over only now: until then a descriptor may become free now and then, and each would bring a warning. */
  private backlogIsEmpty(): void {
    this.source.clearReadable();
    this.hasWarned = false;
  }

  private waitForDescriptors(result: number): SuspendRequest {
    if (!this.hasWarned) {
      const { message } = this.system.errorOf(result, "accept", this.address);
      this.system.warn(`${message}. Connections wait until others are closed; raise the limit with ulimit -n`);
    }
    this.hasWarned = true;
    return DeadlineRequest.after(SHORTAGE_PAUSE_NS);
  }

  private refuseClosed(): void {
    if (this.isClosed) throw new ClosedError(`${this.label}: accept after close()`);
  }
}

class AcceptOperation implements Operation<TcpStream>, Iterator<SuspendRequest, TcpStream, unknown> {
  private hasBegun = false;

  constructor(private readonly listener: TcpListener) {}

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<SuspendRequest, TcpStream> {
    if (!this.hasBegun) {
      this.hasBegun = true;
      this.listener.beginAccept();
    }
    if (!spendBudget()) return { done: false, value: YIELD_REQUEST };
    const outcome = this.listener.tryAccept();
    return outcome instanceof TcpStream ? { done: true, value: outcome } : { done: false, value: outcome };
  }

  throw(error: unknown): never {
    throw error;
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

/** As Node.js has it. */
const DEFAULT_BACKLOG = 511;
const LONGEST_BACKLOG = 0x7fffffff;
const HIGHEST_PORT = 65_535;

/** Long enough not to burn the CPU while nothing can be accepted, short enough for a client to wait. */
const SHORTAGE_PAUSE_NS = 100_000_000;
