/** A program that is run to its end, or to its limit. */

import { constants } from "node:os";

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
  /** How long it may take. Behind that it is ended with all that it has started, and what it printed is kept. */
  readonly limitMs: number;
  /** A file for what it prints, written at its end; null for none. */
  readonly log?: string | null;
}

export interface Run {
  /** What it printed to both of its outputs, in the order in which that came. */
  readonly output: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly isOverLimit: boolean;
  readonly durationMs: number;
}

export async function runToEnd(command: readonly string[], options: RunOptions): Promise<Run> {
  const startMs = performance.now();
  const child = Bun.spawn(["sh", "-c", RUN, "sh", ...command], {
    cwd: options.folder,
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", "pipe", "pipe"],
    // A session of its own, which can be ended as a whole.
    detached: true,
  });
  running.add(child.pid);
  const output = { text: "" };
  const reading = Promise.all([child.stdout, child.stderr].map((stream) => gather(stream, output)));
  let isOverLimit = false;
  const limit = setTimeout(() => {
    isOverLimit = true;
    endGroup(child.pid);
  }, options.limitMs);
  await child.exited;
  clearTimeout(limit);
  // What it has left running would keep its outputs open, and serves nobody.
  endGroup(child.pid);
  running.delete(child.pid);
  await Promise.race([reading, Bun.sleep(LATE_OUTPUT_MS)]);
  if (typeof options.log === "string") await Bun.write(options.log, output.text);
  const { exitCode, signal } = endOf(child);
  return { output: output.text, exitCode, signal, isOverLimit, durationMs: performance.now() - startMs };
}

/** Ends all that runs now: nobody else could, because each has a session of its own. */
export function endEverything(): void {
  for (const processId of running) endGroup(processId);
}

const running = new Set<number>();

/**
 * The shell is what leads the session. A program that led it would get each terminal that it opens for its own, and a SIGHUP
 * when that is closed.
 */
const RUN = '"$@"\nexit $?';

/** How the program ended, of which the shell tells by its own exit code. */
function endOf({ exitCode, signalCode }: Bun.Subprocess): Pick<Run, "exitCode" | "signal"> {
  if (exitCode === null) return { exitCode, signal: String(signalCode) };
  const signal = Object.entries(constants.signals).find(([, number]) => exitCode === SIGNALLED + number)?.[0];
  return signal === undefined ? { exitCode, signal: null } : { exitCode: null, signal };
}

const SIGNALLED = 128;

/** The first line that a program prints, or null if it is not there or does not work. */
export function firstLineOf(command: readonly string[]): string | null {
  const [program = ""] = command;
  if (Bun.which(program) === null) return null;
  const { exitCode, stdout } = Bun.spawnSync([...command], { stdin: "ignore", stderr: "ignore" });
  return exitCode === 0 ? (stdout.toString().split("\n")[0] ?? "") : null;
}

async function gather(stream: ReadableStream<Uint8Array>, output: { text: string }): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) output.text += decoder.decode(chunk, { stream: true });
}

function endGroup(processId: number): void {
  try {
    process.kill(-processId, "SIGKILL");
  } catch (error) {
    // ESRCH: all of the group have ended by themselves.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** How long what was printed may take to arrive after the end; a process that has left the group may hold it back. */
const LATE_OUTPUT_MS = 5_000;
