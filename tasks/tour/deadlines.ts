/** Deadlines: a peer that never answers is given up in time, and a sleep may be shorter than a millisecond. */

import { CancelledError, connect, join, listen, type Operation, promise, sleep, spawn } from "../../src/index.ts";
import { type Row, time } from "./table.ts";

export function* deadlines(): Operation<Row[]> {
  return [
    { what: `silent peer given up after ${TIMEOUT_MS} ms`, ours: time(yield* giveUpMs()) },
    {
      what: `sleep of ${SLEEP_MS} ms, median`,
      ours: time(yield* medianMs(() => sleep(SLEEP_MS))),
      theirs: `${time(yield* medianMs(hostSleep))} setTimeout`,
    },
  ];
}

/** How long it takes to give up a peer that never answers. */
function* giveUpMs(): Operation<number> {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  using connection = yield* connect(listener.address);
  const beginMs = performance.now();
  try {
    yield* withTimeout(connection.read(new Uint8Array(1)), TIMEOUT_MS);
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
  }
  return performance.now() - beginMs;
}

/**
 * Gives an operation a time limit.
 * @throws CancelledError if it takes longer
 */
function* withTimeout<T>(operation: Operation<T>, timeoutMs: number): Operation<T> {
  const work = yield* spawn(operation);
  const alarm = yield* spawn(function* () {
    yield* sleep(timeoutMs);
    work.cancel(`it took longer than ${timeoutMs} ms`);
  });
  try {
    return yield* join(work);
  } finally {
    alarm.cancel();
    work.cancel();
  }
}

/** How long the middle one of many takes. */
function* medianMs(operation: () => Operation<void>): Operation<number> {
  const takenMs: number[] = [];
  for (let round = 0; round < SLEEPS; round++) {
    const beginMs = performance.now();
    yield* operation();
    takenMs.push(performance.now() - beginMs);
  }
  return takenMs.sort((a, b) => a - b)[SLEEPS / 2]!;
}

/** The same on the host's timers, which count whole milliseconds. */
function hostSleep(): Operation<void> {
  return promise(new Promise<void>((resolve) => setTimeout(resolve, SLEEP_MS)));
}

const TIMEOUT_MS = 50;
const SLEEP_MS = 0.25;
const SLEEPS = 100;
