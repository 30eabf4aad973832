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
import { Outgoing, ProtocolError, ReplyError, Requests } from "./redis/protocol.ts";
import { Store } from "./redis/store.ts";
import { readArguments, toHost, toPort } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { port, host } = readArguments("bun tasks/redis-server.ts [--port N] [--host H]", {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toHost(text),
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

/** All requests that came in one piece are answered in one piece. */
function* answerAll(client: TcpStream): Operation<void> {
  const requests = new Requests();
  const replies = new Outgoing();
  for (;;) {
    const bytes = yield* client.read(requests.room());
    if (bytes === 0) return;
    requests.received(bytes);
    const goesOn = execute(requests, replies);
    yield* client.write(replies.buffer, 0, replies.length);
    if (!goesOn) return;
    replies.clear();
  }
}

/** Returns false if the connection is to be closed. */
function execute(requests: Requests, replies: Outgoing): boolean {
  try {
    for (let words = requests.next(); words !== null; words = requests.next()) {
      if (words.length === 0) continue;
      if (words[0]!.toUpperCase() === "QUIT") {
        replies.text("+OK\r\n");
        return false;
      }
      store.execute(words, replies);
    }
    return true;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    replies.reply(new ReplyError(`ERR Protocol error: ${error.message}`));
    return false;
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
