/** Runs a Bun script in a process of its own: for tests of what ends a process, or must not disturb this one. */

import { fileURLToPath } from "node:url";
import { withoutNoise } from "./noise.ts";
import { patient } from "./patience.ts";

export interface ChildResult {
  readonly exitCode: number | null;
  /** The signal that ended the process, if one did. */
  readonly signal: Bun.Subprocess["signalCode"];
  readonly stdout: string;
  readonly stderr: string;
  /** Whether the process had to be ended because it was still there after the limit. */
  readonly wasKilled: boolean;
}

export interface ChildOptions {
  /** Variables to add to the environment; undefined takes one out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What runs the script; by default this Bun. */
  readonly command?: readonly string[];
  /** How long the process may take; only a process that hangs meets it. */
  readonly limitMs?: number;
}

/**
 * Runs the source text of a module. It stands in this project's root as far as its imports go: `./src/index.ts` is the
 * package.
 */
export async function runScript(source: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { command = [process.execPath], environment = {}, limitMs = patient(20_000) } = options;
  const child = Bun.spawn({
    cmd: [...command, "--eval", source],
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return {
    exitCode: child.exitCode,
    signal: child.signalCode,
    stdout,
    stderr: withoutNoise(stderr),
    wasKilled: child.signalCode === "SIGKILL",
  };
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
