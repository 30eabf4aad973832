/** `serve`, with connections that are made up, on a virtual clock; and over real sockets. */

import { beforeAll, describe, expect, spyOn, test } from "bun:test";
import {
  Channel,
  connect,
  listen,
  moveOnAfter,
  type Operation,
  run,
  scope,
  serve,
  sleep,
  spawn,
  SystemError,
  TimeoutError,
  yieldNow,
} from "../src/index.ts";
import { virtualTime } from "../src/test.ts";
import { expectNothingLeftBehind } from "./support/descriptors.ts";
import { rejectionOf } from "./support/failure.ts";
import { errorOf, openReactor } from "./support/loopback.ts";

/** Connections by name, from a channel. What happens is in the log. */
class Door {
  readonly log: string[] = [];
  private readonly guests = new Channel<string>(100);

  come(...names: string[]): void {
    for (const name of names) this.guests.trySend(name);
  }

  *accept(): Operation<Guest> {
    return new Guest(yield* this.guests.receive(), this.log);
  }

  close(): void {
    this.log.push("door closed");
  }
}

class Guest {
  constructor(
    readonly name: string,
    readonly log: string[],
  ) {}

  close(): void {
    this.log.push(`${this.name} closed`);
  }
}

/** Stays for as long as its name says, in milliseconds. */
function* stay(guest: Guest): Operation<void> {
  yield* sleep(Number(guest.name));
  guest.log.push(`${guest.name} served`);
}

describe("serve", () => {
  test("gives each connection a task, and closes it at the task's end", async () => {
    const door = new Door();
    door.come("30", "10", "20");
    await virtualTime(() => serve(door, stay, { until: sleep(100) }));
    expect(door.log).toEqual([
      "10 served",
      "10 closed",
      "20 served",
      "20 closed",
      "30 served",
      "30 closed",
      "door closed",
      "door closed",
    ]);
  });

  test("waits, once until has ended, for the connections up to graceMs, and cancels those that are left", async () => {
    const door = new Door();
    door.come("150", "200", "201", "1000");
    const endMs = await virtualTime(function* (world) {
      yield* serve(door, stay, { until: sleep(100), graceMs: 100.5 });
      return world.nowMs;
    });
    expect(endMs).toBe(200.5);
    expect(door.log.slice(0, 5)).toEqual(["door closed", "150 served", "150 closed", "200 served", "200 closed"]);
    expect(door.log.slice(5)).toEqual(["1000 closed", "201 closed", "door closed"]);
  });

  test("accepts nobody any more while it ends", async () => {
    const door = new Door();
    door.come("200");
    await virtualTime(function* () {
      yield* spawn(function* () {
        yield* sleep(150);
        door.come("1");
      });
      yield* serve(door, stay, { until: sleep(100), graceMs: Infinity });
    });
    expect(door.log).toEqual(["door closed", "200 served", "200 closed", "door closed"]);
  });

  test("ends in the same way when it is cancelled, and whoever cancelled it waits for that", async () => {
    const door = new Door();
    door.come("7000", "20000");
    const endMs = await virtualTime(function* (world) {
      // Longer than clean-ups may take: the connections are no clean-up.
      yield* moveOnAfter(100, () => serve(door, stay, { graceMs: 10_000 }));
      return world.nowMs;
    });
    expect(endMs).toBe(10_100);
    expect(door.log).toEqual(["door closed", "7000 served", "7000 closed", "20000 closed", "door closed"]);
  });

  test("cancels the connections at once when it is cancelled while it ends already", async () => {
    const door = new Door();
    door.come("1000");
    const endMs = await virtualTime(function* (world) {
      yield* moveOnAfter(150, () => serve(door, stay, { until: sleep(100), graceMs: Infinity }));
      return world.nowMs;
    });
    expect(endMs).toBe(150);
    expect(door.log).toEqual(["door closed", "1000 closed", "door closed"]);
  });

  test("cancels the connections at once if there is no grace", async () => {
    const door = new Door();
    door.come("1000");
    const endMs = await virtualTime(function* (world) {
      yield* moveOnAfter(100, () => serve(door, stay));
      return world.nowMs;
    });
    expect(endMs).toBe(100);
    expect(door.log).toEqual(["door closed", "1000 closed", "door closed"]);
  });

  test("lets the clean-up of a connection that is cancelled run, and waits for it", async () => {
    const door = new Door();
    door.come("guest");
    function* cleanUp(guest: Guest): Operation<void> {
      try {
        yield* sleep(1_000);
      } finally {
        yield* sleep(500);
        guest.log.push("cleaned up");
      }
    }
    const endMs = await virtualTime(function* (world) {
      yield* moveOnAfter(100, () => serve(door, cleanUp, { graceMs: 50 }));
      return world.nowMs;
    });
    expect(endMs).toBe(650);
    expect(door.log).toEqual(["door closed", "cleaned up", "guest closed", "door closed"]);
  });

  test("tells the tasks that it is to end", async () => {
    const door = new Door();
    door.come("idle");
    const endMs = await virtualTime(function* (world) {
      yield* serve(door, (_, stopping) => stopping.wait(), { until: sleep(100), graceMs: Infinity });
      return world.nowMs;
    });
    expect(endMs).toBe(100);
  });

  test("ends at once without connections, however long the grace", async () => {
    const endMs = await virtualTime(function* (world) {
      yield* moveOnAfter(100, () => serve(new Door(), stay, { graceMs: Infinity }));
      return world.nowMs;
    });
    expect(endMs).toBe(100);
  });

  test("serves no more than mostConnections at a time", async () => {
    const door = new Door();
    door.come("1", "2", "3", "4", "5");
    let now = 0;
    let most = 0;
    await virtualTime(() =>
      serve(
        door,
        function* () {
          most = Math.max(most, ++now);
          yield* sleep(10);
          now--;
        },
        { mostConnections: 2, until: sleep(100) },
      ),
    );
    expect(most).toBe(2);
    expect(door.log.filter((line) => line.endsWith("closed")).length).toBe(7);
  });

  test("goes on when the task of a connection fails, and tells onError", async () => {
    const door = new Door();
    door.come("first", "5");
    const errors: unknown[] = [];
    const failure = new Error("a defect");
    await virtualTime(() =>
      serve(
        door,
        function* (guest) {
          if (guest.name === "first") throw failure;
          yield* stay(guest);
        },
        { until: sleep(10), onError: (error, { name }) => errors.push(error, name) },
      ),
    );
    expect(errors).toEqual([failure, "first"]);
    expect(door.log).toEqual(["first closed", "5 served", "5 closed", "door closed", "door closed"]);
  });

  test("prints what is unexpected, and passes over what any peer may do", async () => {
    const printed = spyOn(console, "error").mockImplementation(() => {});
    try {
      const door = new Door();
      door.come("reset", "late", "defect");
      await virtualTime(() =>
        serve(
          door,
          function* ({ name }): Operation<void> {
            if (name === "defect") throw new TypeError("x is not a function");
            if (name === "late") throw new TimeoutError("task", 1, "nothing");
            throw new SystemError({ code: "ECONNRESET", errno: -104, syscall: "read", description: "reset" });
          },
          { until: sleep(1) },
        ),
      );
      expect(printed.mock.calls.map(([text]) => String(text).split("\n")[0])).toEqual([
        "TypeError: x is not a function",
      ]);
    } finally {
      printed.mockRestore();
    }
  });

  test("ends with what onError throws, once all is cleaned up", async () => {
    const door = new Door();
    door.come("1000", "bad");
    const failure = new Error("enough");
    const ending = virtualTime(() =>
      serve(
        door,
        function* (guest) {
          if (guest.name === "bad") throw new Error("bad");
          yield* stay(guest);
        },
        {
          onError: () => {
            throw failure;
          },
        },
      ),
    );
    expect(await rejectionOf(ending)).toBe(failure);
    expect(door.log).toEqual(["bad closed", "1000 closed", "door closed"]);
  });

  test("ends gracefully, and then with the error, when until fails", async () => {
    const door = new Door();
    door.come("50");
    const failure = new Error("until");
    const ending = virtualTime(() =>
      serve(door, stay, {
        graceMs: 100,
        until: function* () {
          yield* sleep(10);
          throw failure;
        },
      }),
    );
    expect(await rejectionOf(ending)).toBe(failure);
    expect(door.log).toEqual(["door closed", "50 served", "50 closed", "door closed"]);
  });

  test("ends with the error when accepting fails", async () => {
    const failure = new Error("no more");
    const door = new Door();
    door.accept = function* () {
      yield* sleep(1);
      throw failure;
    };
    expect(await rejectionOf(virtualTime(() => serve(door, stay, { graceMs: 10 })))).toBe(failure);
    expect(door.log).toEqual(["door closed"]);
  });

  test.each([
    [
      () => serve(new Door(), null as never),
      TypeError,
      "serve: the task must be a generator function (function*), but is null",
    ],
    [() => serve(new Door(), stay, { graceMs: -1 }), RangeError, "serve: graceMs"],
    [() => serve(new Door(), stay, { mostConnections: 0 }), RangeError, "serve: mostConnections"],
    [() => serve({ port: -1 }, function* () {}), RangeError, "listen: port"],
  ])("refuses what it cannot use (%#)", async (operation, kind, words) => {
    const error = (await rejectionOf(virtualTime(operation as () => Operation<void>))) as Error;
    expect(error).toBeInstanceOf(kind);
    expect(error.message).toStartWith(words);
  });
});

describe("serve over sockets", () => {
  beforeAll(openReactor);
  expectNothingLeftBehind();

  test("opens a place by itself, survives a reset connection, and leaves nothing", async () => {
    await run(() =>
      scope(function* (server) {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        const { address } = listener;
        listener.close();
        const task = yield* server.spawn(() =>
          serve({ ...address }, function* (connection) {
            const buffer = new Uint8Array(16);
            for (;;) {
              const length = yield* connection.read(buffer);
              if (length === 0) return;
              yield* connection.write(buffer, 0, length);
            }
          }),
        );
        yield* yieldNow();
        const first = yield* connect(address);
        yield* first.write("x");
        yield* first.readExactly(new Uint8Array(1));
        first.reset();
        const second = yield* connect(address);
        yield* second.write("y");
        yield* second.readExactly(new Uint8Array(1));
        const third = yield* connect(address);
        task.cancel();
        expect(yield* second.read(new Uint8Array(1))).toBe(0);
        second.close();
        third.close();
        expect((yield* errorOf(connect(address))).code).toBe("ECONNREFUSED");
      }),
    );
  });
});
