/** `main`: a program ends with the exit code that shells expect, cleans up before, and leaves no listener behind. */

import { describe, expect, test } from "bun:test";
import { PRELUDE, Script } from "../support/script.ts";
import { describeUnless, gap, testUnless } from "../support/platform.ts";

const at = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

const PROGRAM = `${PRELUDE}
import { main } from ${at("main.ts")};
import { call } from ${at("host/call.ts")};
import { signal } from ${at("host/signal.ts")};
const EVENTS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "beforeExit"];
const listeners = () => EVENTS.reduce((count, name) => count + process.listenerCount(name), 0);
`;

const start = (source: string): Script => Script.start(PROGRAM + source);

/** A main task that waits, and takes a moment to clean up; \`cleanUp\` is the body of its finally block. */
const waiting = (cleanUp: string, options = "{}"): string => `
  await main(function* program() {
    try {
      setImmediate(() => console.log("waiting"));
      yield* sleep(Infinity);
    } finally { ${cleanUp} }
  }, ${options});
  console.log("listeners:", listeners());`;

describe("without a signal", () => {
  test("a task that returns ends the program with 0, by itself", async () => {
    await using script = start(`
      await main(function* program() { yield* sleep(1); console.log("listeners:", listeners() > 0); return 7; });
      console.log("listeners:", listeners());`);
    expect(await script.line()).toBe("listeners: true");
    expect(await script.line()).toBe("listeners: 0");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("the exit code that the program has set stays", async () => {
    await using script = start(`await main(function* program() { process.exitCode = 3; });`);
    expect(await script.end()).toMatchObject({ exitCode: 3, signal: null });
  });

  test("a task that throws ends the program with 1, and its error is printed with stack and task path", async () => {
    await using script = start(`
      function* inner() { yield* sleep(1); throw new RangeError("of a child", { cause: new Error("the cause") }); }
      await main(function* program() { yield* spawn(function* child() { yield* inner(); }); yield* sleep(Infinity); });
      console.log("listeners:", listeners());`);
    expect(await script.line()).toBe("listeners: 0");
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^RangeError: of a child\n {4}at inner \(.*main\.ts:/);
    expect(stderr).toMatch(/ {4}in task child \(#\d+\)\n {4}of task program \(#\d+\)\n/);
    expect(stderr).toMatch(/\ncaused by:\n {2}Error: the cause\n/);
  });

  test("what is thrown that is no error is printed too", async () => {
    await using script = start(`await main(function* program() { throw "a word"; });`);
    expect(await script.end()).toEqual({
      exitCode: 1,
      signal: null,
      stderr: '"a word" was thrown, which is no Error\n',
    });
  });

  test("what else the program has started goes on after the task", async () => {
    await using script = start(`
      setTimeout(() => console.log("goes on"), 20);
      await main(function* program() { console.log("returned"); });`);
    expect(await script.line()).toBe("returned");
    expect(await script.line()).toBe("goes on");
    expect(await script.end()).toMatchObject({ exitCode: 0 });
  });

  test("a program whose tasks nothing can wake is cancelled with a DeadlockError instead of ending in silence", async () => {
    await using script = start(`
      void main(function* program() {
        try { yield* promise(new Promise(() => {})); } finally { yield* sleep(1); console.log("cleaned up"); }
      });`);
    expect(await script.line()).toBe("cleaned up");
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^DeadlockError: .*task program \(#\d+\) waits for a promise\n/);
  });

  test("a clean-up that nothing can wake either does not keep the program for ever", async () => {
    await using script = start(`
      void main(function* program() {
        const never = new Promise(() => {});
        try { yield* promise(never); } finally { yield* promise(never); }
      }, { cleanupMs: 5 });`);
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("CleanupTimeoutError");
  });
});

describeUnless(gap({ win32: "nobody can send a signal to a process of win32" }))("with a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s cancels the task, awaits the clean-up, and ends the program with %d", async (name, exitCode) => {
    await using script = start(waiting(`yield* sleep(5); console.log("cleaned up");`));
    expect(await script.line()).toBe("waiting");
    script.signal(name);
    expect(await script.line()).toBe("cleaned up");
    expect(await script.line()).toBe("listeners: 0");
    expect(await script.end()).toEqual({ exitCode, signal: null, stderr: "" });
  });

  test("the tasks are told which signal it was", async () => {
    await using script = start(`
      await main(function* program() {
        yield* call((signal) => {
          console.log("waiting");
          signal.addEventListener("abort", () => console.log(signal.reason.name, signal.reason.signal), { once: true });
          return new Promise((resolve) => setTimeout(resolve, 100_000).unref());
        });
      });`);
    expect(await script.line()).toBe("waiting");
    script.signal("SIGTERM");
    expect(await script.line()).toBe("SignalError SIGTERM");
    expect(await script.end()).toMatchObject({ exitCode: 143 });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("a second one, here %s, ends the program at once with %d", async (name, exitCode) => {
    await using script = start(
      waiting(
        `console.log("cleaning up"); yield* sleep(100_000); console.log("not reached");`,
        "{ cleanupMs: Infinity, echoMs: 0 }",
      ),
    );
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect(await script.line()).toBe("cleaning up");
    script.signal(name);
    expect(await script.end()).toEqual({ exitCode, signal: null, stderr: "" });
  });

  test("the same one that comes twice at the same moment, as from bun run, counts as one", async () => {
    await using script = start(waiting(`yield* sleep(5); console.log("cleaned up");`, "{ echoMs: 100_000 }"));
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    script.signal("SIGINT");
    expect(await script.line()).toBe("cleaned up");
    expect(await script.lineAfter("listeners:")).toBe("0");
    expect(await script.end()).toMatchObject({ exitCode: 130 });
  });

  test("another one ends the program even at the same moment", async () => {
    await using script = start(
      waiting(`console.log("cleaning up"); yield* sleep(100_000);`, "{ cleanupMs: Infinity, echoMs: 100_000 }"),
    );
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect(await script.line()).toBe("cleaning up");
    script.signal("SIGTERM");
    expect(await script.end()).toEqual({ exitCode: 143, signal: null, stderr: "" });
  });

  test("an error of the clean-up is printed, and ends the program with 1", async () => {
    await using script = start(waiting(`throw new Error("of the clean-up");`));
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect(await script.line()).toBe("listeners: 0");
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(1);
    expect(stderr).toStartWith("Error: of the clean-up\n");
  });

  test("children end before the main task's finally blocks, the youngest first", async () => {
    await using script = start(`
      await main(function* program() {
        for (const name of ["first", "second"]) {
          yield* spawn(function* child() {
            try { yield* sleep(Infinity); } finally { console.log(name); }
          });
        }
        setImmediate(() => console.log("waiting"));
        try { yield* sleep(Infinity); } finally { console.log("main"); }
      });`);
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect([await script.line(), await script.line(), await script.line()]).toEqual(["second", "first", "main"]);
    expect(await script.end()).toMatchObject({ exitCode: 130 });
  });

  test("after the task the signals have their default action again", async () => {
    await using script = start(`
      setInterval(() => {}, 1_000);
      ${waiting("")}`);
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect(await script.line()).toBe("listeners: 0");
    script.signal("SIGTERM");
    expect(await script.end()).toMatchObject({ exitCode: null, signal: "SIGTERM" });
  });

  test("it is possible to choose the signals, and to leave SIGINT to a task", async () => {
    await using script = start(`
      await main(function* program() {
        yield* spawn(function* watcher() {
          for (;;) {
            const received = signal("SIGINT");
            setImmediate(() => console.log("waiting"));
            console.log("received", yield* received);
          }
        });
        yield* sleep(Infinity);
      }, { signals: ["SIGHUP"] });`);
    expect(await script.line()).toBe("waiting");
    script.signal("SIGINT");
    expect(await script.line()).toBe("received SIGINT");
    expect(await script.line()).toBe("waiting");
    script.signal("SIGHUP");
    expect(await script.end()).toEqual({ exitCode: 129, signal: null, stderr: "" });
  });

  test("a signal that comes when the task is about to return does not undo that", async () => {
    await using script = start(`
      await main(function* program() {
        yield* reactor.shield(function* () {
          console.log("waiting");
          yield* promise(new Promise((resolve) => process.once("SIGTERM", () => setImmediate(resolve))));
        });
      });`);
    expect(await script.line()).toBe("waiting");
    script.signal("SIGTERM");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });
});

describeUnless(gap({ win32: "nobody can send a signal to a process of win32" }))("SIGUSR1", () => {
  test("prints the live tasks to stderr, as often as it comes, and disturbs nobody", async () => {
    await using script = start(`
      await main(function* program() {
        const connection = Promise.withResolvers();
        yield* spawn(function* worker() { yield* promise(connection.promise); });
        process.on("SIGUSR1", () => console.log("printed"));
        setImmediate(() => console.log("waiting"));
        console.log("received", yield* signal("SIGHUP"));
        connection.resolve();
      });`);
    expect(await script.line()).toBe("waiting");
    for (let time = 0; time < 2; time++) {
      script.signal("SIGUSR1");
      expect(await script.line()).toBe("printed");
    }
    script.signal("SIGHUP");
    expect(await script.line()).toBe("received SIGHUP");
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(0);
    const tree =
      /task program \(#\d+\): suspended for [\d.]+ ms, waits for SIGHUP\n {2}task worker \(#\d+\): suspended for [\d.]+ ms, waits for a promise\n/g;
    expect(stderr.match(tree)).toHaveLength(2);
    expect(stderr.replaceAll(tree, "")).toBe("");
  });
});

describe("what main refuses", () => {
  test("a second main task at the same time", async () => {
    await using script = start(`
      const first = main(function* program() { yield* sleep(5); console.log("first returned"); });
      await main(function* other() {}).catch(({ name, message }) => console.log(name + ": " + message));
      await first;
      await main(function* later() { console.log("later"); });
      console.log("listeners:", listeners());`);
    expect(await script.line()).toBe("BusyError: main: another main task runs, and a process has one");
    expect(await script.line()).toBe("first returned");
    expect(await script.line()).toBe("later");
    expect(await script.line()).toBe("listeners: 0");
    expect(await script.end()).toMatchObject({ exitCode: 0 });
  });

  test("signals that are none", async () => {
    await using script = start(`
      await main(function* program() {}, { signals: ["SIGNAL"] }).catch(({ message }) => console.log(message));
      await main(function* program() {}, { signals: ["SIGKILL"] }).catch(({ message }) => console.log(message));
      console.log("listeners:", listeners());`);
    expect(await script.line()).toBe('main: signals: "SIGNAL" is no signal of this system: it is called like "SIGINT"');
    expect(await script.line()).toBe("main: signals: no program can listen for SIGKILL");
    expect(await script.line()).toBe("listeners: 0");
  });

  test("what is no task, with an error that is printed", async () => {
    await using script = start(`await main(async function program() {});`);
    const { exitCode, stderr } = await script.end();
    expect(exitCode).toBe(1);
    expect(stderr).toStartWith("TypeError: run takes a generator function");
  });
});

testUnless(gap({ wine: "wine 8 replaces no file that a program has open" }))(
  "bun --hot leaves no listener of the program before",
  async () => {
    const generation = (number: number): string => `${PROGRAM}
    void main(function* program() {
      setImmediate(() => console.log("generation ${number}:", process.listenerCount("SIGINT"), process.listenerCount("SIGUSR1")));
      yield* sleep(Infinity);
    }).then(() => console.log("ended ${number}:", listeners()));`;
    await using script = Script.start(generation(0), { command: [process.execPath, "--hot", "--no-clear-screen"] });
    expect(await script.lineAfter("generation 0:")).toBe("1 1");
    for (let reload = 1; reload <= 3; reload++) {
      script.rewrite(generation(reload));
      expect(await script.lineAfter(`generation ${reload}:`)).toBe("1 1");
    }
    script.signal("SIGTERM");
    expect(await script.lineAfter("ended 3:")).toBe("0");
    // Bun itself goes on and waits for the next change of the file.
    script.signal("SIGTERM");
    expect(await script.end()).toMatchObject({ exitCode: null, signal: "SIGTERM" });
  },
);
