/** Cancelling a client and its server at every suspend point: no descriptor may be left, whenever it comes. */

import { describe, expect, test } from "bun:test";
import {
  ClosedError,
  connect,
  join,
  listen,
  type Operation,
  park,
  type Resumption,
  run,
  spawn,
  SystemError,
  type TcpStream,
  UnexpectedEndError,
  yieldNow,
} from "../../src/index.ts";
import { leftSince, openSockets, patternOf, readAll } from "../support/loopback.ts";

const MESSAGE = patternOf(3 * 1024 * 1024);

/** How the cancel reaches the tasks at the n-th suspend point. */
const MOMENTS: Readonly<Record<string, (abort: () => void, resumption: Resumption<void>) => void>> = {
  "from the task's own step, before it suspends": (abort) => abort(),
  "from another task, right after it has suspended": (_abort, resumption) => resumption.succeed(undefined),
  "from the host, after the turn": (abort) => void setImmediate(abort),
};

/** Runs the operation and calls `onSuspend` before each request that it yields. */
function* watched<T>(operation: Operation<T>, onSuspend: () => void): Operation<T> {
  const iterator = operation[Symbol.iterator]();
  let isOver = false;
  try {
    let result = iterator.next();
    while (result.done !== true) {
      onSuspend();
      let answer: unknown;
      try {
        answer = yield result.value;
      } catch (error) {
        result = iterator.throw!(error);
        continue;
      }
      result = iterator.next(answer);
    }
    isOver = true;
    return result.value;
  } finally {
    // The job's own clean-up does not suspend, so nothing is yielded any more.
    if (!isOver) iterator.return?.();
  }
}

/** A server and two clients: connect, accept, spawn, write, read and half-close, with back-pressure. */
function* job(onSuspend: () => void): Operation<number> {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  const { port } = listener.address;
  const serving = yield* spawn(() => watched(serve(), onSuspend));
  const clients = [1, 2].map(() => () => watched(client(), onSuspend));
  const running = [yield* spawn(clients[0]!), yield* spawn(clients[1]!)];
  let received = 0;
  for (const task of running) received += yield* join(task);
  yield* join(serving);
  return received;

  function* serve(): Operation<void> {
    for (let index = 0; index < 2; index++) {
      const stream = yield* listener.accept();
      yield* spawn(() => watched(answer(stream), onSuspend));
    }
  }

  function* answer(stream: TcpStream): Operation<void> {
    using owned = stream;
    const question = new Uint8Array(8);
    yield* owned.readExactly(question);
    yield* owned.write(MESSAGE);
    yield* owned.shutdown();
    yield* readAll(owned);
  }

  function* client(): Operation<number> {
    using stream = yield* connect({ port, host: "localhost" });
    yield* yieldNow();
    yield* stream.write("question");
    const { byteLength } = yield* readAll(stream, 500_000);
    return byteLength;
  }
}

/** Cancels the job at its n-th suspend point. Returns whether it came that far. */
async function cancelAt(n: number, moment: (typeof MOMENTS)[string]): Promise<boolean> {
  const controller = new AbortController();
  let suspends = 0;
  let canceller: Resumption<void> | undefined;
  const abort = (): void => controller.abort("cancelled by the test");
  const onSuspend = (): void => {
    if (++suspends === n) moment(abort, canceller!);
  };
  let outcome: unknown;
  try {
    outcome = await run(
      function* main() {
        const cancelling = yield* spawn(function* cancelling() {
          yield* park<void>((resumption) => void (canceller = resumption));
          abort();
        });
        yield* yieldNow();
        const received = yield* watched(job(onSuspend), onSuspend);
        cancelling.cancel();
        return received;
      },
      { signal: controller.signal },
    );
  } catch (error) {
    outcome = error;
  }
  if (suspends < n) expect(outcome).toBe(2 * MESSAGE.byteLength);
  else if (!isFair(outcome)) throw outcome;
  return suspends >= n;
}

/**
 * A cancel may come when nothing is left to do, and then the job's value stands. A task that was about to be resumed
 * goes on to its next suspend point, and may find its peer gone or its listener closed there.
 */
function isFair(outcome: unknown): boolean {
  if (outcome === "cancelled by the test" || outcome === 2 * MESSAGE.byteLength) return true;
  const errors: unknown[] = outcome instanceof AggregateError ? outcome.errors : [outcome];
  return errors.every((error) => isOfPeer(error));
}

function isOfPeer(error: unknown): boolean {
  return [SystemError, ClosedError, UnexpectedEndError].some((errorClass) => error instanceof errorClass);
}

describe("a server and its clients leave no descriptor when they are cancelled", () => {
  test.each(Object.keys(MOMENTS))("%s", async (name) => {
    const before = openSockets();
    let n = 1;
    const left: string[] = [];
    while (await cancelAt(n, MOMENTS[name]!)) {
      const sockets = leftSince(before);
      if (sockets.length > 0) {
        left.push(`suspend point ${n}: ${sockets.join(", ")}`);
        before.push(...sockets);
      }
      n++;
    }
    expect(left).toEqual([]);
    // It did come past connects, accepts, reads and writes.
    expect(n).toBeGreaterThan(20);
  });
});

test("a connection that was handed to a new task is closed although the run is cancelled before that task's turn", async () => {
  const before = openSockets();
  const controller = new AbortController();
  const running = run(
    function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      using client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
      const stream = yield* listener.accept();
      yield* spawn(function* serve() {
        using owned = stream;
        yield* owned.read(new Uint8Array(1));
      });
      controller.abort("enough");
      yield* client.read(new Uint8Array(1));
    },
    { signal: controller.signal },
  );
  expect(await running.catch((error: unknown) => error)).toBe("enough");
  expect(leftSince(before)).toEqual([]);
});
