// The UDP echo server of this package, in batches: what has come goes back as it is, without an object for any of it.

import { bindUdp, run } from "../../src/index.ts";
import { announce, HOST, serverArguments } from "./support.ts";

const { port, lingerUs } = serverArguments();

function* main() {
  const socket = yield* bindUdp({ host: HOST, port });
  const batch = socket.createBatch();
  announce(socket.address.port);
  for (;;) {
    const count = yield* socket.receiveBatch(batch);
    yield* socket.sendBatch(batch, count);
  }
}

await run(main, lingerUs === undefined ? {} : { lingerUs });
