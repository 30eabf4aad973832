/**
 * A listening socket of any family: what accepts connections.
 *
 * Facts. When the process has no descriptor left, accept4(2) fails and the connection stays in the backlog; with
 * edge-triggered readiness nobody is told again, and a loop that tries at once spins. Some errors of accept concern the
 * one connection that was about to be accepted, not the listener.
 *
 * Decision. A broken connection is skipped. When descriptors are used up, `accept` says so once, waits a moment, and
 * tries again until it works; it never gives up the listener.
 */

import { ClosedError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import type { Operation } from "../core/operation.ts";
import { DeadlineRequest, InterestRequest, SuspendRequest } from "../core/request.ts";
import { Delivery, type Named, Source } from "../core/source.ts";
import type { CallSubject, ErrorMeaning, System } from "../core/system.ts";
import { StreamOperation } from "./stream-operations.ts";

export abstract class Listener<Stream extends object> implements Disposable, Named {
  private readonly source: Source;
  private readonly wait: InterestRequest;
  /** The accept that has begun and has not ended; while it waits, also for descriptors, and while it is about to go on. */
  private accepting: StreamOperation<Stream> | null = null;
  private hasWarned = false;

  constructor(
    protected readonly system: System,
    descriptor: number,
  ) {
    this.source = new Source(descriptor, Delivery.EDGE, this);
    this.source.readiness = Readiness.READABLE;
    this.wait = new InterestRequest(this.source, Interest.READABLE);
  }

  /** Words for messages. */
  abstract readonly label: string;

  /** What errors of the system name. */
  protected abstract readonly place: CallSubject;

  /** The descriptor is ours to close, unless it is another thread's. */
  protected closeDescriptor(): void {
    this.system.close(this.descriptor);
  }

  /** Makes a stream of what was accepted. */
  protected abstract toStream(descriptor: number): Stream;

  get descriptor(): number {
    return this.source.descriptor;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /**
   * Takes the next connection; suspends the task until there is one. Goes on when a connection broke before it was
   * accepted, and when descriptors are used up: it warns then, and tries again every 100 ms.
   * @throws BusyError if another task is accepting; ClosedError if the listener is closed, before or meanwhile; SystemError
   */
  accept(): Operation<Stream> {
    return new AcceptOperation(this);
  }

  /**
   * Stops listening. Connections that were accepted stay. A task that accepts gets a `ClosedError`. Does nothing the
   * second time.
   */
  close(): void {
    if (this.isClosed) return;
    this.source.close();
    this.closeDescriptor();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For the operation: refuses an accept that cannot begin. */
  beginAccept(): void {
    this.refuseClosed();
    if (this.accepting !== null) throw this.source.busyError(Interest.READABLE);
  }

  /** For the operation: keeps others from accepting until it has ended (null). */
  holdAccept(operation: StreamOperation<Stream> | null): void {
    this.accepting = operation;
  }

  /** For the operation: a connection, or what to wait for. */
  tryAccept(): Stream | SuspendRequest {
    this.refuseClosed();
    while (this.source.mayRead) {
      const result = this.system.accept(this.descriptor);
      if (result >= 0) return this.toStream(result);
      const meaning = this.system.meaningOf(result);
      if (meaning === "wouldBlock") this.backlogIsEmpty();
      else if (meaning === "exhausted") return this.waitForDescriptors(result);
      else if (!BROKEN.includes(meaning)) throw this.system.errorOf(result, "accept", this.place);
    }
    return this.wait;
  }

  /** A shortage is over only now: until then a descriptor may become free now and then, and each would bring a warning. */
  private backlogIsEmpty(): void {
    this.source.clearReadable();
    this.hasWarned = false;
  }

  private waitForDescriptors(result: number): SuspendRequest {
    if (!this.hasWarned) {
      const { message } = this.system.errorOf(result, "accept", this.place);
      this.system.warn(`${message}. Connections wait until others are closed; raise the limit with ulimit -n`);
    }
    this.hasWarned = true;
    return DeadlineRequest.after(SHORTAGE_PAUSE_NS);
  }

  private refuseClosed(): void {
    if (this.isClosed) throw new ClosedError(`${this.label}: accept after close()`);
  }
}

class AcceptOperation<Stream extends object> extends StreamOperation<Stream> {
  constructor(private readonly listener: Listener<Stream>) {
    super();
  }

  protected override get operationName(): string {
    return "accept";
  }

  protected override begin(): void {
    this.listener.beginAccept();
  }

  protected override hold(operation: this | null): void {
    this.listener.holdAccept(operation);
  }

  protected override attempt(): IteratorResult<SuspendRequest, Stream> {
    const outcome = this.listener.tryAccept();
    return outcome instanceof SuspendRequest ? { done: false, value: outcome } : { done: true, value: outcome };
  }
}

/** Windows reports a connection that was reset before it was accepted as the reset that it is (accept of Winsock). */
const BROKEN: readonly ErrorMeaning[] = ["brokenConnection", "disconnected"];

/** How many connections may wait to be accepted, if nothing else is said: as Node.js has it. */
export const DEFAULT_BACKLOG = 511;
export const LONGEST_BACKLOG = 0x7fffffff;

/** Long enough not to burn the CPU while nothing can be accepted, short enough for a client to wait. */
const SHORTAGE_PAUSE_NS = 100_000_000;
