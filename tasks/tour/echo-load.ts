/** The load on an echo server: clients that send a message and wait for its echo, again and again, all of them at once. */

import { connect, join, type Operation, spawn, type Task, type TcpStream } from "../../src/index.ts";

export interface EchoLoad {
  readonly port: number;
  readonly connections: number;
  /** For how long messages are sent, once all connections are there. */
  readonly durationMs: number;
}

/** What came of a load. */
export interface EchoResult {
  /** How many messages came back, each as it was sent. */
  readonly messages: number;
  readonly elapsedMs: number;
}

export const MESSAGE_BYTES = 64;

export function* loadEcho({ port, connections, durationMs }: EchoLoad): Operation<EchoResult> {
  const idle: TcpStream[] = [];
  try {
    while (idle.length < connections) idle.push(yield* connect({ host: "127.0.0.1", port }));
    const beginMs = performance.now();
    const clients: Task<number>[] = [];
    while (idle.length > 0) clients.push(yield* spawn(exchange(idle.pop()!, beginMs + durationMs)));
    let messages = 0;
    for (const client of clients) messages += yield* join(client);
    return { messages, elapsedMs: performance.now() - beginMs };
  } finally {
    for (const stream of idle) stream.close();
  }
}

/** Returns how many messages came back. */
function* exchange(stream: TcpStream, endMs: number): Operation<number> {
  const message = crypto.getRandomValues(new Uint8Array(MESSAGE_BYTES));
  const echo = new Uint8Array(MESSAGE_BYTES);
  let count = 0;
  try {
    while (performance.now() < endMs) {
      yield* stream.write(message);
      yield* stream.readExactly(echo);
      if (!Buffer.from(echo.buffer).equals(message)) throw new Error("an echo differs from what was sent");
      count++;
    }
    return count;
  } finally {
    stream.close();
  }
}
