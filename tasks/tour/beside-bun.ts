/** The same echo job on this package and on `Bun.listen`, each in a process of its own, under the same load in turns. */

import type { Operation } from "../../src/index.ts";
import { loadEcho, MESSAGE_BYTES } from "./echo-load.ts";
import type { ServerProcess } from "./server-process.ts";
import { count, ratio, type Row } from "./table.ts";

export function* besideBun(ourServer: ServerProcess, theirServer: ServerProcess): Operation<Row[]> {
  const ours = new Contender(ourServer, yield* ourServer.port());
  const theirs = new Contender(theirServer, yield* theirServer.port());
  for (const contender of [ours, theirs]) yield* contender.warmUp();
  for (let round = 0; round < ROUNDS; round++) {
    // Who went second goes first now, so that a change of the machine's pace concerns both.
    for (const contender of round % 2 === 0 ? [ours, theirs] : [theirs, ours]) yield* contender.measure();
  }
  return [
    {
      what: `echo, ${CONNECTIONS} connections × ${MESSAGE_BYTES} B`,
      ours: `${count(ours.messagesPerSecond)} messages/s`,
      theirs: `${count(theirs.messagesPerSecond)} Bun.listen`,
      ratio: ratio(ours.messagesPerSecond, theirs.messagesPerSecond),
    },
    {
      what: "the server's CPU time for that",
      ours: `${ours.cpuUsPerMessage.toFixed(2)} µs/message`,
      theirs: `${theirs.cpuUsPerMessage.toFixed(2)} Bun.listen`,
      ratio: ratio(ours.cpuUsPerMessage, theirs.cpuUsPerMessage),
    },
  ];
}

/** A server, and what was measured of it in all rounds together. */
class Contender {
  private messages = 0;
  private elapsedMs = 0;
  private cpuMs = 0;

  constructor(
    private readonly server: ServerProcess,
    private readonly port: number,
  ) {}

  get messagesPerSecond(): number {
    return (this.messages / this.elapsedMs) * 1000;
  }

  get cpuUsPerMessage(): number {
    return (this.cpuMs / this.messages) * 1000;
  }

  /** Lets the compilers of both sides see the job. */
  *warmUp(): Operation<void> {
    yield* loadEcho({ port: this.port, connections: CONNECTIONS, durationMs: WARM_UP_MS });
  }

  *measure(): Operation<void> {
    const cpuMsBefore = this.server.cpuMs;
    const result = yield* loadEcho({ port: this.port, connections: CONNECTIONS, durationMs: ROUND_MS });
    this.cpuMs += this.server.cpuMs - cpuMsBefore;
    this.messages += result.messages;
    this.elapsedMs += result.elapsedMs;
  }
}

const CONNECTIONS = 64;
const ROUNDS = 4;
const ROUND_MS = 500;
const WARM_UP_MS = 400;
