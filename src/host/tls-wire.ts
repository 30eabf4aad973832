/** Moves the encrypted bytes of a TLS session over its stream, in the tasks of those who read and write. */

import { ClosedError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { ByteStream } from "../io/byte-stream.ts";
import { hostTurn, type TlsSession } from "./tls-session.ts";

export class TlsWire {
  private scratch = new Uint8Array(FIRST_READ_BYTES);
  /** Whether a write was broken off, so that what the other side has may end in the middle of a record. */
  private isCutOff = false;

  constructor(
    readonly stream: ByteStream,
    readonly session: TlsSession,
  ) {}

  /**
   * Reads once, and has the session decrypt what came. A task that is cancelled has taken nothing from the stream.
   * @returns false if the stream is at its end
   */
  *receive(): Operation<boolean> {
    const { scratch, session } = this;
    const bytes = yield* this.stream.read(scratch);
    if (bytes > 0) session.receive(scratch.subarray(0, bytes));
    if (bytes === scratch.byteLength && bytes < LARGEST_READ_BYTES) this.scratch = new Uint8Array(LARGEST_READ_BYTES);
    if (session.plainBytes === 0) yield* hostTurn();
    return bytes > 0;
  }

  /**
   * Sends what the session has to send; one task at a time.
   * @throws ClosedError if an earlier call was broken off half-way
   */
  *flush(): Operation<void> {
    if (this.isCutOff)
      throw new ClosedError(
        `${this.stream.label}: a write over TLS was broken off before, perhaps in the middle of a record, so nothing more can be sent`,
      );
    while (this.session.hasOutgoing) {
      const records = this.session.takeOutgoing();
      this.isCutOff = true;
      yield* records.length === 1 ? this.stream.write(records[0]!) : this.stream.writeAll(records);
      this.isCutOff = false;
    }
  }
}

/** Holds the largest record of TLS, 16 KiB and what encryption adds; small enough for thousands of idle connections. */
const FIRST_READ_BYTES = 17_408;

/** For connections that bring much: as much as one read of a fast one brings. */
const LARGEST_READ_BYTES = 65_536;
