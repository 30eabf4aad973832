/**
 * The example of the Reactor-Executor chapter in the book "Exploring Async Basics with Rust" (and "Epoll, Kqueue and
 * IOCP Explained"), in its own nouns: tasks ask a slow server for replies, register their interest in them and are
 * suspended. The reactor notices what has come, and the executor resumes whoever waits for it. All of that happens on
 * one thread.
 *
 *     bun tasks/book.ts
 */

import {
  connect,
  Executor,
  Interest,
  type Operation,
  Reactor,
  ready,
  type Registrator,
  type TcpStream,
} from "../src/index.ts";

const DELAYS_MS = [1000, 250, 750, 500, 0];

/**
 * Asks for a reply with a delay and waits for it, step by step: `yield* connection.read(buffer)` alone would wait as
 * well.
 */
function* ask(number: number, delayMs: number, registrator: Registrator): Operation<void> {
  using connection = yield* connect({ host: "127.0.0.1", port });
  yield* connection.write(`GET /delay/${delayMs} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);

  const reply = registrator.register(connection.descriptor, Interest.READABLE);
  log(`task ${number}: registered its interest in a reply in ${delayMs} ms; the executor suspends it`);
  try {
    yield* ready(reply, Interest.READABLE);
  } finally {
    registrator.deregister(reply);
  }

  log(`task ${number}: the reactor saw the reply; the executor has resumed it`);
  const [, body] = (yield* readToEnd(connection)).split("\r\n\r\n");
  log(`task ${number}: read "${body}"`);
}

function* readToEnd(connection: TcpStream): Operation<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let text = "";
  for (;;) {
    const length = yield* connection.read(buffer);
    if (length === 0) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** The book's `slowwly`. It has a thread of its own, because `blockOnAll` blocks this one. */
const server = new Worker(new URL("./support/slow-server.ts", import.meta.url));
const port = await new Promise<number>((resolve) => {
  server.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
});

using reactor = new Reactor();
const registrator = reactor.registrator();
const executor = new Executor(reactor);

for (const [index, delayMs] of DELAYS_MS.entries()) {
  executor.spawn(ask(index + 1, delayMs, registrator), { name: `ask ${index + 1}` });
}
log("main: spawned the tasks; the executor blocks until all have ended");
executor.blockOnAll();
log("main: all tasks have ended");

server.terminate();

function log(event: string): void {
  console.log(`${performance.now().toFixed(0).padStart(5)} ms  ${event}`);
}
