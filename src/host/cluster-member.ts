/**
 * A Worker of a cluster as its cluster sees it: its start, what it tells, and its end.
 *
 * Facts. A Worker tells nothing when it is terminated or calls `process.exit`, so its end is the event "exit" and nothing
 * else; what it told before may come after that, and is asked for then. A `terminate` that comes before a Worker is up has
 * crashed Bun.
 *
 * Decision. Whoever waits for something of a Worker waits for its end as well. It is asked to end, then its task is
 * cancelled, and only what still does not end is terminated, once it is up.
 */

import type { MessagePort, Worker } from "node:worker_threads";
import type { Operation } from "../core/operation.ts";
import { moveOnAfter } from "../core/time-limit.ts";
import { type ClusterMessage, type MemberMessage, SEAT, type SeatData } from "./cluster-messages.ts";
import { settled } from "./host-wait.ts";

/** A Worker of a cluster has ended before its task had, or does not end. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly code = "ERR_CLUSTER";

  constructor(
    message: string,
    /** Which Worker it was, from 0. */
    readonly worker: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class ClusterMember {
  /** Which of the Workers it is, from 0. */
  readonly index: number;
  private readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly label: string;
  private readonly up = new Happening();
  private readonly listening = new Happening();
  private readonly gone = new Happening();
  private exitCode = 0;
  /** What came out of the Worker. */
  private uncaught: Error | null = null;
  private ending: { readonly value: unknown } | null = null;
  private hasListened = false;
  private hasReleased = false;

  /** Starts the Worker. `released` is called when it does not accept from the shared listener any more, or is gone. */
  constructor(
    file: URL,
    seat: Omit<SeatData, "port">,
    private readonly released: () => void,
  ) {
    const { Worker, MessageChannel } = workerThreads();
    const { port1, port2 } = new MessageChannel();
    this.index = seat.index;
    this.label = `worker ${seat.index + 1} of ${seat.count} (${file.protocol === "file:" ? Bun.fileURLToPath(file) : file})`;
    this.port = port1;
    this.worker = new Worker(file, {
      workerData: { [SEAT]: { ...seat, port: port2 } },
      transferList: [port2],
      name: `worker ${seat.index + 1}`,
    });
    port1.on("message", (message: MemberMessage) => this.hear(message));
    this.worker.on("online", () => this.up.happened());
    this.worker.on("error", (error: Error) => (this.uncaught ??= error));
    this.worker.on("exit", (exitCode: number) => this.exited(exitCode));
  }

  /** Whether its thread is gone. */
  get hasEnded(): boolean {
    return this.gone.hasHappened;
  }

  /** What its task has returned; undefined before, or if it has returned nothing. */
  get value(): unknown {
    return this.ending?.value;
  }

  /** Whether it will accept nothing more from the shared listener. */
  get isReleased(): boolean {
    return this.hasReleased || this.hasEnded;
  }

  /**
   * Waits until it listens.
   * @throws ClusterError if it has ended instead
   */
  *untilListening(): Operation<void> {
    yield* this.listening.wait(`${this.label} to listen`);
    this.refuseFailure();
    if (this.ending !== null && !this.hasListened)
      throw this.failure("has ended and never listened: is seat.listen() in it?");
  }

  /**
   * Waits until its task has ended and its thread is gone.
   * @throws ClusterError if its thread has ended before its task
   */
  *untilEnded(): Operation<void> {
    yield* this.gone.wait(`the end of ${this.label}`);
    this.refuseFailure();
  }

  /**
   * Ends it: gracefully within `graceMs`, by a cancel of its task within `cancelMs`, or else by force.
   * @throws ClusterError if even that has not ended its thread: native code does not return
   */
  *end(graceMs: number, cancelMs: number): Operation<void> {
    this.tell("stop");
    if (yield* this.isGoneWithin(graceMs)) return;
    this.tell("cancel");
    if (yield* this.isGoneWithin(cancelMs)) return;
    yield* this.terminate();
  }

  private *terminate(): Operation<void> {
    yield* moveOnAfter(TERMINATE_MS, () => this.up.wait(`${this.label} to be up`));
    void this.worker.terminate();
    if (yield* this.isGoneWithin(TERMINATE_MS)) return;
    throw this.failure("does not end, although it was terminated: it is in native code that does not return");
  }

  private *isGoneWithin(durationMs: number): Operation<boolean> {
    if (!this.hasEnded) yield* moveOnAfter(durationMs, () => this.gone.wait(`the end of ${this.label}`));
    return this.hasEnded;
  }

  private tell(message: ClusterMessage): void {
    if (!this.hasEnded) this.port.postMessage(message);
  }

  private hear(message: MemberMessage): void {
    switch (message.kind) {
      case "listening":
        this.hasListened = true;
        this.listening.happened();
        break;
      case "released":
        this.hasReleased = true;
        this.released();
        break;
      case "ended":
        this.ending = message;
        break;
    }
  }

  private exited(exitCode: number): void {
    const { receiveMessageOnPort } = workerThreads();
    for (let late = receiveMessageOnPort(this.port); late !== undefined; late = receiveMessageOnPort(this.port))
      this.hear((late as { readonly message: MemberMessage }).message);
    this.port.close();
    this.exitCode = exitCode;
    this.up.happened();
    this.gone.happened();
    this.listening.happened();
    this.released();
  }

  private refuseFailure(): void {
    if (!this.hasEnded) return;
    if (this.uncaught !== null) throw this.failure(`failed: ${this.uncaught.message}`);
    if (this.ending !== null) return;
    const when = this.hasListened ? "before its task had" : "before it listened: does its file call clusterWorker?";
    throw this.failure(`has ended, with exit code ${this.exitCode}, ${when}`);
  }

  private failure(words: string): ClusterError {
    const { uncaught } = this;
    return new ClusterError(`${this.label} ${words}`, this.index, uncaught === null ? {} : { cause: uncaught });
  }
}

/** Something of the host that happens once, and that any number of tasks wait for. */
class Happening {
  private readonly resolvers = Promise.withResolvers<void>();
  private isOver = false;

  get hasHappened(): boolean {
    return this.isOver;
  }

  happened(): void {
    this.isOver = true;
    this.resolvers.resolve();
  }

  wait(words: string): Operation<void> {
    return settled("ClusterMember", words, () => this.resolvers.promise);
  }
}

/** Loaded with the first cluster: it takes some milliseconds. */
function workerThreads(): typeof import("node:worker_threads") {
  return process.getBuiltinModule("node:worker_threads");
}

const TERMINATE_MS = 5_000;
