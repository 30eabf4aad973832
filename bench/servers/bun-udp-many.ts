// The UDP echo server on `Bun.udpSocket` with `sendMany`: the answers are collected, and go when all that has come with
// one turn of the event loop is there. What the system does not take at once is dropped, as UDP may.

import { announce, HOST, serverArguments } from "./support.ts";

let answers: (Uint8Array | number | string)[] = [];

const server = await Bun.udpSocket({
  hostname: HOST,
  port: serverArguments().port,
  socket: {
    data(_socket, data, port, address) {
      if (answers.length === 0) setImmediate(flush);
      answers.push(data, port, address);
    },
    // Bun tells here that a peer is gone, which each of them is after its round.
    error() {},
  },
});

function flush(): void {
  const collected = answers;
  answers = [];
  server.sendMany(collected);
}

announce(server.port);
