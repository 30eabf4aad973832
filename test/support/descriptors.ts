/**
 * What the process holds of the operating system: for tests that nothing is left behind. From /proc/self; where there is
 * none, what the native library has opened (`opened-handles.ts`), and of threads nothing.
 */

import { afterEach, beforeEach, expect } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { openedHandles } from "./opened-handles.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";
import { patient } from "./patience.ts";

export interface Holdings {
  /** The open descriptors with what they are, such as `7 anon_inode:[eventpoll]`. */
  readonly descriptors: readonly string[];
  /** How many threads of Workers run; the runtime's own threads come and go as it likes. */
  readonly workerThreads: number;
}

export function holdings(): Holdings {
  if (!HAS_PROC) return { descriptors: openedHandles(), workerThreads: 0 };
  return { descriptors: openDescriptors(), workerThreads: countWorkerThreads() };
}

/**
 * Lets each test of a `describe` fail that leaves a descriptor or a Worker's thread behind. To be called after other
 * hooks are set, so that theirs have run when it looks.
 */
export function expectNothingLeftBehind(): void {
  let before: Holdings;
  beforeEach(() => {
    before = holdings();
  });
  afterEach(async () => {
    expect(await leftBehind(before)).toEqual({ descriptors: [], workerThreads: 0 });
  });
}

/**
 * What is there now that was not before. A Worker reports its end a moment before the kernel has taken its thread away,
 * and nobody reports that: so this looks again at each turn of the host's loop, and gives up only on what stays.
 */
export async function leftBehind(before: Holdings): Promise<Holdings> {
  const known = new Set(before.descriptors);
  const givesUpMs = performance.now() + MOST_PATIENCE_MS;
  for (;;) {
    const now = holdings();
    const descriptors = now.descriptors.filter((line) => !known.has(line));
    const workerThreads = Math.max(0, now.workerThreads - before.workerThreads);
    if (descriptors.length === 0 && workerThreads === 0) return { descriptors, workerThreads };
    if (performance.now() > givesUpMs) return { descriptors, workerThreads };
    await hostTurn();
  }
}

function openDescriptors(): string[] {
  const found: string[] = [];
  for (const number of readdirSync("/proc/self/fd")) {
    const target = readUnlessGone(() => readlinkSync(`/proc/self/fd/${number}`));
    // The directory that is being listed is open itself while it is listed.
    if (target !== null && !target.endsWith("/fd")) found.push(`${number} ${target}`);
  }
  return found.sort();
}

function countWorkerThreads(): number {
  const names = readdirSync("/proc/self/task").map((id) =>
    readUnlessGone(() => readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim()),
  );
  return names.filter((name) => name === WORKER_THREAD_NAME).length;
}

/** A descriptor or a thread may be gone between the listing and the look at it. */
function readUnlessGone(read: () => string): string | null {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return null;
    throw error;
  }
}

const HAS_PROC = process.platform === "linux";

/** Longer than any thread takes to end, and met only by a test that fails. */
const MOST_PATIENCE_MS = patient(2_000);

/** What Bun calls the threads of its Workers. */
const WORKER_THREAD_NAME = "Worker";
