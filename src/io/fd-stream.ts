/** A stream over a descriptor that somebody else has opened. */

import { currentSystem } from "../core/current-system.ts";
import { UnsupportedError } from "../core/errors.ts";
import type { DescriptorKind } from "../core/file-system.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import { AskRequest, type Suspension } from "../core/request.ts";
import type { Source } from "../core/source.ts";
import { Half, type System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import { assertDescriptor, closedDescriptor } from "./fd.ts";

export interface FdStreamOptions {
  /** Whether the number stays open when the stream is closed, as it should for 0, 1 and 2; by default it is closed too. */
  readonly keepOpen?: boolean | undefined;
}

/**
 * Reads and writes a descriptor that was opened elsewhere: standard input, what a C library or a parent process has handed
 * over. It is made non-blocking, which its whole open file description then is, for whoever shares it (fcntl(2)); what it was before is
 * restored at the end.
 *
 * A regular file works as well, without ever waiting.
 * @throws RangeError if `descriptor` is none; SystemError `EBADF` if it is closed
 */
export function* fdStream(descriptor: number, options: FdStreamOptions = {}): Operation<FdStream> {
  assertDescriptor("fdStream", descriptor);
  const system = yield* currentSystem();
  const source = yield* foreignSource(descriptor);
  const kind = system.files.kindOf(descriptor);
  if (typeof kind === "number") throw closedDescriptor("fdStream", descriptor, kind);
  return new FdStream(system, source, kind, options.keepOpen ?? false);
}

export class FdStream extends DescriptorStream {
  private readonly wasNonBlocking: boolean;

  /** For `fdStream`. */
  constructor(
    system: System,
    source: Source,
    private readonly kind: DescriptorKind,
    private readonly keepOpen: boolean,
  ) {
    super(system, source, kind === "socket" ? system : system.files);
    const mode = system.files.isNonBlocking(source.descriptor);
    this.check(mode, "fcntl");
    this.wasNonBlocking = mode !== 0;
    if (!this.wasNonBlocking) this.check(system.files.setNonBlocking(source.descriptor, true), "fcntl");
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
    this.restoreMode();
    return this.descriptor;
  }

  protected override endWriting(): void {
    if (this.kind !== "socket")
      throw new UnsupportedError(`${this.label}: only a socket can be shut down one way; close it instead`);
    this.check(this.system.shutdown(this.descriptor, Half.WRITE), "shutdown");
  }

  protected override closeDescriptor(): void {
    this.restoreMode();
    if (!this.keepOpen) super.closeDescriptor();
  }

  /** Its owner may have closed it by now, and there is nothing to restore then. */
  private restoreMode(): void {
    if (!this.wasNonBlocking) this.system.files.setNonBlocking(this.descriptor, false);
  }
}

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
