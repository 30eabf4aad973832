/** What the process holds of the operating system, from /proc/self: for tests that nothing is left behind. */

import { afterEach, beforeEach, expect } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Holdings {
  /** The open descriptors with what they are, such as `7 anon_inode:[eventpoll]`. */
  readonly descriptors: readonly string[];
  /** How many threads of Workers run; the runtime's own threads come and go as it likes. */
  readonly workerThreads: number;
}

export function holdings(): Holdings {
  return { descriptors: openDescriptors(), workerThreads: countWorkerThreads() };
}

/**
 * Lets each test of a `describe` fail that leaves a descriptor or a Worker's thread behind. To be called after other hooks are set, so
 * that theirs have run when it looks.
 */
export function expectNothingLeftBehind(): void {
  let before: Holdings;
  beforeEach(() => {
    before = holdings();
  });
  afterEach(() => {
    const after = holdings();
    const known = new Set(before.descriptors);
    const leftBehind = after.descriptors.filter((line) => !known.has(line));
    expect({ leftBehind, workerThreads: after.workerThreads }).toEqual({
      leftBehind: [],
      workerThreads: before.workerThreads,
    });
  });
}

/** The numbers of the open descriptors. */
export function openNumbers(): number[] {
  return openDescriptors().map((line) => Number.parseInt(line, 10));
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

/** What Bun calls the threads of its Workers. */
const WORKER_THREAD_NAME = "Worker";
