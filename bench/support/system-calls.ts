// Counts the system calls of a process that is running, by strace.

import { readFileSync } from "node:fs";
import { endWithThisProcess } from "./children.ts";
import { LineReader } from "./line-reader.ts";

/**
 * How many calls the threads of a process that run JavaScript start within the time; undefined when strace is not installed or must not
 * trace here.
 */
export async function countSystemCalls(pid: number, seconds: number): Promise<number | undefined> {
  if (Bun.which("strace") === null) return undefined;
  // With an output of its own strace puts the thread on every line. It cannot be /dev/stdout: Bun's pipes are sockets,
  // which cannot be opened by name.
  const command = ["strace", "-f", "-p", String(pid), "-o", "|cat"];
  const strace = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  endWithThisProcess(strace);
  const lines = new LineReader(strace.stdout);
  const attached = await new LineReader(strace.stderr).next();
  if (attached?.includes("attached") === true) setTimeout(() => strace.kill("SIGINT"), seconds * 1000);

  const calls = new Map<string, number>();
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const call = /^(\d+) +(?!<\.\.\.|---|\+\+\+)/.exec(line);
    if (call?.[1] !== undefined && runsJavaScript(pid, call[1])) calls.set(call[1], (calls.get(call[1]) ?? 0) + 1);
  }
  await strace.exited;
  return attached?.includes("attached") === true ? totalOf(calls) : undefined;
}

/**
 * The threads that run JavaScript: the main thread and Workers. The engine's helpers (garbage collection, compilation) wake up to end
 * themselves when they have had no work for a while, and again after strace has interrupted that wait.
 */
function runsJavaScript(pid: number, thread: string): boolean {
  try {
    return JAVASCRIPT_THREADS.includes(readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim());
  } catch (error) {
    // A helper that has ended meanwhile: its file is gone, or cannot be read any more.
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

const JAVASCRIPT_THREADS = ["bun", "Worker"];

/** The first call of each thread is the one that it was waiting in when strace came. (`strace -c` would count it.) */
function totalOf(calls: ReadonlyMap<string, number>): number {
  return calls.values().reduce((total, count) => total + count - 1, 0);
}
