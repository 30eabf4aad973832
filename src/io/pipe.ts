/**
 * Pipes: bytes that go in at one end come out at the other, in this process or between processes (pipe(7)); and named
 * pipes, which are found by a path (fifo(7)).
 */

import { systemToOpen } from "../core/current-system.ts";
import { assertInteger, describeValue, inOtherWords, type SystemError } from "../core/errors.ts";
import { Access, type TransferCalls } from "../core/file-system.ts";
import type { Operation } from "../core/operation.ts";
import { NO_DESCRIPTOR, type Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import type { ByteReader, ByteWriter } from "./byte-stream.ts";
import { DescriptorStream } from "./descriptor-stream.ts";

/** The end of a pipe that is read. */
export interface PipeReader extends ByteReader {
  /**
   * The number. It stays this object's: to give it to a child, `Bun.spawn` duplicates it. -1 where a child's pipe has none
   * (Windows).
   */
  readonly descriptor: number;
}

/** The end of a pipe that is written to. `shutdown` closes it, so that the reader finds the end. */
export interface PipeWriter extends ByteWriter {
  /** As that of a reader. */
  readonly descriptor: number;
}

/** Both ends of a pipe; disposing of it closes both. */
export interface Pipe extends Disposable {
  readonly reader: PipeReader;
  readonly writer: PipeWriter;
}

/**
 * Opens a pipe. A write to a pipe whose reader is closed fails with `EPIPE`.
 * @throws SystemError such as `EMFILE`
 */
export function* openPipe(): Operation<Pipe> {
  const system = yield* systemToOpen();
  const ends = system.files.makePipe();
  if (typeof ends === "number") throw system.errorOf(ends, "pipe");
  const reader = new PipeStream(system, ends.reader, "pipe", Access.READ);
  const writer = new PipeStream(system, ends.writer, "pipe", Access.WRITE);
  return {
    reader,
    writer,
    [Symbol.dispose]: () => {
      reader.close();
      writer.close();
    },
  };
}

export interface NamedPipeOptions {
  /** The permissions of the file, less the process's umask; by default 0o600, for the user alone. */
  readonly mode?: number | undefined;
}

/**
 * Makes a named pipe (mkfifo(3)), which stays until it is removed like any file.
 * @throws TypeError for a path that is none; SystemError such as `EEXIST`
 */
export function* makeNamedPipe(path: string, { mode = 0o600 }: NamedPipeOptions = {}): Operation<void> {
  assertPath("makeNamedPipe", path);
  assertInteger("makeNamedPipe: mode", mode, 0, 0o777);
  const system = yield* systemToOpen();
  const result = system.files.makeFifo(path, mode);
  if (result < 0) throw system.errorOf(result, "mkfifo", { path });
}

/**
 * Opens one end of a named pipe. The reading end can be opened first: it waits for a writer, and is at its end when the
 * last writer has left. The writing end needs a reader.
 * @throws TypeError for a path or an end that is none; SystemError `ENXIO` if the writing end is opened while nobody reads,
 *   `ENOENT` if there is no such file, `EACCES`
 */
export function openNamedPipe(path: string, end: "read"): Operation<PipeReader>;
export function openNamedPipe(path: string, end: "write"): Operation<PipeWriter>;
export function* openNamedPipe(path: string, end: "read" | "write"): Operation<PipeReader | PipeWriter> {
  assertPath("openNamedPipe", path);
  if (end !== "read" && end !== "write")
    throw new TypeError(`openNamedPipe: end must be "read" or "write", but is ${describeValue(end)}`);
  const system = yield* systemToOpen();
  const access = end === "read" ? Access.READ : Access.WRITE;
  const descriptor = system.files.open(path, access);
  if (descriptor < 0) throw explainNoReader(system.errorOf(descriptor, "open", { path }), path, end);
  const stream = new PipeStream(system, descriptor, `named pipe ${path}`, access);
  refuseUnlessPipe(stream, system, path);
  if (end === "read") stream.waitForWriter();
  return stream;
}

/** One end of a pipe. Its type outside has only the calls of its direction. For `process.ts` as well. */
export class PipeStream extends DescriptorStream {
  constructor(
    system: System,
    descriptor: number | Source,
    private readonly name: string,
    private readonly access: Access,
    calls: TransferCalls = system.files,
  ) {
    super(system, descriptor, calls);
  }

  /** A named pipe to which no writer has come yet looks as if it were at its end to a read, but not to the event queue. */
  waitForWriter(): void {
    this.source.readiness = 0;
  }

  get label(): string {
    const end = `the ${this.access === Access.READ ? "reading" : "writing"} end`;
    return `${this.name} (${this.descriptor === NO_DESCRIPTOR ? end : `descriptor ${this.descriptor}, ${end}`})`;
  }

  override beginRead(): void {
    if (this.access === Access.WRITE) throw new TypeError(`${this.label} cannot be read`);
    super.beginRead();
  }

  override beginWrite(): void {
    if (this.access === Access.READ) throw new TypeError(`${this.label} cannot be written to`);
    super.beginWrite();
  }

  protected override endWriting(): void {
    this.close();
  }
}

function refuseUnlessPipe(stream: PipeStream, system: System, path: string): void {
  const kind = system.files.kindOf(stream.descriptor);
  if (kind === "pipe") return;
  stream.close();
  throw new TypeError(
    `openNamedPipe: ${path} is ${typeof kind === "number" ? "gone" : `a ${kind}`}, and no named pipe`,
  );
}

/** open(2) says ENXIO, "no such device or address", which few people would understand. It says so of a socket as well. */
function explainNoReader(error: SystemError, path: string, end: "read" | "write"): SystemError {
  if (error.code !== "ENXIO") return error;
  const description =
    end === "write"
      ? "nobody has it open to read: open the reading end first (or it is no named pipe, but a socket)"
      : "it is no named pipe, but a socket or a device that is not there";
  return inOtherWords(error, description, { path });
}

function assertPath(caller: string, path: unknown): asserts path is string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return;
  throw new TypeError(`${caller}: path must be a path, but is ${describeValue(path)}`);
}
