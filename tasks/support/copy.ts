/** Copying between two connections, for programs that stand between them. */

import { ClosedError, join, type Operation, spawn, type TcpStream } from "../../src/index.ts";
import { report } from "./program.ts";

/**
 * Copies both ways until both have ended. A half that one peer ends is ended for the other, while the opposite direction
 * goes on; a connection that breaks is reported, and broken for both.
 */
export function* copyBothWays(client: TcpStream, server: TcpStream): Operation<void> {
  // What one peer sends at once shall not be held back here.
  client.noDelay();
  server.noDelay();
  const request = yield* spawn(copy(client, server));
  yield* copy(server, client);
  yield* join(request);
}

/** Copies one direction to its end, and passes the end on. If it breaks, the opposite direction ends as well. */
function* copy(from: TcpStream, to: TcpStream): Operation<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  try {
    for (;;) {
      const length = yield* from.read(buffer);
      if (length === 0) break;
      yield* to.write(buffer, 0, length);
    }
    yield* to.shutdown();
  } catch (error) {
    from.reset();
    to.reset();
    // The opposite direction has closed both, and said why.
    if (!(error instanceof ClosedError)) report(error);
  }
}

/** As much as one read of a fast connection brings. */
const BUFFER_BYTES = 64 * 1024;
