/**
 * What every stream of bytes can do, whatever it runs over: TCP, unix sockets, pipes, terminals, a child's standard
 * input and output, TLS. Code that is written against these interfaces works over all of them.
 *
 * Every operation suspends its task while the other side is slower, and none buffers more than a limit that has a name.
 * One task reads and one writes at a time; a second one gets a `BusyError`. A cancelled task takes nothing away, except in
 * the middle of `readExactly` and of a write.
 */

import type { Operation } from "../core/operation.ts";
import type { Named } from "../core/source.ts";

/** The limit of a call that reads for as long as it takes. */
export interface ReadLimit {
  /** How many bytes may come, at the most; what is the default, the call says. */
  readonly limitBytes?: number | undefined;
}

/** What ends a `readUntil`: a string (as UTF-8), several bytes, or one byte from 0 to 255. */
export type Delimiter = string | Uint8Array | number;

/** The lines of a stream, one after the other: for `each`, or by `next`. */
export interface LineReader {
  /** Suspends the task until there is another line; `done` at the end of the stream. */
  next(): Operation<IteratorResult<string, void>>;
}

export interface ByteReader extends Disposable, Named {
  readonly isClosed: boolean;

  /**
   * Reads what there is, at most as much as `buffer` holds; suspends the task until there is something.
   * @returns the number of bytes that were read into the beginning of `buffer`; 0 if the other side will send no more
   * @throws SystemError; BusyError if another task is reading; ClosedError if this side has closed the stream, before or
   *   meanwhile; RangeError if the buffer is empty
   */
  read(buffer: Uint8Array): Operation<number>;

  /**
   * Fills `buffer`. If the task is cancelled meanwhile, what came by then is in the buffer, and lost for the next read.
   * @throws UnexpectedEndError if the stream ends first, with the number of bytes that came; and what `read` throws
   */
  readExactly(buffer: Uint8Array): Operation<void>;

  /**
   * Reads up to a delimiter, which is taken from the stream as well.
   * @returns what was before the delimiter, in memory of its own; null if the stream is at its end
   * @throws LimitError if there are more than `limitBytes` (64 KiB, if nothing else is said) before the delimiter;
   *   UnexpectedEndError if the stream ends before it. The bytes can still be read in either case. And what `read` throws
   */
  readUntil(delimiter: Delimiter, limit?: ReadLimit): Operation<Uint8Array | null>;

  /**
   * The lines of the stream as UTF-8, without their ends (`\n` or `\r\n`). What follows the last end is a line as well,
   * unless it is empty. What is no UTF-8 becomes U+FFFD. `limitBytes` bounds each line, as in `readUntil`.
   *
   *     for (const line of yield* each(stream.lines())) {
   *       …
   *       yield* each.next();
   *     }
   */
  lines(limit?: ReadLimit): LineReader;

  /**
   * Reads to the end.
   * @throws LimitError if there are more than `limitBytes` (1 MiB, if nothing else is said), which can still be read; and
   *   what `read` throws
   */
  readToEnd(limit?: ReadLimit): Operation<Uint8Array>;

  /** Closes the stream, both ways. Tasks that wait for it get a `ClosedError`. Does nothing the second time. */
  close(): void;
}

export interface ByteWriter extends Disposable, Named {
  readonly isClosed: boolean;

  /**
   * Writes all of `data` (a string as UTF-8), or its bytes from `start` up to `end`; suspends the task while the other
   * side does not take them. The buffer must not change meanwhile.
   * @throws RangeError if `start` and `end` are no range of `data`; SystemError such as `EPIPE`; BusyError if another
   *   task is writing; ClosedError after `shutdown`, or if this side has closed the stream, before or meanwhile. Some bytes
   *   may have been sent by then
   */
  write(data: Uint8Array | string, start?: number, end?: number): Operation<void>;

  /**
   * Writes several buffers in order, in as few system calls as possible, and otherwise as `write` does.
   * @throws what `write` throws
   */
  writeAll(parts: readonly (Uint8Array | string)[]): Operation<void>;

  /**
   * Says that this side will send no more; the other side reads to the end. Reading goes on. Does nothing the second time.
   * @throws BusyError while a task is writing; SystemError; ClosedError after `close`
   */
  shutdown(): Operation<void>;

  /** Closes the stream, both ways. Tasks that wait for it get a `ClosedError`. Does nothing the second time. */
  close(): void;
}

export interface ByteStream extends ByteReader, ByteWriter {}

/** Longer than any line that a person writes, or a header of HTTP; short enough for thousands of connections. */
export const DEFAULT_LINE_LIMIT_BYTES = 65_536;

/** Enough for a document, and no danger if it comes from a stranger. */
export const DEFAULT_LIMIT_BYTES = 1_048_576;
