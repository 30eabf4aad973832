/**
 * A connection to a D-Bus message bus. Many tasks may call through it at once; what comes without having been asked for
 * (signals, calls of others) is received with `receive`. Descriptors go both ways.
 *
 * Facts. Descriptors come with a byte of the message that they belong to, and whoever reads that byte without room for them
 * loses them. A message that was sent half-way ruins the connection, and the descriptors in it must be open until it has
 * gone.
 *
 * Decision. One task reads everything, with room for descriptors, and hands each message to whom it is for. A message is
 * sent by the task that wants to, one at a time, and to its end even if that task is cancelled meanwhile.
 */

import { closeSync } from "node:fs";
import {
  BufferedReader,
  Channel,
  ClosedError,
  connectUnix,
  Mutex,
  type Operation,
  shield,
  spawn,
  SystemError,
  type Task,
  timeout,
  TimeoutError,
  UnexpectedEndError,
  type UnixName,
  type UnixStream,
} from "../../src/index.ts";
import { sessionBusAddress, socketsOf } from "./address.ts";
import { type DBusMessage, decode, encode, lengthOf, MessageKind, type MessageToSend, START_BYTES } from "./message.ts";
import { DBusProtocolError, type Value } from "./values.ts";

/** An error that the other side has replied with. */
export class DBusError extends Error {
  override readonly name = "DBusError";
  /** Such as `org.freedesktop.DBus.Error.ServiceUnknown`. */
  readonly code: string;

  constructor(code: string, explanation: string) {
    super(explanation === "" ? code : `${code}: ${explanation}`);
    this.code = code;
  }
}

/** The connection ended: a reply that was waited for will not come. */
export class DBusDisconnectedError extends Error {
  override readonly name = "DBusDisconnectedError";
  readonly code = "ERR_DBUS_DISCONNECTED";
}

/** What a call comes to: its reply, or that there will be none. */
type Outcome = DBusMessage | DBusDisconnectedError;

/** A call of a method. */
export interface MethodCall {
  /** Whose; by default the bus's own. */
  readonly destination?: string | undefined;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string | undefined;
  /** A value of type `h` is a descriptor to pass. It stays the caller's to close, once the reply has come. */
  readonly body?: readonly Value[] | undefined;
}

/**
 * Connects to a bus, by default to that of the session, and says hello. The connection ends when it is closed, or with its
 * scope.
 * @throws SystemError if nobody is there; DBusProtocolError if the bus lets nobody in, or is none
 */
export function* openDBus(address: string = sessionBusAddress()): Operation<DBus> {
  const bus = new DBus(yield* connectFirst(socketsOf(address)));
  try {
    yield* bus.authenticate();
    bus.reading = yield* spawn(() => bus.readAll(), { name: "D-Bus reader", daemon: true });
    using hello = yield* bus.callBus("Hello");
    bus.name = String(hello.body[0]);
    return bus;
  } finally {
    if (bus.name === "") bus.close();
  }
}

export class DBus implements Disposable {
  /** The unique name that the bus has given to this connection, such as `:1.42`. */
  name = "";
  /** The task that reads. */
  reading: Task<void> | null = null;
  private readonly reader: BufferedReader;
  private readonly sendLock = new Mutex({ name: "sending to the bus" });
  private readonly replies = new Map<number, Channel<Outcome>>();
  private readonly incoming = new Channel<DBusMessage>(MOST_UNRECEIVED, { name: "messages of the bus" });
  /** Descriptors whose message has not come whole yet. */
  private readonly descriptors: number[] = [];
  private lastSerial = 0;
  private failure: DBusDisconnectedError | null = null;

  /** For `openDBus`. */
  constructor(private readonly stream: UnixStream) {
    this.reader = new BufferedReader({ label: stream.label, read: (buffer) => this.readSome(buffer) });
  }

  /**
   * Calls a method and waits for the reply.
   * @returns the reply; disposing of it closes descriptors that came with it and were not taken
   * @throws DBusError if the other side replies with an error; DBusDisconnectedError if the connection ends first
   */
  *call({ destination = BUS, ...call }: MethodCall): Operation<DBusMessage> {
    const serial = this.nextSerial();
    const outcome = new Channel<Outcome>(1);
    this.replies.set(serial, outcome);
    try {
      yield* this.sendAs(serial, { kind: MessageKind.CALL, destination, ...call });
      return yield* this.outcomeOf(outcome);
    } finally {
      this.replies.delete(serial);
      // If the task was cancelled, the reply may be there all the same.
      const unwanted = outcome.tryReceive()?.value;
      if (unwanted !== undefined && !(unwanted instanceof Error)) unwanted[Symbol.dispose]();
    }
  }

  /** Calls a method of the bus itself. */
  callBus(member: string, signature?: string, body?: readonly Value[]): Operation<DBusMessage> {
    return this.call({ path: "/org/freedesktop/DBus", interface: BUS, member, signature, body });
  }

  /**
   * The next signal, or call of somebody else. Have a task that takes all that comes: after some hundred that nobody takes,
   * replies wait as well.
   * @throws DBusDisconnectedError when the connection has ended
   */
  *receive(): Operation<DBusMessage> {
    try {
      return yield* this.incoming.receive();
    } catch (error) {
      throw error instanceof ClosedError && this.failure !== null ? this.failure : error;
    }
  }

  /** Replies to a call, unless it wants no reply. */
  *reply(to: DBusMessage, signature = "", body: readonly Value[] = []): Operation<void> {
    if (to.facts.wantsNoReply === true) return;
    const { sender: destination } = to.facts;
    yield* this.send({ kind: MessageKind.REPLY, destination, replySerial: to.serial, signature, body });
  }

  /** Sends a message that has no reply: a signal, a reply. */
  *send(message: MessageToSend): Operation<void> {
    yield* this.sendAs(this.nextSerial(), message);
  }

  close(): void {
    this.reading?.cancel();
    this.end(new DBusDisconnectedError("the connection to the bus was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For `openDBus`: SASL with the mechanism EXTERNAL, in which the kernel says who we are; and asks for descriptors. */
  *authenticate(): Operation<void> {
    const identity = Buffer.from(String(process.getuid!())).toString("hex");
    yield* this.stream.write(`\0AUTH EXTERNAL ${identity}\r\n`);
    yield* this.expectLine("OK ");
    yield* this.stream.write("NEGOTIATE_UNIX_FD\r\n");
    yield* this.expectLine("AGREE_UNIX_FD");
    yield* this.stream.write("BEGIN\r\n");
  }

  /** For `openDBus`: reads until the connection ends. */
  *readAll(): Operation<void> {
    try {
      for (;;) yield* this.dispatch(yield* this.readMessage());
    } catch (error) {
      if (this.failure !== null) return;
      if (!(error instanceof SystemError || error instanceof UnexpectedEndError || error instanceof DBusProtocolError))
        throw error;
      this.end(new DBusDisconnectedError(`the connection to the bus has ended: ${error.message}`, { cause: error }));
    } finally {
      this.end(new DBusDisconnectedError("the connection to the bus was closed"));
    }
  }

  /** Reads with room for descriptors: this is the only call that reads. */
  private *readSome(buffer: Uint8Array): Operation<number> {
    using part = yield* this.stream.receiveDescriptors(buffer, { mostDescriptors: MOST_DESCRIPTORS });
    this.descriptors.push(...part.descriptors.takeAll());
    if (part.areDescriptorsTruncated)
      throw new DBusProtocolError(
        "descriptors were lost, because this process has too many: raise the limit with ulimit -n",
      );
    return part.bytes;
  }

  private *readMessage(): Operation<DBusMessage> {
    const start = new Uint8Array(START_BYTES);
    yield* this.reader.readExactly(start);
    const bytes = new Uint8Array(lengthOf(start));
    bytes.set(start);
    yield* this.reader.readExactly(bytes.subarray(START_BYTES));
    return decode(bytes, (count) => this.takeDescriptors(count));
  }

  private takeDescriptors(count: number): number[] {
    if (count <= this.descriptors.length) return this.descriptors.splice(0, count);
    throw new DBusProtocolError(`a message has ${count} descriptors, but ${this.descriptors.length} have come`);
  }

  private *dispatch(message: DBusMessage): Operation<void> {
    const { kind, replySerial } = message.facts;
    if (kind === MessageKind.CALL || kind === MessageKind.SIGNAL) return yield* this.deliver(message);
    const outcome = replySerial === undefined ? undefined : this.replies.get(replySerial);
    // Whoever has called may have been cancelled since.
    if (outcome?.trySend(message) !== true) message[Symbol.dispose]();
  }

  private *deliver(message: DBusMessage): Operation<void> {
    let isDelivered = false;
    try {
      yield* this.incoming.send(message);
      isDelivered = true;
    } finally {
      if (!isDelivered) message[Symbol.dispose]();
    }
  }

  private *outcomeOf(outcome: Channel<Outcome>): Operation<DBusMessage> {
    const reply = yield* outcome.receive();
    if (reply instanceof Error) throw reply;
    if (reply.facts.kind !== MessageKind.ERROR) return reply;
    using refusal = reply;
    const [explanation] = refusal.body;
    throw new DBusError(
      refusal.facts.errorName ?? "an error without a name",
      typeof explanation === "string" ? explanation : "",
    );
  }

  private *sendAs(serial: number, message: MessageToSend): Operation<void> {
    const { bytes, descriptors } = encode(message, serial);
    using _guard = yield* this.sendLock.lock();
    if (this.failure !== null) throw this.failure;
    try {
      yield* shield(timeout(LONGEST_SEND_MS, () => this.stream.sendDescriptors(bytes, descriptors)));
    } catch (error) {
      if (error instanceof TimeoutError)
        this.end(new DBusDisconnectedError("the bus does not take what is sent to it"));
      throw error;
    }
  }

  private nextSerial(): number {
    this.lastSerial = this.lastSerial === LAST_SERIAL ? 1 : this.lastSerial + 1;
    return this.lastSerial;
  }

  private *expectLine(start: string): Operation<void> {
    const line = yield* this.reader.readUntil("\r\n", { limitBytes: LONGEST_LINE_BYTES });
    const text = new TextDecoder().decode(line ?? new Uint8Array());
    if (line === null || !text.startsWith(start))
      throw new DBusProtocolError(`the bus was expected to answer "${start.trim()}", but answered "${text}"`);
  }

  /** The first reason counts. */
  private end(reason: DBusDisconnectedError): void {
    if (this.failure !== null) return;
    this.failure = reason;
    this.stream.close();
    for (const outcome of this.replies.values()) outcome.trySend(reason);
    for (let left = this.incoming.tryReceive(); left !== null; left = this.incoming.tryReceive())
      left.value[Symbol.dispose]();
    this.incoming.close(reason);
    for (const descriptor of this.descriptors.splice(0)) closeSync(descriptor);
  }
}

function* connectFirst(names: readonly UnixName[]): Operation<UnixStream> {
  const errors: SystemError[] = [];
  for (const name of names) {
    try {
      return yield* connectUnix(name);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      errors.push(error);
    }
  }
  throw errors[0]!;
}

const BUS = "org.freedesktop.DBus";

/** SCM_MAX_FD; the bus itself allows fewer. */
const MOST_DESCRIPTORS = 253;

/** Serials have 32 bits, and 0 is none. */
const LAST_SERIAL = 0xffffffff;

/** A bus that takes nothing for so long hangs. */
const LONGEST_SEND_MS = 25_000;

/** A burst of signals, and no more than a moment's memory. */
const MOST_UNRECEIVED = 512;

/** The specification gives no limit; what the bus answers is a word and an identity. */
const LONGEST_LINE_BYTES = 1_024;
