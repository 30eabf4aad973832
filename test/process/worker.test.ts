/** A Worker of the user that uses the package: however it ends, nothing of it is left in the process. */

import { describe, expect, test } from "bun:test";
import { PRELUDE, Script } from "../support/script.ts";
import { gap, testUnless } from "../support/platform.ts";

/** In the Worker: a server that waits for ever. Tells its port once its reactor thread waits in the event queue. */
const WORKER = `${PRELUDE}
import { parentPort, workerData } from "node:worker_threads";
const running = run(function* main() {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  parentPort.on("message", (message) => {
    if (message === "close") listener.close();
    if (message === "exit") process.exit(5);
    if (message === "throw") throw new Error("thrown in the Worker");
  });
  whenParked(() => parentPort.postMessage(listener.address.port));
  yield* listener.accept();
}).catch(({ name }) => { parentPort.postMessage(name); parentPort.close(); });
`;

/** In the main thread: starts Workers, and looks at what is left of them. */
const MAIN = `${PRELUDE}
import { Worker } from "node:worker_threads";
const start = () => new Worker(new URL("./worker.ts", import.meta.url));
const messageOf = (worker) => new Promise((resolve) => worker.once("message", resolve));
const exitOf = (worker) => new Promise((resolve) => worker.once("exit", resolve));
/** A thread is gone a moment after its end was told. */
const noThreads = () => new Promise((resolve) => {
  (function look() { if (countReactorThreads() === 0) resolve(); else setImmediate(look); })();
});
const isFree = (port) => {
  try { Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true); return true; } catch { return false; }
};
`;

const startMain = (source: string): Script => Script.start(MAIN + source, { files: { "worker.ts": WORKER } });

describe("a Worker that uses the package", () => {
  test("ends by itself when its run has ended, and its reactor thread with it", async () => {
    await using script = startMain(`
      const worker = start();
      const port = await messageOf(worker);
      worker.postMessage("close");
      console.log(await messageOf(worker), await exitOf(worker), isFree(port));
      await noThreads();
      console.log("gone");`);
    expect(await script.line()).toBe("ClosedError 0 true");
    expect(await script.line()).toBe("gone");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("can be terminated while it is parked, time after time", async () => {
    await using script = startMain(`
      for (let time = 0; time < 5; time++) {
        const worker = start();
        await messageOf(worker);
        await worker.terminate();
        await noThreads();
        console.log("gone");
      }`);
    for (let time = 0; time < 5; time++) expect(await script.line()).toBe("gone");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("can be terminated right after it was started, and when it has just come up", async () => {
    await using script = startMain(`
      for (let time = 0; time < 5; time++) {
        const worker = start();
        await worker.terminate();
        const second = start();
        await new Promise((resolve) => second.once("online", resolve));
        await second.terminate();
        await noThreads();
      }
      console.log("gone");`);
    expect(await script.line()).toBe("gone");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("can be terminated while its reactor thread is starting", async () => {
    await using script = Script.start(
      `${MAIN}
      for (let time = 0; time < 10; time++) {
        const worker = start();
        await messageOf(worker);
        for (let turn = 0; turn < time * 10; turn++) await new Promise((resolve) => setImmediate(resolve));
        await worker.terminate();
        await noThreads();
      }
      console.log("gone");`,
      {
        files: {
          "worker.ts": `${PRELUDE}
            import { parentPort } from "node:worker_threads";
            void run(function* main() { yield* sleep(100_000); });
            setImmediate(() => parentPort.postMessage("started"));`,
        },
      },
    );
    expect(await script.line()).toBe("gone");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test.each([
    ["exit", 5, ""],
    ["throw", 1, "thrown in the Worker"],
  ] as const)("can end by %s while it is parked", async (message, code, words) => {
    await using script = startMain(`
      const worker = start();
      worker.on("error", ({ message }) => console.log("error:", message));
      await messageOf(worker);
      worker.postMessage(${JSON.stringify(message)});
      console.log("exit:", await exitOf(worker));
      await noThreads();
      console.log("gone");`);
    if (words !== "") expect(await script.line()).toBe(`error: ${words}`);
    expect(await script.line()).toBe(`exit: ${code}`);
    expect(await script.line()).toBe("gone");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });

  test("lets the process exit while it is parked", async () => {
    await using script = startMain(`
      const worker = start();
      await messageOf(worker);
      console.log("parked");
      process.exit(4);`);
    expect(await script.line()).toBe("parked");
    expect(await script.end()).toEqual({ exitCode: 4, signal: null, stderr: "" });
  });

  testUnless(gap({ win32: "the threads of a process of win32 cannot be counted" }))(
    "lets the process exit while the main thread is parked as well",
    async () => {
      await using script = startMain(`
      const worker = start();
      await messageOf(worker);
      void run(function* main() { yield* sleep(100_000); });
      (function look() { if (countReactorThreads() < 3) setImmediate(look); else whenParked(() => process.exit(4)); })();`);
      expect(await script.end()).toEqual({ exitCode: 4, signal: null, stderr: "" });
    },
  );

  test("does not disturb the main thread's own reactor when it is terminated", async () => {
    await using script = startMain(`
      const served = run(function* main() {
        using listener = yield* listen({ port: 0, host: "127.0.0.1" });
        const worker = start();
        yield* promise(messageOf(worker));
        yield* promise(worker.terminate());
        const client = yield* connect(listener.address);
        client.close();
        using server = yield* listener.accept();
        return yield* server.read(new Uint8Array(1));
      });
      console.log(await served);`);
    expect(await script.line()).toBe("0");
    expect(await script.end()).toEqual({ exitCode: 0, signal: null, stderr: "" });
  });
});
