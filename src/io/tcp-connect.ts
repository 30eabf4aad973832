/**
 * Making a TCP connection.
 *
 * Facts. A name may have several addresses, of both families, and some of them may not answer for minutes. connect(2) on a
 * non-blocking socket returns at once; the socket becomes writable when the outcome is there, and SO_ERROR tells it.
 *
 * Decision. Happy Eyeballs (RFC 8305): the addresses are tried in turn, families alternating; the next one begins as
 * soon as one has failed, or after 250 ms without an answer. The first connection wins and the other attempts are
 * closed, also when the task is cancelled.
 */

import { systemToOpen } from "../core/current-system.ts";
import { assertInteger, assertTime } from "../core/errors.ts";
import { firstOf } from "../core/first-of.ts";
import { Interest } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import { DeadlineRequest, InterestRequest } from "../core/request.ts";
import { Delivery, Source } from "../core/source.ts";
import type { SocketAddress, System } from "../core/system.ts";
import { assertHost, type Place, resolveHost } from "./resolve.ts";
import { showAddress, TcpStream } from "./tcp-stream.ts";

export interface ConnectOptions {
  /** From 1 to 65,535. */
  readonly port: number;
  /** A name or an address; by default `localhost`. */
  readonly host?: string | undefined;
  /** How long it may take in all, name look-up included, in milliseconds; by default as long as the system tries. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Connects to a server.
 * @throws RangeError for a port or a time out of range; TypeError for a host that is none; SystemError such as `ECONNREFUSED`, or `ETIMEDOUT` after
 *   `timeoutMs`; an AggregateError with the first one's `code` if several addresses failed; what the name look-up
 *   throws (`ENOTFOUND`)
 */
export function* connect(options: ConnectOptions): Operation<TcpStream> {
  const { port, host = "localhost", timeoutMs } = options;
  assertInteger("connect: port", port, 1, 65_535);
  assertHost("connect: host", host);
  if (timeoutMs !== undefined) assertTime("connect: timeoutMs", timeoutMs);
  const system = yield* systemToOpen();
  const deadline = DeadlineRequest.after(timeoutMs === undefined ? Infinity : timeoutMs * NS_PER_MS);
  const places = yield* resolveHost(system, host, deadline);
  if (places.length === 0) throw system.errorOf(system.timedOut, "getaddrinfo", { host });
  const race = new ConnectionRace(system, places, port, deadline);
  try {
    return yield* race.run();
  } finally {
    race.closeAttempts();
  }
}

class ConnectionRace {
  private readonly attempts = new Set<Attempt>();
  private readonly waiting: SocketAddress[];
  private readonly errors: Error[] = [];

  constructor(
    private readonly system: System,
    places: readonly Place[],
    port: number,
    private readonly deadline: DeadlineRequest,
  ) {
    this.waiting = places.map((place) => ({ ...place, port }));
  }

  *run(): Operation<TcpStream> {
    for (;;) {
      this.beginNext();
      if (this.attempts.size === 0 && this.waiting.length === 0) throw this.failure();
      const winner = yield* this.waitForAnswer();
      if (winner !== null) return winner;
    }
  }

  closeAttempts(): void {
    for (const attempt of this.attempts) attempt.close();
    this.attempts.clear();
  }

  private beginNext(): void {
    const address = this.waiting.shift();
    if (address === undefined) return;
    try {
      this.attempts.add(new Attempt(this.system, address));
    } catch (error) {
      this.errors.push(error as Error);
    }
  }

  /** Returns the connection, or null if it is time to begin the next attempt. */
  private *waitForAnswer(): Operation<TcpStream | null> {
    const attempts = [...this.attempts];
    const pause = DeadlineRequest.after(this.waiting.length === 0 ? Infinity : NEXT_ATTEMPT_NS);
    if (attempts.length === 0) return null;
    const answered = yield* firstOf([...attempts.map((attempt) => attempt.outcome), this.deadline, pause]);
    const attempt = attempts[answered];
    if (attempt !== undefined) return this.judge(attempt);
    if (answered === attempts.length) throw this.system.errorOf(this.system.timedOut, "connect", attempts[0]!.address);
    return null;
  }

  private judge(attempt: Attempt): TcpStream | null {
    this.attempts.delete(attempt);
    const result = this.system.takeError(attempt.descriptor);
    if (result === 0) return attempt.toStream();
    attempt.close();
    this.errors.push(this.system.errorOf(result, "connect", attempt.address));
    return null;
  }

  private failure(): Error {
    const [first, ...others] = this.errors;
    if (others.length === 0) return first!;
    const message = this.errors.map((error) => error.message).join("; ");
    return Object.assign(new AggregateError(this.errors, message), { code: (first as { code?: string }).code });
  }
}

/** A connection that is being made. */
class Attempt {
  readonly descriptor: number;
  /** Answered when the outcome is there. */
  readonly outcome: InterestRequest;
  private readonly source: Source;

  constructor(
    private readonly system: System,
    readonly address: SocketAddress,
  ) {
    this.descriptor = system.createSocket(address.family);
    if (this.descriptor < 0) throw system.errorOf(this.descriptor, "socket", address);
    this.source = new Source(this.descriptor, Delivery.EDGE, { label: `connection to ${showAddress(address)}` });
    this.outcome = new InterestRequest(this.source, Interest.WRITABLE);
    const result = system.connect(this.descriptor, address);
    if (result >= 0 || system.meaningOf(result) === "inProgress") return;
    this.close();
    throw system.errorOf(result, "connect", address);
  }

  /** Passes the descriptor on. It is registered anew with its first wait. */
  toStream(): TcpStream {
    this.source.close();
    return new TcpStream(this.system, this.descriptor, this.address);
  }

  close(): void {
    this.source.close();
    this.system.close(this.descriptor);
  }
}

const NS_PER_MS = 1_000_000;

/** The Connection Attempt Delay that RFC 8305 (section 5) recommends. */
const NEXT_ATTEMPT_NS = 250_000_000;
