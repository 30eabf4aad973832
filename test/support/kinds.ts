/** A descriptor of each kind that Linux can wait for, with what makes it readable: for tests of `readable` and `ready`. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cLibrary } from "./c-library.ts";
import { Descriptors, EventCounter, Pipe, readUntilEmpty, SocketPair, writeTo, readFrom } from "./libc.ts";
import { temporaryFolder } from "./temporary.ts";

const libc = cLibrary({
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  // Variadic, which makes no difference for integers on these architectures under Linux.
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
  inotify_init1: { args: ["i32"], returns: "i32" },
  openpty: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  pthread_sigmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  raise: { args: ["i32"], returns: "i32" },
  send: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
  signalfd: { args: ["i32", "ptr", "i32"], returns: "i32" },
  // As fcntl. It stands for pidfd_open, which musl does not have.
  syscall: { args: ["i64", "i32", "u32"], returns: "i64" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  timerfd_create: { args: ["i32", "i32"], returns: "i32" },
  timerfd_settime: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
});

/** A descriptor that is not readable yet. */
export interface Kind extends Disposable {
  readonly descriptor: number;
  makeReady(): void;
  /** Takes what there is to read, so that it is not readable any more; absent where it stays readable for good. */
  consume?(): void;
}

/** The kinds by name. */
export const KINDS: readonly (readonly [name: string, open: () => Kind])[] = kindsHere([
  ["a socket", () => new SocketKind()],
  ["a pipe", () => new PipeKind()],
  ["a terminal", () => new TerminalKind("line")],
  ["the master of a pty", () => new TerminalKind("master")],
  ["an eventfd", () => new CounterKind()],
  ["a timerfd", () => new TimerKind()],
  ["a pidfd", () => new ProcessKind()],
  ["an inotify", () => new InotifyKind()],
  ["a netlink socket", () => new NetlinkKind()],
  ["a nested epoll", () => new NestedEpoll()],
]);

/** Windows waits for sockets, and for nothing else. */
function kindsHere<Named>(kinds: readonly Named[]): readonly Named[] {
  return process.platform === "win32" ? kinds.slice(0, 1) : kinds;
}

class SocketKind extends SocketPair implements Kind {
  readonly descriptor = this.left;

  makeReady(): void {
    writeTo(this.right, "x");
  }

  consume(): void {
    readUntilEmpty(this.left);
  }
}

class PipeKind extends Pipe implements Kind {
  readonly descriptor = this.readEnd;

  makeReady(): void {
    writeTo(this.writeEnd, "x");
  }

  consume(): void {
    readUntilEmpty(this.readEnd);
  }
}

/** A pty pair (openpty(3)), blocking, as other programs have them. */
export class PtyPair extends Descriptors {
  readonly master: number;
  readonly line: number;

  constructor() {
    super();
    const pair = new Int32Array(2);
    checked("openpty", libc.openpty(pair, pair.subarray(1), null, null, null));
    this.master = this.own(pair[0]!);
    this.line = this.own(pair[1]!);
  }
}

class TerminalKind extends PtyPair implements Kind {
  constructor(private readonly side: "line" | "master") {
    super();
  }

  get descriptor(): number {
    return this[this.side];
  }

  /** The line has something to read once it is whole (termios(3), canonical mode). */
  makeReady(): void {
    writeTo(this.side === "line" ? this.master : this.line, "a line\n");
  }

  /** A terminal gives one line a read; at its controlling end the newline may come behind the rest (n_tty.c). */
  consume(): void {
    const buffer = new Uint8Array(100);
    while (buffer[readFrom(this.descriptor, buffer) - 1] !== NEWLINE);
  }
}

class CounterKind extends EventCounter implements Kind {
  makeReady(): void {
    this.signal();
  }

  consume(): void {
    this.take();
  }
}

class TimerKind extends Descriptors implements Kind {
  readonly descriptor = this.own(checked("timerfd_create", libc.timerfd_create(CLOCK_MONOTONIC, NON_BLOCKING)));

  /** It expires once, after a nanosecond: `struct itimerspec` has the interval before the first time. */
  makeReady(): void {
    const setting = BigInt64Array.of(0n, 0n, 0n, 1n);
    checked("timerfd_settime", libc.timerfd_settime(this.descriptor, 0, setting, null));
  }

  consume(): void {
    readFrom(this.descriptor, new BigUint64Array(1));
  }
}

/** A child that ends when it is told to. */
class ProcessKind extends Descriptors implements Kind {
  private readonly child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  readonly descriptor = this.own(checked("pidfd_open", Number(libc.syscall(SYS_PIDFD_OPEN, this.child.pid, 0))));

  makeReady(): void {
    this.child.kill("SIGKILL");
  }

  override [Symbol.dispose](): void {
    this.makeReady();
    super[Symbol.dispose]();
  }
}

class InotifyKind extends Descriptors implements Kind {
  private readonly folder = temporaryFolder();
  private files = 0;
  readonly descriptor = this.own(checked("inotify_init1", libc.inotify_init1(NON_BLOCKING | CLOSE_ON_EXEC)));

  constructor() {
    super();
    const path = new TextEncoder().encode(`${this.folder.name}\0`);
    checked("inotify_add_watch", libc.inotify_add_watch(this.descriptor, path, FILE_CREATED));
  }

  makeReady(): void {
    writeFileSync(join(this.folder.name, `file ${this.files++}`), "");
  }

  consume(): void {
    readUntilEmpty(this.descriptor);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

/** Asks the kernel for its network interfaces (rtnetlink(7)); the answer is there at once. */
class NetlinkKind extends Descriptors implements Kind {
  readonly descriptor = this.own(
    checked("socket", libc.socket(NETLINK, RAW | NON_BLOCKING | CLOSE_ON_EXEC, NETLINK_ROUTE)),
  );

  makeReady(): void {
    const request = new Uint8Array(20);
    const header = new DataView(request.buffer);
    header.setUint32(0, request.byteLength, true);
    header.setUint16(4, GET_LINKS, true);
    header.setUint16(6, REQUEST_OF_ALL, true);
    writeTo(this.descriptor, request);
  }

  consume(): void {
    readUntilEmpty(this.descriptor);
  }
}

/** An epoll that watches a pipe. */
class NestedEpoll extends Pipe implements Kind {
  readonly descriptor = this.own(checked("epoll_create1", libc.epoll_create1(CLOSE_ON_EXEC)));

  constructor() {
    super();
    // The packed `struct epoll_event` of x86-64 and the padded one of arm64 both begin with the events.
    checked("epoll_ctl", libc.epoll_ctl(this.descriptor, ADD, this.readEnd, Uint32Array.of(EPOLLIN, 0, 0, 0)));
  }

  makeReady(): void {
    writeTo(this.writeEnd, "x");
  }

  consume(): void {
    readUntilEmpty(this.readEnd);
  }
}

/**
 * A signal that is blocked in this thread, and read from a descriptor instead (signalfd(2)). The kernel shows a signal that
 * was sent to a thread only to a poll in that thread: so it works with `blockOn` alone.
 */
export class SignalKind extends Descriptors implements Kind {
  private readonly mask = BigUint64Array.of(1n << BigInt(URGENT - 1), ...Array.from({ length: 15 }, () => 0n));
  readonly descriptor: number;

  constructor() {
    super();
    libc.pthread_sigmask(BLOCK, this.mask, null);
    this.descriptor = this.own(checked("signalfd", libc.signalfd(-1, this.mask, NON_BLOCKING | CLOSE_ON_EXEC)));
  }

  makeReady(): void {
    libc.raise(URGENT);
  }

  consume(): void {
    readUntilEmpty(this.descriptor);
  }

  override [Symbol.dispose](): void {
    this.consume();
    super[Symbol.dispose]();
    libc.pthread_sigmask(UNBLOCK, this.mask, null);
  }
}

/** Lets a pipe keep apart what was written apart: a read brings one packet (O_DIRECT of pipe(2)). */
export function setPacketMode(writeEnd: number): void {
  checked("fcntl", libc.fcntl(writeEnd, SET_FLAGS, NON_BLOCKING | (process.arch === "arm64" ? 0o200000 : 0o40000)));
}

/** Sends a byte of out-of-band data over a connection (tcp(7)). */
export function sendUrgently(descriptor: number, byte: number): void {
  checked("send", Number(libc.send(descriptor, Uint8Array.of(byte), 1, OUT_OF_BAND)));
}

function checked(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed`);
  return result;
}

/** The constants of Linux on x86-64 and arm64. */
/** On every architecture: what is newer than 2019 has one number. */
const SYS_PIDFD_OPEN = 434;
const NON_BLOCKING = 0o4000;
const CLOSE_ON_EXEC = 0o2000000;
const NEWLINE = 10;
const CLOCK_MONOTONIC = 1;
const FILE_CREATED = 0x100;
const NETLINK = 16;
const RAW = 3;
const NETLINK_ROUTE = 0;
const GET_LINKS = 18;
const REQUEST_OF_ALL = 0x301;
const ADD = 1;
const EPOLLIN = 1;
const BLOCK = 0;
const UNBLOCK = 1;
const OUT_OF_BAND = 1;
const SET_FLAGS = 4;

/** SIGURG, which does nothing by itself. */
const URGENT = 23;
