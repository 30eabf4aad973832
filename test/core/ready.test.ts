/** `ready`: tasks that wait for sources which were registered by hand. */

import { describe, expect, test } from "bun:test";
import {
  BusyError,
  ClosedError,
  Executor,
  Interest,
  join,
  type Operation,
  OperationReusedError,
  Reactor,
  Readiness,
  ready,
  type Source,
  spawn,
  type TcpStream,
  yieldNow,
} from "../../src/index.ts";
import { connectToSelf, errorOf } from "../support/loopback.ts";

interface Scene {
  readonly reactor: Reactor;
  /** One end of a connection, registered by hand for reading. */
  readonly source: Source;
  readonly stream: TcpStream;
  /** The other end. */
  readonly peer: TcpStream;
}

/** Runs a task on a reactor and an executor of its own. */
function inScene(body: (scene: Scene) => Operation<void>): void {
  using reactor = new Reactor();
  new Executor(reactor).blockOn(function* () {
    const { client, server } = yield* connectToSelf();
    using stream = client;
    using peer = server;
    const source = reactor.registrator().register(stream.descriptor, Interest.READABLE);
    try {
      yield* body({ reactor, source, stream, peer });
    } finally {
      source.close();
    }
  });
}

describe("ready", () => {
  test("suspends the task until the source is ready", () => {
    inScene(function* ({ source, stream, peer }) {
      const waiting = yield* spawn(ready(source, Interest.READABLE));
      yield* yieldNow();
      expect(waiting.state).toBe("suspended");
      yield* peer.write("hello");
      expect((yield* join(waiting)) & Readiness.READABLE).not.toBe(0);
      const buffer = new Uint8Array(8);
      expect(yield* stream.read(buffer)).toBe(5);
    });
  });

  test("ends at once while readiness is known, and waits again when it is taken back", () => {
    inScene(function* ({ source, stream, peer }) {
      yield* peer.write("a");
      yield* ready(source, Interest.READABLE);
      yield* ready(source, Interest.READABLE);
      yield* stream.readExactly(new Uint8Array(1));
      source.clearReadable();
      const waiting = yield* spawn(ready(source, Interest.READABLE));
      yield* yieldNow();
      expect(waiting.state).toBe("suspended");
      yield* peer.write("b");
      yield* join(waiting);
    });
  });

  test("waits for an interest that the source was not registered for", () => {
    inScene(function* ({ source }) {
      expect((yield* ready(source, Interest.WRITABLE)) & Readiness.WRITABLE).not.toBe(0);
    });
  });

  test("refuses a second task for the same direction", () => {
    inScene(function* ({ source }) {
      const first = yield* spawn(ready(source, Interest.READABLE), { name: "first" });
      yield* yieldNow();
      const error = yield* errorOf(ready(source, Interest.READABLE));
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain("task first");
      first.cancel();
    });
  });

  test("tells the task that waits when the source is closed, and whoever comes later", () => {
    inScene(function* ({ source }) {
      const waiting = yield* spawn(errorOf(ready(source, Interest.READABLE)));
      yield* yieldNow();
      source.close();
      expect(yield* join(waiting)).toBeInstanceOf(ClosedError);
      expect(yield* errorOf(ready(source, Interest.READABLE))).toBeInstanceOf(ClosedError);
    });
  });

  test("refuses a source of another reactor, which would never report", () => {
    inScene(function* ({ stream }) {
      using other = new Reactor();
      const source = other.registrator().register(stream.descriptor, Interest.READABLE);
      const error = yield* errorOf(ready(source, Interest.READABLE));
      expect(error).toBeInstanceOf(BusyError);
      expect(error.message).toContain("another reactor");
    });
  });

  test("closing a source that nobody has waited for ends its registration", () => {
    inScene(function* ({ reactor, source }) {
      const before = reactor.registrator().size;
      source.close();
      expect(reactor.registrator().size).toBe(before - 1);
    });
  });

  test("refuses what is no interest, and to be used twice", () => {
    inScene(function* ({ source, peer }) {
      expect(() => ready(source, 0)).toThrow(RangeError);
      expect(() => ready(source, 8)).toThrow(RangeError);
      yield* peer.write("x");
      const operation = ready(source, Interest.READABLE);
      yield* operation;
      expect(yield* errorOf(operation)).toBeInstanceOf(OperationReusedError);
    });
  });
});
