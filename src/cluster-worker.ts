/** The Worker's side of a cluster: what the file of a Worker calls. */

import { systemToOpen } from "./core/current-system.ts";
import { BusyError, CancelledError, UnsupportedError } from "./core/errors.ts";
import type { Operation } from "./core/operation.ts";
import { yieldNow } from "./core/yield-now.ts";
import { type ClusterMessage, type MemberMessage, SEAT, type SeatData } from "./host/cluster-messages.ts";
import { listen, type TcpListener } from "./io/tcp.ts";
import { SharedTcpListener } from "./io/tcp-listener.ts";
import { run, type RunOptions } from "./run.ts";
import { Latch } from "./sync/latch.ts";

/** The place of a Worker in its cluster. */
export class ClusterSeat {
  /** Is set when the cluster is to end: `serve(…, { until: seat.stopping.wait() })` then ends gracefully. */
  readonly stopping = new Latch({ name: "the end of the cluster" });
  private hasListened = false;

  /** For `clusterWorker`. */
  constructor(private readonly seat: SeatData) {}

  /** Which of the Workers this is, from 0. */
  get index(): number {
    return this.seat.index;
  }

  /** How many Workers there are. */
  get count(): number {
    return this.seat.count;
  }

  /** What the cluster was started with as `data`, a copy. */
  get data(): unknown {
    return this.seat.data;
  }

  /**
   * Opens this Worker's listener on the address of the cluster, to be used once. The cluster is up when all its Workers have
   * done so.
   * @throws BusyError if it was called already; SystemError such as `EMFILE`
   */
  *listen(): Operation<TcpListener> {
    if (this.hasListened) throw new BusyError("seat.listen: this Worker has its listener already");
    this.hasListened = true;
    const listener = yield* this.open();
    this.tell({ kind: "listening" });
    return listener;
  }

  /** For `clusterWorker`. */
  tell(message: MemberMessage): void {
    this.seat.port.postMessage(message);
  }

  private *open(): Operation<TcpListener> {
    const { address, backlog, descriptor } = this.seat;
    if (descriptor === null) {
      const { host, port } = address;
      return yield* listen({ host, port, backlog, reusePort: true });
    }
    const system = yield* systemToOpen();
    return new SharedTcpListener(system, descriptor, address, () => this.tell({ kind: "released" }));
  }
}

/**
 * Runs the task of a Worker that `startCluster` has started, on this thread's own executor and reactor:
 *
 *     await clusterWorker(function* (seat) {
 *       yield* serve(yield* seat.listen(), echo, { until: seat.stopping.wait(), graceMs: 10_000 });
 *     });
 *
 * Such a thread dozes for up to a millisecond in its event queue before it lets Bun's event loop sleep (`dozeUs: 0` turns that
 * off, where more than tasks runs in the Worker), and does not linger (`lingerUs`), because others need the core.
 *
 * When the cluster is to end, `seat.stopping` is set; a task that has not ended after the cluster's `graceMs` is cancelled, and
 * a Worker that does not even end then is terminated. What the task returns goes to the cluster (as `postMessage` copies it),
 * and what it throws ends the cluster.
 * @throws what the task throws; UnsupportedError where no cluster has started this thread; BusyError if it was called already
 */
export async function clusterWorker<T>(
  task: (seat: ClusterSeat) => Operation<T>,
  options: Omit<RunOptions, "signal"> = {},
): Promise<void> {
  const seatData = takeSeat();
  const { port, cleanupMs } = seatData;
  const seat = new ClusterSeat(seatData);
  const controller = new AbortController();
  port.on("message", (message: ClusterMessage) => {
    if (message === "stop") seat.stopping.set();
    else void afterOthers(() => controller.abort(new CancelledError("the task of this Worker", "the cluster ends")));
  });
  try {
    const value = await run(() => task(seat), {
      cleanupMs,
      dozeUs: DOZE_US,
      lingerUs: LINGER_US,
      ...options,
      signal: controller.signal,
    });
    seat.tell({ kind: "ended", value });
  } catch (error) {
    if (error !== controller.signal.reason) throw error;
    seat.tell({ kind: "ended", value: undefined });
  } finally {
    // From here on nothing of the cluster keeps the Worker.
    port.close();
  }
}

/** A task that was told to stop a moment ago knows that first: it is before this one in the queue. */
async function afterOthers(then: () => void): Promise<void> {
  await run(() => yieldNow());
  then();
}

/**
 * Workers share the cores with one another and with who sends, and mostly have nothing else to do: they sleep in the queue
 * themselves, and poll on for no moment. With two of them and the load on two cores a message cost 1.76 times the CPU of one
 * Worker with the defaults of `run`, and 1.54 times so; `Bun.listen` in two Workers 1.38 times.
 */
const DOZE_US = 1_000;
const LINGER_US = 0;

let hasSeat = false;

function takeSeat(): SeatData {
  // Loaded when it is needed: it takes some milliseconds.
  const workerData: unknown = process.getBuiltinModule("node:worker_threads").workerData;
  const seat = (workerData as { readonly [SEAT]?: SeatData } | null | undefined)?.[SEAT];
  if (seat === undefined)
    throw new UnsupportedError(
      "clusterWorker: this thread was not started by a cluster: startCluster({ worker: … }) does that",
    );
  if (hasSeat) throw new BusyError("clusterWorker: this Worker has its task already");
  hasSeat = true;
  return seat;
}
