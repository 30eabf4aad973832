/** Node's `Readable` (nodejs.org/api/stream.html), both ways. */

import type { Readable } from "node:stream";
import { spendBudget } from "../core/budget.ts";
import { BusyError, ClosedError, describeValue } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { YIELD_REQUEST } from "../core/yield-now.ts";
import type { Subscription } from "../flow/each.ts";
import { WakeWait } from "./host-wait.ts";
import { Iteration } from "./iteration.ts";
import { nodeStream } from "./node-stream.ts";
import { type Emit, type Producer, type ProducerOptions, toProduce } from "./producer.ts";
import type { Runner } from "./runner.ts";
import { type ByteSource, CHUNK_BYTES, isByteSource, perform } from "./source-and-sink.ts";

export type { Readable } from "node:stream";

export interface NodeReadableOptions extends ProducerOptions {
  /** Whether items are something else than bytes and strings. */
  readonly objectMode?: boolean | undefined;
  /** How far the task may be ahead of the reader: in bytes, or in items with `objectMode`; by default Node's own. */
  readonly highWaterMark?: number | undefined;
}

/** What the producer emits, or the source's bytes, as a stream whose task is started with `run`. */
export function nodeReadableOf(
  run: Runner,
  source: Producer<unknown> | ByteSource,
  options: NodeReadableOptions = {},
): Readable {
  if (!isByteSource(source)) return new ReadableTask(run, toProduce("toNodeReadable", source), options).stream;
  return new ReadableTask(run, (emit) => emitBytes(source, emit), { name: "reader", ...options }, source).stream;
}

/**
 * Makes a stream of Node a subscription: iterate it with `each`, or take one chunk after the other with `next`. `close`
 * destroys the stream. A `next` that is cancelled loses no chunk: the following one gets it.
 * @throws TypeError if it is no readable stream
 */
export function fromNodeReadable<T = Buffer>(stream: Readable): NodeReader<T> {
  if (isReadable(stream)) return new NodeReader(stream);
  throw new TypeError(`fromNodeReadable() takes a readable stream of Node, but was given ${describeValue(stream)}`);
}

/** What `fromNodeReadable` returns. */
export class NodeReader<T> implements Subscription<T>, Disposable {
  /** The task's wait for something to happen to the stream. */
  private wait: WakeWait | null = null;
  private failure: { readonly error: unknown } | null = null;
  private isReading = false;
  private hasEnded = false;
  private isClosed: boolean;

  /** For `fromNodeReadable`. */
  constructor(private readonly stream: Readable) {
    this.isClosed = stream.closed;
    stream.on("error", this.failed);
    stream.once("close", this.closed);
    for (const name of CHANGES) stream.on(name, this.changed);
  }

  /**
   * Suspends the task until there is a chunk.
   * @throws the stream's error; ClosedError if the stream was destroyed before its end; BusyError if another task is
   *   reading; `UnsupportedError` in `blockOn`
   */
  *next(): Operation<IteratorResult<T, void>> {
    if (this.isReading) throw new BusyError("another task is reading this stream");
    this.isReading = true;
    try {
      if (!spendBudget()) yield YIELD_REQUEST;
      for (;;) {
        const result = this.poll();
        if (result !== null) return result;
        yield* new RequestOperation<void>(
          "next",
          new WakeWait("a chunk of a stream", (wait) => void (this.wait = wait)),
        );
      }
    } finally {
      this.isReading = false;
    }
  }

  /** Destroys the stream, without waiting for what that comes to. A task that waits finds the end. */
  close(): void {
    if (this.hasEnded) return;
    this.end();
    this.stream.destroy();
    this.changed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What is to be told at this moment; null if that is nothing. */
  private poll(): IteratorResult<T, void> | null {
    const { stream } = this;
    if (this.failure !== null) throw this.failure.error;
    if (this.hasEnded) return DONE;
    const chunk: T | null = stream.read();
    if (chunk !== null) return { done: false, value: chunk };
    if (stream.readableEnded) {
      this.end();
      return DONE;
    }
    if (stream.errored instanceof Error) this.failed(stream.errored);
    else if (stream.destroyed) this.failed(new ClosedError("the stream was destroyed before its end"));
    else return null;
    return this.poll();
  }

  private end(): void {
    this.hasEnded = true;
    const { stream } = this;
    for (const name of CHANGES) stream.off(name, this.changed);
    // An error on the way to its close would be nobody's, and end the process.
    if (this.isClosed) setImmediate(this.closed);
  }

  private readonly failed = (error: unknown): void => {
    if (this.hasEnded) return;
    this.failure = { error };
    this.end();
    this.changed();
  };

  /** The stream tells of no more errors. */
  private readonly closed = (): void => {
    this.isClosed = true;
    this.stream.off("error", this.failed);
    this.stream.off("close", this.closed);
  };

  private readonly changed = (): void => this.wait?.wake();
}

/** The task behind a stream. */
class ReadableTask {
  readonly stream: Readable;
  private readonly iteration: Iteration<unknown>;
  private readonly name: string | undefined;

  constructor(
    private readonly run: Runner,
    produce: (emit: Emit<unknown>) => Operation<void>,
    { signal, name, objectMode, highWaterMark }: NodeReadableOptions,
    private readonly source?: ByteSource,
  ) {
    this.name = name;
    this.iteration = new Iteration(run, produce, { signal, name });
    this.stream = new (nodeStream().Readable)({
      objectMode,
      highWaterMark,
      read: () => void this.read(),
      destroy: (error, callback) => void this.destroy(error, callback),
    });
  }

  private async read(): Promise<void> {
    const { stream } = this;
    try {
      const item = await this.iteration.next();
      if (!stream.destroyed) stream.push(item.done === true ? null : item.value);
    } catch (error) {
      stream.destroy(error as Error);
    }
  }

  private async destroy(error: Error | null, callback: (error: Error | null) => void): Promise<void> {
    const hadEnded = this.stream.readableEnded;
    try {
      await this.iteration.return();
      if (!hadEnded) await this.run(() => perform(() => this.source?.cancel?.(error)), { name: this.name });
    } catch (own) {
      return callback(both(error, own));
    }
    callback(error);
  }
}

function* emitBytes(source: ByteSource, emit: Emit<Uint8Array>): Operation<void> {
  const scratch = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    const bytes = yield* source.read(scratch);
    if (bytes === 0) return;
    yield* emit(Buffer.from(scratch.subarray(0, bytes)));
  }
}

/** By what it can do: streams of other libraries are none of Node's class. */
function isReadable(value: unknown): value is Readable {
  const stream = value as Partial<Readable> | null | undefined;
  return typeof stream?.read === "function" && typeof stream.on === "function" && typeof stream.destroy === "function";
}

function both(first: Error | null, second: unknown): Error {
  if (first === null || first === second) return second as Error;
  return new SuppressedError(second, first, "clean-up failed after a stream was destroyed");
}

const DONE: IteratorReturnResult<void> = { done: true, value: undefined };

/** What may end the wait for a chunk, besides an error. */
const CHANGES = ["readable", "end", "close"];
