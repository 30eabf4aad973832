/** What the executor's thread and the reactor thread send each other, besides what they share in memory. */

import type { QueueMemory } from "../native/queue.ts";
import type { ChannelMemory } from "./ready-channel.ts";

/** What the reactor thread is started with. */
export interface ReactorThreadData {
  readonly memory: ChannelMemory;
  readonly queueMemory: QueueMemory;
  readonly libraryPath: string;
  /** How long one wait in the event queue may take, in nanoseconds. */
  readonly longestPollNs: number;
}

/**
 * The reactor thread has put something into the channel. A number: it costs each thread 10 to 15 µs less than an
 * object.
 */
export const BELL = 0;

/** What the reactor thread tells of itself: that it is up, or why it cannot go on. */
export type ReactorThreadState =
  | { readonly kind: "up" }
  | { readonly kind: "pollFailed"; readonly result: number }
  | { readonly kind: "startFailed"; readonly reason: string };

export type ReactorThreadMessage = typeof BELL | ReactorThreadState;
