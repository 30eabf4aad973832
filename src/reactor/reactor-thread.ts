/** The reactor's thread as the executor's thread sees it: a Worker, its start, its messages and its end. */

import type { Worker } from "node:worker_threads";
import { nativeLibrary } from "../native/library.ts";
import { THIS_PLATFORM } from "../native/platform.ts";
import type { QueueMemory } from "../native/queue.ts";
import type { ReadyChannel } from "./ready-channel.ts";
import { REACTOR_WORKER } from "./reactor-worker.ts";
import { BELL, type ReactorThreadData, type ReactorThreadMessage, type ReactorThreadState } from "./thread-messages.ts";

export interface ReactorThreadListener {
  /** Something is ready, or the deadline has come. */
  onBell(): void;
  /** A poll ended with an error number. */
  onPollFailed(result: number): void;
  /** The thread could not start, or ended by itself. */
  onFailed(reason: string): void;
}

export class ReactorThread {
  /** Settles when the thread is gone. */
  readonly ended: Promise<void>;
  private readonly worker: Worker;
  private isUpNow = false;
  private keepsProcessAlive = true;

  constructor(
    private readonly channel: ReadyChannel,
    queueMemory: QueueMemory,
    private readonly listener: ReactorThreadListener,
  ) {
    const workerData: ReactorThreadData = {
      memory: channel.memory,
      queueMemory,
      libraryPath: nativeLibrary().path,
      longestPollNs: longestPollNs(),
    };
    // Loaded with the first thread: it takes some milliseconds, and a program that never sleeps needs none.
    const { Worker } = process.getBuiltinModule("node:worker_threads");
    const { source, isText } = REACTOR_WORKER;
    this.worker = new Worker(source, { workerData, eval: isText });
    this.worker.on("message", (message: ReactorThreadMessage) => this.hear(message));
    this.worker.on("error", (error: Error) => listener.onFailed(error.message));
    this.ended = new Promise((resolve) => {
      this.worker.on("exit", () => {
        listener.onFailed("it has ended");
        resolve();
      });
    });
  }

  /** Whether the thread can take the baton. */
  get isUp(): boolean {
    return this.isUpNow;
  }

  /** Whether the process must not end while the thread waits. */
  keepProcessAlive(keepsProcessAlive: boolean): void {
    if (keepsProcessAlive === this.keepsProcessAlive) return;
    this.keepsProcessAlive = keepsProcessAlive;
    if (keepsProcessAlive) this.worker.ref();
    else this.worker.unref();
  }

  private hear(message: ReactorThreadMessage): void {
    if (message === BELL) {
      this.channel.answerBell();
      this.listener.onBell();
    } else this.hearOfState(message);
  }

  private hearOfState(message: ReactorThreadState): void {
    switch (message.kind) {
      case "up":
        this.isUpNow = true;
        break;
      case "pollFailed":
        this.listener.onPollFailed(message.result);
        break;
      case "startFailed":
        this.listener.onFailed(message.reason);
        break;
    }
  }
}

/**
 * A Worker that ends takes the thread of its reactor along. The runtime asks that to end, and gets it out of its wait by a
 * signal, except on Windows, which has none. The end of the process needs no answer.
 */
function longestPollNs(): number {
  return THIS_PLATFORM === "win32" && !Bun.isMainThread ? WORKER_POLL_NS : Infinity;
}

/** A Worker may take that long to end. */
const WORKER_POLL_NS = 100_000_000;
