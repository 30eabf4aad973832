/** Real connections of this process to itself, and what is left of them. */

import { networkInterfaces } from "node:os";
import {
  blockOn,
  connect,
  listen,
  type Operation,
  promise,
  readable,
  type Reactor,
  run,
  type TaskBody,
  type TcpStream,
  timeout,
  yieldNow,
} from "../../src/index.ts";
import { holdings } from "./descriptors.ts";
import { EventCounter } from "./libc.ts";
import { untilThreadIsUp } from "./reactors.ts";

/** The two ends of a connection. */
export interface Connection {
  readonly client: TcpStream;
  readonly server: TcpStream;
}

/** A way to run a task to its end. */
export type Way = <T>(body: TaskBody<T>) => Promise<T>;

/** Both entry points, for `describe.each`. */
export const WAYS: readonly (readonly [string, Way])[] = [
  ["run", (body) => run(body)],
  ["blockOn", async (body) => blockOn(body)],
];

/**
 * The reactor of this thread opens at the first wait for which it has to sleep, and stays, with a thread that takes a while to
 * start: to be called before what is open is looked at. A short deadline would not do: on a machine that is busy it has passed
 * before the reactor sleeps.
 */
export function openReactor(): Promise<void> {
  return run(() => timeout(A_LONG_TIME_MS, () => promise(untilThreadIsUp(reactorOfThread()))));
}

function reactorOfThread(): Reactor {
  return (globalThis as unknown as { [RUNTIME]: { readonly reactor: Reactor } })[RUNTIME].reactor;
}

/** Where `src/run.ts` keeps the reactor of the thread. */
const RUNTIME = Symbol.for("bun-reactor.runtime");

/** Met only by a reactor that does not sleep. */
const A_LONG_TIME_MS = 60_000;

/** Makes a connection; whoever takes it closes both ends. */
export function* connectToSelf(): Operation<Connection> {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  const client = yield* connect({ port: listener.address.port, host: "127.0.0.1" });
  const server = yield* listener.accept();
  return { client, server };
}

/** Runs `body` as a task between the two ends of a connection, and closes them. */
export function withConnection<T>(way: Way, body: (connection: Connection) => Operation<T>): Promise<T> {
  return way(function* main(): Operation<T> {
    const connection = yield* connectToSelf();
    using _client = connection.client;
    using _server = connection.server;
    return yield* body(connection);
  });
}

/**
 * The event queue has been asked once more: what was ready before has been reported. What it waits for itself is opened for
 * it, unless there is something already that is always readable.
 */
export function* onePoll(ticker?: EventCounter): Operation<void> {
  using own = ticker === undefined ? new EventCounter(1) : null;
  yield* readable((ticker ?? own!).descriptor);
  yield* yieldNow();
}

/** Reads to the end. */
export function* readAll(stream: TcpStream, bufferBytes = 65_536): Operation<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(bufferBytes);
  for (;;) {
    const bytes = yield* stream.read(buffer);
    if (bytes === 0) return new Uint8Array(Buffer.concat(chunks));
    chunks.push(buffer.slice(0, bytes));
  }
}

/** What the operation throws; fails if it does not. */
export function* errorOf(operation: Operation<unknown>): Operation<Error & Record<string, unknown>> {
  try {
    yield* operation;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("the operation was expected to throw, but returned");
}

/** The sockets that this process has open, each with its number. */
export function openSockets(): string[] {
  return holdings().descriptors.filter((line) => line.includes(" socket:"));
}

/** The sockets that were opened since `before` and still are. */
export function leftSince(before: readonly string[]): string[] {
  return openSockets().filter((socket) => !before.includes(socket));
}

export const HAS_IPV6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === "::1"),
);

/** Why a test that needs IPv6 skips, or null if it does not. */
export const NO_IPV6: string | null = HAS_IPV6 ? null : "this machine has no ::1";

/** Bytes that repeat only after long, so that a shift or a loss changes them. */
export function patternOf(length: number, key = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = patternAt(index, key);
  return bytes;
}

/** The byte of the pattern at a position. */
export function patternAt(index: number, key: number): number {
  return (Math.imul(index + key, 0x9e3779b1) >>> 13) & 0xff;
}
