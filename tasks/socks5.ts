/**
 * A SOCKS5 proxy (RFC 1928): connects clients to where they ask for, by address or by name, which is resolved here.
 *
 *     bun tasks/socks5.ts --port 1080 --host 127.0.0.1
 *     curl --socks5-hostname 127.0.0.1:1080 http://example.com/
 *
 * With `--user NAME:PASSWORD` clients must say so (RFC 1929). Only the command CONNECT is there. A half that one side ends
 * is ended for the other, while the opposite direction goes on. Without a port the system chooses one. Ctrl-C closes the
 * listener and all connections.
 */

import {
  connect,
  type ConnectOptions,
  listen,
  type Operation,
  showAddress,
  spawn,
  SystemError,
  type TcpStream,
  timeout,
  TimeoutError,
  UnexpectedEndError,
} from "../src/index.ts";
import { readArguments, toPort, toText } from "./support/arguments.ts";
import { copyBothWays } from "./support/copy.ts";
import { runProgram } from "./support/program.ts";
import { acceptLogin, greet, readRequest, Refusal, REPLY, sendReply, toUser } from "./socks5/protocol.ts";

const { port, host, user } = readArguments("bun tasks/socks5.ts [--port N] [--host H] [--user NAME:PASSWORD]", {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
  user: (text) => (text === undefined ? null : toUser(text)),
});

function* serve(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}`);
  for (;;) yield* spawn(proxy(yield* listener.accept()));
}

function* proxy(connection: TcpStream): Operation<void> {
  using client = connection;
  try {
    using server = yield* open(client);
    yield* sendReply(client, REPLY.SUCCEEDED, server.localAddress);
    yield* copyBothWays(client, server);
  } catch (error) {
    if (error instanceof Refusal) console.error(error.message);
    // A client may break its connection at any time, or say nothing, which ends its task and no other.
    else if (![SystemError, UnexpectedEndError, TimeoutError].some((kind) => error instanceof kind)) throw error;
  }
}

/**
 * Does what comes before the connection of the client's wish, and makes it.
 * @throws Refusal, of which the client was told
 */
function* open(client: TcpStream): Operation<TcpStream> {
  try {
    const place = yield* timeout(HANDSHAKE_MS, () => negotiate(client));
    return yield* connectTo(place);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.reply !== null) yield* sendReply(client, error.reply);
    yield* client.shutdown();
    throw error;
  }
}

function* negotiate(client: TcpStream): Operation<ConnectOptions> {
  yield* greet(client, user === null ? "open" : "password");
  if (user !== null) yield* acceptLogin(client, user);
  return yield* readRequest(client);
}

function* connectTo(place: ConnectOptions): Operation<TcpStream> {
  try {
    return yield* connect({ ...place, timeoutMs: CONNECT_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new Refusal(REPLY_OF_CODE[String(error.code)] ?? REPLY.FAILED, error.message);
  }
}

const REPLY_OF_CODE: Readonly<Record<string, number>> = {
  ENETUNREACH: REPLY.NETWORK_UNREACHABLE,
  EHOSTUNREACH: REPLY.HOST_UNREACHABLE,
  ENOTFOUND: REPLY.HOST_UNREACHABLE,
  EAI_AGAIN: REPLY.HOST_UNREACHABLE,
  ECONNREFUSED: REPLY.REFUSED,
  ETIMEDOUT: REPLY.TOO_LATE,
};

const HANDSHAKE_MS = 10_000;

/** Long enough for a lost packet or two, short enough for whoever waits. */
const CONNECT_TIMEOUT_MS = 10_000;

await runProgram(serve);
