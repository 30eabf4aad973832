/**
 * Whether a reactor thread is parked, seen from within its process: from /proc, without knowing anything of the package.
 * Where there is no /proc, by who has the baton of this thread's runtime, which is the one thing that can be seen there.
 */

import { readdirSync, readFileSync } from "node:fs";

/**
 * Calls back once a reactor thread of this process waits in the event queue. Each look is a turn of the host's event
 * loop.
 */
export function whenParked(then: () => void): void {
  if (HAS_PROC ? reactorThreads().some(waitsInEventQueue) : reactorHasBaton()) then();
  else setImmediate(whenParked, then);
}

/** How many Workers' threads the process has, the calling one not counted. */
export function countReactorThreads(): number {
  if (!HAS_PROC) return (runtimeReactor()?.thread ?? null) === null ? 0 : 1;
  return reactorThreads().length;
}

/**
 * Calls back once the process has one reactor thread, and that is parked: a reactor that was closed takes a moment to
 * lose its thread. Each look is a turn of the host's event loop.
 */
export function whenParkedAlone(then: () => void): void {
  if (!HAS_PROC) return whenParked(then);
  const threads = reactorThreads();
  if (threads.length === 1 && waitsInEventQueue(threads[0]!)) then();
  else setImmediate(whenParkedAlone, then);
}

const HAS_PROC = process.platform === "linux";

/** `Holder.REACTOR` of `src/reactor/ready-channel.ts`. */
const REACTOR = 1;

function reactorHasBaton(): boolean {
  return runtimeReactor()?.channel.holder === REACTOR;
}

interface RuntimeReactor {
  readonly channel: { readonly holder: number };
  readonly thread: object | null;
}

/** The reactor of this thread's runs, if it has one. */
function runtimeReactor(): RuntimeReactor | undefined {
  const host = globalThis as unknown as Record<symbol, { readonly reactor: RuntimeReactor } | undefined>;
  return host[Symbol.for("bun-reactor.runtime")]?.reactor;
}

/** Bun gives each Worker's thread this name. */
const THREAD_NAME = "Worker";

/**
 * The numbers of the system calls that wait for an event queue: epoll_pwait on arm64 and on x64, and epoll_pwait2. Not one of
 * them is a call that waits on the other architecture, and under an emulator it is the host's that count.
 */
const WAITING_CALLS: readonly string[] = ["22", "281", "441"];

/** Of a thread that ends meanwhile nothing can be read any more. */
function readOfThread(thread: string, file: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/${file}`, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code!)) return "";
    throw error;
  }
}

function reactorThreads(): string[] {
  const self = readFileSync("/proc/thread-self/stat", "utf8").split(" ")[0];
  const others = readdirSync("/proc/self/task").filter((thread) => thread !== self);
  return others.filter((thread) => readOfThread(thread, "comm").trim() === THREAD_NAME);
}

function waitsInEventQueue(thread: string): boolean {
  return WAITING_CALLS.includes(readOfThread(thread, "syscall").split(" ")[0]!);
}
