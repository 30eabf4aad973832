/** Pairs of TLS streams that are connected to each other. */

import {
  all,
  type ByteStream,
  type Operation,
  tlsAccept,
  type TlsAcceptOptions,
  tlsConnect,
  type TlsConnectOptions,
  type TlsStream,
} from "../../src/index.ts";
import { AUTHORITY, SERVER } from "./certificates.ts";
import { connectToSelf } from "./loopback.ts";

export interface TlsPair {
  readonly client: TlsStream;
  readonly server: TlsStream;
}

export interface TlsPairOptions {
  readonly client?: Partial<TlsConnectOptions>;
  readonly server?: Partial<TlsAcceptOptions>;
}

/** A session over TCP. Whoever takes it closes both ends. */
export function* tlsToSelf(options: TlsPairOptions = {}): Operation<TlsPair> {
  const { client, server } = yield* connectToSelf();
  for (const side of [client, server]) side.noDelay();
  return yield* tlsOver(client, server, options);
}

/** A session between the ends of any stream. */
export function* tlsOver(left: ByteStream, right: ByteStream, options: TlsPairOptions = {}): Operation<TlsPair> {
  const [client, server] = yield* all([
    tlsConnect(left, { serverName: "localhost", ca: AUTHORITY.cert, ...options.client }),
    tlsAccept(right, { cert: SERVER.cert, key: SERVER.key, ...options.server }),
  ]);
  return { client, server };
}
