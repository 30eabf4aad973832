/**
 * The echo server of `tasks/echo.ts` on `Bun.listen`. What a socket does not take at once waits, and the socket is not
 * read meanwhile.
 */

interface Connection {
  unsent: Uint8Array;
}

const NOTHING = new Uint8Array(0);

const server = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { unsent: NOTHING };
    },
    data(socket, chunk) {
      if (socket.data.unsent.length > 0) socket.data.unsent = Buffer.concat([socket.data.unsent, chunk]);
      else if (!send(socket, chunk)) socket.pause();
    },
    drain(socket) {
      if (socket.data.unsent.length > 0 && send(socket, socket.data.unsent)) socket.resume();
    },
  },
});

/** Returns whether the socket took everything. */
function send(socket: Bun.Socket<Connection>, bytes: Uint8Array): boolean {
  const sentBytes = socket.write(bytes);
  if (sentBytes === bytes.length) {
    socket.data.unsent = NOTHING;
    return true;
  }
  socket.data.unsent = bytes.subarray(Math.max(sentBytes, 0));
  return false;
}

console.log(`listening on ${server.hostname}:${server.port}`);
