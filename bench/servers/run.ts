// The echo server of this package on `run`: a reactor thread beside Bun's event loop.

import { listen, run, spawn, type TcpStream } from "../../src/index.ts";
import { announce, collectGarbageOnRequest, HOST, serverArguments } from "./support.ts";

const { port, lingerUs, bufferBytes } = serverArguments();

function* echo(connection: TcpStream) {
  const buffer = new Uint8Array(bufferBytes);
  try {
    for (;;) {
      const length = yield* connection.read(buffer);
      if (length === 0) break;
      yield* connection.write(buffer, 0, length);
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
