/**
 * TLS over any stream of bytes, by Bun's own `node:tls`: `tlsConnect` for the client's side, `tlsAccept` for the
 * server's. src/host/tls-session.ts says what that does and does not do, and what follows from it.
 */

import type { ConnectionOptions, SecureContext, TLSSocketOptions } from "node:tls";
import { hostRuns } from "../core/current-system.ts";
import { describeValue, SystemError, UnexpectedEndError, UnsupportedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { ByteStream } from "../io/byte-stream.ts";
import { ClientHello, INCOMPLETE } from "./client-hello.ts";
import { TlsError } from "./tls-error.ts";
import { hostTurn, nodeTls, TlsSession } from "./tls-session.ts";
import { TlsStream } from "./tls-stream.ts";
import { TlsWire } from "./tls-wire.ts";

/** Text or bytes of certificates or keys, in PEM, as Node.js takes them; several as a list. */
export type PemData = NonNullable<TLSSocketOptions["cert"]>;

/** What both sides can say about their session, by the names that Node.js has for it. */
export interface TlsOptions {
  /**
   * The authorities whose certificates are trusted, instead of those that Bun trusts (to which NODE_EXTRA_CA_CERTS
   * adds).
   */
  readonly ca?: PemData | undefined;
  /** The certificate of this side, with those between it and its authority. */
  readonly cert?: PemData | undefined;
  /** The key of the certificate. */
  readonly key?: PemData | undefined;
  /** What the key is encrypted with. */
  readonly passphrase?: string | undefined;
  /** What `createSecureContext` of node:tls has made of `ca`, `cert`, `key` and others, once for many sessions. */
  readonly secureContext?: SecureContext | undefined;
  /** The protocols of the application, the best first (ALPN, RFC 7301), such as `["h2", "http/1.1"]`. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /**
   * Whether the session ends if the other side's certificate is none to trust; by default so, whatever
   * NODE_TLS_REJECT_UNAUTHORIZED says.
   */
  readonly rejectUnauthorized?: boolean | undefined;
  /** The lowest version; by default `TLSv1.2`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** The highest version; by default `TLSv1.3`. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** The ciphers of TLS 1.2, in OpenSSL's notation. */
  readonly ciphers?: string | undefined;
}

export interface TlsConnectOptions extends TlsOptions {
  /**
   * The name, or the address, of the server: its certificate must be for it, and a name is sent along, so that the
   * server can choose among its certificates (SNI, RFC 6066).
   */
  readonly serverName: string;
}

/** A certificate to show, and its key. */
export type TlsCertificate = Pick<TlsOptions, "cert" | "key" | "passphrase"> | SecureContext;

export interface TlsAcceptOptions extends TlsOptions {
  /** Whether the client is to show a certificate, which is verified by `ca`; by default not. */
  readonly requestCert?: boolean | undefined;
  /**
   * Chooses the certificate for the name that the client asks for, in lower case, or null if it names none. May be an
   * operation, which can look it up. `null` means the one of the options. What it throws ends the session.
   */
  readonly selectCertificate?:
    ((serverName: string | null) => Operation<TlsCertificate | null> | TlsCertificate | null) | undefined;
}

/**
 * Makes a TLS session, as its client, over a stream that is open, and verifies the server. From then on the stream
 * belongs to the session: it is closed with it, and if this call fails or is cancelled.
 *
 *     using connection = yield* connect({ host: "example.com", port: 443 });
 *     connection.noDelay();
 *     using secure = yield* timeout(10_000, tlsConnect(connection, { serverName: "example.com" }));
 *
 * Over TCP call `noDelay`, as here: the last message of the handshake and your first one are two small writes, of which
 * the second would be held back until the first is confirmed, for some 40 ms.
 *
 * @throws TlsError if the server is not the one that was asked for, cannot be trusted, or does not speak TLS;
 *   UnexpectedEndError if it ends the stream meanwhile; what the stream throws; TypeError for a name that is none;
 *   `UnsupportedError` in `blockOn`, because the host does the encryption
 */
export function tlsConnect(stream: ByteStream, options: TlsConnectOptions): Operation<TlsStream> {
  return owning("tlsConnect", stream, function* begin() {
    const { serverName } = options;
    if (typeof serverName !== "string" || serverName === "")
      throw new TypeError(`tlsConnect: serverName must be a name or an address, but is ${describeValue(serverName)}`);
    const session = open("tlsConnect", () => TlsSession.client(clientOptions(options)));
    return { session, name: serverName, firstBytes: NOTHING };
  });
}

/**
 * Makes a TLS session, as its server, over a stream that is open. From then on the stream belongs to the session: it is
 * closed with it, and if this call fails or is cancelled. A client that says nothing is waited for: use `timeout`.
 *
 *     const secure = yield* timeout(10_000, tlsAccept(yield* listener.accept(), { cert, key }));
 *
 * @throws TlsError if the client does not speak TLS, refuses the certificate, or, with `requestCert`, cannot be
 *   trusted; UnexpectedEndError if it ends the stream meanwhile; what the stream and `selectCertificate` throw;
 *   TypeError without a certificate; `UnsupportedError` in `blockOn`, because the host does the encryption
 */
export function tlsAccept(stream: ByteStream, options: TlsAcceptOptions): Operation<TlsStream> {
  return owning("tlsAccept", stream, function* begin() {
    const { selectCertificate } = options;
    if (selectCertificate === undefined) {
      const session = open("tlsAccept", () => TlsSession.server(serverOptions(options)));
      return { session, name: null, firstBytes: NOTHING };
    }
    const hello = yield* readClientHello(stream);
    const choice = selectCertificate(hello.serverName);
    const chosen = isOperation(choice) ? yield* choice : choice;
    const session = open("tlsAccept", () => TlsSession.server(serverOptions(withCertificate(options, chosen))));
    return { session, name: null, firstBytes: hello.bytes };
  });
}

/** A session that has not shaken hands yet. */
interface Beginning {
  readonly session: TlsSession;
  /** What messages call the other side; null if it has no name. */
  readonly name: string | null;
  /** What was read of the stream already. */
  readonly firstBytes: Uint8Array;
}

/** Whatever happens before the session stands closes it and the stream. */
function* owning(caller: string, stream: ByteStream, begin: () => Operation<Beginning>): Operation<TlsStream> {
  let session: TlsSession | null = null;
  let secure: TlsStream | null = null;
  try {
    if (!(yield* hostRuns()))
      throw new UnsupportedError(
        `${caller} cannot work inside blockOn, which blocks the thread that would encrypt: use run instead`,
      );
    const { session: begun, name, firstBytes } = yield* begin();
    session = begun;
    const wire = new TlsWire(stream, session);
    const label = `TLS ${name === null ? "" : `with ${name} `}over ${stream.label}`;
    if (firstBytes.byteLength > 0) session.receive(firstBytes);
    yield* shakeHands(wire, label);
    secure = new TlsStream(wire, label, session.facts);
    return secure;
  } finally {
    if (secure === null) {
      session?.destroy();
      stream.close();
    }
  }
}

function* shakeHands(wire: TlsWire, label: string): Operation<void> {
  const { session } = wire;
  for (;;) {
    yield* hostTurn();
    if (session.failure !== null) {
      yield* sendAlert(wire);
      throw session.plainAlert === null
        ? new TlsError(label, session.failure)
        : TlsError.ofAlert(label, session.plainAlert, session.failure);
    }
    yield* wire.flush();
    if (session.isSecure) return;
    if (!(yield* wire.receive())) throw UnexpectedEndError.before("the handshake of TLS was done", label, 0);
  }
}

/** Tells the other side what is wrong. It may be gone already, which is beside the point. */
function* sendAlert(wire: TlsWire): Operation<void> {
  try {
    yield* wire.flush();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

function* readClientHello(stream: ByteStream): Operation<{ bytes: Uint8Array; serverName: string | null }> {
  const hello = new ClientHello();
  const buffer = new Uint8Array(HELLO_READ_BYTES);
  for (;;) {
    const received = yield* stream.read(buffer);
    if (received === 0) {
      const { byteLength } = hello.bytes;
      throw UnexpectedEndError.before("the handshake of TLS was done", `TLS over ${stream.label}`, byteLength);
    }
    const serverName = hello.add(buffer.subarray(0, received));
    const { bytes } = hello;
    if (serverName !== INCOMPLETE) return { bytes, serverName };
    // The session will refuse it.
    if (bytes.byteLength > LARGEST_HELLO_BYTES) return { bytes, serverName: null };
  }
}

function clientOptions(options: TlsConnectOptions): ConnectionOptions {
  const { serverName } = options;
  // An address is verified but not sent (RFC 6066, section 3).
  const name =
    process.getBuiltinModule("node:net").isIP(serverName) === 0
      ? { servername: serverName, host: serverName }
      : { host: serverName };
  return { ...commonOptions(options), ...name };
}

function serverOptions(options: TlsAcceptOptions): TLSSocketOptions {
  const { secureContext, cert, key, requestCert = false } = options;
  if (secureContext === undefined && (cert === undefined || key === undefined))
    throw new TypeError(
      `tlsAccept: a server needs a certificate, but ${cert === undefined ? "cert" : "key"} is missing`,
    );
  return { ...commonOptions(options), requestCert };
}

function commonOptions(options: TlsOptions): Pick<ConnectionOptions, "secureContext" | "rejectUnauthorized"> {
  const { alpnProtocols, rejectUnauthorized = true, secureContext, ca, cert, key, passphrase } = options;
  const { minVersion, maxVersion, ciphers } = options;
  const context =
    secureContext ??
    nodeTls().createSecureContext(withoutUndefined({ ca, cert, key, passphrase, minVersion, maxVersion, ciphers }));
  return {
    secureContext: context,
    rejectUnauthorized,
    ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
  };
}

function withCertificate(options: TlsAcceptOptions, chosen: TlsCertificate | null): TlsAcceptOptions {
  if (chosen === null) return options;
  if ("context" in chosen) return { ...options, secureContext: chosen };
  return { ...options, ...chosen, secureContext: undefined };
}

/** Certificates and keys that are none are found here, by OpenSSL. */
function open(caller: string, make: () => TlsSession): TlsSession {
  try {
    return make();
  } catch (error) {
    const isOfOpenSsl = error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith("ERR_OSSL_");
    throw isOfOpenSsl ? new TlsError(caller, error) : error;
  }
}

function withoutUndefined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function isOperation<T extends object>(value: Operation<T | null> | T | null): value is Operation<T | null> {
  return value !== null && Symbol.iterator in value;
}

const NOTHING = new Uint8Array(0);

/** More than most of these messages have. */
const HELLO_READ_BYTES = 4_096;

/** OpenSSL takes no larger one. */
const LARGEST_HELLO_BYTES = 131_396;
