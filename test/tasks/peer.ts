/** TCP peers on `node:net`, which knows nothing of this package: what they see of a program is what any peer would. */

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A connection that stays open for reading when it has sent everything, and for sending when all was read. */
export async function connectTo(port: number, host = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** A server that calls `serve` with each connection. */
export async function listenWith(serve: (socket: Socket) => void, host = "127.0.0.1"): Promise<Listening> {
  const server = createServer({ allowHalfOpen: true }, serve);
  server.listen(0, host);
  await once(server, "listening");
  return new Listening(server);
}

export class Listening implements AsyncDisposable {
  constructor(private readonly server: Server) {}

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    await closed;
  }
}

/** Everything up to the end that the peer sends. */
export async function receiveAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

/** Bytes that are unlike any others. */
export function someBytes(count: number): Buffer {
  return randomBytes(count);
}

export function checksum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
