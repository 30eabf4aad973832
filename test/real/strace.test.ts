/** strace: a task that waits on a pseudo-terminal makes no system call meanwhile. */

import { expect } from "bun:test";
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { testUnless } from "../support/platform.ts";
import { PRELUDE, Script } from "../support/script.ts";
import { temporaryPath } from "../support/temporary.ts";
import { describeReal, pathOf } from "./support/component.ts";

/** Reads a pseudo-terminal; says where that is, what its threads are, and when they sleep. */
const WAITER = `${PRELUDE}
import { readdirSync, readFileSync } from "node:fs";
const { openPty } = reactor;
const commOf = (thread) => readFileSync(\`/proc/self/task/\${thread}/comm\`, "utf8").trim();
void run(function* main() {
  using pty = yield* openPty({ raw: true });
  console.log("path", pty.path, process.pid);
  const buffer = new Uint8Array(16);
  const bytes = yield* pty.controller.read(buffer);
  console.log("read", Buffer.from(buffer.subarray(0, bytes)).toString());
});
whenUp(() => console.log("parked", readdirSync("/proc/self/task").filter((thread) => commOf(thread) === "Worker").join(" ")));
`;

/** As long as the promise is: nothing can be awaited here, for this is the time in which nothing may happen. */
const OBSERVATION_MS = 5_000;

/** Of the test, also where `bun test` runs bare: its usual one is as long as the observation. */
const LIMIT_MS = 60_000;

/** What the runtime does about its memory, once, when its thread has come to rest. */
const OF_THE_RUNTIME = /^(futex|madvise|mmap|mprotect|munmap|sched_yield)\(/;

/** The thread's turn ends with a wait; the runtime's one-shot timer, which collects garbage, ends it and another follows. */
const MOST_WAITS = 3;

describeReal("strace", { programs: ["strace"] }, () => {
  const refusal = refusalOfTracing();

  testUnless(refusal === null ? null : `strace may not trace here: ${refusal}`)(
    "sees no system call of a task that waits 5 s on a pseudo-terminal",
    async () => {
      using log = temporaryPath("log");
      // Into a file, so that nothing of the tracing goes through the program's own descriptors.
      const strace = [pathOf("strace")!, "-f", "-qq", "-o", log.name];
      let processId: number | undefined;
      try {
        await using script = Script.start(WAITER, {
          command: [...strace, process.execPath],
          // Bun collects garbage by a timer of its own, which is not what is looked at here.
          env: { BUN_GC_TIMER_DISABLE: "1" },
        });
        const [path, id] = (await script.lineAfter("path")).split(" ") as [string, string];
        processId = Number(id);
        const reactorThread = await script.lineAfter("parked");
        await Bun.sleep(OBSERVATION_MS);
        const calls = readFileSync(log.name, "utf8").split("\n");
        const since = calls.slice(calls.findLastIndex((line) => line.includes('write(1, "parked')) + 1);
        expect(callsOf(since, reactorThread)).toEqual([]);
        const ofMain = callsOf(since, id).filter((call) => !OF_THE_RUNTIME.test(call));
        expect(ofMain.slice(MOST_WAITS)).toEqual([]);
        expect(ofMain.filter((call) => !call.startsWith("epoll_pwait"))).toEqual([]);
        writeToTerminal(path, "x");
        expect(await script.lineAfter("read")).toBe("x");
      } finally {
        // Ending strace would let the program go on.
        if (processId !== undefined) endIfRunning(processId);
      }
    },
    LIMIT_MS,
  );
});

/** The program ends by itself as well, once it has read. */
function endIfRunning(processId: number): void {
  try {
    process.kill(processId, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The calls that a thread has begun, in the order of the log; each line has the thread first. */
function callsOf(lines: readonly string[], thread: string): string[] {
  const own = lines.filter((line) => line.startsWith(`${thread} `)).map((line) => line.slice(thread.length).trim());
  return own.filter((call) => !call.startsWith("<..."));
}

function writeToTerminal(path: string, text: string): void {
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  writeSync(descriptor, text);
  closeSync(descriptor);
}

/** Why strace cannot trace a child of its own; null if it can. */
function refusalOfTracing(): string | null {
  const strace = pathOf("strace");
  if (strace === null) return "it is not here";
  const { exitCode, stderr } = Bun.spawnSync([strace, "-qq", "-o", "/dev/null", "true"], { stdin: "ignore" });
  return exitCode === 0 ? null : stderr.toString().trim();
}
