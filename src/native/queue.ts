/**
 * The event queue of the operating system, as the reactor and its thread call it: memory that both share, and the calls
 * on it. Results below zero are negated error numbers; the contract is written in `zig/src/queue.zig`.
 */

import { type QueueMemory, retainQueue } from "./belongings.ts";
import { errorNumber } from "./error-numbers.ts";
import { type QueueFunctions, QUEUE_BYTES, RING_ENTRY_BYTES, RING_HEADER_BYTES } from "./library.ts";
import { has, lacking, THIS_PLATFORM } from "./platform.ts";
import { errorOf } from "./status.ts";

export { allocateQueue, type QueueMemory } from "./belongings.ts";

/**
 * A power of two; as many events as one poll fetches at most, so that one poll is enough for all that is ready on a
 * busy server.
 */
export const RING_ENTRIES = 1024;

export const RING_BYTES = RING_HEADER_BYTES + RING_ENTRIES * RING_ENTRY_BYTES;

/** Where the words of the ring are, counted in 32-bit words; `zig/src/ring.zig` has the same places. */
export const RingWord = {
  TAIL: 0,
  CAPACITY: 1,
  HEAD: 16,
  FIRST_ENTRY: RING_HEADER_BYTES / 4,
  PER_ENTRY: RING_ENTRY_BYTES / 4,
} as const;

/** The results of `poll` that its caller handles. */
export const PollResult = { INTERRUPTED: errorNumber("EINTR"), RING_FULL: errorNumber("ENOSPC") } as const;

/** What `reregister` and `deregister` return for a descriptor that is not registered, or not any more. */
export const NOT_REGISTERED = errorNumber("ENOENT");

/** The error for a `result` below zero of `register`, `reregister` or `rearm`. */
export function refusalOf(result: number): Error {
  // What can be opened elsewhere, and cannot be waited for, is a file.
  if (result === NOT_PERMITTED && !has("anyDescriptor", THIS_PLATFORM)) return lacking("anyDescriptor", THIS_PLATFORM);
  return errorOf(result, QueueCall.CHANGE);
}

const NOT_PERMITTED = errorNumber("EPERM");

/** What the calls of the platform's queue are named in errors. */
export const QueueCall = callsOf(process.platform);

export class NativeQueue {
  private readonly queue: Uint8Array;
  private readonly ring: Uint8Array;

  constructor(
    /** The kernel's handles live in it. */
    queueMemory: QueueMemory,
    /** `RING_BYTES`, where `poll` puts what is ready. */
    ringMemory: SharedArrayBuffer,
    private readonly functions: QueueFunctions,
  ) {
    const page = retainQueue(queueMemory, functions);
    this.queue = new Uint8Array(page, 0, QUEUE_BYTES);
    this.ring = new Uint8Array(ringMemory);
  }

  open(): number {
    return this.functions.queue_open(this.queue);
  }

  close(): number {
    return this.functions.queue_close(this.queue);
  }

  register(descriptor: number, slot: number, generation: number, interest: number, delivery: number): number {
    return this.functions.queue_register(this.queue, descriptor, slot, generation, interest, delivery);
  }

  reregister(descriptor: number, slot: number, generation: number, interest: number, delivery: number): number {
    return this.functions.queue_reregister(this.queue, descriptor, slot, generation, interest, delivery);
  }

  /** Of an edge source: what was reported of the interest is not so any more, and is to be reported again. */
  rearm(descriptor: number, interest: number): number {
    return this.functions.queue_rearm(this.queue, descriptor, interest);
  }

  deregister(descriptor: number): number {
    return this.functions.queue_deregister(this.queue, descriptor);
  }

  /** Waits at most `timeoutNs` nanoseconds (0: not, Infinity: for ever). One thread at a time. */
  poll(timeoutNs: number): number {
    return this.functions.queue_poll(this.queue, this.ring, timeoutNs);
  }

  wake(): number {
    return this.functions.queue_wake(this.queue);
  }

  /** The time since the machine started in nanoseconds, the same on every thread. */
  monotonicNowNs(): number {
    return this.functions.clock_monotonic_ns();
  }
}

interface QueueCalls {
  readonly OPEN: string;
  readonly CHANGE: string;
  readonly WAIT: string;
}

function callsOf(platform: NodeJS.Platform): QueueCalls {
  switch (platform) {
    case "linux":
      return { OPEN: "epoll_create1", CHANGE: "epoll_ctl", WAIT: "epoll_wait" };
    case "win32":
      return { OPEN: "CreateIoCompletionPort", CHANGE: "DeviceIoControl", WAIT: "GetQueuedCompletionStatusEx" };
    default:
      return { OPEN: "kqueue", CHANGE: "kevent", WAIT: "kevent" };
  }
}

/** Memory for a ring, with its capacity written in. */
export function allocateRing(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(RING_BYTES);
  new Uint32Array(memory)[RingWord.CAPACITY] = RING_ENTRIES;
  return memory;
}
