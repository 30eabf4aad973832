/**
 * A small web server, with a certificate over TLS.
 *
 *     bun tasks/https.ts --port 8080
 *     bun tasks/https.ts --port 8443 --cert server.pem --key server.key
 *     curl http://localhost:8080/
 *
 * It answers `/` with a greeting, `/bytes/N` with N bytes in chunks, and `/echo` with what was posted there. Without a port
 * the system chooses one. A client that says nothing for 30 seconds, or takes nothing, is let go. Ctrl-C closes the
 * listener and all connections.
 */

import { createSecureContext, type SecureContext } from "node:tls";
import {
  listen,
  type Operation,
  showAddress,
  spawn,
  SystemError,
  type TcpStream,
  timeout,
  TimeoutError,
  tlsAccept,
  TlsError,
  UnexpectedEndError,
} from "../src/index.ts";
import type { WriteBody } from "./http/body.ts";
import { HttpError } from "./http/head.ts";
import { type HttpAnswer, type HttpServerRequest, serveHttp } from "./http/server.ts";
import { readArguments, refuseArguments, toFileText, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const USAGE = "bun tasks/https.ts [--port N] [--host H] [--cert FILE --key FILE]";

const { port, host, cert, key } = readArguments(USAGE, {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
  cert: (text) => (text === undefined ? undefined : toFileText(text)),
  key: (text) => (text === undefined ? undefined : toFileText(text)),
});
const secureContext = toSecureContext();

function* serve(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}`);
  for (;;) yield* spawn(talk(yield* listener.accept()));
}

function* talk(connection: TcpStream): Operation<void> {
  using below = connection;
  try {
    below.noDelay();
    using stream = secureContext === null ? below : yield* timeout(SILENCE_MS, tlsAccept(below, { secureContext }));
    yield* serveHttp(stream, answer, { silenceMs: SILENCE_MS });
  } catch (error) {
    // What a client does wrong ends its connection and no other.
    if (!CLIENT_ERRORS.some((kind) => error instanceof kind)) throw error;
    if (error instanceof TlsError) console.error(error.message);
  }
}

/** Made once, for all connections, and before there is one: a certificate that is none would fail at each of them. */
function toSecureContext(): SecureContext | null {
  if ((cert === undefined) !== (key === undefined)) refuseArguments(USAGE, "--cert and --key go together");
  if (cert === undefined) return null;
  try {
    return createSecureContext({ cert, key });
  } catch (error) {
    refuseArguments(USAGE, `--cert and --key must be a certificate and its key as PEM: ${(error as Error).message}`);
  }
}

function* answer(request: HttpServerRequest): Operation<HttpAnswer> {
  const { method, target } = request;
  if (target === "/echo") {
    if (method !== "POST") throw new HttpError(405, "post something there");
    return { body: yield* request.body.readToEnd({ limitBytes: MOST_ECHOED_BYTES }) };
  }
  if (method !== "GET" && method !== "HEAD") throw new HttpError(405, `${method} is not for ${target}`);
  if (target === "/") return { fields: { "Content-Type": "text/plain" }, body: "hello\n" };
  const count = /^\/bytes\/(\d{1,12})$/.exec(target)?.[1];
  if (count === undefined) return { status: 404, body: `there is no ${target}\n` };
  return { body: (write) => writeBytes(write, Number(count)) };
}

/** Each byte is the lowest part of its position. The client's pace is ours. */
function* writeBytes(write: WriteBody, count: number): Operation<void> {
  const piece = Uint8Array.from({ length: PIECE_BYTES }, (_, index) => index & 0xff);
  for (let left = count; left > 0; left -= PIECE_BYTES) yield* write(piece.subarray(0, Math.min(left, PIECE_BYTES)));
}

const CLIENT_ERRORS = [SystemError, UnexpectedEndError, TimeoutError, TlsError, HttpError];

const SILENCE_MS = 30_000;
const MOST_ECHOED_BYTES = 16_777_216;
const PIECE_BYTES = 65_536;

await runProgram(serve);
