/** What a cluster and its Workers tell each other, over a port of their own: the Worker's other messages stay its user's. */

import type { MessagePort } from "node:worker_threads";
import type { SocketAddress } from "../core/system.ts";

/**
 * How the Workers of a cluster share a port:
 *
 * - `kernel`: each listens by itself, and the kernel spreads the connections (SO_REUSEPORT of socket(7), SO_REUSEPORT_LB of
 *   FreeBSD);
 * - `descriptor`: all accept from one listener, and whoever is first has the connection.
 */
export type Sharing = "kernel" | "descriptor";

/** What a Worker is started with. */
export interface SeatData {
  readonly port: MessagePort;
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly address: SocketAddress;
  readonly backlog: number | undefined;
  /** The listener that is shared; null if each Worker has its own. */
  readonly descriptor: number | null;
  readonly data: unknown;
  /** How long the clean-up of a task that is cancelled may take, in milliseconds. */
  readonly cleanupMs: number;
}

/** Where `workerData` has it: no symbol survives being copied to another thread. */
export const SEAT = "bun-reactor.seat";

/** What a Worker tells. */
export type MemberMessage =
  | { readonly kind: "listening" }
  /** It does not accept from the shared listener any more. */
  | { readonly kind: "released" }
  /** Its task has ended: with a value, or cancelled. */
  | { readonly kind: "ended"; readonly value: unknown };

/** What a Worker is told: to end gracefully, or that its task is cancelled. */
export type ClusterMessage = "stop" | "cancel";
