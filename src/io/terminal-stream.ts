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
 * that is told to wait: it will be told again if it is still so, which every write that is tried brings about (tty_io.c
 * wakes all who wait for room). A write that is told of it twice, and would still have to wait, fails: there may never be
 * anybody who reads. A read is tried until it would block.
 */

import { SystemError, UnsupportedError } from "../core/errors.ts";
import { Readiness } from "../core/interest.ts";
import type { CallSubject, System } from "../core/system.ts";
import { DescriptorStream } from "./descriptor-stream.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";

export abstract class TerminalStream extends DescriptorStream {
  /** The write that is under way has met a hang-up, and would have had to wait. */
  private isHangUpDoubted = false;

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
    this.isHangUpDoubted = false;
  }

  override tryWrite(bytes: Uint8Array, start: number, end: number): number {
    return this.unlessHungUp(super.tryWrite(bytes, start, end));
  }

  override tryWriteAll(parts: readonly Uint8Array[], first: number, offset: number): number {
    return this.unlessHungUp(super.tryWriteAll(parts, first, offset));
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

  /** The first time the hang-up may be an old one, and the second time it is not. */
  private unlessHungUp(sent: number): number {
    const { source } = this;
    const isHungUp = sent === WOULD_BLOCK && (source.readiness & Readiness.WRITE_CLOSED) !== 0;
    if (isHungUp && this.isHangUpDoubted) throw this.errorOf(this.system.hungUp, "write");
    this.isHangUpDoubted = isHungUp;
    if (isHungUp) source.readiness &= ~Readiness.WRITE_CLOSED;
    return sent;
  }
}
