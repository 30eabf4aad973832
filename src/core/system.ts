/**
 * The seam between the package and the world: every socket call, name look-up and warning of `io/` goes through a `System`.
 * `native/` implements it over the Zig library; a test, or a simulated network, implements it in memory.
 *
 * Calls never block. They return what the system call returns, or a negated error number (`result < 0`); `fail` turns
 * that into the error to throw.
 */

import type { DatagramSystem } from "./datagram-system.ts";
import type { SystemError } from "./errors.ts";
import type { FileSystem, TransferCalls } from "./file-system.ts";
import type { TerminalSystem } from "./terminal-system.ts";
import type { ProcessSystem } from "./process-system.ts";
import type { UnixSystem } from "./unix-system.ts";
import type { WatchSystem } from "./watch-system.ts";

/** A resolved place on the network. */
export interface SocketAddress {
  /**
   * An IPv4 address in dotted decimal form, or an IPv6 address as RFC 5952 writes it, with its zone (`%2`) if it has
   * one.
   */
  readonly host: string;
  /** From 0 to 65,535. */
  readonly port: number;
  readonly family: "IPv4" | "IPv6";
}

/** The options of a socket, by the numbers that `zig/src/socket.zig` has. */
export const SocketOption = {
  NO_DELAY: 0,
  KEEP_ALIVE: 1,
  KEEP_ALIVE_IDLE_S: 2,
  KEEP_ALIVE_INTERVAL_S: 3,
  KEEP_ALIVE_COUNT: 4,
  REUSE_ADDRESS: 5,
  REUSE_PORT: 6,
  IPV6_ONLY: 7,
  RECEIVE_BUFFER_BYTES: 8,
  SEND_BUFFER_BYTES: 9,
  LINGER_S: 10,
} as const;
export type SocketOption = (typeof SocketOption)[keyof typeof SocketOption];

/** Which half of a connection to shut down, by the numbers of shutdown(2). */
export const Half = { READ: 0, WRITE: 1, BOTH: 2 } as const;
export type Half = (typeof Half)[keyof typeof Half];

/** What an error number means to an operation that met it. */
export type ErrorMeaning =
  /** Not now: wait until the descriptor is ready, and try again. */
  | "wouldBlock"
  /** A connection is being made: wait until writable, then ask for the outcome. */
  | "inProgress"
  /** A connection that was about to be accepted is broken: accept the next. */
  | "brokenConnection"
  /** Descriptors or memory are used up: try again when some may be free. */
  | "exhausted"
  /** The connection is gone. */
  | "disconnected"
  /** A terminal: the other end, or the device, is gone. */
  | "hungUp"
  | "other";

/** What a call was about, for its error: an address, or a file. */
export interface CallSubject extends Partial<SocketAddress> {
  readonly path?: string | undefined;
}

export interface System extends TransferCalls {
  /** What `result`, which is below zero, means. */
  meaningOf(result: number): ErrorMeaning;
  /** The error for `result`, which is below zero: what was called, and about what. */
  errorOf(result: number, syscall: string, subject?: CallSubject): SystemError;
  /**
   * Whether a read of a TCP connection that is shorter than its buffer has taken all there was, and what comes later is
   * reported. So it is where the event queue reports changes by itself (epoll(7), kqueue(2)), and not on Windows.
   */
  readonly shortReadIsLast: boolean;
  /** The error number of a time-out. */
  readonly timedOut: number;
  /** The error number of a terminal whose other side is gone. */
  readonly hungUp: number;
  /** Tells the person who runs the program of something that they can change. */
  warn(message: string): void;

  /** The addresses of a name, in the order to try them. Rejects with an error like Node.js's (`ENOTFOUND`). */
  resolve(name: string): Promise<readonly string[]>;
  /** The address that a numeric host stands for, in its usual form; null if it is a name. */
  parseAddress(host: string): Pick<SocketAddress, "host" | "family"> | null;

  /** A new non-blocking TCP socket. */
  createSocket(family: SocketAddress["family"]): number;
  bind(descriptor: number, address: SocketAddress): number;
  listen(descriptor: number, backlog: number): number;
  accept(descriptor: number): number;
  connect(descriptor: number, address: SocketAddress): number;
  /** The outcome of a connection, and any other pending error, as a negated error number; 0 if there is none. */
  takeError(descriptor: number): number;
  shutdown(descriptor: number, half: Half): number;
  close(descriptor: number): number;
  setOption(descriptor: number, option: SocketOption, value: number): number;
  /** The value of an option, which may itself be negative; throws what `errorOf` makes. */
  getOption(descriptor: number, option: SocketOption): number;
  /** Throws what `errorOf` makes. */
  localAddress(descriptor: number): SocketAddress;
  /** Throws what `errorOf` makes. */
  peerAddress(descriptor: number): SocketAddress;

  /** The calls on descriptors that are no sockets. */
  readonly files: FileSystem;
  /** The calls on unix sockets. */
  readonly unix: UnixSystem;
  /** The calls on datagram sockets. */
  readonly datagrams: DatagramSystem;
  /** The calls on terminals. */
  readonly terminals: TerminalSystem;
  /** The calls on processes. */
  readonly processes: ProcessSystem;
  /** The calls on watchers of files. */
  readonly watching: WatchSystem;
}
