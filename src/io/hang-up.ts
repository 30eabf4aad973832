/**
 * What a write to a terminal makes of a hang-up.
 *
 * Facts. When all have closed the other end of a pseudo-terminal, a write of the controlling end fills what the system
 * holds for the next one, and then would have to wait, while the event queue reports a hang-up, each time that it is
 * asked. Another program may open the terminal again, so an old report says nothing (tty_io.c, pty.c).
 *
 * Decision. In each direction a hang-up stays known until that is told to wait: it will be told again if it is still
 * so, which every write that is tried brings about (tty_io.c wakes all who wait for room). A write that is told of it
 * twice, and would still have to wait, fails: there may never be anybody who reads.
 */

import type { Source } from "../core/source.ts";
import { WOULD_BLOCK } from "./stream-operations.ts";

export class HangUpDoubt {
  /** The write that is under way has met a hang-up, and would have had to wait. */
  private isDoubted = false;

  constructor(private readonly source: Source) {}

  /** A write begins. */
  begin(): void {
    this.isDoubted = false;
  }

  /**
   * Whether nobody is there who makes room for what a write has `sent`. The first time the hang-up may be an old one,
   * and the second time it is not.
   */
  isCertain(sent: number): boolean {
    const isHungUp = sent === WOULD_BLOCK && this.source.isWriteClosed;
    if (isHungUp && this.isDoubted) return true;
    this.isDoubted = isHungUp;
    if (isHungUp) this.source.forgetWriteClosed();
    return false;
  }
}
