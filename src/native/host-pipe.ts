/**
 * Pipes to children where no event queue tells when a pipe is ready: Windows.
 *
 * Facts. What `Bun.spawn` gives for `"pipe"` reads ahead without a limit, whether somebody reads or not (Bun 1.4.5). A
 * named pipe that `node:net` listens at is read only while its socket is not paused. The callback of a write to it comes
 * at once, though, whether the pipe has taken it or not (Bun 1.4.5 under Wine): what a child does not read lies in
 * memory. A file that is opened by the name of a pipe is that pipe's other end, blocking, as programs expect it
 * (CreateFile).
 *
 * Decision. Each pipe is a named one with a name that nobody can guess, which is taken from the system as soon as both
 * ends are open. Our socket is paused whenever it has brought something that is not read yet, and one write at a time is
 * under way; so it can be read and written like a descriptor that does not block.
 */

import { closeSync, openSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { Readiness } from "../core/interest.ts";
import { ChildEnd, type HostPipe } from "../core/process-system.ts";
import { errorNumber } from "./error-numbers.ts";
import { resultOf } from "./file-system.ts";
import { errorOf } from "./status.ts";

/** Called whenever a pipe becomes ready. */
export type Teller = (readiness: Readiness) => void;

/** Opens a pipe. Rejects with a SystemError. */
export async function openHostPipe(end: ChildEnd, tell: Teller): Promise<HostPipe> {
  const name = `\\\\.\\pipe\\bun-reactor-${crypto.randomUUID()}`;
  const server = await listenAt(name);
  const connection = Promise.withResolvers<Socket>();
  server.once("connection", connection.resolve);
  let childDescriptor = -1;
  try {
    const result = resultOf(() => void (childDescriptor = openSync(name, end === ChildEnd.READS ? "r" : "r+")));
    if (result < 0) throw errorOf(result, "pipe");
    return new SocketPipe(await connection.promise, childDescriptor, tell);
  } finally {
    server.close();
  }
}

async function listenAt(name: string): Promise<Server> {
  const { createServer } = process.getBuiltinModule("node:net");
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(errorOf(numberIn(error), "pipe")));
    server.listen(name, resolve);
  });
  return server;
}

/** Over a socket that is paused, and whose halves end apart. */
export class SocketPipe implements HostPipe {
  /** What the socket has brought, and nobody has read yet. */
  private chunk: Uint8Array | null = null;
  private hasEnded = false;
  private isWriting = false;
  /** The negated number of the error that has broken the pipe; 0 if none has. */
  private failure = 0;
  private isChildEndOpen = true;

  constructor(
    private readonly socket: Socket,
    readonly childDescriptor: number,
    private tell: Teller,
  ) {
    socket.on("data", (chunk: Uint8Array) => {
      socket.pause();
      this.chunk = chunk;
      this.tell(Readiness.READABLE);
    });
    socket.on("end", () => this.end());
    socket.on("close", () => this.end());
    socket.on("error", (error: NodeJS.ErrnoException) => this.fail(numberIn(error)));
    // Tasks keep the process alive, and what they wait for.
    socket.unref();
    socket.pause();
  }

  closeChildEnd(): void {
    if (!this.isChildEndOpen) return;
    this.isChildEndOpen = false;
    closeSync(this.childDescriptor);
  }

  close(): void {
    this.tell = tellNobody;
    this.socket.removeAllListeners("data");
    this.socket.end(() => this.socket.destroy());
    this.socket.resume();
  }

  receive(_descriptor: number, buffer: Uint8Array, offset: number, length: number): number {
    const { chunk } = this;
    if (chunk === null) return this.receiveNothing();
    const bytes = Math.min(length, chunk.byteLength);
    buffer.set(chunk.subarray(0, bytes), offset);
    this.chunk = bytes === chunk.byteLength ? null : chunk.subarray(bytes);
    return bytes;
  }

  send(_descriptor: number, buffer: Uint8Array, offset: number, length: number): number {
    if (this.failure !== 0) return this.failure;
    if (this.isWriting) return WOULD_BLOCK;
    const bytes = Math.min(length, LARGEST_WRITE_BYTES);
    this.isWriting = true;
    // A copy: the caller's buffer is its own again when this returns.
    this.socket.write(buffer.slice(offset, offset + bytes), () => this.written());
    return bytes;
  }

  sendVectored(descriptor: number, parts: readonly Uint8Array[], first: number, offset: number): number {
    const part = parts[first]!;
    return this.send(descriptor, part, offset, part.byteLength - offset);
  }

  private receiveNothing(): number {
    if (this.hasEnded) return 0;
    this.socket.resume();
    return WOULD_BLOCK;
  }

  private written(): void {
    this.isWriting = false;
    this.tell(Readiness.WRITABLE);
  }

  private end(): void {
    this.hasEnded = true;
    this.tell(Readiness.READABLE | Readiness.READ_CLOSED);
  }

  /** A pipe that breaks has lost its other end: a reader finds the end, a writer that nobody reads. */
  private fail(result: number): void {
    this.failure = result === 0 ? BROKEN : result;
    this.end();
    this.tell(Readiness.WRITABLE | Readiness.WRITE_CLOSED);
  }
}

function tellNobody(): void {
  // Nobody waits for a pipe that is closed.
}

/** The negated number that an error of Node.js has. */
function numberIn({ errno }: NodeJS.ErrnoException): number {
  return errno === undefined ? BROKEN : -Math.abs(errno);
}

const WOULD_BLOCK = errorNumber("EAGAIN");
const BROKEN = errorNumber("EPIPE");

/** As much as a pipe holds: what is written is copied, and waits in memory until the pipe has taken it. */
const LARGEST_WRITE_BYTES = 65_536;
