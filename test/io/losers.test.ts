/** What loses a race in the moment in which it could have gone on takes nothing, and opens nothing that nobody would close. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  any,
  bindUdp,
  cancel,
  connect,
  connectUnix,
  fdStream,
  listen,
  listenUnix,
  openPipe,
  openPty,
  openUnixDatagram,
  type Operation,
  type Pty,
  race,
  rawMode,
  readable,
  run,
  select,
  Semaphore,
  sleep,
  source,
  spawn,
  SystemError,
  type TcpStream,
  tlsAccept,
  tlsConnect,
  UnexpectedEndError,
  unixDatagramPair,
  unixPair,
  watch,
  yieldNow,
} from "../../src/index.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { AUTHORITY, SERVER } from "../support/certificates.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { EventCounter } from "../support/libc.ts";
import { onePoll, openReactor, WAYS } from "../support/loopback.ts";
import { pathName } from "../support/unix.ts";
import { testUnless } from "../support/platform.ts";
import { NEEDS_UNIX_SOCKETS, needs } from "../support/needs.ts";

beforeAll(openReactor);

/** The loser breaks off in the middle of the handshake, or just after it. */
function* serveTls(below: TcpStream): Operation<void> {
  try {
    using stream = yield* tlsAccept(below, SERVER);
    yield* stream.read(new Uint8Array(1));
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof UnexpectedEndError)) throw error;
  }
}

/** Two operations, of which one counts, and what it has. */
type Contest = <T>(make: () => Operation<T>) => Operation<T>;

const CONTESTS: readonly (readonly [string, Contest])[] = [
  ["race", (make) => race([() => make(), () => make()])],
  ["any", (make) => any([() => make(), () => make()])],
  [
    "select",
    function* (make) {
      return (yield* select({ one: () => make(), two: () => make() })).value;
    },
  ],
];

/** What opens something, and why it cannot here. */
const OPENERS: readonly (readonly [string, string | null, () => Operation<Disposable>])[] = [
  ["openPipe", needs("pipes"), openPipe],
  ["openPty", needs("terminals"), openPty],
  ["unixPair", needs("unixPairs"), unixPair],
  ["unixDatagramPair", needs("unixDatagrams"), unixDatagramPair],
  ["openUnixDatagram", needs("unixDatagrams"), openUnixDatagram],
  ["listen", null, () => listen({ port: 0, host: "127.0.0.1" })],
  ["bindUdp", null, () => bindUdp({ port: 0, host: "127.0.0.1" })],
  ["watch", needs("watching"), () => watch("/tmp")],
];

describe.each(WAYS)("in %s", (_way, way) => {
  expectNothingLeftBehind();

  test.each(CONTESTS)("the loser of %s whose descriptor is ready in the same turn has not taken from it", (_name, of) =>
    way(function* main() {
      using counters = new DisposableStack();
      const waiting = [0, 1].map(() => counters.use(new EventCounter()));
      const [first, second] = [...waiting];
      let next = 0;
      yield* spawn(function* makeBothReady() {
        while (next < 2) yield* yieldNow();
        for (const counter of waiting) counter.signal();
      });
      const taken = yield* of(function* take() {
        const counter = waiting[next++]!;
        yield* readable(counter.descriptor);
        return counter.take();
      });
      expect(taken).toBe(1n);
      // One of them still has its count, which a second look finds at once.
      const left = yield* race([readable(first!.descriptor), readable(second!.descriptor)]);
      expect(left).toBeGreaterThan(0);
    }),
  );

  test.each(CONTESTS)("of two connections that %s makes the one that nobody gets is closed", (_name, of) =>
    way(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      const { port } = listener.address;
      using stream = yield* of(() => connect({ port, host: "127.0.0.1" }));
      for (let index = 0; index < 2; index++) {
        using accepted = yield* listener.accept();
        // The other one has been closed without a word; the winner's peer is still there.
        if (accepted.remoteAddress.port === stream.localAddress.port) yield* stream.write("x");
        else expect(yield* accepted.read(new Uint8Array(1))).toBe(0);
      }
    }),
  );

  for (const [name, lack, open] of OPENERS)
    testUnless(lack)(`${name} opens nothing in an arm that has lost before it began`, () =>
      way(function* main() {
        yield* race([() => open(), new Semaphore(1).acquire()]);
        yield* select({ loser: open, winner: new Semaphore(1).acquire() });
      }),
    );

  testUnless(needs("terminals")).each<[string, (pty: Pty) => Operation<Disposable>]>([
    ["openTerminal", (pty) => pty.openTerminal()],
    ["openDescriptor", (pty) => pty.openDescriptor()],
  ])("%s opens no end of a terminal in an arm that has lost before it began", (_name, open) =>
    way(function* main() {
      using pty = yield* openPty();
      yield* race([() => open(pty), new Semaphore(1).acquire()]);
    }),
  );

  testUnless(needs("terminals")).each<[string, (descriptor: number) => Operation<Disposable>]>([
    ["rawMode", rawMode],
    ["fdStream", (descriptor) => fdStream(descriptor, { keepOpen: true })],
    ["source", source],
  ])("%s leaves a descriptor as it is in an arm that has lost before it began", (_name, change) =>
    way(function* main() {
      using pty = yield* openPty();
      using end = yield* pty.openDescriptor();
      const { files, terminals } = nativeSystem();
      const before = terminals.getMode(end.descriptor);
      yield* race([() => change(end.descriptor), new Semaphore(1).acquire()]);
      expect(terminals.getMode(end.descriptor)).toEqual(before);
      expect(files.isNonBlocking(end.descriptor)).toBe(0);
      using own = yield* source(end.descriptor);
      expect(own).toHaveProperty("source.keepers", 1);
    }),
  );

  testUnless(needs("pipes"))("a clean-up opens what it needs", () =>
    way(function* main() {
      let hasOpened = false;
      const task = yield* spawn(function* cleaning() {
        try {
          yield* sleep(Infinity);
        } finally {
          using _pipe = yield* openPipe();
          hasOpened = true;
        }
      });
      yield* yieldNow();
      yield* cancel(task);
      expect(hasOpened).toBe(true);
    }),
  );

  testUnless(NEEDS_UNIX_SOCKETS).each(CONTESTS)(
    "of two connections that wait for a backlog of the unix domain, %s leaves one",
    (_name, of) =>
      way(function* main() {
        using name = pathName();
        using listener = yield* listenUnix({ path: name.path!, backlog: 1 });
        using waiting = new DisposableStack();
        for (let index = 0; index < 2; index++) waiting.use(yield* connectUnix(name));
        yield* spawn(function* makeRoom() {
          yield* onePoll();
          for (let index = 0; index < 2; index++) (yield* listener.accept()).close();
        });
        using _stream = yield* of(() => connectUnix(name));
      }),
  );
});

describe("what needs the host's event loop", () => {
  expectNothingLeftBehind();

  test.each(CONTESTS)("of two sockets with a name that %s opens the one that nobody gets is closed", (_name, of) =>
    run(function* main() {
      using _listener = yield* of(() => listen({ port: 0, host: "localhost" }));
      using _socket = yield* of(() => bindUdp({ port: 0, host: "localhost" }));
    }),
  );

  test.each(CONTESTS)("of two TLS sessions that %s begins the one that nobody gets is closed", (_name, of) =>
    run(function* main() {
      using listener = yield* listen({ port: 0, host: "127.0.0.1" });
      const { port } = listener.address;
      yield* spawn(
        function* serve() {
          for (;;) {
            const below = yield* listener.accept();
            yield* spawn(() => serveTls(below));
          }
        },
        { daemon: true },
      );
      using _stream = yield* of(function* open() {
        const below = yield* connect({ port, host: "127.0.0.1" });
        return yield* tlsConnect(below, { serverName: "localhost", ca: AUTHORITY.cert });
      });
    }),
  );
});
