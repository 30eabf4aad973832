/**
 * A TCP connection.
 *
 * Facts. Who has connected is known for nothing, and whom one accepts costs a system call (getpeername(2)), which fails once
 * the connection is gone.
 *
 * Decision. The peer of an accepted connection is asked for when somebody wants to know it, or when a message is to name it.
 */

import { assertInteger, assertTime, SystemError } from "../core/errors.ts";
import { type CallSubject, Half, type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";

export interface KeepAliveOptions {
  /** Idle time before the first probe, in milliseconds; rounded up to whole seconds. */
  readonly idleMs?: number;
  /** Time between probes, in milliseconds; rounded up to whole seconds. */
  readonly intervalMs?: number;
  /** How many unanswered probes end the connection. */
  readonly probes?: number;
}

export class TcpStream extends DescriptorStream {
  private knownPeer: SocketAddress | null = null;

  /** For `accept` and `connect`. */
  constructor(
    system: System,
    descriptor: number,
    /** Where it was connected to. That the peer is there is not said: `0.0.0.0` stands for this machine, for one. */
    private readonly destination: SocketAddress | null = null,
  ) {
    super(system, descriptor, system);
  }

  /** Words for messages, such as `connection 127.0.0.1:80`. */
  get label(): string {
    const peer = this.peerToName;
    return peer === null ? `connection on descriptor ${this.descriptor}` : `connection ${showAddress(peer)}`;
  }

  /** Closes the connection at once and lets the peer know that it was broken off: it gets `ECONNRESET`. */
  reset(): void {
    if (this.isClosed) return;
    this.system.setOption(this.descriptor, SocketOption.LINGER_S, 0);
    this.close();
  }

  /**
   * Whether small writes are sent at once (TCP_NODELAY of tcp(7)) instead of being held back until the peer has
   * confirmed earlier ones.
   * @throws SystemError; ClosedError after `close`
   */
  noDelay(isOn = true): void {
    this.setOption(SocketOption.NO_DELAY, isOn ? 1 : 0);
  }

  /**
   * Whether an idle connection is probed, so that a peer that is gone is noticed (SO_KEEPALIVE of socket(7),
   * TCP_KEEPIDLE and others of tcp(7)). What is not given stays as the system has it.
   * @throws RangeError for a time that is none; SystemError; ClosedError after `close`
   */
  keepAlive(options: KeepAliveOptions | false = {}): void {
    if (options === false) return this.setOption(SocketOption.KEEP_ALIVE, 0);
    const { idleMs, intervalMs, probes } = options;
    if (idleMs !== undefined)
      this.setOption(SocketOption.KEEP_ALIVE_IDLE_S, toWholeSeconds("keepAlive: idleMs", idleMs));
    if (intervalMs !== undefined) {
      this.setOption(SocketOption.KEEP_ALIVE_INTERVAL_S, toWholeSeconds("keepAlive: intervalMs", intervalMs));
    }
    if (probes !== undefined) {
      assertInteger("keepAlive: probes", probes, 1, MOST_PROBES);
      this.setOption(SocketOption.KEEP_ALIVE_COUNT, probes);
    }
    this.setOption(SocketOption.KEEP_ALIVE, 1);
  }

  /**
   * The address of this side.
   * @throws ClosedError after `close`
   */
  get localAddress(): SocketAddress {
    this.refuseClosed("localAddress");
    return this.system.localAddress(this.descriptor);
  }

  /**
   * The address of the peer.
   * @throws SystemError `ENOTCONN` if the connection is gone and the address was not asked for before; ClosedError
   *   likewise after `close`
   */
  get remoteAddress(): SocketAddress {
    if (this.knownPeer === null) {
      this.refuseClosed("remoteAddress");
      this.knownPeer = this.system.peerAddress(this.descriptor);
    }
    return this.knownPeer;
  }

  protected override get shortReadMeansEmpty(): boolean {
    return this.system.shortReadIsLast;
  }

  protected override endWriting(): void {
    this.check(this.system.shutdown(this.descriptor, Half.WRITE), "shutdown");
  }

  protected override get place(): CallSubject {
    return this.peerToName ?? super.place;
  }

  /** What messages call the other side; null if it was not asked for in time. */
  private get peerToName(): SocketAddress | null {
    const known = this.knownPeer ?? this.destination;
    if (known !== null || this.isClosed) return known;
    try {
      return this.remoteAddress;
    } catch (error) {
      // The connection is gone: the message is about that, and does without the address.
      if (error instanceof SystemError) return null;
      throw error;
    }
  }

  private setOption(option: SocketOption, value: number): void {
    this.refuseClosed("an option was set");
    this.check(this.system.setOption(this.descriptor, option, value), "setsockopt");
  }
}

/** An address as in a URL: `127.0.0.1:80`, `[::1]:80`. */
export function showAddress({ host, port }: Pick<SocketAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function toWholeSeconds(name: string, durationMs: number): number {
  assertTime(name, durationMs);
  const seconds = Math.ceil(durationMs / 1000);
  assertInteger(`${name} / 1000`, seconds, 1, LONGEST_KEEP_ALIVE_S);
  return seconds;
}

/** The limits that Linux sets (tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPCNT). */
const LONGEST_KEEP_ALIVE_S = 32_767;
const MOST_PROBES = 127;
