/**
 * What host code consumes of ours: async iterables, web streams and Node streams whose tasks are started with `run`, on
 * the reactor of this thread. The opposite direction, the host's for our tasks, is in `src/host/`.
 */

import { asyncIterableOf } from "./host/async-iterable.ts";
import { type NodeReadableOptions, nodeReadableOf, type Readable } from "./host/node-readable.ts";
import { type NodeWritableOptions, nodeWritableOf, type Writable } from "./host/node-writable.ts";
import type { Producer, ProducerOptions } from "./host/producer.ts";
import type { RunnerOptions } from "./host/runner.ts";
import type { ByteSource, ChunkSink } from "./host/source-and-sink.ts";
import { readableStreamOf } from "./host/web-readable.ts";
import { writableStreamOf } from "./host/web-writable.ts";
import { run } from "./run.ts";

/**
 * Makes a task an async iterable, for `for await` and all else of the host that takes one. Each iteration starts a task
 * of its own, which runs only when the consumer asks for an item:
 *
 *     const lines = toAsyncIterable<string>(function* (emit) {
 *       using connection = yield* connect({ port });
 *       for (;;) yield* emit(yield* readLine(connection));
 *     });
 *     for await (const line of lines) console.log(line);
 *
 * `emit` suspends the task until the consumer asks for the next item. The iteration ends when the task and all that it
 * spawned have ended; what it throws comes out of the loop. A consumer that leaves early cancels the task, and its
 * `break` waits for the clean-up. Instead of a generator function this takes a channel, or anything else with
 * `subscribe`, and a subscription, which has one iteration only.
 * @throws TypeError if `producer` is none of these
 */
export function toAsyncIterable<T>(
  producer: Producer<T>,
  options?: ProducerOptions,
): AsyncIterable<T, undefined, undefined> {
  return asyncIterableOf(run, producer, options);
}

/**
 * Makes a task a `ReadableStream`, as the body of a response for example. What `toAsyncIterable` takes gives a stream
 * of items, none of which is produced before it is read. Something with `read(buffer)`, such as a `TcpStream`, gives a
 * stream of bytes, up to 64 KiB at a time or right into the buffer of a reader that brings its own (`mode: "byob"`).
 * Cancelling the stream cancels the task, and waits for its clean-up. Who made the source of bytes closes it: where the
 * stream is to own it, open it in a generator function that emits.
 * @throws TypeError if `source` is none of these
 */
export function toReadableStream(
  source: ByteSource,
  options?: ProducerOptions,
): ReadableStream<Uint8Array<ArrayBuffer>>;
export function toReadableStream<T>(source: Producer<T>, options?: ProducerOptions): ReadableStream<T>;
export function toReadableStream<T>(source: ByteSource | Producer<T>, options?: ProducerOptions): ReadableStream {
  return readableStreamOf(run, source, options);
}

/**
 * Makes something with `write(chunk)`, such as a `TcpStream`, a `WritableStream`. Each chunk is written in a task of
 * its own, one after the other; aborting the stream cancels the one that waits. `close` of the sink is called when all
 * is written, `abort` when the stream was broken off; both may be absent.
 * @throws TypeError if `sink` has no `write`
 */
export function toWritableStream<T>(sink: ChunkSink<T>, options?: RunnerOptions): WritableStream<T> {
  return writableStreamOf(run, sink, options);
}

/**
 * Makes a task a `Readable` of Node. It takes what `toReadableStream` takes, and behaves alike; but as Node's streams
 * do it reads ahead, up to `highWaterMark`. Destroying the stream cancels the task, and `close` is emitted when that
 * has cleaned up.
 * @throws TypeError if `source` is none of these
 */
export function toNodeReadable<T>(source: ByteSource | Producer<T>, options?: NodeReadableOptions): Readable {
  return nodeReadableOf(run, source, options);
}

/**
 * Makes something with `write(chunk)` a `Writable` of Node, as `toWritableStream` does. Chunks are `Buffer`s, strings
 * as UTF-8; with `objectMode` whatever is written.
 * @throws TypeError if `sink` has no `write`
 */
export function toNodeWritable<T = Buffer>(sink: ChunkSink<T>, options?: NodeWritableOptions): Writable {
  return nodeWritableOf(run, sink, options);
}
