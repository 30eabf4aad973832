/**
 * A small Redis: strings, counters, lists and expiry in memory, for `redis-cli`, `redis-benchmark` and any client.
 *
 *     bun tasks/redis-server.ts --port 6379 --host 127.0.0.1
 *
 * Without a port the system chooses one. Ctrl-C closes the listener and all connections.
 */

import {
  Channel,
  listen,
  moveOnAfter,
  type Operation,
  showAddress,
  spawn,
  SystemError,
  type TcpStream,
} from "../src/index.ts";
import { answerSome } from "./redis/answer.ts";
import { Outgoing } from "./redis/outgoing.ts";
import { Requests } from "./redis/requests.ts";
import { Store } from "./redis/store.ts";
import { readArguments, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { port, host } = readArguments("bun tasks/redis-server.ts [--port N] [--host H]", {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
});

const store = new Store();

function* serve(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}`);
  yield* spawn(expireKeys);
  for (;;) yield* spawn(answer(yield* listener.accept()));
}

function* answer(connection: TcpStream): Operation<void> {
  using client = connection;
  try {
    client.noDelay();
    yield* answerAll(client);
  } catch (error) {
    // A peer may break its connection at any time, which ends its task and no other.
    if (!(error instanceof SystemError)) throw error;
  }
}

/** All requests that came in one piece are answered in one piece. A client that does not read is not read from either. */
function* answerAll(client: TcpStream): Operation<void> {
  const requests = new Requests();
  const replies = new Outgoing();
  while (!replies.isLast) {
    const bytes = yield* client.read(requests.room());
    if (bytes === 0) return;
    requests.received(bytes);
    let areAllAnswered = false;
    while (!areAllAnswered) {
      areAllAnswered = answerSome(requests, store, replies);
      yield* client.write(replies.buffer, 0, replies.length);
      replies.clear();
    }
  }
}

/** Sleeps until the next key expires; a key that expires sooner wakes it up. */
function* expireKeys(): Operation<void> {
  const earlier = new Channel<true>(1);
  store.expiries.onEarlier = () => void earlier.trySend(true);
  for (;;) {
    const leftMs = Math.max(0, store.expiries.earliestMs - store.now());
    yield* moveOnAfter(leftMs, () => earlier.receive());
    store.expireDue();
  }
}

await runProgram(serve);
