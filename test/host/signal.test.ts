/** `signal` and `signals`: what the operating system sends to the process. */

import { afterEach, describe, expect, test } from "bun:test";
import { BusyError, UnsupportedError } from "../../src/core/errors.ts";
import { Executor } from "../../src/core/executor.ts";
import { cancel, join, spawn } from "../../src/core/task-operations.ts";
import { yieldNow } from "../../src/core/yield-now.ts";
import { each } from "../../src/flow/each.ts";
import { signal, signals } from "../../src/host/signal.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { rejectionOf, thrownBy } from "../support/failure.ts";
import { PRELUDE, Script } from "../support/script.ts";
import { virtualRunner } from "./virtually.ts";
import { describeUnless, gap } from "../support/platform.ts";

/** A signal that the test runner does not use itself. */
const NAME = "SIGUSR2";
const OTHER = "SIGWINCH";

const run = virtualRunner();

/** Sends a signal to this process; it is delivered at a later turn of the event loop. */
function send(name: NodeJS.Signals): void {
  process.kill(process.pid, name);
}

/** Waits until a signal has been delivered to whoever listened before. */
function delivered(name: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => void process.once(name, () => resolve()));
}

function listeners(): number {
  return process.listenerCount(NAME) + process.listenerCount(OTHER);
}

afterEach(() => {
  expect(listeners()).toBe(0);
});

describeUnless(gap({ win32: "nobody can send a signal to a process of win32" }))("signal", () => {
  test("waits for the next signal, and returns its name", async () => {
    const received = run(() => signal(NAME), {});
    await Promise.resolve();
    send(NAME);
    expect(await received).toBe(NAME);
  });

  test("waits for any of several, and listens to none of them afterwards", async () => {
    const received = run(function* main() {
      const name = yield* signal([OTHER, NAME]);
      expect(listeners()).toBe(0);
      return name;
    }, {});
    await Promise.resolve();
    expect(listeners()).toBe(2);
    send(NAME);
    expect(await received).toBe(NAME);
  });

  test("stops listening when it is cancelled", async () => {
    await run(function* main() {
      const child = yield* spawn(() => signal(NAME));
      yield* yieldNow();
      expect(listeners()).toBe(1);
      expect(child.waitsFor).toBe(NAME);
      yield* cancel(child);
      expect(listeners()).toBe(0);
    }, {});
  });

  test("tells every task that waits", async () => {
    const received = run(function* main() {
      const first = yield* spawn(() => signal(NAME));
      const second = yield* spawn(() => signal(NAME));
      return [yield* join(first), yield* join(second)];
    }, {});
    await Promise.resolve();
    send(NAME);
    expect(await received).toEqual([NAME, NAME]);
  });

  test.each([
    ["SIGFOO", 'signal: "SIGFOO" is no signal of this system: it is called like "SIGINT"'],
    ["toString", 'signal: "toString" is no signal of this system: it is called like "SIGINT"'],
    [2, 'signal: 2 is no signal of this system: it is called like "SIGINT"'],
    ["SIGKILL", "signal: no program can listen for SIGKILL"],
    ["SIGSTOP", "signal: no program can listen for SIGSTOP"],
  ])("refuses %p", (name, message) => {
    expect(() => signal([name as NodeJS.Signals])).toThrow(new TypeError(message));
  });

  test("refuses an empty list", () => {
    expect(() => signal([])).toThrow(new TypeError("signal: the list of signals is empty"));
  });

  test("is refused in blockOn, where it could not be delivered", () => {
    const blockOn = (): unknown => new Executor(new VirtualDriver()).blockOn(() => signal(NAME));
    expect(thrownBy(blockOn, UnsupportedError).message).toContain("waits for SIGUSR2 inside blockOn");
  });
});

describeUnless(gap({ win32: "nobody can send a signal to a process of win32" }))("signals", () => {
  test("gives one signal after the other", async () => {
    using subscription = signals([NAME, OTHER]);
    for (const name of [NAME, OTHER, NAME] as const) {
      const received = run(() => subscription.next(), {});
      send(name);
      expect(await received).toEqual({ done: false, value: name });
    }
  });

  test("keeps what comes while no task waits: of each name one, in order", async () => {
    using subscription = signals([NAME, OTHER]);
    for (const name of [OTHER, NAME, OTHER, NAME] as const) {
      const wasDelivered = delivered(name);
      send(name);
      await wasDelivered;
    }
    const received = await run(function* main() {
      return [yield* subscription.next(), yield* subscription.next()].map(({ value }) => value);
    }, {});
    expect(received).toEqual([OTHER, NAME]);
    const next = run(() => subscription.next(), {});
    send(NAME);
    expect((await next).value).toBe(NAME);
  });

  test("keeps the signal that a task was given and was cancelled before it took it", async () => {
    using subscription = signals(NAME);
    await run(function* main() {
      const child = yield* spawn(() => subscription.next());
      yield* yieldNow();
      process.emit(NAME, NAME);
      yield* cancel(child);
      expect(child.state).toBe("cancelled");
      expect(yield* subscription.next()).toEqual({ done: false, value: NAME });
    }, {});
  });

  test("is iterated with each, and stops listening when the loop is left", async () => {
    const received: string[] = [];
    await run(function* main() {
      setImmediate(send, NAME);
      for (const name of yield* each(signals([NAME, OTHER]))) {
        received.push(name);
        if (name === OTHER) break;
        setImmediate(send, OTHER);
        yield* each.next();
      }
      expect(listeners()).toBe(0);
    }, {});
    expect(received).toEqual([NAME, OTHER]);
  });

  test("ends a task's wait when it is closed, and says so to every later one", async () => {
    const subscription = signals(NAME);
    const results = await run(function* main() {
      const child = yield* spawn(() => subscription.next());
      yield* yieldNow();
      subscription.close();
      subscription.close();
      return [yield* join(child), yield* subscription.next()];
    }, {});
    expect(results).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
  });

  test("goes on after a wait that was cancelled", async () => {
    using subscription = signals(NAME);
    const received = run(function* main() {
      const child = yield* spawn(() => subscription.next());
      yield* yieldNow();
      yield* cancel(child);
      expect(listeners()).toBe(1);
      setImmediate(send, NAME);
      return yield* subscription.next();
    }, {});
    expect((await received).value).toBe(NAME);
  });

  test("refuses a second task that waits", async () => {
    using subscription = signals(NAME);
    const error = await rejectionOf(
      run(function* main() {
        const first = yield* spawn(() => subscription.next());
        yield* yieldNow();
        try {
          yield* subscription.next();
        } finally {
          first.cancel();
        }
      }, {}),
      BusyError,
    );
    expect(error.message).toBe("another task waits for SIGUSR2 already");
  });
});

describeUnless(gap({ win32: "nobody can send a signal to a process of win32" }))("in a process of its own", () => {
  const source = (body: string): string => `${PRELUDE}
    import { each } from "../../src/flow/each.ts";
import { signal, signals } from ${JSON.stringify(new URL("../../src/host/signal.ts", import.meta.url).href)};
    ${body}`;

  test("a task that waits for a signal keeps the process alive, which has its default action again afterwards", async () => {
    await using script = Script.start(
      source(`
        void run(function* main() {
          setImmediate(() => console.log("waiting"));
          console.log("received", yield* signal("SIGTERM"));
          setInterval(() => {}, 1_000);
        });`),
    );
    expect(await script.line()).toBe("waiting");
    script.signal("SIGTERM");
    expect(await script.line()).toBe("received SIGTERM");
    script.signal("SIGTERM");
    expect(await script.end()).toEqual({ exitCode: null, signal: "SIGTERM", stderr: "" });
  });

  test("the process ends by itself after the last wait", async () => {
    await using script = Script.start(
      source(`
        void run(function* main() {
          using subscription = signals(["SIGHUP", "SIGINT"]);
          for (let index = 0; index < 3; index++) {
            console.log("waiting");
            console.log((yield* subscription.next()).value);
          }
        });`),
    );
    for (const name of ["SIGHUP", "SIGINT", "SIGHUP"] as const) {
      expect(await script.line()).toBe("waiting");
      script.signal(name);
      expect(await script.line()).toBe(name);
    }
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("a listener between two waits does not keep the process alive", async () => {
    await using script = Script.start(source(`signals("SIGHUP"); console.log("end");`));
    expect(await script.line()).toBe("end");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("a Worker is told that it gets no signals", async () => {
    const worker = source(
      `try { signal("SIGINT"); } catch (error) { postMessage(error.name + ": " + error.message); }`,
    );
    await using script = Script.start(
      `const worker = new Worker(new URL("./worker.ts", import.meta.url));
       worker.onmessage = ({ data }) => { console.log(data); worker.terminate(); };`,
      { files: { "worker.ts": worker } },
    );
    expect(await script.line()).toBe("UnsupportedError: signal: a Worker gets no signals, only the main thread does");
    expect(await script.end()).toMatchObject({ exitCode: 0, signal: null });
  });
});

describe("what the host tells of a console", () => {
  test("ends a wait like a signal: Ctrl-C, Ctrl-Break", async () => {
    const names = process.platform === "win32" ? (["SIGINT", "SIGBREAK"] as const) : (["SIGINT"] as const);
    for (const name of names) {
      const listeners = process.listenerCount(name);
      const waiting = run(() => signal(name), {});
      while (process.listenerCount(name) === listeners) await hostTurn();
      process.emit(name, name);
      expect(await waiting).toBe(name);
      expect(process.listenerCount(name)).toBe(listeners);
    }
  });
});
