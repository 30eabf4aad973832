/** Does it work? An echo over loopback, with the reactor's thread and without. */

import { blockOn, connect, listen, type Operation, run, sleep, spawn, timeout } from "../index.ts";

export interface SelfTest {
  readonly name: "run" | "blockOn";
  readonly isPassed: boolean;
  /** What came in the way; null if it is passed. */
  readonly problem: string | null;
}

/** Takes some milliseconds; where something hangs, as long as `LIMIT_MS` for each part. */
export async function testItself(): Promise<SelfTest[]> {
  return [await attempt("run", () => run(() => timeout(LIMIT_MS, echoOnce()))), await attempt("blockOn", block)];
}

function block(): void {
  blockOn(() => timeout(LIMIT_MS, echoOnce()));
}

async function attempt(name: SelfTest["name"], test: () => unknown): Promise<SelfTest> {
  try {
    await test();
    return { name, isPassed: true, problem: null };
  } catch (error) {
    return { name, isPassed: false, problem: String(error) };
  }
}

function* echoOnce(): Operation<void> {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  yield* spawn(function* server() {
    using connection = yield* listener.accept();
    const received = new Uint8Array(MESSAGE.length);
    yield* connection.readExactly(received);
    // All tasks wait now, so that the thread has to wait in the event queue and to wake the executor.
    yield* sleep(1);
    yield* connection.write(received);
  });
  using connection = yield* connect({ host: "127.0.0.1", port: listener.address.port });
  yield* connection.write(MESSAGE);
  const received = new Uint8Array(MESSAGE.length);
  yield* connection.readExactly(received);
  const answer = new TextDecoder().decode(received);
  if (answer !== MESSAGE) throw new Error(`sent ${JSON.stringify(MESSAGE)}, and got ${JSON.stringify(answer)} back`);
}

const MESSAGE = "Is anybody there?";

/** Long for any machine that works at all. */
const LIMIT_MS = 5_000;
