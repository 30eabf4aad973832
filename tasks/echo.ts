/**
 * An echo server: each connection gets back what it sends.
 *
 *     bun tasks/echo.ts --port 7000 --host 127.0.0.1
 *
 * Without a port the system chooses one. Ctrl-C closes the listener and all connections.
 */

import { listen, type Operation, showAddress, spawn, SystemError, type TcpStream } from "../src/index.ts";
import { readArguments, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { port, host } = readArguments("bun tasks/echo.ts [--port N] [--host H]", {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
});

function* serve(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}`);
  for (;;) yield* spawn(echo(yield* listener.accept()));
}

function* echo(connection: TcpStream): Operation<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  try {
    for (;;) {
      const length = yield* connection.read(buffer);
      if (length === 0) return;
      yield* connection.write(buffer, 0, length);
    }
  } catch (error) {
    // A peer may break its connection at any time, which ends its task and no other.
    if (!(error instanceof SystemError)) throw error;
  } finally {
    connection.close();
  }
}

/** Each connection has a buffer of its own: large enough for most messages, small enough for thousands of connections. */
const BUFFER_BYTES = 16 * 1024;

await runProgram(serve);
