/**
 * Connecting to a unix stream socket.
 *
 * Facts. connect(2) to a unix socket is done at once or not at all: there is no connection "in progress". If the server's
 * backlog is full, a non-blocking connect fails with EAGAIN, and no event queue tells when there is room: the socket that
 * wants to connect is not in any queue of the server's, and counts as hung up meanwhile.
 *
 * Decision. A full backlog is tried again after 1 ms, then after pauses that double up to 100 ms, and for 10 s at most: a
 * server that accepts nothing for so long hangs. Nothing is tried again for any other reason.
 */

import { spendBudget } from "../core/budget.ts";
import { systemToOpen } from "../core/current-system.ts";
import { assertTime, inOtherWords, type SystemError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { sleep } from "../core/sleep.ts";
import type { System } from "../core/system.ts";
import { UnixKind } from "../core/unix-system.ts";
import { yieldNow } from "../core/yield-now.ts";
import { nameIn, showUnixName, toNameBytes, type UnixName } from "./unix-name.ts";
import { UnixStream } from "./unix-stream.ts";

/** Where to connect to, and for how long to try. */
export type ConnectUnixOptions = UnixName & {
  /** How long a server whose backlog is full is asked again, in milliseconds; by default 10 s. 0 asks once. */
  readonly timeoutMs?: number | undefined;
};

/**
 * Connects to a server's socket.
 *
 *     using stream = yield* connectUnix({ path: "/run/dbus/system_bus_socket" });
 *
 * @throws TypeError, RangeError for a name that is none or too long; SystemError `ENOENT` if there is no such file,
 *   `ECONNREFUSED` if nobody listens, `EACCES` without the permission to write to the file, `EPROTOTYPE` if it is a datagram
 *   socket, `ETIMEDOUT` if the backlog stayed full for `timeoutMs`
 */
export function* connectUnix(options: ConnectUnixOptions): Operation<UnixStream> {
  const bytes = toNameBytes("connectUnix", options);
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  assertTime("connectUnix: timeoutMs", timeoutMs);
  const name = nameIn(options);
  const system = yield* systemToOpen();
  const descriptor = system.unix.create(UnixKind.STREAM);
  if (descriptor < 0) throw system.errorOf(descriptor, "socket", { path: showUnixName(name) });
  let isConnected = false;
  try {
    yield* connectUntilAccepted(system, descriptor, bytes, { path: showUnixName(name), timeoutMs });
    isConnected = true;
    return new UnixStream(system, descriptor, name);
  } finally {
    if (!isConnected) system.close(descriptor);
  }
}

function* connectUntilAccepted(
  system: System,
  descriptor: number,
  bytes: Uint8Array,
  { path, timeoutMs }: { readonly path: string; readonly timeoutMs: number },
): Operation<void> {
  let waitedMs = 0;
  for (let pauseMs = SHORTEST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    // A task that was cancelled in its pause ends here: nobody would close what it connects.
    if (!spendBudget()) yield* yieldNow();
    const result = system.unix.connect(descriptor, bytes);
    if (result >= 0) return;
    if (system.meaningOf(result) !== "wouldBlock") throw system.errorOf(result, "connect", { path });
    if (waitedMs >= timeoutMs) throw backlogIsFull(system, path, timeoutMs);
    const shownMs = Math.min(pauseMs, timeoutMs - waitedMs);
    yield* sleep(shownMs);
    waitedMs += shownMs;
  }
}

function backlogIsFull(system: System, path: string, timeoutMs: number): SystemError {
  const description = `its backlog is full, and the server has accepted nobody for ${timeoutMs} ms: it hangs, or has too much to do`;
  return inOtherWords(system.errorOf(system.timedOut, "connect", { path }), description);
}

const SHORTEST_PAUSE_MS = 1;

/** A tenth of a second is not noticed by a person, and ten system calls a second by no machine. */
const LONGEST_PAUSE_MS = 100;
const DEFAULT_TIMEOUT_MS = 10_000;
