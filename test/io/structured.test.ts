/** Limits, races and scopes over real sockets: what is cancelled takes no bytes along, and nothing stays behind. */

import { expect, test } from "bun:test";
import {
  cancel,
  connect,
  Latch,
  listen,
  moveOnAfter,
  race,
  run,
  scope,
  sleep,
  spawn,
  type Operation,
  type TcpStream,
} from "../../src/index.ts";

/** Two ends of one connection, for a body. */
function* withPair<T>(body: (near: TcpStream, far: TcpStream) => Operation<T>): Operation<T> {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  const accepting = yield* spawn(() => listener.accept());
  using near = yield* connect({ host: "127.0.0.1", port: listener.address.port });
  yield* cancel(accepting);
  using far = accepting.value;
  return yield* body(near, far);
}

test("a read that ran out of time leaves the connection and its bytes to the next", async () => {
  const text = await run(() =>
    withPair(function* (near, far) {
      const buffer = new Uint8Array(5);
      expect(yield* moveOnAfter(1, near.read(buffer))).toBeUndefined();
      yield* far.write("hello");
      yield* near.readExactly(buffer);
      return new TextDecoder().decode(buffer);
    }),
  );
  expect(text).toBe("hello");
});

test("a read that lost a race has taken nothing", async () => {
  const text = await run(() =>
    withPair(function* (near, far) {
      const opened = new Latch();
      const buffer = new Uint8Array(5);
      yield* spawn(function* () {
        opened.set();
      });
      yield* race([near.read(buffer), opened.wait()]);
      yield* far.write("hello");
      yield* near.readExactly(buffer);
      return new TextDecoder().decode(buffer);
    }),
  );
  expect(text).toBe("hello");
});

test("children of a cancelled scope say goodbye over their connections, the youngest first", async () => {
  const goodbyes: string[] = [];
  await run(() =>
    withPair(function* (near, far) {
      const guest = (name: string) =>
        function* (): Operation<void> {
          try {
            yield* sleep(Infinity);
          } finally {
            yield* near.write(name);
          }
        };
      yield* moveOnAfter(1, () =>
        scope(function* (own) {
          for (const name of ["a", "b", "c"]) yield* own.spawn(guest(name));
        }),
      );
      const buffer = new Uint8Array(3);
      yield* far.readExactly(buffer);
      goodbyes.push(...new TextDecoder().decode(buffer));
    }),
  );
  expect(goodbyes).toEqual(["c", "b", "a"]);
});

test("a limit that is moved while the reactor is parked is kept", async () => {
  const outcome = await run(() =>
    moveOnAfter(Infinity, function* (limit) {
      yield* spawn(function* () {
        yield* sleep(1);
        limit.expireAfter(1);
      });
      yield* sleep(Infinity);
      return "not reached";
    }),
  );
  expect(outcome).toBeUndefined();
});
