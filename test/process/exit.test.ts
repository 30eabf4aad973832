/**
 * However a program ends while its reactor is parked, it ends at once and with the exit code that it has without the
 * package.
 */

import { describe, expect, test } from "bun:test";
import { PRELUDE, Script, type ScriptEnd } from "../support/script.ts";
import { gap, testUnless } from "../support/platform.ts";

/** A server that waits for a connection for ever; `parked` is printed once its reactor thread waits in the event queue. */
const PARKED = `${PRELUDE}
const running = run(function* main() {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  yield* listener.accept();
});
`;

/** Ends the program as `then` says, a turn of the event loop after the reactor was found parked. */
const whenParkedDo = (then: string): string =>
  `${PARKED}whenParked(() => setImmediate(() => { console.log("parked"); ${then} }));`;

async function endOf(source: string): Promise<ScriptEnd> {
  // The collector's timer turns the event loop every second, which would hide that nothing else does.
  return await endOfScript(source, { BUN_GC_TIMER_DISABLE: "1" });
}

/**
 * How a program ends for an error that nobody handles. Bun 1.4.5 notices it at the next turn of its event loop, and if it is a
 * rejection, or came in a `setImmediate`, it sleeps first, also without the package: for ever, were it not for the collector's timer.
 */
async function endByError(source: string): Promise<ScriptEnd> {
  return await endOfScript(source);
}

async function endOfScript(source: string, env: Readonly<Record<string, string>> = {}): Promise<ScriptEnd> {
  await using script = Script.start(source, { env });
  expect(await script.line()).toBe("parked");
  return await script.end();
}

describe("with the reactor parked", () => {
  test("process.exit ends the program with its code", async () => {
    expect(await endOf(whenParkedDo("process.exit(3);"))).toEqual({ exitCode: 3, signal: null, stderr: "" });
  });

  test("process.exit runs the exit handlers, which may still use what they like", async () => {
    const source = whenParkedDo(`process.on("exit", (code) => { process.exitCode = code + 1; }); process.exit(3);`);
    expect(await endOf(source)).toMatchObject({ exitCode: 4, signal: null });
  });

  test("process.exit from within a task ends the program with its code", async () => {
    const source = `${PARKED}
      run(function* exiting() {
        yield* promise(new Promise((resolve) => whenParked(() => setImmediate(resolve))));
        console.log("parked");
        process.exit(7);
      });`;
    expect(await endOf(source)).toMatchObject({ exitCode: 7, signal: null });
  });

  test("a thrown error ends the program with code 1 and its message", async () => {
    const end = await endByError(whenParkedDo(`throw new Error("thrown beside the tasks");`));
    expect(end).toMatchObject({ exitCode: 1, signal: null });
    expect(end.stderr).toContain("thrown beside the tasks");
  });

  test("a run that fails and that nobody handles ends the program with code 1 and its message", async () => {
    const source = `${whenParkedDo("fail();")}
      let fail;
      run(function* failing() {
        yield* promise(new Promise((resolve) => { fail = resolve; }));
        throw new Error("thrown by a task");
      });`;
    const end = await endByError(source);
    expect(end).toMatchObject({ exitCode: 1, signal: null });
    expect(end.stderr).toContain("thrown by a task");
  });

  test("a task that fails while nobody joins it ends the program with code 1 and both names", async () => {
    const source = `${whenParkedDo("fail();")}
      let fail;
      run(function* main() {
        yield* spawn(function* worker() {
          yield* promise(new Promise((resolve) => { fail = resolve; }));
          throw new Error("thrown by a child");
        });
        yield* sleep(Infinity);
      });`;
    const end = await endByError(source);
    expect(end.exitCode).toBe(1);
    expect(end.stderr).toContain("error: thrown by a child");
    expect(end.stderr).toMatch(/task: "task worker \(#\d+\) of task main \(#\d+\)"/);
  });

  testUnless(gap({ win32: "nobody can send a signal to a process of win32" })).each([
    "SIGTERM",
    "SIGINT",
    "SIGHUP",
    "SIGKILL",
  ] as const)("%s ends the program", async (signal) => {
    await using script = Script.start(whenParkedDo(""));
    expect(await script.line()).toBe("parked");
    script.signal(signal);
    expect(await script.end()).toMatchObject({ exitCode: null, signal, stderr: "" });
  });

  testUnless(gap({ win32: "nobody can send a signal to a process of win32" }))(
    "a signal handler that aborts the run lets the program end by itself",
    async () => {
      const source = `${PRELUDE}
      const controller = new AbortController();
      process.on("SIGINT", () => controller.abort("interrupted"));
      const running = run(function* main() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        yield* listener.accept();
      }, { signal: controller.signal });
      whenParked(() => console.log("parked"));
      console.log("aborted:", await running.catch((reason) => reason));
      process.removeAllListeners("SIGINT");`;
      await using script = Script.start(source);
      expect(await script.line()).toBe("parked");
      script.signal("SIGINT");
      expect(await script.line()).toBe("aborted: interrupted");
      expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
    },
  );

  test("shutdown fails the runs with a ClosedError, and the program ends by itself", async () => {
    const source = whenParkedDo(`
      running.catch(({ name }) => console.log("run ended:", name));
      shutdown().then(() => console.log("reactor threads:", countReactorThreads()));
    `);
    await using script = Script.start(source);
    expect(await script.line()).toBe("parked");
    expect([await script.line(), await script.line()].sort()).toEqual(["reactor threads: 0", "run ended: ClosedError"]);
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });
});

describe("a program that falls off its end", () => {
  test("ends when no run is left, although the reactor thread is there", async () => {
    const source = `${PRELUDE}
      await run(function* main() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        yield* spawn(() => listener.accept());
        yield* promise(new Promise(whenParked));
        console.log("parked");
        listener.close();
      }).catch(({ name }) => console.log(name));`;
    await using script = Script.start(source);
    expect(await script.line()).toBe("parked");
    expect(await script.line()).toBe("ClosedError");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("ends when its only task waits for what nobody will do", async () => {
    const source = `${PRELUDE}
      await run(function* main() { yield* sleep(1); });
      void run(function* forgotten() { yield* promise(new Promise(() => {})); });
      console.log("end");`;
    await using script = Script.start(source);
    expect(await script.line()).toBe("end");
    expect(await script.end()).toMatchObject({ exitCode: 0, signal: null });
  });

  test("goes on while a task waits for a connection or a deadline", async () => {
    const source = `${PRELUDE}
      void run(function* main() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        console.log(listener.address.port);
        using stream = yield* listener.accept();
        yield* sleep(20);
        yield* stream.write("served");
      });`;
    await using script = Script.start(source);
    const port = Number(await script.line());
    const received = Promise.withResolvers<string>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_, data) => received.resolve(data.toString()) },
    });
    expect(await received.promise).toBe("served");
    expect(await script.end()).toMatchObject({ exitCode: 0, signal: null });
  });

  test("ends after blockOn, without any thread", async () => {
    const source = `${PRELUDE}
      console.log(blockOn(function* main() { yield* sleep(1); return countReactorThreads(); }));`;
    await using script = Script.start(source);
    expect(await script.line()).toBe("0");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("ends at once when a run that was never parked exits the process", async () => {
    await using script = Script.start(`${PRELUDE}run(function* main() { yield* sleep(1000); }); process.exit(5);`);
    expect(await script.end()).toMatchObject({ exitCode: 5, signal: null });
  });

  test("ends when it exits while the reactor thread is starting, at any turn of the event loop", async () => {
    for (const turns of [0, 1, 5, 20, 100]) {
      const source = `${PRELUDE}
        run(function* main() { yield* sleep(100_000); });
        let left = ${turns};
        (function count() { if (left-- > 0) setImmediate(count); else process.exit(6); })();`;
      await using script = Script.start(source);
      expect(await script.end()).toMatchObject({ exitCode: 6, signal: null });
    }
  });
});
