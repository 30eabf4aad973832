/** A parked reactor is idle: neither its thread nor the executor's wakes up until there is something to do. */

import { expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testUnless } from "../support/platform.ts";
import { PRELUDE, Script } from "../support/script.ts";

const STRACE = Bun.which("strace");
const NO_STRACE = STRACE === null ? "this machine has no strace" : null;

/** Serves one connection, and then waits for the next. */
const SERVER = `${PRELUDE}
import { readdirSync, readFileSync } from "node:fs";
const commOf = (thread) => readFileSync(\`/proc/self/task/\${thread}/comm\`, "utf8").trim();
void run(function* main() {
  using listener = yield* listen({ port: 0, host: "127.0.0.1" });
  console.log("port", listener.address.port, process.pid);
  for (;;) {
    using stream = yield* listener.accept();
    console.log("served", readdirSync("/proc/self/task").filter((thread) => commOf(thread) === "Worker").join(" "));
  }
});
whenUp(() => console.log("parked"));
`;

/** Periodic wake-ups of any sort that a runtime or a reactor may have are more frequent than this is long. */
const OBSERVATION_MS = 1500;

testUnless(NO_STRACE)("a parked reactor wakes up neither of its threads", async () => {
  let processId: number | undefined;
  const folder = mkdtempSync(join(tmpdir(), "bun-reactor-strace-"));
  try {
    const logPath = join(folder, "log");
    await using script = Script.start(SERVER, {
      command: [STRACE!, "-f", "-qq", "-o", logPath, process.execPath],
      // Bun collects garbage by a timer of its own, which is not what is looked at here.
      env: { BUN_GC_TIMER_DISABLE: "1" },
    });
    const [port, id] = (await script.lineAfter("port")).split(" ").map(Number) as [number, number];
    processId = id;
    await script.lineAfter("parked");
    await visit(port);
    const reactorThread = await script.lineAfter("served");
    // Nothing is awaited here: this is the time in which nothing may happen.
    await Bun.sleep(OBSERVATION_MS);
    const calls = readFileSync(logPath, "utf8").split("\n");
    const served = calls.findLastIndex((line) => line.includes('write(1, "served'));
    const mainThread = calls[served]!.split(" ")[0]!;
    expect(reactorThread).toMatch(/^\d+$/);
    const since = calls.slice(served + 1);
    expect(waitsOf(since, reactorThread).slice(MOST_WAITS)).toEqual([]);
    expect(waitsOf(since, mainThread).slice(MOST_WAITS)).toEqual([]);
    await visit(port);
    expect(await script.lineAfter("served")).toBe(reactorThread);
  } finally {
    // Ending strace would let the program go on.
    if (processId !== undefined) process.kill(processId, "SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The rest of the turn, and the one-shot timers of the runtime's heap; a wake-up each 100 ms would make 15 more. */
const MOST_WAITS = 12;

/**
 * Each wake-up of a thread shows as a new wait in an event queue. What the runtime's collector does meanwhile is not
 * counted.
 */
function waitsOf(lines: readonly string[], thread: string): string[] {
  return lines.filter((line) => line.startsWith(`${thread} epoll_pwait`));
}

async function visit(port: number): Promise<void> {
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
  socket.end();
}
