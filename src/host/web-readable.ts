/**
 * The web's `ReadableStream` (streams.spec.whatwg.org), both ways. Nothing is read ahead: a chunk is asked for when
 * whoever reads asks for it.
 */

import type { UnderlyingByteSource, UnderlyingDefaultSource } from "node:stream/web";
import { BusyError, describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { Giver } from "../core/request.ts";
import type { Subscription } from "../flow/each.ts";
import { settled } from "./host-wait.ts";
import { Iteration } from "./iteration.ts";
import { type Emit, type Producer, type ProducerOptions, toProduce } from "./producer.ts";
import type { Runner } from "./runner.ts";
import { type ByteSource, CHUNK_BYTES, isByteSource, perform } from "./source-and-sink.ts";

/** What the producer emits, or the source's bytes, as a stream whose task is started with `run`. */
export function readableStreamOf(
  run: Runner,
  source: Producer<unknown> | ByteSource,
  options?: ProducerOptions,
): ReadableStream {
  const underlying = isByteSource(source)
    ? new PulledBytes(run, source, options)
    : new PulledItems(new Iteration(run, toProduce("toReadableStream", source), options));
  return new ReadableStream(underlying as Bun.UnderlyingSource, PULLED_ONLY);
}

/**
 * Makes a stream of the host a subscription: iterate it with `each`, or take one chunk after the other with `next`. The
 * stream is locked until its end, its error, or `close`, which cancels it. A `next` that is cancelled loses no chunk:
 * the following one gets it.
 * @throws TypeError if the stream is locked, or is none
 */
export function fromReadableStream<T>(stream: ReadableStream<T>): StreamReader<T> {
  if (stream instanceof ReadableStream) return new StreamReader<T>(stream.getReader() as HostReader<T>);
  throw new TypeError(`fromReadableStream() takes a ReadableStream, but was given ${describeValue(stream)}`);
}

/** What `fromReadableStream` returns. */
export class StreamReader<T> implements Subscription<T>, Disposable {
  /** A chunk that was asked for and that no task has taken yet. */
  private pending: Promise<ReadResult<T>> | null = null;
  private isReading = false;
  private hasEnded = false;

  /** For `fromReadableStream`. */
  constructor(private readonly reader: HostReader<T>) {}

  /**
   * Suspends the task until there is a chunk.
   * @throws the stream's error; BusyError if another task is reading; `UnsupportedError` in `blockOn`
   */
  *next(): Operation<IteratorResult<T, void>> {
    if (this.isReading) throw new BusyError("another task is reading this stream");
    if (this.hasEnded && this.pending === null) return DONE;
    this.isReading = true;
    try {
      const { done, value } = yield* settled<ReadResult<T>>("next", "a chunk of a stream", this.read, KEPT);
      this.pending = null;
      return done ? DONE : { done, value };
    } finally {
      this.isReading = false;
    }
  }

  /** Lets go of the stream and cancels it, without waiting for what that comes to. A task that waits finds the end. */
  close(): void {
    this.cancelStream(undefined).catch(ignoreRejection);
  }

  /**
   * Lets go of the stream and cancels it, and suspends the task until the stream has. Does nothing after the stream's
   * end.
   * @param reason what the other side is told
   * @throws what the other side throws over it; `UnsupportedError` in `blockOn`
   */
  cancel(reason?: unknown): Operation<void> {
    return settled("cancel", "a stream to be cancelled", () => this.cancelStream(reason));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private readonly read = (): Promise<ReadResult<T>> => {
    this.pending ??= this.readNext();
    return this.pending;
  };

  private async readNext(): Promise<ReadResult<T>> {
    let isLast = true;
    try {
      const result = await this.reader.read();
      isLast = result.done;
      return result;
    } finally {
      if (isLast) this.release();
    }
  }

  private async cancelStream(reason: unknown): Promise<void> {
    if (this.hasEnded) return;
    const cancelled = this.reader.cancel(reason);
    this.release();
    await cancelled;
  }

  private release(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.reader.releaseLock();
  }
}

type ReadResult<T> = Bun.ReadableStreamDefaultReadResult<T>;
type HostReader<T> = Pick<ReadableStreamDefaultReader<T>, "cancel" | "releaseLock"> & {
  read(): Promise<ReadResult<T>>;
};

/** Items for a stream, each produced when it is asked for. */
class PulledItems<T> implements UnderlyingDefaultSource<T> {
  private isCancelled = false;

  constructor(private readonly iteration: Iteration<T>) {}

  async pull(controller: ReadableStreamDefaultController<T>): Promise<void> {
    const item = await this.iteration.next();
    if (this.isCancelled) return;
    if (item.done === true) controller.close();
    else controller.enqueue(item.value);
  }

  async cancel(): Promise<void> {
    this.isCancelled = true;
    await this.iteration.return();
  }
}

/** Bytes for a stream, read right into the buffer of a reader that brings its own (`mode: "byob"`). */
class PulledBytes implements UnderlyingByteSource {
  readonly type = "bytes";
  private readonly iteration: Iteration<number>;
  private readonly name: string;
  private target: Uint8Array<ArrayBuffer> = NO_BYTES;
  /** For readers that bring no buffer; what was read is copied out of it. */
  private scratch: Uint8Array<ArrayBuffer> | null = null;
  private isCancelled = false;

  constructor(
    private readonly run: Runner,
    private readonly source: ByteSource,
    { signal, name = "reader" }: ProducerOptions = {},
  ) {
    this.name = name;
    this.iteration = new Iteration(run, (emit) => this.readAll(emit), { signal, name });
  }

  async pull(controller: ReadableByteStreamController): Promise<void> {
    const request = controller.byobRequest;
    const view = request?.view as Uint8Array<ArrayBuffer> | null | undefined;
    this.target = view ?? (this.scratch ??= new Uint8Array(CHUNK_BYTES));
    const { done, value: bytes } = await this.iteration.next();
    if (this.isCancelled) return;
    if (done === true) {
      controller.close();
      request?.respond(0);
    } else if (request === null) controller.enqueue(this.target.slice(0, bytes));
    else request.respond(bytes);
  }

  async cancel(reason: unknown): Promise<void> {
    this.isCancelled = true;
    const { source, run, name } = this;
    try {
      await this.iteration.return();
    } finally {
      await run(() => perform(() => source.cancel?.(reason)), { name });
    }
  }

  private *readAll(emit: Emit<number>): Operation<void> {
    for (;;) {
      const bytes = yield* this.source.read(this.target);
      if (bytes === 0) return;
      yield* emit(bytes);
    }
  }
}

/** A chunk is pending until a task has taken it. */
const KEPT: Giver = { giveBack() {} };

function ignoreRejection(): void {
  // Whoever lets go without waiting does not want to know; `cancel` tells.
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined };
const NO_BYTES = new Uint8Array(0);

/** Nothing is produced before somebody reads. */
const PULLED_ONLY = { highWaterMark: 0 };
