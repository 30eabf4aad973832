/**
 * Forwards connections to another place, both ways.
 *
 *     bun tasks/port-forward.ts --listen 8080 --to example.com:80
 *     bun tasks/port-forward.ts --listen 8080 --host 0.0.0.0 --to [::1]:80
 *
 * A half that one peer ends is ended for the other, while the opposite direction goes on; a connection that breaks is
 * broken for both. Ctrl-C closes the listener and all connections.
 */

import { connect, listen, type Operation, showAddress, spawn, type TcpStream } from "../src/index.ts";
import { readArguments, toDestination, toPort, toText } from "./support/arguments.ts";
import { copyBothWays } from "./support/copy.ts";
import { report, runProgram } from "./support/program.ts";

const {
  listen: port,
  to: destination,
  host,
} = readArguments("bun tasks/port-forward.ts --listen PORT --to HOST:PORT [--host H]", {
  listen: toPort,
  to: toDestination,
  host: (text = "127.0.0.1") => toText(text),
});

function* serve(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}, forwarding to ${showAddress(destination)}`);
  for (;;) yield* spawn(forward(yield* listener.accept()));
}

function* forward(client: TcpStream): Operation<void> {
  try {
    using server = yield* connect({ ...destination, timeoutMs: CONNECT_TIMEOUT_MS });
    yield* copyBothWays(client, server);
  } catch (error) {
    report(error);
    client.reset();
  } finally {
    client.close();
  }
}

/** Long enough for a lost packet or two, short enough for whoever waits. */
const CONNECT_TIMEOUT_MS = 10_000;

await runProgram(serve);
