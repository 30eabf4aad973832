/**
 * Descriptors for tests: pipes, eventfds and socket pairs, made by libc, and reads and writes on them that never block. On
 * Windows, where only sockets can be waited for, all of them are pairs of connected sockets.
 */

import { closeSync, readSync, writeSync } from "node:fs";
import { cLibrary } from "./c-library.ts";
import { patient } from "./patience.ts";
import { loopbackPair, socketCalls } from "./socket-pairs.ts";

const IS_WINDOWS = process.platform === "win32";

const libc = cLibrary({
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
});

/** As those of `node:fs`; on Windows for sockets. */
const calls = IS_WINDOWS ? socketCalls : { close: closeSync, read: readSync, write: writeSync };
export const { close: closeDescriptor, read: readFrom, write: writeTo } = calls;

/** Blocks the thread until a descriptor is readable, and leaves it so (poll(2)). */
export function blockUntilReadable(descriptor: number): void {
  // struct pollfd: int fd; short events; short revents.
  const places = new Int32Array([descriptor, POLL_IN]);
  if (libc.poll(places, 1, LONGEST_POLL_MS) !== 1) throw new Error(`descriptor ${descriptor} did not become readable`);
}

const POLL_IN = 1;
const LONGEST_POLL_MS = patient(10_000);

/** Descriptors that are closed at the end of a block, unless the test has closed them before. */
export abstract class Descriptors implements Disposable {
  private readonly open = new Set<number>();

  /** Closes one of them; a second time does nothing, because somebody else may have the number by then. */
  close(descriptor: number): void {
    if (this.open.delete(descriptor)) calls.close(descriptor);
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.open) this.close(descriptor);
  }

  protected own(descriptor: number): number {
    this.open.add(descriptor);
    return descriptor;
  }
}

/** The two ends of a pipe. */
export class Pipe extends Descriptors {
  readonly readEnd: number;
  readonly writeEnd: number;

  constructor() {
    super();
    const [readEnd, writeEnd] = IS_WINDOWS
      ? loopbackPair()
      : twoDescriptors((pair) => libc.pipe2(pair, NON_BLOCKING | CLOSE_ON_EXEC));
    this.readEnd = this.own(readEnd);
    this.writeEnd = this.own(writeEnd);
  }
}

/** Two connected stream sockets. */
export class SocketPair extends Descriptors {
  readonly left: number;
  readonly right: number;

  constructor() {
    super();
    const kind = STREAM | NON_BLOCKING | CLOSE_ON_EXEC;
    const [left, right] = IS_WINDOWS ? loopbackPair() : twoDescriptors((pair) => libc.socketpair(UNIX, kind, 0, pair));
    this.left = this.own(left);
    this.right = this.own(right);
  }
}

/** A counter in the kernel: readable while it is above zero, writable while it can be added to. */
export class EventCounter extends Descriptors {
  readonly descriptor: number;
  /** On Windows, the other side: it sends a byte for each count. */
  private readonly counting: number | null = null;

  constructor(initial = 0) {
    super();
    if (IS_WINDOWS) {
      const [counted, counting] = loopbackPair();
      this.descriptor = this.own(counted);
      this.counting = this.own(counting);
      for (let count = 0; count < initial; count++) this.signal();
      return;
    }
    const descriptor = libc.eventfd(initial, NON_BLOCKING | CLOSE_ON_EXEC);
    if (descriptor < 0) throw new Error("eventfd failed: is the limit of open descriptors reached?");
    this.descriptor = this.own(descriptor);
  }

  /** Adds one, which makes it readable. */
  signal(): void {
    this.add(1n);
  }

  /** As high as it goes: it can be read, and not be written to. */
  fill(): void {
    this.add(2n ** 64n - 2n);
  }

  /** Takes the count, which makes it unreadable. */
  take(): bigint {
    if (this.counting !== null) return BigInt(readUntilEmpty(this.descriptor));
    const count = new BigUint64Array(1);
    readSync(this.descriptor, count);
    return count[0]!;
  }

  private add(count: bigint): void {
    if (this.counting !== null) return sendOnce(this.counting, count);
    writeSync(this.descriptor, new BigUint64Array([count]));
  }
}

/** Writes until the descriptor takes no more; returns how many bytes it took. */
export function writeUntilFull(descriptor: number): number {
  const chunk = new Uint8Array(65_536);
  return repeatUntilWouldBlock(() => calls.write(descriptor, chunk));
}

/** Reads until nothing is left; returns how many bytes there were. */
export function readUntilEmpty(descriptor: number): number {
  const chunk = new Uint8Array(65_536);
  return repeatUntilWouldBlock(() => calls.read(descriptor, chunk));
}

/** Makes `number` another number for what `descriptor` is; what `number` was is closed. */
export function duplicateTo(descriptor: number, number: number): void {
  if (libc.dup2(descriptor, number) < 0) throw new Error(`dup2(${descriptor}, ${number}) failed`);
}

function sendOnce(descriptor: number, count: bigint): void {
  if (count !== 1n) throw new Error("a socket cannot be made readable and full");
  calls.write(descriptor, Uint8Array.of(1));
}

function repeatUntilWouldBlock(transfer: () => number): number {
  let total = 0;
  for (;;) {
    try {
      const count = transfer();
      if (count === 0) return total;
      total += count;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return total;
      throw error;
    }
  }
}

function twoDescriptors(make: (pair: Int32Array) => number): [number, number] {
  const pair = new Int32Array(2);
  if (make(pair) < 0) throw new Error("no descriptors: is the limit of open ones reached?");
  return [pair[0]!, pair[1]!];
}

/** The constants of Linux on x86-64 and arm64. */
const NON_BLOCKING = 0o4000;
const CLOSE_ON_EXEC = 0o2000000;
const UNIX = 1;
const STREAM = 1;
