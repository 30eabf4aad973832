/**
 * A client of Redis: sends each line of the standard input as a command, and prints the replies in the same order. It does
 * not wait for one reply before it sends the next command. Quotes hold words together, as in `redis-cli`.
 *
 *     printf 'SET greeting hello\nGET greeting\n' | bun tasks/redis.ts --port 6379 --host 127.0.0.1
 *
 * It connects again when the server was away; commands whose replies were lost on the way say so.
 */

import { Channel, each, fdStream, join, type Operation, spawn, type Task } from "../src/index.ts";
import { ConnectionLostError, openRedis, type Redis } from "./redis/client.ts";
import { splitWords } from "./redis/inline.ts";
import { decodeText, encodeText, ProtocolError, type Reply, ReplyError } from "./redis/protocol.ts";
import { readArguments, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { port, host } = readArguments("bun tasks/redis.ts [--port N] [--host H]", {
  port: (text = "6379") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
});

function* talk(): Operation<void> {
  using redis = yield* openRedis({ port, host, onLost: (reason) => console.error(reason.message) });
  const replies = new Channel<Task<string>>(MOST_UNDER_WAY);
  const printing = yield* spawn(() => printAll(replies));
  using input = yield* fdStream(STANDARD_INPUT, { keepOpen: true });
  for (const line of yield* each(input.lines())) {
    if (line.trim() !== "") yield* replies.send(yield* spawn(() => ask(redis, line)));
    yield* each.next();
  }
  replies.close();
  yield* join(printing);
}

function* ask(redis: Redis, line: string): Operation<string> {
  try {
    return show(yield* redis.call(...splitWords(encodeText(line))));
  } catch (error) {
    if (error instanceof ReplyError || error instanceof ConnectionLostError || error instanceof ProtocolError)
      return `(error) ${error.message}`;
    throw error;
  }
}

function* printAll(replies: Channel<Task<string>>): Operation<void> {
  for (const reply of yield* each(replies)) {
    console.log(yield* join(reply));
    yield* each.next();
  }
}

/** As `redis-cli` shows it, more or less. */
function show(reply: Reply): string {
  if (reply === null) return "(nil)";
  if (typeof reply === "number" || typeof reply === "bigint") return `(integer) ${reply}`;
  if (typeof reply === "string") return decodeText(reply);
  if (reply instanceof Error) return `(error) ${reply.message}`;
  return reply.length === 0 ? "(empty)" : reply.map((item, index) => `${index + 1}) ${show(item)}`).join("\n");
}

const STANDARD_INPUT = 0;

/** Commands whose replies have not been printed yet. */
const MOST_UNDER_WAY = 1_000;

await runProgram(talk);
