// The UDP echo server of this package, one datagram after the other.

import { bindUdp, run } from "../../src/index.ts";
import { announce, HOST, serverArguments } from "./support.ts";

const { port, lingerUs } = serverArguments();

function* main() {
  const socket = yield* bindUdp({ host: HOST, port });
  const buffer = new Uint8Array(2048);
  announce(socket.address.port);
  for (;;) {
    const { bytes, from } = yield* socket.receive(buffer);
    yield* socket.send(buffer.subarray(0, bytes), from);
  }
}

await run(main, lingerUs === undefined ? {} : { lingerUs });
