// The echo server of this package on `run` for many connections that are idle most of the time: a connection has a buffer
// only while there is something to echo.

import { listen, run, spawn, type TcpStream } from "../../src/index.ts";
import { announce, collectGarbageOnRequest, HOST, serverArguments } from "./support.ts";

const { port, lingerUs, bufferBytes } = serverArguments();

const freeBuffers: Uint8Array[] = [];

function* echo(connection: TcpStream) {
  try {
    for (;;) {
      yield* connection.readable();
      const buffer = freeBuffers.pop() ?? new Uint8Array(bufferBytes);
      const length = yield* connection.read(buffer);
      if (length === 0) break;
      yield* connection.write(buffer, 0, length);
      freeBuffers.push(buffer);
    }
  } finally {
    connection.close();
  }
}

function* main() {
  const listener = yield* listen({ host: HOST, port });
  announce(listener.address.port);
  for (;;) yield* spawn(echo(yield* listener.accept()));
}

collectGarbageOnRequest();
await run(main, lingerUs === undefined ? {} : { lingerUs });
