/** What is under way: on a terminal a bar that grows in place, elsewhere a line for each step. */

import { styleText } from "node:util";
import { type Operation, sleep } from "../../src/index.ts";

export interface Step {
  readonly title: string;
  /** How long it is likely to take, in milliseconds: how far the bar gets. */
  readonly expectedMs: number;
}

export class Progress {
  private title = "";
  /** Where the current step is on the bar, in expected milliseconds. */
  private stepFromMs = 0;
  private stepToMs = 0;
  private stepBeganMs = 0;
  private readonly totalMs: number;

  constructor(steps: readonly Step[]) {
    this.totalMs = steps.reduce((total, { expectedMs }) => total + expectedMs, 0);
  }

  begin({ title, expectedMs }: Step): void {
    this.title = title;
    this.stepFromMs = this.stepToMs;
    this.stepToMs += expectedMs;
    this.stepBeganMs = performance.now();
    if (!IS_TERMINAL) console.log(`${title} …`);
  }

  /** The task that keeps the bar moving. It takes the bar away when it is cancelled. */
  *show(): Operation<void> {
    if (!IS_TERMINAL) return;
    try {
      for (;;) {
        this.draw();
        yield* sleep(REDRAW_MS);
      }
    } finally {
      process.stdout.write(ERASE_LINE);
    }
  }

  private draw(): void {
    const nowMs = Math.min(this.stepFromMs + performance.now() - this.stepBeganMs, this.stepToMs);
    const filled = Math.round((nowMs / this.totalMs) * BAR_CELLS);
    const columns = process.stdout.columns || USUAL_COLUMNS;
    const title = this.title.slice(0, Math.max(0, columns - BAR_CELLS - MARGIN_CELLS));
    const bar = styleText("cyan", "█".repeat(filled)) + styleText("dim", "░".repeat(BAR_CELLS - filled));
    process.stdout.write(`${ERASE_LINE}${bar}  ${title}`);
  }
}

/** A terminal that can write over its line. */
const IS_TERMINAL = process.stdout.isTTY === true && process.env.TERM !== "dumb";
/** ECMA-48: "erase in line", the whole of it, and back to its beginning. */
const ERASE_LINE = "\x1b[2K\r";
const REDRAW_MS = 100;
const BAR_CELLS = 30;
const MARGIN_CELLS = 3;
/** For terminals that do not know how wide they are. */
const USUAL_COLUMNS = 80;
