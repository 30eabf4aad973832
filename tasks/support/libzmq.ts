/**
 * libzmq, the library of ZeroMQ, as tasks (https://libzmq.readthedocs.io). Copy it, and add what you need.
 *
 * Facts. A socket of ZeroMQ is no descriptor, but has one (ZMQ_FD) that becomes readable when something may have changed. It
 * is edge-triggered by nature: it says nothing again before all of ZMQ_EVENTS was looked at, and any send or receive may swallow
 * its signal (zmq_getsockopt(3)).
 *
 * Decision. An operation first tries, and when it would block, asks ZMQ_EVENTS, and only then waits. Of a sender and a
 * receiver that both wait one waits for the descriptor; whatever either does, or learns from ZMQ_EVENTS, makes the other look
 * again.
 */

import { dlopen, type FFIFunction, type Library, type Pointer, toArrayBuffer } from "bun:ffi";
import { ClosedError, Latch, type Operation, race, readable, yieldNow } from "../../src/index.ts";

const FUNCTIONS = {
  zmq_ctx_new: { args: [], returns: "ptr" },
  zmq_ctx_term: { args: ["ptr"], returns: "i32" },
  zmq_socket: { args: ["ptr", "i32"], returns: "ptr" },
  zmq_close: { args: ["ptr"], returns: "i32" },
  zmq_bind: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_connect: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_setsockopt: { args: ["ptr", "i32", "ptr", "usize"], returns: "i32" },
  zmq_getsockopt: { args: ["ptr", "i32", "ptr", "ptr"], returns: "i32" },
  zmq_send: { args: ["ptr", "ptr", "usize", "i32"], returns: "i32" },
  zmq_msg_init: { args: ["ptr"], returns: "i32" },
  zmq_msg_recv: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  zmq_msg_data: { args: ["ptr"], returns: "ptr" },
  zmq_msg_close: { args: ["ptr"], returns: "i32" },
  zmq_errno: { args: [], returns: "i32" },
  zmq_strerror: { args: ["i32"], returns: "cstring" },
} as const satisfies Record<string, FFIFunction>;

let library: Library<typeof FUNCTIONS> | undefined;

/** The library's functions; it is loaded with the first call. */
function zmq(): Library<typeof FUNCTIONS>["symbols"] {
  library ??= load();
  return library.symbols;
}

function load(): Library<typeof FUNCTIONS> {
  try {
    return dlopen(process.platform === "darwin" ? "libzmq.dylib" : "libzmq.so.5", FUNCTIONS);
  } catch (error) {
    if (error instanceof Error) error.message += " (is it installed? On Debian: apt install libzmq5)";
    throw error;
  }
}

/** An address of memory that is libzmq's. */
type Place = Pointer | bigint;

/** What a socket is for. */
export const SocketKind = { PAIR: 0, PUB: 1, SUB: 2, REQ: 3, REP: 4, DEALER: 5, ROUTER: 6, PULL: 7, PUSH: 8 } as const;
export type SocketKind = (typeof SocketKind)[keyof typeof SocketKind];

export class ZeroMQError extends Error {
  override readonly name = "ZeroMQError";
  /** The number of libzmq, which is the system's errno or one of its own. */
  readonly errno: number;
  readonly code = "ERR_ZEROMQ";

  constructor(call: string, subject = "") {
    const errno = zmq().zmq_errno();
    super(`${call}${subject === "" ? "" : ` ${subject}`}: ${String(zmq().zmq_strerror(errno))}`);
    this.errno = errno;
  }
}

/** The threads of ZeroMQ, and its sockets. Disposing of it closes the sockets, and drops what they have not sent. */
export class ZeroMQ implements Disposable {
  private readonly context: Place;
  private readonly sockets = new Set<ZeroMQSocket>();

  constructor() {
    const context = zmq().zmq_ctx_new();
    if (context === null) throw new ZeroMQError("zmq_ctx_new");
    this.context = context;
  }

  socket(kind: SocketKind): ZeroMQSocket {
    const place = zmq().zmq_socket(this.context, kind);
    if (place === null) throw new ZeroMQError("zmq_socket");
    const socket = new ZeroMQSocket(place, () => this.sockets.delete(socket));
    this.sockets.add(socket);
    return socket;
  }

  /** zmq_ctx_term(3) waits for all sockets to be closed, so they are, first; a signal ends that wait early. */
  [Symbol.dispose](): void {
    for (const socket of this.sockets) socket.close();
    while (zmq().zmq_ctx_term(this.context) < 0 && zmq().zmq_errno() === INTERRUPTED);
  }
}

export class ZeroMQSocket implements Disposable {
  /** What is waited for; it is libzmq's, and must be neither read nor closed. */
  readonly descriptor: number;
  private isClosed = false;
  /** Falls when the state of the socket may have changed; there is a new one each time. */
  private change = new Latch();
  private isWatched = false;
  private waitingReceivers = 0;
  private waitingSenders = 0;
  private messages = 0;
  /** A zmq_msg_t: 64 bytes that libzmq uses as it likes. */
  private readonly message = new BigUint64Array(8);

  /** For `ZeroMQ.socket`. */
  constructor(
    private readonly place: Place,
    private readonly closed: () => void,
  ) {
    // What was not sent when the socket is closed is dropped: else the context would wait for a peer that may never come.
    this.setOption(Option.LINGER, 0);
    this.descriptor = this.option(Option.DESCRIPTOR);
  }

  /** @throws ZeroMQError */
  bind(endpoint: string): void {
    this.check(zmq().zmq_bind(this.open, cString(endpoint)), "zmq_bind", endpoint);
  }

  /** Begins to connect, and goes on for as long as the socket is open. @throws ZeroMQError */
  connect(endpoint: string): void {
    this.check(zmq().zmq_connect(this.open, cString(endpoint)), "zmq_connect", endpoint);
  }

  /** Where the socket was bound last, with the port that `tcp://127.0.0.1:*` has come to. */
  get endpoint(): string {
    const text = new Uint8Array(LONGEST_ENDPOINT_BYTES);
    const length = new BigUint64Array([BigInt(text.byteLength)]);
    this.check(zmq().zmq_getsockopt(this.open, Option.LAST_ENDPOINT, text, length), "zmq_getsockopt");
    return new TextDecoder().decode(text.subarray(0, Number(length[0]) - 1));
  }

  /** Of a SUB socket: which messages to get, by how they begin. */
  subscribe(prefix: string): void {
    const bytes = new TextEncoder().encode(prefix);
    this.check(zmq().zmq_setsockopt(this.open, Option.SUBSCRIBE, bytes, bytes.byteLength), "zmq_setsockopt");
  }

  /** How many messages may wait to be sent, and to be received; to be set before `bind` and `connect`. */
  highWaterMark(messages: number): void {
    this.setOption(Option.SEND_HIGH_WATER_MARK, messages);
    this.setOption(Option.RECEIVE_HIGH_WATER_MARK, messages);
  }

  /**
   * How long a part may be that a peer sends; a peer that sends a longer one is disconnected. By default there is no limit.
   * Some hundred bytes are the least: the words with which peers greet each other count as well. To be set before `bind` and
   * `connect`.
   */
  limitParts(bytes: number): void {
    this.check(
      zmq().zmq_setsockopt(this.open, Option.MAXIMUM_BYTES, new BigInt64Array([BigInt(bytes)]), 8),
      "zmq_setsockopt",
    );
  }

  /**
   * Sends a message, of one or several parts; waits while there is no room. All of its parts go, or none.
   * @throws TypeError if there are no parts; ZeroMQError, also if it is not this socket's turn (REQ, REP); ClosedError if the
   *   socket is closed, before or meanwhile
   */
  *send(...parts: readonly (Uint8Array | string)[]): Operation<void> {
    if (parts.length === 0) throw new TypeError("send: a message has one part at the least, which may be empty");
    yield* this.letOthersRun();
    const encoded = parts.map((part) => (typeof part === "string" ? new TextEncoder().encode(part) : part));
    for (const [index, part] of encoded.entries()) {
      const flags = DONT_WAIT | (index + 1 < encoded.length ? SEND_MORE : 0);
      // Only the first part can find no room (zmq_send(3)), so a cancelled task leaves no half message.
      while (zmq().zmq_send(this.open, part, part.byteLength, flags) < 0) yield* this.waitFor(Event.OUT, "zmq_send");
    }
    this.changed();
  }

  /**
   * Receives a message, all its parts; waits until there is one.
   * @throws ZeroMQError, also if it is not this socket's turn (REQ, REP); ClosedError if the socket is closed, before or
   *   meanwhile
   */
  *receive(): Operation<Uint8Array[]> {
    yield* this.letOthersRun();
    let part = this.tryPart();
    for (; part === null; part = this.tryPart()) yield* this.waitFor(Event.IN, "zmq_recv");
    const parts = [part];
    // A message comes whole, so the other parts are there.
    while (this.option(Option.RECEIVE_MORE) === 1) parts.push(this.tryPart()!);
    this.changed();
    return parts;
  }

  /** `receive`, as text: of a message of one part. */
  *receiveText(): Operation<string> {
    const parts = yield* this.receive();
    return new TextDecoder().decode(parts[0]);
  }

  /** Tasks that wait for the socket get a `ClosedError`. Does nothing the second time. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    // Nobody may wait for the descriptor any more when libzmq closes it.
    this.changed();
    this.closed();
    zmq().zmq_close(this.place);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The socket, for a call: libzmq must not be asked for one that is closed. */
  private get open(): Place {
    if (this.isClosed) throw new ClosedError("the socket of ZeroMQ is closed");
    return this.place;
  }

  private tryPart(): Uint8Array | null {
    zmq().zmq_msg_init(this.message);
    const bytes = zmq().zmq_msg_recv(this.message, this.open, DONT_WAIT);
    if (bytes < 0) return null;
    const data = Number(zmq().zmq_msg_data(this.message)) as Pointer;
    const part = bytes === 0 ? new Uint8Array(0) : new Uint8Array(toArrayBuffer(data, 0, bytes)).slice();
    zmq().zmq_msg_close(this.message);
    return part;
  }

  /**
   * After a look at ZMQ_EVENTS the descriptor tells the next change, and not before. A call that fails though the socket is
   * ready has another reason, and so has one out of turn, for which a socket never becomes ready.
   */
  private *waitFor(event: number, call: string): Operation<void> {
    const errno = zmq().zmq_errno();
    if (errno === NOT_ITS_TURN) throw new ZeroMQError(call);
    let events = this.option(Option.EVENTS);
    if ((events & event) !== 0 && errno !== WOULD_BLOCK) throw new ZeroMQError(call);
    for (; (events & event) === 0; events = this.option(Option.EVENTS)) {
      // What the descriptor had to tell the other direction is told by now.
      const isForOthers = event === Event.IN ? this.waitingSenders > 0 : this.waitingReceivers > 0;
      if (events !== 0 && isForOthers) this.changed();
      yield* this.untilChanged(event);
    }
  }

  /** What never has to wait would never let go of the thread. Before a message is taken: one that was taken must arrive. */
  private *letOthersRun(): Operation<void> {
    if (++this.messages % MESSAGES_PER_TURN === 0) yield* yieldNow();
  }

  private *untilChanged(event: number): Operation<void> {
    const by = event === Event.IN ? "waitingReceivers" : "waitingSenders";
    this[by]++;
    try {
      if (this.isWatched) yield* this.change.wait();
      else yield* this.watch();
    } finally {
      this[by]--;
    }
  }

  private *watch(): Operation<void> {
    this.isWatched = true;
    try {
      yield* race([readable(this.descriptor), this.change.wait()]);
    } finally {
      this.isWatched = false;
      this.changed();
    }
  }

  private changed(): void {
    if (this.waitingReceivers + this.waitingSenders === 0) return;
    const { change } = this;
    this.change = new Latch();
    change.set();
  }

  private option(name: number): number {
    const value = new Int32Array(1);
    const length = new BigUint64Array([4n]);
    this.check(zmq().zmq_getsockopt(this.open, name, value, length), "zmq_getsockopt");
    return value[0]!;
  }

  private setOption(name: number, value: number): void {
    this.check(zmq().zmq_setsockopt(this.open, name, new Int32Array([value]), 4), "zmq_setsockopt");
  }

  private check(result: number, call: string, subject?: string): void {
    if (result !== 0) throw new ZeroMQError(call, subject);
  }
}

function cString(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

const Option = {
  SUBSCRIBE: 6,
  RECEIVE_MORE: 13,
  DESCRIPTOR: 14,
  EVENTS: 15,
  LINGER: 17,
  MAXIMUM_BYTES: 22,
  SEND_HIGH_WATER_MARK: 23,
  RECEIVE_HIGH_WATER_MARK: 24,
  LAST_ENDPOINT: 32,
} as const;
const Event = { IN: 1, OUT: 2 } as const;
const DONT_WAIT = 1;
const SEND_MORE = 2;

/** Enough to make the cost of a turn vanish. */
const MESSAGES_PER_TURN = 64;

const INTERRUPTED = 4;

/** EAGAIN, and EFSM: a REQ socket sends and receives in turn. */
const WOULD_BLOCK = process.platform === "darwin" ? 35 : 11;
const NOT_ITS_TURN = 156_384_763;

const LONGEST_ENDPOINT_BYTES = 256;
