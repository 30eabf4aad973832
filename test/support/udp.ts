/** UDP sockets of this process that talk to each other over the loopback interface. */

import { bindUdp, connectUdp, type Datagram, type Operation, type UdpSocket } from "../../src/index.ts";
import type { Way } from "./loopback.ts";

/** A socket, and one that is connected to it. */
export interface UdpPair {
  readonly server: UdpSocket;
  readonly client: UdpSocket;
}

/** Opens two sockets on the loopback interface; whoever takes them closes both. */
export function* openUdpPair(host = "127.0.0.1"): Operation<UdpPair> {
  const server = yield* bindUdp({ host });
  try {
    return { server, client: yield* connectUdp({ host, port: server.address.port }) };
  } catch (error) {
    server.close();
    throw error;
  }
}

/** Runs `body` as a task between the two sockets, and closes them. */
export function withUdpPair<T>(way: Way, body: (pair: UdpPair) => Operation<T>, host?: string): Promise<T> {
  return way(function* main(): Operation<T> {
    const pair = yield* openUdpPair(host);
    using _server = pair.server;
    using _client = pair.client;
    return yield* body(pair);
  });
}

/** Receives a datagram as text. */
export function* receiveText(socket: UdpSocket): Operation<string> {
  const buffer = new Uint8Array(65_535);
  const { bytes } = yield* socket.receive(buffer);
  return new TextDecoder().decode(buffer.subarray(0, bytes));
}

/** Receives a datagram, and its bytes. */
export function* receiveWhole(socket: UdpSocket, room = 65_535): Operation<Datagram & { readonly data: Uint8Array }> {
  const buffer = new Uint8Array(room);
  const datagram = yield* socket.receive(buffer);
  return { ...datagram, data: buffer.subarray(0, datagram.bytes) };
}
