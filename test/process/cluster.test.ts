/** Clusters: Workers that share a port start together, and end together, whatever happens to one of them. */

import { describe, expect, test } from "bun:test";
import { effort } from "../support/effort.ts";
import { needs, NEEDS_QUICK_WORKERS } from "../support/needs.ts";
import { NO_WARNINGS } from "../support/noise.ts";
import { describeUnless, testUnless } from "../support/platform.ts";
import { PRELUDE, Script } from "../support/script.ts";

/** What most Workers here do: echo, and say how many connections they had. What else they do depends on what is sent. */
const WORKER = `${PRELUDE}
const { clusterWorker, serve } = reactor;
await clusterWorker(function* (seat) {
  let served = 0;
  yield* serve(yield* seat.listen(), function* (connection) {
    served++;
    for (;;) {
      const text = yield* connection.readUntil("\\n");
      if (text === null) return;
      const word = new TextDecoder().decode(text).trim();
      if (word === "throw") queueMicrotask(() => { throw new Error("thrown in a Worker"); });
      if (word === "exit") process.exit(3);
      yield* connection.write(seat.index + " " + word + "\\n");
      if (word === "block") for (;;);
    }
  }, { until: seat.stopping.wait(), graceMs: Infinity });
  return { index: seat.index, count: seat.count, data: seat.data, served };
});
`;

/** In the main thread. */
const MAIN = `${PRELUDE}
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
const { ClusterError, scope, startCluster, moveOnAfter, timeout } = reactor;
const worker = new URL("./worker.ts", import.meta.url);
const descriptors = () => !existsSync("/proc/self/fd") ? [] : readdirSync("/proc/self/fd").flatMap((number) => {
  try {
    const target = readlinkSync("/proc/self/fd/" + number);
    return target.endsWith("/fd") ? [] : [number + " " + target];
  } catch { return []; }
}).sort();
/** The runtime, and this thread's reactor, open something that stays until the end. */
await new Worker(new URL("./empty.ts", import.meta.url)).terminate();
const before = descriptors();
const left = async () => {
  await shutdown();
  for (let turn = 0; ; turn++) {
    const more = descriptors().filter((line) => !before.includes(line));
    if ((more.length === 0 && countReactorThreads() === 0) || turn === 20_000) return JSON.stringify({ more, threads: countReactorThreads() });
    await new Promise((resolve) => setImmediate(resolve));
  }
};
const say = (...things) => console.log(...things.map((thing) => typeof thing === "string" ? thing : JSON.stringify(thing)));
const told = ({ name, message, cause }) => say(name + ": " + message.replace(/ \\(.*?\\)/, ""), cause === undefined ? "" : String(cause));
function* ask(address, word) {
  const client = yield* connect(address);
  yield* client.write(word + "\\n");
  const answer = yield* client.readUntil("\\n");
  client.close();
  return answer;
}
`;

const NOTHING = JSON.stringify({ more: [], threads: 0 });

const TIMES_IN_TURN = Math.max(2, effort(5));

const ENDED_WELL = { exitCode: 0, signal: null, stderr: "" };

/** The script says what is left, and ends. If it has complained, that is said as well. */
async function expectNothingLeft(script: Script): Promise<void> {
  const left = await script.line();
  expect({ left, ...(await script.end()) }).toEqual({ left: NOTHING, ...ENDED_WELL });
}

function startMain(source: string, worker = WORKER): Script {
  return Script.start(MAIN + source, {
    files: { "worker.ts": worker, "empty.ts": "setInterval(() => {}, 100_000);" },
    env: NO_WARNINGS,
  });
}

/** Why not to test with one way of sharing again what does not depend on it. */
function repeated(sharing: string): string | null {
  return sharing === "kernel" ? null : NEEDS_QUICK_WORKERS;
}

for (const sharing of ["kernel", "descriptor"] as const) {
  describeUnless(sharing === "kernel" ? needs("reusePort") : null)(`a cluster whose sharing is ${sharing}`, () => {
    test("listens on one port, serves, and gives what its Workers return", async () => {
      await using script = startMain(`
      await run(function* () {
        const cluster = yield* startCluster({ worker, workers: 3, port: 0, host: "127.0.0.1", sharing: "${sharing}", data: { of: "all" } });
        say(cluster.sharing, cluster.address.host, cluster.address.port > 0);
        for (let time = 0; time < 30; time++) yield* ask(cluster.address, "hello");
        const values = yield* cluster.stop();
        say(values.map(({ index, count, data }) => [index, count, data.of].join()));
        say(values.reduce((sum, { served }) => sum + served, 0), cluster.workers.map(({ hasEnded }) => hasEnded));
      });
      say(await left());`);
      expect(await script.line()).toBe(`${sharing} 127.0.0.1 true`);
      expect(await script.line()).toBe('["0,3,all","1,3,all","2,3,all"]');
      expect(await script.line()).toBe("30 [true,true,true]");
      await expectNothingLeft(script);
    });

    test("ends when its scope is cancelled, connections included, and leaves nothing", async () => {
      await using script = startMain(`
      await run(function* () {
        yield* moveOnAfter(Infinity, (limit) => scope(function* () {
          const cluster = yield* startCluster({ worker, workers: 2, port: 0, host: "127.0.0.1", sharing: "${sharing}", graceMs: 0 });
          const client = yield* connect(cluster.address);
          yield* client.write("hello\\n");
          yield* client.readUntil("\\n");
          limit.expireAfter(0);
          try {
            yield* cluster.ended();
          } finally {
            say((yield* client.read(new Uint8Array(1))), cluster.workers.map(({ hasEnded }) => hasEnded));
            client.close();
          }
        }));
      });
      say(await left());`);
      expect(await script.line()).toBe("0 [true,true]");
      await expectNothingLeft(script);
    });

    testUnless(repeated(sharing)).each([
      ["throw", "failed: thrown in a Worker", "Error: thrown in a Worker"],
      ["exit", "has ended, with exit code 3, before its task had", ""],
    ])("ends as a whole, and says why, when a Worker does: %s", async (word, words, cause) => {
      await using script = startMain(`
      await run(function* () {
        const cluster = yield* startCluster({ worker, workers: 3, port: 0, host: "127.0.0.1", sharing: "${sharing}" });
        try {
          yield* spawn(function* () {
            // The connection of a Worker that is gone breaks.
            try { yield* ask(cluster.address, "${word}"); } catch {}
          });
          yield* cluster.ended();
        } catch (error) {
          told(error);
          const others = cluster.workers.filter(({ index }) => index !== error.worker);
          say(others.map(({ value }) => value.count), cluster.workers.every(({ hasEnded }) => hasEnded));
        }
      });
      say(await left());`);
      expect(await script.line()).toMatch(new RegExp(`^ClusterError: worker [123] of 3 ${words} ?${cause}$`));
      expect(await script.line()).toBe("[3,3] true");
      await expectNothingLeft(script);
    });

    testUnless(repeated(sharing))(
      "terminates a Worker that does not end otherwise, and ends the others in order",
      async () => {
        await using script = startMain(`
      await run(function* () {
        const cluster = yield* startCluster({ worker, workers: 2, port: 0, host: "127.0.0.1", sharing: "${sharing}", graceMs: 0, cleanupMs: 0 });
        const client = yield* connect(cluster.address);
        yield* client.write("block\\n");
        yield* client.readUntil("\\n");
        try { yield* cluster.stop(); } catch (error) { told(error); }
        say(cluster.workers.map(({ value }) => value === undefined).toSorted());
        client.close();
      });
      say(await left());`);
        expect(await script.line()).toBe("[false,true]");
        await expectNothingLeft(script);
      },
    );

    testUnless(repeated(sharing))(
      `can be started and stopped ${TIMES_IN_TURN} times in turn on the same port`,
      async () => {
        await using script = startMain(`
      await run(function* () {
        let port = 0;
        for (let time = 0; time < ${TIMES_IN_TURN}; time++) {
          const cluster = yield* startCluster({ worker, workers: 2, port, host: "127.0.0.1", sharing: "${sharing}" });
          port = cluster.address.port;
          yield* ask(cluster.address, "hello");
          yield* cluster.stop();
        }
      });
      say(await left());`);
        await expectNothingLeft(script);
      },
    );
  });
}

describe("a cluster", () => {
  test.each([
    ["throws while it is loaded", 'throw new Error("no use");', "failed: no use", "Error: no use"],
    [
      "never calls clusterWorker",
      "",
      "has ended, with exit code 0, before it listened: does its file call clusterWorker\\?",
      "",
    ],
    [
      "never listens",
      `${PRELUDE} await reactor.clusterWorker(function* () {});`,
      "has ended and never listened: is seat.listen\\(\\) in it\\?",
      "",
    ],
    [
      "fails before it listens",
      `${PRELUDE} await reactor.clusterWorker(function* () { throw new Error("no use"); });`,
      "failed: no use",
      "Error: no use",
    ],
  ])("does not start with a Worker that %s", async (_, worker, words, cause) => {
    await using script = startMain(
      `await run(() => startCluster({ worker, workers: 2, port: 0, host: "127.0.0.1" })).catch(told);
      say(await left());`,
      worker,
    );
    expect(await script.line()).toMatch(new RegExp(`^ClusterError: worker 1 of 2 ${words} ?${cause}$`));
    await expectNothingLeft(script);
  });

  test("does not start with a file that is not there", async () => {
    await using script = startMain(
      `await run(() => startCluster({ worker: "./nowhere.ts", workers: 2, port: 0, host: "127.0.0.1" })).catch(({ name, message }) => say(name, message.includes("nowhere.ts")));
      say(await left());`,
    );
    expect(await script.line()).toBe("ClusterError true");
    await expectNothingLeft(script);
  });

  test("that is cancelled while it starts leaves nothing", async () => {
    await using script = startMain(
      `await run(() => moveOnAfter(1, () => startCluster({ worker, workers: 4, port: 0, host: "127.0.0.1" })));
      say(await left());`,
    );
    await expectNothingLeft(script);
  });

  test("has Workers with one task and one listener each", async () => {
    await using script = startMain(
      `await run(function* () {
        const cluster = yield* startCluster({ worker, workers: 1, port: 0, host: "127.0.0.1" });
        for (const words of (yield* cluster.ended())[0]) say(words);
      });`,
      `${PRELUDE}
      const { clusterWorker } = reactor;
      await clusterWorker(function* (seat) {
        const words = [];
        yield* seat.listen();
        try { yield* seat.listen(); } catch ({ name, message }) { words.push(name + ": " + message); }
        yield* promise(clusterWorker(function* () {}).catch(({ name, message }) => words.push(name + ": " + message)));
        return words;
      });`,
    );
    expect(await script.line()).toBe("BusyError: seat.listen: this Worker has its listener already");
    expect(await script.line()).toBe("BusyError: clusterWorker: this Worker has its task already");
    expect(await script.end()).toEqual(ENDED_WELL);
  });

  test("refuses what it cannot use", async () => {
    await using script = startMain(`
      const refused = (options) => run(() => startCluster({ worker, port: 0, ...options })).catch(({ name, message }) => say(name + ": " + message));
      await refused({ workers: 0 });
      await refused({ port: 70_000 });
      await refused({ graceMs: -1 });
      await refused({ sharing: "fair" });
      await refused({ worker: 7 });
      try { blockOn(() => startCluster({ worker, port: 0 })); } catch ({ name, message }) { say(name + ": " + message); }
      say(await left());`);
    expect(await script.line()).toBe("RangeError: startCluster: workers must be an integer from 1 to 1024, but is 0");
    expect(await script.line()).toStartWith("RangeError: startCluster: port must be");
    expect(await script.line()).toStartWith("RangeError: startCluster: graceMs must be");
    expect(await script.line()).toBe(
      'TypeError: startCluster: sharing must be "kernel" or "descriptor", but is "fair"',
    );
    expect(await script.line()).toBe("TypeError: startCluster: worker must be the path or the URL of a file, but is 7");
    expect(await script.line()).toStartWith("UnsupportedError: startCluster: no Worker is heard inside blockOn");
    await expectNothingLeft(script);
  });
});
