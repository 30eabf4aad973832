/**
 * What the native library has opened in this thread and not closed: for platforms on which a process cannot list what it
 * has open. What Bun opens is not in it.
 */

import type { NativeFunctions } from "../../src/native/library.ts";

/** The calls that return what they have opened. */
const OPENERS = ["socket_create", "socket_accept", "unix_create", "datagram_create"] as const;

const handles = new Map<number, string>();
const queues = new Set<unknown>();

/** Counts from now on. To be called before anything uses the library. */
export function traceHandles(functions: NativeFunctions): void {
  const calls = functions as unknown as Record<string, (...values: unknown[]) => number>;
  const wrap = (name: string, after: (result: number, first: unknown) => void): void => {
    const call = calls[name]!;
    calls[name] = (...values) => {
      const result = call(...values);
      after(result, values[0]);
      return result;
    };
  };
  for (const name of OPENERS) wrap(name, (result) => result >= 0 && handles.set(result, name));
  wrap("socket_close", (result, descriptor) => result >= 0 && handles.delete(descriptor as number));
  wrap("queue_open", (result, queue) => result >= 0 && queues.add((queue as Uint8Array).buffer));
  wrap("queue_close", (result, queue) => result >= 0 && queues.delete((queue as Uint8Array).buffer));
}

/** What is open now, such as `7 socket_create`. */
export function openedHandles(): string[] {
  const queueLines = [...queues].map((_queue, index) => `queue ${index}`);
  return [...handles]
    .map(([number, opener]) => `${number} ${opener}`)
    .sort()
    .concat(queueLines);
}
