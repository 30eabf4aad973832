/** The list of buffers that a vectored call takes (`struct iovec` of readv(2)). */

import { ptr } from "bun:ffi";
import { PART_BYTES } from "./library.ts";

/**
 * The list of parts for a vectored send. It holds addresses, so it is written right before the call and used by that
 * call alone; the buffers themselves are held by the caller meanwhile.
 */
export class PartMemory {
  private readonly bytes = new Uint8Array(MOST_PARTS * PART_BYTES);
  private readonly words = new BigUint64Array(this.bytes.buffer);

  write(buffers: readonly Uint8Array[], first: number, offset: number): Uint8Array {
    const count = Math.min(buffers.length - first, MOST_PARTS);
    for (let index = 0; index < count; index++) {
      const buffer = buffers[first + index]!;
      const skipped = index === 0 ? offset : 0;
      const isEmpty = buffer.byteLength === 0;
      this.words[2 * index] = isEmpty ? 0n : BigInt(ptr(buffer, skipped));
      this.words[2 * index + 1] = BigInt(buffer.byteLength - skipped);
    }
    return this.bytes;
  }
}

/** sendmsg(2) takes 1,024 parts at most (IOV_MAX); a fraction of them fills a socket's buffer. */
export const MOST_PARTS = 64;
