// The echo server on node:net, as Bun has it. `socket.pipe(socket)` would do the same by way of more calls.

import { createServer } from "node:net";
import { announce, collectGarbageOnRequest, HOST, serverArguments } from "./support.ts";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (chunk) => {
    if (!socket.write(chunk)) socket.pause();
  });
  socket.on("drain", () => socket.resume());
  socket.on("error", (error) => console.error(error.message));
});

server.listen(serverArguments().port, HOST, () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server without a port");
  announce(address.port);
});
collectGarbageOnRequest();
