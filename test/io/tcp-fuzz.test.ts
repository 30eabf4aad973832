/**
 * Random connections on real sockets against a model of their bytes: what a side has received must be the beginning of
 * what the other side has sent, and all of it if nobody broke off; afterwards no socket is left. `SEED=n bun test
 * test/io/tcp-fuzz.test.ts` repeats a run.
 */

import { expect, test } from "bun:test";
import {
  CancelledError,
  ClosedError,
  connect,
  join,
  listen,
  type Operation,
  spawn,
  SystemError,
  type Task,
  type TcpStream,
  UnexpectedEndError,
  yieldNow,
} from "../../src/index.ts";
import { Random } from "../../src/testing/random.ts";
import { leftSince, openSockets, patternAt, WAYS } from "../support/loopback.ts";
import { effort } from "../support/effort.ts";

/** Of less than 60, chance could leave none that comes to both of its ends. */
const CONNECTIONS = Math.max(60, effort(200));

/** How a side ends its sending. */
const ENDINGS = ["shutdown", "shutdown", "shutdown", "close", "reset", "cancel"] as const;

/** One side of a connection: what it plans, and what became of it. */
class Side {
  sentBytes = 0;
  receivedBytes = 0;
  /** Where the first wrong byte was, if there was one. */
  wrongAt: number | null = null;
  sawEnd = false;
  /** Whether it broke off: then the peer need not get everything, and may get an error. */
  brokeOff = false;
  readonly plannedBytes: number;
  readonly ending: (typeof ENDINGS)[number];

  constructor(
    readonly stream: TcpStream,
    /** Tells this side's bytes from others. */
    readonly key: number,
    readonly random: Random,
  ) {
    this.plannedBytes = random.below(4) === 0 ? random.below(400_000) : random.below(5000);
    this.ending = random.pick(ENDINGS);
  }

  /** The next bytes to send, in one part or several. */
  nextParts(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    const count = this.random.below(3) === 0 ? 1 + this.random.below(100) : 1;
    let position = this.sentBytes;
    for (let index = 0; index < count && position < this.plannedBytes; index++) {
      const length = Math.min(
        this.random.below(this.random.below(2) === 0 ? 50 : 20_000),
        this.plannedBytes - position,
      );
      const part = new Uint8Array(length);
      for (let offset = 0; offset < length; offset++) part[offset] = patternAt(position + offset, this.key);
      position += length;
      parts.push(part);
    }
    return parts;
  }

  check(received: Uint8Array, peer: Side): void {
    for (let offset = 0; offset < received.byteLength && this.wrongAt === null; offset++) {
      const position = this.receivedBytes + offset;
      if (received[offset] !== patternAt(position, peer.key)) this.wrongAt = position;
    }
    this.receivedBytes += received.byteLength;
  }
}

function* send(side: Side, reading: Task<void>): Operation<void> {
  try {
    while (side.sentBytes < side.plannedBytes) {
      const parts = side.nextParts();
      const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
      if (parts.length === 1) yield* side.stream.write(parts[0]!);
      else yield* side.stream.writeAll(parts);
      side.sentBytes += bytes;
      if (side.random.below(4) === 0) yield* yieldNow();
    }
    yield* finish(side, reading);
  } catch (error) {
    tolerate(error);
    side.brokeOff = true;
  }
}

function* finish(side: Side, reading: Task<void>): Operation<void> {
  if (side.ending === "shutdown") return yield* side.stream.shutdown();
  side.brokeOff = true;
  // Some break off at once, some when the peer had time to send.
  if (side.random.below(2) === 0) for (let turn = side.random.below(20); turn > 0; turn--) yield* yieldNow();
  if (side.ending === "close") side.stream.close();
  else if (side.ending === "reset") side.stream.reset();
  else {
    reading.cancel();
    yield* side.stream.shutdown();
  }
}

function* receive(side: Side, peer: Side): Operation<void> {
  const buffer = new Uint8Array(1 + side.random.below(30_000));
  try {
    while (!side.sawEnd) {
      const view = buffer.subarray(0, 1 + side.random.below(buffer.byteLength));
      const bytes = yield* side.random.below(5) === 0 ? exactly(side.stream, view) : side.stream.read(view);
      if (bytes < view.byteLength && bytes === 0) side.sawEnd = true;
      side.check(view.subarray(0, bytes), peer);
      if (side.random.below(8) === 0) yield* yieldNow();
    }
  } catch (error) {
    tolerate(error);
    side.brokeOff = true;
  }
}

/** `readExactly`, which at the end gives what came before it. */
function* exactly(stream: TcpStream, view: Uint8Array): Operation<number> {
  try {
    yield* stream.readExactly(view);
    return view.byteLength;
  } catch (error) {
    if (error instanceof UnexpectedEndError) return error.receivedBytes;
    throw error;
  }
}

/** Only what breaking off may cause; everything else ends the run. */
function tolerate(error: unknown): void {
  if (error instanceof ClosedError) return;
  if (error instanceof SystemError && ["ECONNRESET", "EPIPE", "ENOTCONN"].includes(error.code)) return;
  throw error;
}

function* play(side: Side, peer: Side): Operation<void> {
  using _owned = side.stream;
  const reading = yield* spawn(() => receive(side, peer));
  yield* send(side, reading);
  try {
    yield* join(reading);
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
  }
}

/** What is wrong with what `side` has received; null if nothing is. */
function complaint(side: Side, peer: Side): string | null {
  if (side.wrongAt !== null) return `byte ${side.wrongAt} is not what was sent`;
  if (side.receivedBytes > peer.plannedBytes) return "more was received than was sent";
  if (side.brokeOff || peer.brokeOff) return null;
  if (!side.sawEnd) return "the end was not seen";
  if (side.receivedBytes !== peer.sentBytes) return `${side.receivedBytes} of ${peer.sentBytes} bytes were received`;
  return null;
}

test.each(WAYS)(`${CONNECTIONS} random connections under %s lose nothing and leave nothing`, async (_name, way) => {
  const random = Random.fromEnvironment();
  const before = openSockets();
  const pairs: (readonly [Side, Side])[] = [];
  await way(function* main() {
    using listener = yield* listen({ port: 0, host: "127.0.0.1" });
    for (let index = 0; index < CONNECTIONS; index++) {
      const client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
      const server = yield* listener.accept();
      const [left, right] = [new Side(client, 2 * index, random), new Side(server, 2 * index + 1, random)];
      pairs.push([left, right]);
      yield* spawn(() => play(left, right));
      yield* spawn(() => play(right, left));
    }
  });
  const complaints = pairs.flatMap(([left, right], index) =>
    [complaint(left, right), complaint(right, left)].map((words) => words && `connection ${index}: ${words}`),
  );
  expect(complaints.filter((words) => words !== null)).toEqual([]);
  expect(leftSince(before)).toEqual([]);
  // The plan was not so wild that nothing came through.
  expect(pairs.filter(([left, right]) => left.sawEnd && right.sawEnd).length).toBeGreaterThan(CONNECTIONS / 20);
});
