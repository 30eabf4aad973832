/**
 * A stream on a terminal: the base of both ends of a pseudo-terminal, and of serial ports.
 *
 * Facts. When the controlling end of a pseudo-terminal is closed, or a serial device is gone, a read finds the end (0) and
 * a write fails with EIO. When all have closed the other end, a read of the controlling end fails with EIO, and a write
 * fills what the system holds for the next one (tty_io.c, pty.c). The event queue reports a hang-up either way. The latter
 * is not final: another program may open the terminal again. In a terminal that is not raw Ctrl-D makes one read find
 * the end, and a line ends a read, so a short read does not mean that nothing is left (termios(3)).
 *
 * Decision. EIO is the end for a read, and an error with words for a write. In each direction a hang-up stays known until
 * that is told to wait: it will be told again. A read is tried until it would block.
 */

import { SystemError, UnsupportedError } from "../core/errors.ts";
import { Readiness } from "../core/interest.ts";
import type { CallSubject, System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";

export abstract class TerminalStream extends DescriptorStream {
  constructor(
    system: System,
    descriptor: number,
    /** Where it is, such as `/dev/pts/3`. */
    readonly path: string,
  ) {
    super(system, descriptor, system.files);
  }

  override tryReadBehind(buffer: Uint8Array, offset: number): number {
    return this.noticeReturn(super.tryReadBehind(buffer, offset), Readiness.READ_CLOSED);
  }

  override tryWrite(bytes: Uint8Array, start: number, end: number): number {
    return this.noticeReturn(super.tryWrite(bytes, start, end), Readiness.WRITE_CLOSED);
  }

  override tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    return this.noticeReturn(super.tryWriteAll(parts, first, offset), Readiness.WRITE_CLOSED);
  }

  /** What it means that the other side has gone, in words. */
  protected abstract readonly hangUpWords: string;

  protected override get shortReadMeansEmpty(): boolean {
    return false;
  }

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
    if (this.system.meaningOf(result) !== "hungUp") return error;
    const { code, errno, syscall, path } = error;
    return new SystemError({ code, errno, syscall, path, description: this.hangUpWords });
  }

  /** Who is told to wait will be told when it is over. Of the other direction that says nothing. */
  private noticeReturn(transferred: number, closed: Readiness): number {
    if (transferred === WOULD_BLOCK) this.source.readiness &= ~closed;
    return transferred;
  }
}
