/** A listener that several reactors accept from, as the Workers of a cluster do where the kernel does not balance. */

import { beforeAll, describe, expect, test } from "bun:test";
import {
  connect,
  join,
  listen,
  type Operation,
  promise,
  run,
  scope,
  spawn,
  TcpListener,
  yieldNow,
} from "../../src/index.ts";
import { reserve, SharedTcpListener } from "../../src/io/tcp-listener.ts";
import { nativeSystem } from "../../src/native/system.ts";
import { expectNothingLeftBehind } from "../support/descriptors.ts";
import { errorOf, openReactor } from "../support/loopback.ts";
import { TestReactor } from "../support/reactors.ts";
import { testUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

const HERE = { port: 0, host: "127.0.0.1" };

const CONNECTIONS = 200;

/** One reactor that accepts from another's listener, and counts. */
class Acceptor implements AsyncDisposable {
  readonly reactor = new TestReactor();
  readonly listener: SharedTcpListener;
  accepted = 0;
  released = 0;

  constructor({ descriptor, address }: TcpListener) {
    this.listener = new SharedTcpListener(nativeSystem(), descriptor, address, () => this.released++);
  }

  /** Accepts until the listener is closed, and answers with a byte. */
  start(): Promise<unknown> {
    return this.reactor.run(() => errorOf(this.accept()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    await this.reactor[Symbol.asyncDispose]();
  }

  private *accept(): Operation<never> {
    for (;;) {
      const connection = yield* this.listener.accept();
      this.accepted++;
      yield* connection.write("x");
      connection.close();
    }
  }
}

/** Connects and waits for the answer, one after the other, or all at once. */
function* visit({ address }: TcpListener, count: number, atOnce: boolean): Operation<void> {
  for (let index = 0; index < count; index++) {
    const guest = yield* spawn(function* guest() {
      const connection = yield* connect(address);
      yield* connection.readExactly(new Uint8Array(1));
      connection.close();
    });
    if (!atOnce) yield* join(guest);
  }
}

describe("a listener that is shared", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test.each([
    ["one after the other", false],
    ["all at once", true],
  ])("loses no connection when they come %s, though each wakes all reactors", async (_, atOnce) => {
    await run(function* () {
      using listener = yield* listen(HERE);
      const acceptors = [new Acceptor(listener), new Acceptor(listener), new Acceptor(listener)];
      const ends = acceptors.map((acceptor) => acceptor.start());
      yield* promise(Promise.all(acceptors.map(({ reactor }) => reactor.untilParked())));
      yield* scope(() => visit(listener, CONNECTIONS, atOnce));
      expect(acceptors.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(CONNECTIONS);
      yield* promise(Promise.all(acceptors.map((acceptor) => acceptor[Symbol.asyncDispose]())));
      for (const error of yield* promise(Promise.all(ends))) expect(error).toMatchObject({ name: "ClosedError" });
    });
  });

  test("goes on with the others when one reactor lets go of it, or is gone", async () => {
    await run(function* () {
      using listener = yield* listen(HERE);
      const first = new Acceptor(listener);
      const second = new Acceptor(listener);
      const third = new Acceptor(listener);
      const ends = [first.start(), second.start(), third.start()];
      yield* promise(Promise.all([first, second, third].map(({ reactor }) => reactor.untilParked())));
      first.listener.close();
      first.listener.close();
      expect(first.released).toBe(1);
      second.reactor.reactor.close();
      yield* scope(() => visit(listener, 10, false));
      expect([first.accepted, second.accepted, third.accepted]).toEqual([0, 0, 10]);
      yield* promise(Promise.all([first, second, third].map((acceptor) => acceptor[Symbol.asyncDispose]())));
      yield* promise(Promise.all(ends));
    });
  });

  test("stays open until its own thread closes it", async () => {
    await run(function* () {
      const listener = yield* listen(HERE);
      const acceptor = new Acceptor(listener);
      acceptor.listener.close();
      const client = yield* connect(listener.address);
      const server = yield* listener.accept();
      server.close();
      client.close();
      listener.close();
      expect((yield* errorOf(connect(listener.address))).code).toBe("ECONNREFUSED");
      yield* promise(acceptor[Symbol.asyncDispose]());
    });
  });
});

describe("a place that is reserved", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  testUnless(needs("reusePort"))("is handed no connection, and can be listened on with reusePort", async () => {
    await run(function* () {
      using reserved = yield* reserve(HERE);
      const { address } = reserved;
      expect((yield* errorOf(connect(address))).code).toBe("ECONNREFUSED");
      using listener = yield* listen({ ...address, reusePort: true });
      for (let index = 0; index < 30; index++) {
        const client = yield* connect(address);
        (yield* listener.accept()).close();
        client.close();
      }
      reserved.close();
      reserved.close();
      yield* yieldNow();
      const client = yield* connect(address);
      (yield* listener.accept()).close();
      client.close();
    });
  });

  testUnless(needs("reusePort"))("must not be in use", async () => {
    await run(function* () {
      using listener = yield* listen(HERE);
      expect(yield* errorOf(reserve(listener.address))).toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
    });
  });
});
