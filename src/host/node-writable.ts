/** Node's `Writable` (nodejs.org/api/stream.html), both ways. */

import type { Writable } from "node:stream";
import { ClosedError, describeValue } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { HostWait } from "./host-wait.ts";
import { nodeStream } from "./node-stream.ts";
import type { Runner, RunnerOptions } from "./runner.ts";
import { type ChunkSink, isChunkSink, perform } from "./source-and-sink.ts";

export type { Writable } from "node:stream";

export interface NodeWritableOptions extends RunnerOptions {
  /** Whether chunks are something else than bytes and strings. */
  readonly objectMode?: boolean | undefined;
  /** From how many bytes on, or chunks with `objectMode`, the stream says that it is full; by default Node's own. */
  readonly highWaterMark?: number | undefined;
}

/** The sink as a stream, whose chunks are written in tasks that are started with `run`. */
export function nodeWritableOf<T>(run: Runner, sink: ChunkSink<T>, options?: NodeWritableOptions): Writable {
  if (isChunkSink(sink)) return new WritableTask(run, sink as ChunkSink<unknown>, options).stream;
  throw new TypeError(`toNodeWritable() takes something with a method write, but was given ${describeValue(sink)}`);
}

/**
 * Makes a stream of Node something to write to in a task.
 * @throws TypeError if it is no writable stream
 */
export function fromNodeWritable<T = Uint8Array | string>(stream: Writable): NodeWriter<T> {
  if (isWritable(stream)) return new NodeWriter(stream);
  throw new TypeError(`fromNodeWritable() takes a writable stream of Node, but was given ${describeValue(stream)}`);
}

/** What `fromNodeWritable` returns. */
export class NodeWriter<T> implements Disposable {
  private failure: { readonly error: unknown } | null = null;
  private hasEnded = false;

  /** For `fromNodeWritable`. */
  constructor(private readonly stream: Writable) {
    // Without a listener an error that comes while no task waits would end the process.
    stream.on("error", this.failed);
    stream.on("close", this.release);
    if (stream.closed) setImmediate(this.release);
  }

  /**
   * Suspends the task until the stream has written the chunk; so a buffer may be used anew afterwards. Several tasks
   * may write: their chunks are written in order.
   * @throws the stream's error; ClosedError after `close` or `abort`, and if the stream is destroyed;
   *   `UnsupportedError` in `blockOn`
   */
  *write(chunk: T): Operation<void> {
    this.refuseAfterFailure();
    if (this.hasEnded) throw new ClosedError("write: this side of the stream was closed");
    yield* new RequestOperation<void>("write", new WriteWait(this.stream, chunk));
  }

  /**
   * Says that no more will come, and suspends the task until the stream has written all, and has closed if it does so
   * by itself. Does nothing after `close` or `abort`.
   * @throws the stream's error, also if that is that it was destroyed meanwhile; `UnsupportedError` in `blockOn`
   */
  *close(): Operation<void> {
    this.refuseAfterFailure();
    if (this.hasEnded) return;
    this.hasEnded = true;
    yield* new RequestOperation<void>("close", new FinishWait(this.stream));
    this.release();
  }

  /**
   * Destroys the stream, and suspends the task until it has closed: what it has not written yet is lost. Does nothing
   * if it is closed.
   * @param reason what others who listen for the stream's `error` are told, if it is an `Error`
   * @throws `UnsupportedError` in `blockOn`
   */
  *abort(reason?: unknown): Operation<void> {
    this.hasEnded = true;
    if (!this.stream.closed) yield* new RequestOperation<void>("abort", new DestroyWait(this.stream, reason));
  }

  /** Destroys the stream, without waiting for it, if it was not closed. */
  [Symbol.dispose](): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.stream.destroy();
  }

  private refuseAfterFailure(): void {
    if (this.failure !== null) throw this.failure.error;
  }

  private readonly failed = (error: unknown): void => {
    this.failure ??= { error };
  };

  private readonly release = (): void => {
    this.stream.off("error", this.failed);
    this.stream.off("close", this.release);
  };
}

class WriteWait extends HostWait {
  constructor(
    private readonly stream: Writable,
    private readonly chunk: unknown,
  ) {
    super();
  }

  describe(): string {
    return "a stream to write a chunk";
  }

  protected begin(): void {
    this.stream.on("error", this.failed);
    this.stream.on("close", this.closed);
    this.stream.write(this.chunk, this.written);
  }

  protected override ended(): void {
    this.stream.off("error", this.failed);
    this.stream.off("close", this.closed);
  }

  private readonly written = (error: unknown): void => {
    if (error === null || error === undefined) this.succeed();
    else this.fail(error);
  };

  private readonly failed = (error: unknown): void => this.fail(error);

  private readonly closed = (): void =>
    this.fail(new ClosedError("the stream was destroyed before it had written a chunk"));
}

class FinishWait extends HostWait {
  private removeListeners: (() => void) | undefined;

  constructor(private readonly stream: Writable) {
    super();
  }

  describe(): string {
    return "a stream to finish";
  }

  protected begin(): void {
    this.removeListeners = nodeStream().finished(this.stream, { readable: false }, (error) => {
      if (error === null || error === undefined) this.succeed();
      else this.fail(error);
    });
    this.stream.end();
  }

  protected override ended(): void {
    this.removeListeners?.();
  }
}

class DestroyWait extends HostWait {
  constructor(
    private readonly stream: Writable,
    private readonly reason: unknown,
  ) {
    super();
  }

  describe(): string {
    return "a stream to close";
  }

  protected begin(): void {
    this.stream.on("close", this.closed);
    this.stream.destroy(this.reason instanceof Error ? this.reason : undefined);
  }

  protected override ended(): void {
    this.stream.off("close", this.closed);
  }

  private readonly closed = (): void => this.succeed();
}

/** The task behind a stream. */
class WritableTask {
  readonly stream: Writable;
  private readonly controller = new AbortController();
  private readonly taskName: string;
  /** Settles when the write that is under way has ended, and has cleaned up if it was cancelled. */
  private writing: Promise<void> = Promise.resolve();
  private hasFailed = false;

  constructor(
    private readonly run: Runner,
    private readonly sink: ChunkSink<unknown>,
    { name = "writer", objectMode, highWaterMark }: NodeWritableOptions = {},
  ) {
    this.taskName = name;
    this.stream = new (nodeStream().Writable)({
      objectMode,
      highWaterMark,
      write: (chunk: unknown, _encoding, callback) => this.begin(() => this.sink.write(chunk), callback),
      final: (callback) => this.begin(() => this.sink.close?.(), callback),
      destroy: (error, callback) => void this.destroy(error, callback),
    });
  }

  private begin(act: () => Operation<void> | void, callback: (error?: Error | null) => void): void {
    this.writing = this.perform(act, callback, this.controller.signal);
  }

  private async destroy(error: Error | null, callback: (error: Error | null) => void): Promise<void> {
    const wasBrokenOff = !this.hasFailed && !this.stream.writableFinished;
    this.controller.abort(error ?? undefined);
    await this.writing;
    if (wasBrokenOff)
      await this.perform(
        () => this.sink.abort?.(error),
        (own) => callback(own ?? error),
      );
    else callback(error);
  }

  /** Runs a task and calls back with how it ended; never rejects. */
  private async perform(
    act: () => Operation<void> | void,
    callback: (error?: Error | null) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      await this.run(() => perform(act), { name: this.taskName, signal });
    } catch (error) {
      this.hasFailed = true;
      return callback(error as Error);
    }
    callback();
  }
}

/** By what it can do: streams of other libraries are none of Node's class. */
function isWritable(value: unknown): value is Writable {
  const stream = value as Partial<Writable> | null | undefined;
  return typeof stream?.write === "function" && typeof stream.on === "function" && typeof stream.destroy === "function";
}
