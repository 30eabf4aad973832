/** Operations that are always ready: they must neither overflow the stack nor keep others from their turn. */

import { expect, test } from "bun:test";
import { Executor, type Operation, Readiness, spawn, TcpStream, yieldNow } from "../../src/index.ts";
import { ScriptedWorld } from "../support/scripted-world.ts";
import { settled } from "../support/settled.ts";

const MANY = 1_000_000;

/** A stream with always something to read and room to write. */
function endlessStream(): { world: ScriptedWorld; stream: TcpStream } {
  const world = new ScriptedWorld({}, {}, { receive: (_descriptor, _buffer, _offset, length) => length });
  // A turn is bounded in time, so time has to pass.
  world.now = () => performance.now() * 1e6;
  return { world, stream: new TcpStream(world.system, 7) };
}

const ACTIONS: Readonly<Record<string, (stream: TcpStream) => Operation<unknown>>> = {
  read: (stream) => stream.read(new Uint8Array(1)),
  readable: (stream) => stream.readable(),
  write: (stream) => stream.write("x"),
};

test.each(Object.keys(ACTIONS))(
  "a million times %s at once lets the host's timers and other tasks in",
  async (name) => {
    const { world, stream } = endlessStream();
    const action = ACTIONS[name]!;
    let done = 0;
    let doneAtTimer = -1;
    let otherTurns = 0;
    setTimeout(() => (doneAtTimer = done), 0);
    await settled(
      world,
      new Executor(world).run(function* main() {
        yield* spawn(function* other() {
          while (done < MANY) {
            otherTurns++;
            yield* yieldNow();
          }
        });
        for (; done < MANY; done++) yield* action(stream);
      }),
    );
    expect(done).toBe(MANY);
    expect(doneAtTimer).toBeGreaterThanOrEqual(0);
    expect(doneAtTimer).toBeLessThan(MANY);
    expect(otherTurns).toBeGreaterThan(1000);
  },
);

test("readExactly fills a buffer from a hundred thousand reads of one byte", async () => {
  const world = new ScriptedWorld({}, {}, { receive: receiveOne });
  const stream = new TcpStream(world.system, 7);
  let received = 0;
  await settled(
    world,
    new Executor(world).run(() => stream.readExactly(new Uint8Array(100_000))),
  );
  expect(received).toBe(100_000);

  // A short read has emptied the socket, so each byte is announced by an event of its own.
  function receiveOne(descriptor: number): number {
    received++;
    if (received < 100_000) world.declareReady(descriptor, Readiness.READABLE);
    return 1;
  }
});
