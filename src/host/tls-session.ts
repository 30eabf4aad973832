/**
 * A TLS session in memory: encrypted bytes go in and come out here, plain ones there, and nothing else is touched.
 *
 * Facts, of Bun 1.4.5. `tls.connect({ socket: duplex })` and `new TLSSocket(duplex, { isServer: true })` run TLS over
 * any Duplex of Node's.
 *
 * - Encrypted bytes that the duplex emits as `data` are worked off within that call: plain ones have been emitted, and
 *   answers have been written to the duplex, when it returns. The bytes are not kept: their buffer can be used again.
 * - What is passed to the TLS socket's `_write` has been encrypted and written to the duplex when it returns. `write`
 *   queues it until the write before has called back, which is a turn of the host later: that made a short question and
 *   its answer take twice as long. That the duplex is "full" (its `write` returned false) would delay the callback, so
 *   this one never is.
 * - That the other side has ended is pushed within that call as well, as Node's streams have it, but `end` is emitted
 *   some ticks later. So are `error`, `finish` and the first message of a client, all of them before the next
 *   `setImmediate`.
 * - A handshake that fails has put its alert into the duplex by then, except that a client that refuses a certificate
 *   sends none.
 * - A record that was tampered with ends the TLS socket as a close_notify does. Before that it emits `_tlsError`, which
 *   Node.js has for its own use; and `error` only if it is a client.
 * - The end of the encrypted bytes and the close_notify of TLS look the same in the TLS socket's events. Only the
 *   latter reaches it here, so its `end` means close_notify, and a connection that was cut off is told apart.
 * - OpenSSL's clients refuse a certificate of TLS 1.3 with an alert in plain text, which BoringSSL takes for a damaged
 *   record ("bad packet length"). So the alert is looked for here.
 * - A close_notify that comes is answered at once with one of our own, and what is written afterwards is thrown away
 *   without an error, as RFC 5246, section 7.2.1, has it for TLS 1.2 (RFC 8446, section 6.1, would let the other half
 *   go on). So once the other side has ended nothing can be sent to it, unlike over TCP. The opposite works: after our
 *   own close_notify what comes can be read.
 * - A key update that is asked for (RFC 8446, section 4.6.3) is answered together with the next write. So a reader
 *   never has to write.
 * - `SNICallback` is never called over a duplex (`ALPNCallback` and `ALPNProtocols` work): the name that a client asks
 *   for must be read from its first message before the session begins.
 * - `end` of the TLS socket encrypts a close_notify; `destroy` sends nothing.
 *
 * Decision. The duplex is a pair of queues in memory. Whoever has a stream of its own moves the bytes, in its own tasks
 * and no faster than they are taken: nothing here runs by itself, pauses or resumes, and each queue holds no more than
 * what one call has put in. After bytes that brought nothing to read, the host's loop gets one turn, in which an end or
 * an error shows.
 */

import type { Duplex } from "node:stream";
import type { ConnectionOptions, PeerCertificate, TLSSocket, TLSSocketOptions } from "node:tls";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { NOTHING_IS_LOST } from "../core/request.ts";
import { HostWait, WakeWait } from "./host-wait.ts";
import { nodeStream } from "./node-stream.ts";

export class TlsSession {
  /** What was decrypted and not taken yet. */
  private readonly plain: Uint8Array[] = [];
  private plainBytesNow = 0;
  private isSecureNow = false;
  private hasEndedNow = false;
  private failureNow: Error | null = null;
  private plainAlertNow: number | null = null;
  /** The task's wait for the TLS socket to have called back. */
  private wait: WakeWait | null = null;

  private constructor(
    private readonly transport: Transport,
    private readonly socket: TLSSocket,
    readyEvent: "secureConnect" | "secure",
  ) {
    // An error that came while nobody listens would end the process.
    socket.on("error", this.failed);
    socket.on("_tlsError", this.failed);
    socket.on("end", this.ended);
    socket.on("data", this.decrypted);
    // The event comes some ticks after the end has been pushed, when a reader may wait for its stream already.
    const push = socket.push.bind(socket);
    socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null) this.ended();
      return push(chunk, encoding);
    };
    socket.once(readyEvent, this.becameSecure);
  }

  /** @throws what Node.js's own code makes of certificates and keys that are none */
  static client(options: ConnectionOptions): TlsSession {
    const transport = new Transport();
    return new TlsSession(transport, nodeTls().connect({ ...options, socket: transport.duplex }), "secureConnect");
  }

  /** @throws what Node.js's own code makes of certificates and keys that are none */
  static server(options: TLSSocketOptions): TlsSession {
    const transport = new Transport();
    const { TLSSocket: Socket } = nodeTls();
    return new TlsSession(transport, new Socket(transport.duplex, { ...options, isServer: true }), "secure");
  }

  /** Whether the handshake is done, and the peer's certificate is one to trust if that was asked for. */
  get isSecure(): boolean {
    return this.isSecureNow && this.failure === null;
  }

  /** Whether the other side has said that it will send no more. */
  get hasEnded(): boolean {
    return this.hasEndedNow;
  }

  /** What ended the session, as Node.js has it. */
  get failure(): Error | null {
    this.failureNow ??= this.socket.errored;
    return this.failureNow;
  }

  /** The alert that has come in plain text, by its number: what the other side has against the handshake. */
  get plainAlert(): number | null {
    return this.plainAlertNow;
  }

  /** How many decrypted bytes wait to be taken. */
  get plainBytes(): number {
    return this.plainBytesNow;
  }

  /** Takes as many decrypted bytes as the buffer holds. */
  take(buffer: Uint8Array): number {
    let taken = 0;
    while (taken < buffer.byteLength && this.plain.length > 0) {
      const chunk = this.plain[0]!;
      const bytes = Math.min(chunk.byteLength, buffer.byteLength - taken);
      buffer.set(bytes === chunk.byteLength ? chunk : chunk.subarray(0, bytes), taken);
      taken += bytes;
      if (bytes === chunk.byteLength) this.plain.shift();
      else this.plain[0] = chunk.subarray(bytes);
    }
    this.plainBytesNow -= taken;
    return taken;
  }

  /** Encrypted bytes have come. Their buffer may be used again when this returns. */
  receive(encrypted: Uint8Array): void {
    if (!this.isSecureNow) this.plainAlertNow = plainAlertIn(encrypted);
    this.transport.duplex.emit("data", Buffer.from(encrypted.buffer, encrypted.byteOffset, encrypted.byteLength));
  }

  /** Whether there are encrypted bytes to send. */
  get hasOutgoing(): boolean {
    return this.transport.outgoing.length > 0;
  }

  /** Takes the encrypted bytes that are to be sent. */
  takeOutgoing(): Uint8Array[] {
    return this.transport.outgoing.splice(0);
  }

  /**
   * Encrypts bytes, to be sent. Returns whether it did: not if the session has ended or failed, which shows after a
   * turn of the host.
   */
  encrypt(bytes: Uint8Array): boolean {
    if (this.hasEndedNow || !this.isUsable) return false;
    this.socket._write(bytes, "latin1", this.callBack);
    return this.hasOutgoing;
  }

  /** Encrypts the close_notify: nothing more will be sent. */
  *end(): Operation<void> {
    if (!this.isUsable) return;
    this.socket.end(this.callBack);
    // A write before may call back first.
    while (!this.socket.writableFinished && this.isUsable) yield* this.calledBack();
  }

  /** Ends the session without a word, and lets go of what the host has of it. */
  destroy(): void {
    this.plain.length = 0;
    this.plainBytesNow = 0;
    this.transport.outgoing.length = 0;
    this.socket.destroy();
    this.transport.duplex.destroy();
    this.wait?.wake();
  }

  /** What is known of the session once it is secure. */
  get facts(): SessionFacts {
    const { socket } = this;
    const certificate = socket.getPeerCertificate() as PeerCertificate | undefined;
    return {
      alpnProtocol: socket.alpnProtocol || null,
      serverName: (socket as { servername?: string | false | null }).servername || null,
      protocol: socket.getProtocol() ?? "",
      peerCertificate: certificate?.raw === undefined ? null : certificate,
      verificationError: socket.authorizationError ? String(socket.authorizationError) : null,
    };
  }

  private get isUsable(): boolean {
    return !this.socket.destroyed && this.failure === null;
  }

  private readonly decrypted = (chunk: Uint8Array): void => {
    this.plain.push(chunk);
    this.plainBytesNow += chunk.byteLength;
  };

  private readonly becameSecure = (): void => {
    this.isSecureNow = true;
    // Renegotiation is a thing of TLS 1.2 that would let a reader have to write.
    this.socket.disableRenegotiation();
  };

  private readonly ended = (): void => {
    this.hasEndedNow = true;
  };

  private readonly failed = (error: Error): void => {
    this.failureNow ??= error;
  };

  /** The callback of writes and of the end; also if they failed. */
  private readonly callBack = (): void => this.wait?.wake();

  private calledBack(): Operation<void> {
    return new RequestOperation("shutdown", new WakeWait("TLS to end", (wait) => void (this.wait = wait)));
  }
}

/** `node:tls` is loaded with the first session: it takes some milliseconds, and many programs have none. */
export function nodeTls(): typeof import("node:tls") {
  return process.getBuiltinModule("node:tls");
}

/** What two sides have agreed upon, and who the other one is. */
export interface SessionFacts {
  readonly alpnProtocol: string | null;
  readonly serverName: string | null;
  readonly protocol: string;
  readonly peerCertificate: PeerCertificate | null;
  readonly verificationError: string | null;
}

/**
 * Whether the last record is a fatal alert in plain text: its type, the version, its length, "fatal", and the number.
 */
function plainAlertIn(bytes: Uint8Array): number | null {
  const [type, major, , high, low, level, alert] = bytes.subarray(-PLAIN_ALERT_BYTES);
  const isAlert = type === ALERT_RECORD && major === 3 && high === 0 && low === 2 && level === FATAL;
  return isAlert ? (alert ?? null) : null;
}

/** Gives the host's event loop one turn: what it had to do by then has been done. */
export function hostTurn(): Operation<void> {
  return new RequestOperation("hostTurn", new TurnWait());
}

/** What the TLS socket takes for its connection: it never reads, is never full, and never ends by itself. */
class Transport {
  readonly duplex: Duplex;
  readonly outgoing: Uint8Array[] = [];

  constructor() {
    this.duplex = new (nodeStream().Duplex)({
      allowHalfOpen: true,
      highWaterMark: NEVER_FULL_BYTES,
      read: () => {
        // What comes is emitted as it comes, by the session.
      },
      write: (chunk: Uint8Array, _encoding, callback) => {
        this.outgoing.push(chunk);
        callback();
      },
    });
  }
}

class TurnWait extends HostWait {
  private immediate: ReturnType<typeof setImmediate> | null = null;

  describe(): string {
    return "a turn of TLS";
  }

  protected begin(): void {
    this.immediate = setImmediate(() => this.handOver(undefined, NOTHING_IS_LOST));
  }

  protected override ended(): void {
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.immediate = null;
  }
}

const PLAIN_ALERT_BYTES = 7;
const ALERT_RECORD = 21;
const FATAL = 2;

/** More than the session ever has on its way. */
const NEVER_FULL_BYTES = 1_073_741_824;
