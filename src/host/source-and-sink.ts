/**
 * What can be made a stream of the host besides items: something that is read into buffers, something that is written
 * to.
 */

import type { Operation } from "../core/operation.ts";

/** Bytes that are read into a buffer, as from a `TcpStream`. Who made it closes it. */
export interface ByteSource {
  /** Reads at most as much as the buffer holds. Returns how many bytes that were; 0 at the end. */
  read(buffer: Uint8Array): Operation<number>;
  /** The consumer wants no more. A `read` that was waiting was cancelled before. */
  cancel?(reason: unknown): Operation<void> | void;
}

/** Takes chunks, one at a time, as a `TcpStream` does. */
export interface ChunkSink<T> {
  write(chunk: T): Operation<void>;
  /** No more will come, and all that came is written. */
  close?(): Operation<void> | void;
  /** The producer broke off. A `write` that was waiting was cancelled before. */
  abort?(reason: unknown): Operation<void> | void;
}

export function isByteSource(value: object): value is ByteSource {
  return typeof (value as Partial<ByteSource> | null)?.read === "function";
}

export function isChunkSink(value: unknown): value is ChunkSink<never> {
  return typeof (value as Partial<ChunkSink<never>> | null)?.write === "function";
}

/** Does what may take an operation. */
export function* perform(act: () => Operation<void> | void | undefined): Operation<void> {
  const operation = act();
  if (operation !== undefined) yield* operation;
}

/** As much as one read of a fast connection brings. */
export const CHUNK_BYTES = 64 * 1024;
