// The echo server on `Bun.listen`. A socket takes what its send buffer has room for and says how much that was; the
// rest waits here, uncopied, and the socket is paused until the rest is gone, so that a slow reader costs one chunk.

import type { Socket } from "bun";
import { announce, collectGarbageOnRequest, HOST, serverArguments } from "./support.ts";

interface Connection {
  /** What `write` has not taken yet, in order. */
  readonly pending: Uint8Array[];
}

const server = Bun.listen<Connection>({
  hostname: HOST,
  port: serverArguments().port,
  socket: {
    open(socket) {
      socket.data = { pending: [] };
    },
    data(socket, chunk) {
      const { pending } = socket.data;
      // A chunk that was on its way when the socket was paused queues behind the others.
      if (pending.length > 0) {
        pending.push(chunk);
        return;
      }
      const written = socket.write(chunk);
      if (written === chunk.length) return;
      if (written < 0) return;
      pending.push(chunk.subarray(written));
      socket.pause();
    },
    drain(socket) {
      if (socket.data.pending.length > 0) writePending(socket);
    },
    error(_socket, error) {
      console.error(error.message);
    },
  },
});

function writePending(socket: Socket<Connection>): void {
  const { pending } = socket.data;
  for (;;) {
    const chunk = pending[0];
    if (chunk === undefined) break;
    const written = socket.write(chunk);
    if (written < 0) return;
    if (written < chunk.length) {
      pending[0] = chunk.subarray(written);
      return;
    }
    pending.shift();
  }
  socket.resume();
}

collectGarbageOnRequest();
announce(server.port);
