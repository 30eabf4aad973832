/** What a user's Worker has opened is closed when the Worker is gone, however it went, and disturbs nobody else. */

import { expect, test } from "bun:test";
import { effort, STRIDE } from "../support/effort.ts";
import { NO_WARNINGS } from "../support/noise.ts";
import { patient } from "../support/patience.ts";
import { PRELUDE, Script } from "../support/script.ts";
import { describeUnless, gap } from "../support/platform.ts";

/** In the Worker: opens one of each kind, and waits for ever. */
const RICH_WORKER = `${PRELUDE}
import { parentPort } from "node:worker_threads";
const { bindUdp, openPipe, openPty, unixDatagramPair, unixPair, watch } = reactor;
parentPort.on("message", (message) => {
  if (message === "exit") process.exit(5);
  if (message === "throw") throw new Error("thrown in the Worker");
});
void run(function* main() {
  const listener = yield* listen({ port: 0, host: "127.0.0.1" });
  const client = yield* connect(listener.address);
  const open = [listener, client, yield* listener.accept()];
  const pipe = yield* openPipe();
  const pty = yield* openPty();
  const streams = yield* unixPair();
  const datagrams = yield* unixDatagramPair();
  open.push(pipe, pty, streams, datagrams, yield* bindUdp({ host: "127.0.0.1" }), yield* watch("."));
  globalThis.open = open;
  whenUp(() => parentPort.postMessage("parked"));
  yield* listener.accept();
});
`;

/** In the main thread. */
const MAIN = `${PRELUDE}
import { readdirSync, readlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
const start = (file = "./worker.ts", options = {}) => new Worker(new URL(file, import.meta.url), options);
const messageOf = (worker) => new Promise((resolve) => worker.once("message", resolve));
const exitOf = (worker) => new Promise((resolve) => worker.once("exit", resolve));
const descriptors = () => readdirSync("/proc/self/fd").flatMap((number) => {
  try {
    const target = readlinkSync("/proc/self/fd/" + number);
    return target.endsWith("/fd") ? [] : [number + " " + target];
  } catch { return []; }
}).sort();
/** The runtime opens something with the first Worker, which stays. */
await start("./empty.ts").terminate();
const before = descriptors();
/** A thread is gone a moment after its end was told; what is still there after so many turns of the loop stays. */
const left = async () => {
  for (let turn = 0; ; turn++) {
    const more = descriptors().filter((line) => !before.includes(line));
    if ((more.length === 0 && countReactorThreads() === 0) || turn === 20_000) return JSON.stringify({ more, threads: countReactorThreads() });
    await new Promise((resolve) => setImmediate(resolve));
  }
};
`;

const NOTHING = JSON.stringify({ more: [], threads: 0 });

const OPENED_IN_TURN = Math.max(3, effort(50));
const CROWDS = effort(3);

/** Starting 50 Workers takes some seconds, and on a machine that has much else to do a multiple of that. */
const LONG_MS = patient(120_000);

const ENDED_WELL = { exitCode: 0, signal: null, stderr: "" };

/** The script says what is left, and ends. If it has complained, that is said as well. */
async function expectNothingLeft(script: Script): Promise<void> {
  const left = await script.line();
  expect({ left, ...(await script.end()) }).toEqual({ left: NOTHING, ...ENDED_WELL });
}

function startMain(source: string, worker = RICH_WORKER): Script {
  return Script.start(MAIN + source, {
    files: { "worker.ts": worker, "empty.ts": "setInterval(() => {}, 100_000);" },
    env: NO_WARNINGS,
  });
}

describeUnless(gap({ win32: "a process of win32 cannot list what it has open" }))(
  "of a Worker that has opened one of each kind nothing is left",
  () => {
    test.each([
      ["it was terminated in the middle of a poll", "void worker.terminate()"],
      ["it has called process.exit", 'worker.postMessage("exit")'],
      ["it has thrown", 'worker.postMessage("throw")'],
    ])("when %s", async (_, ending) => {
      await using script = startMain(`
      const worker = start();
      worker.on("error", () => {});
      await messageOf(worker);
      console.log(descriptors().length - before.length >= 15);
      const gone = exitOf(worker);
      ${ending};
      await gone;
      console.log(await left());`);
      expect(await script.line()).toBe("true");
      await expectNothingLeft(script);
    });

    test(
      `when ${OPENED_IN_TURN} were opened and closed in turn`,
      async () => {
        await using script = startMain(`
        for (let time = 0; time < ${OPENED_IN_TURN}; time++) {
          const worker = start();
          await messageOf(worker);
          await worker.terminate();
          console.log("closed");
        }
        console.log(await left());`);
        for (let time = 0; time < OPENED_IN_TURN; time++) expect(await script.line()).toBe("closed");
        await expectNothingLeft(script);
      },
      LONG_MS,
    );

    test("when several were terminated at once", async () => {
      await using script = startMain(`
      for (let time = 0; time < ${CROWDS}; time++) {
        const workers = Array.from({ length: 5 }, () => start());
        await Promise.all(workers.map(messageOf));
        await Promise.all(workers.map((worker) => worker.terminate()));
        console.log("closed");
      }
      console.log(await left());`);
      for (let time = 0; time < CROWDS; time++) expect(await script.line()).toBe("closed");
      await expectNothingLeft(script);
    });

    test.each([
      ["of their start", 150, 'parentPort.postMessage("started");\n'],
      ["of the start of their reactor's thread", 20, 'setImmediate(() => parentPort.postMessage("started"));\n'],
    ])("when they were terminated at any moment %s", async (_, turns, start) => {
      await using script = startMain(
        `for (let time = 0; time < 16; time += ${STRIDE}) {
        const worker = start();
        await messageOf(worker);
        for (let turn = 0; turn < time * ${turns}; turn++) await new Promise((resolve) => setImmediate(resolve));
        await worker.terminate();
      }
      console.log(await left());`,
        `import { parentPort } from "node:worker_threads";\n${start}${RICH_WORKER.replace(/^import .*worker_threads.*$/m, "")}`,
      );
      await expectNothingLeft(script);
    });
  },
);

describeUnless(gap({ win32: "a process of win32 cannot list what it has open" }))("a Worker", () => {
  test("can be terminated while blockOn blocks it", async () => {
    await using script = startMain(
      `const worker = start();
      await messageOf(worker);
      await new Promise(whenParked);
      await worker.terminate();
      console.log(await left());`,
      `${PRELUDE}
      import { parentPort } from "node:worker_threads";
      blockOn(function* main() {
        const listener = yield* listen({ port: 0, host: "127.0.0.1" });
        parentPort.postMessage("blocks");
        yield* listener.accept();
      });`,
    );
    await expectNothingLeft(script);
  });

  test("can be terminated while a task is in its clean-up", async () => {
    await using script = startMain(
      `const worker = start();
      await messageOf(worker);
      await worker.terminate();
      console.log(await left());`,
      `${PRELUDE}
      import { parentPort } from "node:worker_threads";
      const controller = new AbortController();
      run(function* main() {
        const listener = yield* listen({ port: 0, host: "127.0.0.1" });
        try {
          setImmediate(() => controller.abort());
          yield* listener.accept();
        } finally {
          whenUp(() => parentPort.postMessage("cleans up"));
          yield* sleep(100_000);
        }
      }, { signal: controller.signal, cleanupMs: Infinity });`,
    );
    await expectNothingLeft(script);
  });

  test("ends by itself when its runs are over, and leaves nothing", async () => {
    await using script = startMain(
      `const worker = start();
      console.log(await messageOf(worker), await exitOf(worker));
      console.log(await left());`,
      `${PRELUDE}
      import { parentPort } from "node:worker_threads";
      const first = await run(function* () {
        yield* sleep(1);
        return 20;
      });
      parentPort.postMessage(first + blockOn(function* () {
        yield* sleep(1);
        return 22;
      }));`,
    );
    expect(await script.line()).toBe("42 0");
    await expectNothingLeft(script);
  });

  test("whose end is its process's end lets it exit, with others parked beside it", async () => {
    await using script = startMain(`
      const workers = [start(), start(), start()];
      await Promise.all(workers.map(messageOf));
      console.log("up");
      process.exit(4);`);
    expect(await script.line()).toBe("up");
    expect(await script.end()).toEqual({ exitCode: 4, signal: null, stderr: "" });
  });

  test("that is terminated leaves its port to the others, who get all connections from then on", async () => {
    await using script = startMain(
      `const [first, second] = [start("./worker.ts", { workerData: 0 }), start("./worker.ts", { workerData: 0 })];
      await first.terminate();
      await second.terminate();
      const survivor = start("./worker.ts", { workerData: 0 });
      const port = await messageOf(survivor);
      const victim = start("./worker.ts", { workerData: port });
      await messageOf(victim);
      await victim.terminate();
      let answered = 0;
      await run(function* clients() {
        for (let time = 0; time < 40; time++) {
          const client = yield* connect({ host: "127.0.0.1", port });
          answered += yield* client.read(new Uint8Array(1));
          client.close();
        }
      });
      console.log(answered);
      await survivor.terminate();
      await shutdown();
      console.log(await left());`,
      `${PRELUDE}
      import { parentPort, workerData } from "node:worker_threads";
      void run(function* main() {
        const listener = yield* listen({ port: workerData, host: "127.0.0.1", reusePort: true });
        whenUp(() => parentPort.postMessage(listener.address.port));
        for (;;) {
          const connection = yield* listener.accept();
          yield* connection.write("x");
          connection.close();
        }
      });`,
    );
    expect(await script.line()).toBe("40");
    await expectNothingLeft(script);
  });

  test.each([
    ["main(function* () {})", "main: a Worker gets no signals, and ends no process: use run there, or clusterWorker"],
    ['run(() => reactor.signal("SIGINT"))', "signal: a Worker gets no signals, only the main thread does"],
    [
      "reactor.clusterWorker(function* () {})",
      "clusterWorker: this thread was not started by a cluster: startCluster({ worker: … }) does that",
    ],
  ])("gets a clear answer to %s", async (call, message) => {
    await using script = startMain(
      `console.log(await messageOf(start()));`,
      `${PRELUDE}
      import { parentPort } from "node:worker_threads";
      const { main } = reactor;
      await ${call}.catch(({ name, message }) => parentPort.postMessage(name + ": " + message));`,
    );
    expect(await script.line()).toBe(`UnsupportedError: ${message}`);
    expect(await script.end()).toEqual(ENDED_WELL);
  });
});
