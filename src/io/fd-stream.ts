/**
 * A stream over a descriptor that somebody else has opened.
 *
 * Facts. Whether a descriptor is non-blocking belongs to its open file description (fcntl(2)), and standard input, output
 * and error of a terminal are one. If one of several streams on it made it blocking again at its end, the next read of
 * another would block the thread.
 *
 * The event queue reports an error as long as it is pending, and some are pending though no read or write tells them: the
 * messages in the error queue of a socket, for whoever has asked for those (IP_RECVERR of ip(7), MSG_ZEROCOPY).
 *
 * Decision. A stream that finds its descriptor non-blocking remembers nothing to restore, until another has restored it:
 * then it makes it non-blocking again, and restores it itself, later.
 *
 * On a terminal EIO is the end for a read, and a write that nobody makes room for fails (see `hang-up.ts` and
 * `terminal-stream.ts`). An operation that was woken by an error, and finds none, waits a moment before it asks the event
 * queue again: it would be told the same at once.
 */

import { systemToOpen } from "../core/current-system.ts";
import { BusyError, inOtherWords, type SystemError, UnsupportedError } from "../core/errors.ts";
import type { DescriptorKind } from "../core/file-system.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { AskRequest, DeadlineRequest, type SuspendRequest, type Suspension } from "../core/request.ts";
import type { Source } from "../core/source.ts";
import { Half, type System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import { assertDescriptor, closedDescriptor } from "./fd.ts";
import { HangUpDoubt } from "./hang-up.ts";

export interface FdStreamOptions {
  /** Whether the number stays open when the stream is closed, as it should for 0, 1 and 2; by default it is closed too. */
  readonly keepOpen?: boolean | undefined;
}

/**
 * Reads and writes a descriptor that was opened elsewhere: standard input, what a C library or a parent process has handed
 * over. It is made non-blocking, which its whole open file description then is, for whoever shares it (fcntl(2)), other
 * processes included; what it was before is restored at the end, also by `detach` and by `notifyClosing`.
 *
 * A regular file works as well, without ever waiting.
 * @throws RangeError if `descriptor` is none; BusyError if there is a stream on it already; SystemError `EBADF` if it is
 *   closed
 */
export function* fdStream(descriptor: number, options: FdStreamOptions = {}): Operation<FdStream> {
  assertDescriptor("fdStream", descriptor);
  const system = yield* systemToOpen();
  const source = yield* foreignSource(descriptor);
  const kind = system.files.kindOf(descriptor);
  if (typeof kind === "number") throw closedDescriptor("fdStream", descriptor, kind);
  if (source.user !== null)
    throw new BusyError(`descriptor ${descriptor} has a stream already: use that one, or close it first`);
  return new FdStream(system, source, kind, options.keepOpen ?? false);
}

export class FdStream extends DescriptorStream {
  /** Whether the descriptor is to be made blocking again. */
  private isToRestore: boolean;
  /** What writes make of a hang-up; null of what is no terminal, where the next write tells. */
  private readonly hangUp: HangUpDoubt | null;

  /** For `fdStream`. */
  constructor(
    system: System,
    source: Source,
    private readonly kind: DescriptorKind,
    private readonly keepOpen: boolean,
  ) {
    super(system, source, kind === "socket" ? system : system.files);
    const isTerminal = kind === "character device" && typeof system.terminals.getMode(source.descriptor) !== "number";
    this.hangUp = isTerminal ? new HangUpDoubt(source) : null;
    const mode = system.files.isNonBlocking(source.descriptor);
    this.isToRestore = mode === 0;
    const result = mode === 0 ? system.files.setNonBlocking(source.descriptor, true) : mode;
    if (result < 0) {
      source.user = null;
      throw this.errorOf(result, "fcntl");
    }
    if (!this.isToRestore) heirs.add(this);
  }

  /** Words for messages, such as `descriptor 7 (pipe)`. */
  get label(): string {
    return `descriptor ${this.descriptor} (${this.kind})`;
  }

  /**
   * Ends the stream and leaves the descriptor open, in the mode in which it was. What `readUntil` and `lines` have read
   * ahead is lost. Tasks that wait for the stream get a `ClosedError`.
   * @returns the descriptor
   * @throws ClosedError after `close`
   */
  detach(): number {
    this.refuseClosed("detach");
    this.source.close();
    return this.descriptor;
  }

  /** For the source. */
  override sourceClosed(): void {
    super.sourceClosed();
    this.restoreMode();
  }

  override get waitToRead(): SuspendRequest {
    return this.source.takeFailure() ? DeadlineRequest.after(UNTOLD_ERROR_PAUSE_NS) : super.waitToRead;
  }

  override get waitToWrite(): SuspendRequest {
    return this.source.takeFailure() ? DeadlineRequest.after(UNTOLD_ERROR_PAUSE_NS) : super.waitToWrite;
  }

  override beginRead(): void {
    super.beginRead();
    this.source.takeFailure();
  }

  override beginWrite(): void {
    super.beginWrite();
    this.source.takeFailure();
    this.hangUp?.begin();
  }

  override tryWrite(bytes: Uint8Array, start: number, end: number): number {
    return this.unlessHungUp(super.tryWrite(bytes, start, end));
  }

  override tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    return this.unlessHungUp(super.tryWriteAll(parts, first, offset));
  }

  protected override isEnd(result: number): boolean {
    return this.hangUp !== null && this.system.meaningOf(result) === "hungUp";
  }

  protected override endWriting(): void {
    if (this.kind !== "socket")
      throw new UnsupportedError(`${this.label}: only a socket can be shut down one way; close it instead`);
    this.check(this.system.shutdown(this.descriptor, Half.WRITE), "shutdown");
  }

  protected override closeDescriptor(): void {
    if (!this.keepOpen) super.closeDescriptor();
  }

  protected override errorOf(result: number, call: string): SystemError {
    const error = super.errorOf(result, call);
    if (error.code === "EBADF") return closedDescriptor(call, this.descriptor, result);
    if (this.hangUp === null || this.system.meaningOf(result) !== "hungUp") return error;
    return inOtherWords(error, `${this.label}: the other end of the terminal is closed`);
  }

  private unlessHungUp(sent: number): number {
    if (this.hangUp?.isCertain(sent) === true) throw this.errorOf(this.system.hungUp, "write");
    return sent;
  }

  /** Its owner may have closed it by now, and there is nothing to restore then. */
  private restoreMode(): void {
    heirs.delete(this);
    if (!this.isToRestore) return;
    this.system.files.setNonBlocking(this.descriptor, false);
    for (const heir of heirs) if (heir.system === this.system && heir.inherits()) return;
  }

  /** Whether the descriptor was made blocking behind this stream's back, which is undone, and done in the end. */
  private inherits(): boolean {
    if (this.system.files.isNonBlocking(this.descriptor) !== 0) return false;
    this.system.files.setNonBlocking(this.descriptor, true);
    this.isToRestore = true;
    heirs.delete(this);
    return true;
  }
}

/** Long enough not to burn the CPU, short enough for bytes that come meanwhile. */
const UNTOLD_ERROR_PAUSE_NS = 10_000_000;

/** The streams of this thread that have found their descriptors non-blocking, perhaps because another had made them so. */
const heirs = new Set<FdStream>();

/** The source that all waits for this number share, so that they know of each other. */
function foreignSource(descriptor: number): Operation<Source> {
  return new RequestOperation("fdStream", new ForeignSourceRequest(descriptor));
}

class ForeignSourceRequest extends AskRequest {
  constructor(private readonly descriptor: number) {
    super();
  }

  protected answer({ scheduler }: Suspension): Source {
    return scheduler.foreignSource(this.descriptor);
  }
}
