/**
 * A stream on a terminal: the base of both ends of a pseudo-terminal, and of serial ports.
 *
 * Facts. When the controlling end of a pseudo-terminal is closed, or a serial device is gone, a read finds the end (0) and
 * a write fails with EIO. When all have closed the other end, a read of the controlling end fails with EIO, and a write
 * fills what the system holds for the next one (tty_io.c, pty.c). The event queue reports a hang-up either way. The latter
 * is not final: another program may open the terminal again. In a terminal that is not raw Ctrl-D makes one read find
 * the end, and a line ends a read, so a short read does not mean that nothing is left (termios(3)).
 *
 * Decision. EIO is the end for a read, and an error with words for a write; what a write makes of a hang-up is told in
 * `hang-up.ts`. A read is tried until it would block.
 */

import { inOtherWords, type SystemError, UnsupportedError } from "../core/errors.ts";
import { Readiness } from "../core/interest.ts";
import type { CallSubject, System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import { HangUpDoubt } from "./hang-up.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";

export abstract class TerminalStream extends DescriptorStream {
  private readonly hangUp = new HangUpDoubt(this.source);

  constructor(
    system: System,
    descriptor: number,
    /** Where it is, such as `/dev/pts/3`. */
    readonly path: string,
  ) {
    super(system, descriptor, system.files);
  }

  override tryReadBehind(buffer: Uint8Array, offset: number): number {
    const received = super.tryReadBehind(buffer, offset);
    // Whoever had hung up has come back.
    if (received === WOULD_BLOCK) this.source.readiness &= ~Readiness.READ_CLOSED;
    return received;
  }

  override beginWrite(): void {
    super.beginWrite();
    this.hangUp.begin();
  }

  override tryWrite(bytes: Uint8Array, start: number, end: number): number {
    return this.unlessHungUp(super.tryWrite(bytes, start, end));
  }

  override tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    return this.unlessHungUp(super.tryWriteAll(parts, first, offset));
  }

  /** What it means that the other side has gone, in words. */
  protected abstract readonly hangUpWords: string;

  protected override isEnd(result: number): boolean {
    return this.system.meaningOf(result) === "hungUp";
  }

  protected override endWriting(): void {
    throw new UnsupportedError(
      `${this.label}: shutdown() is not possible, for a terminal cannot end one direction alone; close it instead`,
    );
  }

  protected override get place(): CallSubject {
    return { path: this.path };
  }

  protected override errorOf(result: number, call: string): SystemError {
    const error = super.errorOf(result, call);
    return this.system.meaningOf(result) === "hungUp" ? inOtherWords(error, this.hangUpWords) : error;
  }

  private unlessHungUp(sent: number): number {
    if (this.hangUp.isCertain(sent)) throw this.errorOf(this.system.hungUp, "write");
    return sent;
  }
}
