/** The web's `WritableStream` (streams.spec.whatwg.org), both ways. One chunk is under way at a time. */

import type { UnderlyingSink, WritableStreamDefaultController } from "node:stream/web";
import { ClosedError, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { settled } from "./host-wait.ts";
import type { Runner, RunnerOptions } from "./runner.ts";
import { type ChunkSink, isChunkSink, perform } from "./source-and-sink.ts";

/** The sink as a stream, whose chunks are written in tasks that are started with `run`. */
export function writableStreamOf<T>(run: Runner, sink: ChunkSink<T>, options?: RunnerOptions): WritableStream<T> {
  if (isChunkSink(sink)) {
    const underlying: UnderlyingSink<T> = new WritingTasks(run, sink, options);
    return new WritableStream(underlying as Bun.UnderlyingSink<T>);
  }
  throw new TypeError(`toWritableStream() takes something with a method write, but was given ${describeValue(sink)}`);
}

/**
 * Makes a stream of the host something to write to in a task. The stream is locked until `close`, `abort`, or, with
 * `using`, the end of the block.
 * @throws TypeError if the stream is locked, or is none
 */
export function fromWritableStream<T>(stream: WritableStream<T>): StreamWriter<T> {
  if (stream instanceof WritableStream) return new StreamWriter(stream.getWriter());
  throw new TypeError(`fromWritableStream() takes a WritableStream, but was given ${describeValue(stream)}`);
}

/** What `fromWritableStream` returns. */
export class StreamWriter<T> implements Disposable {
  private hasEnded = false;

  /** For `fromWritableStream`. */
  constructor(private readonly writer: WritableStreamDefaultWriter<T>) {}

  /**
   * Suspends the task until the stream has room, and then until it has written the chunk; so a buffer may be used anew
   * afterwards. Several tasks may write: their chunks are written in order.
   * @throws the stream's error; ClosedError after `close` or `abort`; `UnsupportedError` in `blockOn`
   */
  *write(chunk: T): Operation<void> {
    this.refuseAfterEnd();
    yield* settled("write", "a stream to have room", () => this.writer.ready);
    this.refuseAfterEnd();
    yield* settled("write", "a stream to write a chunk", () => this.writer.write(chunk));
  }

  /**
   * Says that no more will come, and suspends the task until the stream has written all and closed. Does nothing after
   * `close` or `abort`.
   * @throws the stream's error; `UnsupportedError` in `blockOn`
   */
  close(): Operation<void> {
    return settled("close", "a stream to close", () => this.end((writer) => writer.close()));
  }

  /**
   * Breaks the stream off, and suspends the task until it has stopped: what it has not written yet is lost. Does
   * nothing after `close` or `abort`.
   * @param reason what the other side is told
   * @throws what the other side throws over it; `UnsupportedError` in `blockOn`
   */
  abort(reason?: unknown): Operation<void> {
    return settled("abort", "a stream to stop", () => this.end((writer) => writer.abort(reason)));
  }

  /** Breaks the stream off, without waiting for it, if it was not closed. */
  [Symbol.dispose](): void {
    this.end((writer) => writer.abort()).catch(ignoreRejection);
  }

  private async end(how: (writer: WritableStreamDefaultWriter<T>) => Promise<void>): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const ended = how(this.writer);
    this.writer.releaseLock();
    await ended;
  }

  private refuseAfterEnd(): void {
    if (this.hasEnded) throw new ClosedError("write: this side of the stream was closed");
  }
}

/** Writes each chunk in a task of its own, which is cancelled if the stream is aborted. */
class WritingTasks<T> implements UnderlyingSink<T> {
  private readonly name: string;

  constructor(
    private readonly run: Runner,
    private readonly sink: ChunkSink<T>,
    { name = "writer" }: RunnerOptions = {},
  ) {
    this.name = name;
  }

  write(chunk: T, { signal }: WritableStreamDefaultController): Promise<void> {
    return this.run(() => this.sink.write(chunk), { name: this.name, signal });
  }

  close(): Promise<void> {
    return this.run(() => perform(() => this.sink.close?.()), { name: this.name });
  }

  abort(reason: unknown): Promise<void> {
    return this.run(() => perform(() => this.sink.abort?.(reason)), { name: this.name });
  }
}

function ignoreRejection(): void {
  // Whoever lets go without waiting does not want to know; `close` and `abort` tell.
}
