/**
 * What datagram sockets of every family have in common: a source that stays registered, one task at a time in each
 * direction, and a close that ends both.
 */

import { ClosedError } from "../core/errors.ts";
import { Interest, Readiness } from "../core/interest.ts";
import { InterestRequest } from "../core/request.ts";
import { Delivery, type Named, Source } from "../core/source.ts";
import type { System } from "../core/system.ts";
import type { StreamOperation } from "./stream-operations.ts";

export abstract class DatagramSocket<Sending extends object = StreamOperation<unknown>> implements Disposable, Named {
  /** For operations: the request that waits until a receive is worth a try. */
  readonly waitToReceive: InterestRequest;
  /** For operations: the request that waits until a send is worth a try. */
  readonly waitToSend: InterestRequest;
  protected readonly source: Source;
  /** The operations that have begun and have not ended; while they wait, while they are about to go on, and in between. */
  protected receiving: StreamOperation<unknown> | null = null;
  protected sending: Sending | null = null;

  constructor(
    protected readonly system: System,
    descriptor: number,
  ) {
    this.source = new Source(descriptor, Delivery.EDGE, this);
    // Nothing is known yet, so the first receive and the first send try.
    this.source.readiness = Readiness.READABLE | Readiness.WRITABLE;
    this.waitToReceive = new InterestRequest(this.source, Interest.READABLE);
    this.waitToSend = new InterestRequest(this.source, Interest.WRITABLE);
  }

  /** Words for messages. */
  abstract readonly label: string;

  /** The number. It stays this object's: use it for calls of your own, and close the socket here. */
  get descriptor(): number {
    return this.source.descriptor;
  }

  get isClosed(): boolean {
    return this.source.isClosed;
  }

  /** Closes the socket. Tasks that wait for it get a `ClosedError`. Does nothing the second time. */
  close(): void {
    if (this.isClosed) return;
    this.source.close();
    this.system.close(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For operations: refuses a receive that cannot begin. */
  beginReceive(): void {
    this.refuseClosed("receive");
    if (this.receiving !== null) throw this.source.busyError(Interest.READABLE);
  }

  /** For operations: refuses a send that cannot begin. */
  beginSend(): void {
    this.refuseClosed("send");
    if (this.sending !== null) throw this.source.busyError(Interest.WRITABLE);
  }

  /** For operations: keeps others from receiving until the operation has ended (null). */
  holdReceive(operation: StreamOperation<unknown> | null): void {
    this.receiving = operation;
  }

  /** For operations: keeps others from sending until the operation has ended (null). */
  holdSend(operation: Sending | null): void {
    this.sending = operation;
  }

  protected refuseClosed(verb: string): void {
    if (this.isClosed) throw new ClosedError(`${this.label}: ${verb} after close()`);
  }
}
