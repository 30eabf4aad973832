/**
 * ZeroMQ in both of its usual forms: a REP socket that answers in capitals, and a PUB socket on which all hear what was asked.
 *
 *     bun tasks/zmq.ts --reply tcp://127.0.0.1:5555 --publish tcp://127.0.0.1:5556
 *
 * Any client of ZeroMQ can ask and listen. Ctrl-C ends it.
 */

import type { Operation } from "../src/index.ts";
import { readArguments, toEndpoint } from "./support/arguments.ts";
import { SocketKind, ZeroMQ } from "./support/libzmq.ts";
import { runProgram } from "./support/program.ts";

const { reply, publish } = readArguments("bun tasks/zmq.ts [--reply ENDPOINT] [--publish ENDPOINT]", {
  reply: (text = "tcp://127.0.0.1:*") => toEndpoint(text),
  publish: (text = "tcp://127.0.0.1:*") => toEndpoint(text),
});

function* serve(): Operation<void> {
  using context = new ZeroMQ();
  const answers = context.socket(SocketKind.REP);
  answers.limitParts(LONGEST_QUESTION_BYTES);
  answers.bind(reply);
  const news = context.socket(SocketKind.PUB);
  news.bind(publish);
  console.log(`answering on ${answers.endpoint}, publishing on ${news.endpoint}`);
  for (;;) {
    const question = yield* answers.receiveText();
    yield* answers.send(question.toUpperCase());
    yield* news.send("question", question);
  }
}

/** Whoever can connect can ask. */
const LONGEST_QUESTION_BYTES = 65_536;

await runProgram(serve);
