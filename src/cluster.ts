/**
 * `startCluster`: one server on all cores. It starts Workers, each with an executor and a reactor of its own, which share one
 * port; it ends them together.
 *
 * Facts. Linux spreads the connections of a port over all sockets that listen on it with SO_REUSEPORT, FreeBSD with
 * SO_REUSEPORT_LB. On macOS the one that listened last gets them all, and Windows has no such option. But a descriptor is the
 * process's, so that all threads can accept from one listener; each connection then wakes all threads that sleep, and the
 * busiest ones accept least.
 *
 * Decision. Where the kernel balances, each Worker listens by itself, and the cluster holds the address until all of them do,
 * so that port 0 is the same port for all. Elsewhere, and where it is asked for, the cluster listens, and the Workers accept
 * from its listener. It belongs to this thread, which closes it when all Workers have let go of it.
 */

import { DEFAULT_CLEANUP_MS } from "./core/cleanup-timer.ts";
import { hostRuns } from "./core/current-system.ts";
import { assertInteger, assertTime, describeValue, UnsupportedError } from "./core/errors.ts";
import type { Operation } from "./core/operation.ts";
import { scope } from "./core/scope-region.ts";
import type { Scope } from "./core/scope.ts";
import type { SocketAddress } from "./core/system.ts";
import { ended, spawn } from "./core/task-operations.ts";
import type { Task } from "./core/task.ts";
import { ClusterMember } from "./host/cluster-member.ts";
import type { Sharing } from "./host/cluster-messages.ts";
import { listen, type ListenOptions, TcpListener } from "./io/tcp.ts";
import { assertListenOptions, reserve, TcpReservation } from "./io/tcp-listener.ts";

export { ClusterError } from "./host/cluster-member.ts";
export type { Sharing } from "./host/cluster-messages.ts";

export interface ClusterOptions extends Omit<ListenOptions, "reusePort"> {
  /** The file of the Workers, which calls `clusterWorker`; a relative path is one from the current folder. */
  readonly worker: string | URL;
  /** How many; by default as many as the process has cores. */
  readonly workers?: number | undefined;
  /** How long the Workers have to end by themselves when the cluster is to end, in milliseconds; by default 10,000. */
  readonly graceMs?: number | undefined;
  /** How long the clean-up of what is cancelled then may take, in milliseconds; by default 5,000. */
  readonly cleanupMs?: number | undefined;
  /** How they share the port; by default `kernel` on Linux and FreeBSD, and `descriptor` elsewhere. */
  readonly sharing?: Sharing | undefined;
  /** What each Worker gets as `seat.data`, a copy. */
  readonly data?: unknown;
}

/**
 * Starts Workers that share a port, and suspends the task until all of them listen:
 *
 *     await main(function* () {
 *       const cluster = yield* startCluster({ worker: new URL("./worker.ts", import.meta.url), port: 7000 });
 *       console.log(`listening on ${showAddress(cluster.address)}`);
 *       yield* cluster.ended();
 *     });
 *
 * The Workers belong to the innermost scope that is open in this task, which waits for them. When that is cancelled, as by
 * Ctrl-C in `main`, and at `cluster.stop()`, all of them are told to end: what is in `clusterWorker` has `graceMs` for that, is
 * then cancelled and has the time of a clean-up, and in the end its thread is terminated. If a Worker fails, or leaves with
 * `process.exit`, the others are ended in the same way, and the scope ends with a `ClusterError` that names it.
 *
 * Another program of the same user can listen on the same port beside a cluster whose sharing is `kernel`: the connections are
 * spread over both.
 * @throws what `listen` throws; `ClusterError` if a Worker ends before it listens; UnsupportedError for a sharing that the
 *   platform does not have, and in `blockOn`; RangeError and TypeError for options that are none
 */
export function* startCluster(options: ClusterOptions): Operation<Cluster> {
  const { workers = coreCount(), sharing = defaultSharing() } = options;
  const { graceMs = DEFAULT_GRACE_MS, cleanupMs = DEFAULT_CLEANUP_MS } = options;
  assertListenOptions("startCluster", options);
  assertInteger("startCluster: workers", workers, 1, MOST_WORKERS);
  assertTime("startCluster: graceMs", graceMs);
  assertTime("startCluster: cleanupMs", cleanupMs);
  assertSharing(sharing);
  const file = toFile(options.worker);
  if (!(yield* hostRuns()))
    throw new UnsupportedError(
      "startCluster: no Worker is heard inside blockOn, which blocks the thread: use run instead",
    );
  const place = sharing === "kernel" ? yield* reserve(options) : yield* listen(options);
  const cluster = new Cluster(place, sharing, graceMs, cleanupMs);
  let isUp = false;
  try {
    yield* cluster.open(file, workers, options);
    isUp = true;
    return cluster;
  } finally {
    if (!isUp) yield* cluster.abandon();
  }
}

/** A server on several cores. */
export class Cluster {
  private readonly members: ClusterMember[] = [];
  private keeper: Task<unknown> | null = null;

  /** For `startCluster`. */
  constructor(
    private readonly place: TcpReservation | TcpListener,
    /** How the Workers share the port. */
    readonly sharing: Sharing,
    private readonly graceMs: number,
    private readonly cleanupMs: number,
  ) {}

  /** Where the Workers listen. */
  get address(): SocketAddress {
    return this.place.address;
  }

  /** The Workers, in order: whether each has ended, and what its task has returned. */
  get workers(): readonly ClusterWorkerView[] {
    return this.members;
  }

  /**
   * Suspends the task until all Workers have ended.
   * @returns what their tasks have returned, in order; undefined for one that was cancelled
   * @throws ClusterError if one of them has failed, once the others have ended; without anybody who waits here it comes out of
   *   the scope
   */
  *ended(): Operation<readonly unknown[]> {
    const keeper = this.keeper!;
    yield* ended(keeper);
    if (keeper.state === "failed") throw keeper.error;
    return this.members.map(({ value }) => value);
  }

  /**
   * Ends all Workers, gracefully if they do, and suspends the task until they have ended.
   * @returns and throws what `ended` does
   */
  *stop(): Operation<readonly unknown[]> {
    this.keeper!.cancel("the cluster was stopped");
    return yield* this.ended();
  }

  /** For `startCluster`: starts the Workers, and leaves them to a task of the innermost scope. */
  *open(file: URL, count: number, { backlog, data }: ClusterOptions): Operation<void> {
    const descriptor = this.place instanceof TcpListener ? this.place.descriptor : null;
    for (let index = 0; index < count; index++) {
      const seat = { index, count, address: this.address, backlog, descriptor, data, cleanupMs: this.cleanupMs };
      this.members.push(new ClusterMember(file, seat, this.closeWhenReleased));
    }
    for (const member of this.members) yield* member.untilListening();
    // Now the address is the Workers'. On FreeBSD a socket that is only bound would be handed connections as well.
    if (this.place instanceof TcpReservation) this.place.close();
    this.keeper = yield* spawn(() => this.keep(), { name: "cluster" });
  }

  /** For `startCluster`: not all of them have come up. */
  *abandon(): Operation<void> {
    if (this.keeper !== null) return;
    try {
      yield* scope(
        function* abandon(this: Cluster, members: Scope): Operation<void> {
          for (const member of this.members) yield* members.spawn(() => member.end(0, ABANDONED_MS));
        }.bind(this),
      );
    } finally {
      this.place.close();
    }
  }

  /** Its own limit of time is that of `end`, which has three stages. */
  private *keep(): Operation<void> {
    try {
      yield* scope(
        function* keep(this: Cluster, members: Scope): Operation<void> {
          for (const member of this.members)
            yield* members.spawn(() => this.attend(member), { name: `worker ${member.index + 1}` });
        }.bind(this),
        { name: "cluster", cleanupMs: Infinity },
      );
    } finally {
      this.place.close();
    }
  }

  /** Once the task of a Worker is cancelled, it has a moment more than its clean-up may take to tell its end. */
  private *attend(member: ClusterMember): Operation<void> {
    try {
      yield* member.untilEnded();
    } finally {
      if (!member.hasEnded) yield* member.end(this.graceMs, this.cleanupMs + TELLING_MS);
    }
  }

  /** Who is refused can go elsewhere; who is in the backlog would wait until the last connection of the cluster has ended. */
  private readonly closeWhenReleased = (): void => {
    if (this.members.every(({ isReleased }) => isReleased)) this.place.close();
  };
}

/** What a cluster shows of a Worker. */
export interface ClusterWorkerView {
  /** From 0. */
  readonly index: number;
  readonly hasEnded: boolean;
  /** What its task has returned; undefined before. */
  readonly value: unknown;
}

function coreCount(): number {
  return process.getBuiltinModule("node:os").availableParallelism();
}

function defaultSharing(): Sharing {
  return BALANCING_PLATFORMS.includes(process.platform) ? "kernel" : "descriptor";
}

function assertSharing(sharing: unknown): asserts sharing is Sharing {
  if (sharing !== "kernel" && sharing !== "descriptor")
    throw new TypeError(`startCluster: sharing must be "kernel" or "descriptor", but is ${describeValue(sharing)}`);
  if (sharing === "kernel" && !BALANCING_PLATFORMS.includes(process.platform))
    throw new UnsupportedError(
      `startCluster: ${process.platform} does not spread the connections of a port over several listeners: ` +
        'leave sharing out, or say "descriptor"',
    );
}

function toFile(worker: unknown): URL {
  if (worker instanceof URL) return worker;
  if (typeof worker === "string" && worker !== "") return Bun.pathToFileURL(worker);
  throw new TypeError(`startCluster: worker must be the path or the URL of a file, but is ${describeValue(worker)}`);
}

/** Those on which SO_REUSEPORT (or SO_REUSEPORT_LB) balances. */
const BALANCING_PLATFORMS: readonly NodeJS.Platform[] = ["linux", "freebsd"];

/** Long for most requests, short for whoever waits for the next version to start. */
const DEFAULT_GRACE_MS = 10_000;

const TELLING_MS = 1_000;

/** They serve nobody yet. Short of the time that the clean-up of whoever starts the cluster has. */
const ABANDONED_MS = 1_000;

/** Each is a thread with a heap of its own, and no machine has more cores. */
const MOST_WORKERS = 1_024;
