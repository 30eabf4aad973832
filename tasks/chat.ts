/**
 * A chat for `nc` or `telnet`: each line that a guest writes goes to all others.
 *
 *     bun tasks/chat.ts --port 7000 --host 127.0.0.1
 *     nc localhost 7000
 *
 * A guest is asked for a name first; `/who` tells who is there, `/quit` leaves. Who reads too slowly misses lines, and is
 * told how many; nobody waits for it. Without a port the system chooses one. Ctrl-C says goodbye to all: what they have
 * been sent still arrives, for two seconds at most.
 */

import {
  Broadcast,
  type BroadcastSubscription,
  Latch,
  LimitError,
  listen,
  moveOnAfter,
  type Operation,
  race,
  scope,
  type Scope,
  showAddress,
  signal,
  SystemError,
  type TcpListener,
  type TcpStream,
  timeout,
  TimeoutError,
  UnexpectedEndError,
} from "../src/index.ts";
import { readArguments, toPort, toText } from "./support/arguments.ts";
import { runProgram } from "./support/program.ts";

const { port, host } = readArguments("bun tasks/chat.ts [--port N] [--host H]", {
  port: (text = "0") => toPort(text),
  host: (text = "127.0.0.1") => toText(text),
});

/** What is said, and the guest who is not to hear it: mostly its author. */
interface Line {
  readonly text: string;
  readonly author: string;
}

const room = new Broadcast<Line>({ name: "chat" });
const names = new Set<string>();
const closing = new Latch();

/** The guests are tasks of a scope, which ends when they have left; the limit of time bounds how long that takes. */
function* chat(): Operation<void> {
  using listener = yield* listen({ host, port });
  console.log(`listening on ${showAddress(listener.address)}`);
  yield* moveOnAfter(Infinity, (limit) =>
    scope(function* open(guests) {
      yield* race([() => welcome(listener, guests), signal(["SIGINT", "SIGTERM"])]);
      listener.close();
      say("* the chat closes");
      room.close();
      closing.set();
      limit.expireAfter(GOODBYE_MS);
    }),
  );
}

function* welcome(listener: TcpListener, guests: Scope): Operation<never> {
  for (;;) yield* guests.spawn(serve(yield* listener.accept()));
}

function* serve(connection: TcpStream): Operation<void> {
  using stream = connection;
  try {
    stream.noDelay();
    yield* visitOrExplain(stream);
    yield* stream.shutdown();
  } catch (error) {
    // A guest may break its connection at any time, which ends its task and no other.
    if (!GUEST_ERRORS.some((kind) => error instanceof kind)) throw error;
  }
}

function* visitOrExplain(stream: TcpStream): Operation<void> {
  try {
    yield* visit(stream);
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    yield* timeout(GOODBYE_MS, stream.write(`* a line may have ${error.limitBytes} bytes\n`));
  }
}

function* visit(stream: TcpStream): Operation<void> {
  const name = yield* race([() => timeout(INTRODUCTION_MS, introduce(stream)), nobodyWhenClosing]);
  if (name === null) return;
  using inbox = room.subscribe({ capacity: MOST_UNREAD_LINES, overflow: "dropOldest" });
  try {
    say(`* ${name} has come`, name);
    yield* timeout(STALL_MS, stream.write(`Hello ${name}. There are: ${[...names].join(", ")}\n`));
    yield* race([() => hear(stream, name), () => tell(stream, name, inbox)]);
  } finally {
    names.delete(name);
    say(`* ${name} has left`);
  }
}

/** Asks for a name until it is one that nobody has, and takes it; null if the guest leaves instead. */
function* introduce(stream: TcpStream): Operation<string | null> {
  const lines = stream.lines({ limitBytes: LONGEST_LINE_BYTES });
  yield* stream.write("What is your name?\n");
  for (;;) {
    const { value: name, done } = yield* lines.next();
    if (done === true) return null;
    if (!/^[\p{L}\p{N}_-]{1,20}$/u.test(name))
      yield* stream.write("A name has 1 to 20 letters or digits. What is yours?\n");
    else if (names.has(name)) yield* stream.write(`Somebody is called ${name} already. What else is your name?\n`);
    else {
      names.add(name);
      return name;
    }
  }
}

/** Passes on what the guest writes, until it leaves. */
function* hear(stream: TcpStream, name: string): Operation<void> {
  const lines = stream.lines({ limitBytes: LONGEST_LINE_BYTES });
  for (;;) {
    const { value: line, done } = yield* lines.next();
    if (done === true || line === "/quit") return;
    if (line === "/who") say(`* there are: ${[...names].join(", ")}`);
    else if (line !== "") say(`${name}: ${withoutControls(line)}`, name);
  }
}

/** Passes on to the guest what the others write, until the chat closes. */
function* tell(stream: TcpStream, name: string, inbox: BroadcastSubscription<Line>): Operation<void> {
  for (let dropped = 0; ;) {
    const next = yield* inbox.next();
    if (next.done === true) return;
    const lines = [next.value];
    for (let more = inbox.tryReceive(); more !== null; more = inbox.tryReceive()) lines.push(more.value);
    const texts = lines.filter(({ author }) => author !== name).map(({ text }) => `${text}\n`);
    if (inbox.dropped > dropped)
      texts.unshift(`* you read too slowly: ${inbox.dropped - dropped} lines are missing here\n`);
    dropped = inbox.dropped;
    yield* timeout(STALL_MS, stream.writeAll(texts));
  }
}

/** Never waits: whoever has no room misses something. */
function say(text: string, author = ""): void {
  room.trySend({ text, author });
}

function* nobodyWhenClosing(): Operation<null> {
  yield* closing.wait();
  return null;
}

/** What could move the cursor of somebody else's terminal. */
function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "");
}

const GUEST_ERRORS = [SystemError, UnexpectedEndError, TimeoutError];

const LONGEST_LINE_BYTES = 1_000;

/** Some seconds of a lively chat, and some 100 KB at most for each guest. */
const MOST_UNREAD_LINES = 100;

const INTRODUCTION_MS = 60_000;

/** A guest that takes nothing for so long is gone. */
const STALL_MS = 60_000;

const GOODBYE_MS = 2_000;

await runProgram(chat, { signals: [] });
