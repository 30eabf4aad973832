// The UDP echo server on `Bun.udpSocket`, which answers each datagram at once.

import { announce, HOST, serverArguments } from "./support.ts";

const server = await Bun.udpSocket({
  hostname: HOST,
  port: serverArguments().port,
  socket: {
    data(socket, data, port, address) {
      socket.send(data, port, address);
    },
    // Bun tells here that a peer is gone, which each of them is after its round.
    error() {},
  },
});

announce(server.port);
