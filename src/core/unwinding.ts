/**
 * Ends a chain of generators from the inside out, with clean-up that may suspend at every level.
 *
 * Facts. A task is a chain: its generator waits in a `yield*` for another, which waits in a `yield*` for the next.
 * `return()` on the outermost is passed down by the language, and each generator's `finally` runs on the way back out.
 * But when an inner `finally` suspends, the language forgets: after the next `next()` the outer `yield*` takes the
 * inner generator's end for a normal one, its value for the operation's, and goes on as if nothing had been cancelled.
 * A second `return()` would be passed down as well, and skip what is left of the inner `finally`. The language looks a
 * delegate's `return` up each time that it calls it, by name.
 *
 * Decision. While the first `return()` is passed down, `return` of all generators is replaced by one that notes which
 * generators it leaves suspended: it is put back before anything else can run. From then on the innermost of these is
 * resumed directly; when it ends, the next one outward gets its own `return()`, which finds an ended delegate and so
 * runs its `finally`, and so forth. A `finally` that throws throws into the next one outward, as it would in plain code.
 * If nothing is left suspended, which is the usual case, the first `return()` was all.
 */

import { CleanupTimer } from "./cleanup-timer.ts";
import type { SuspendRequest } from "./request.ts";
import type { Task } from "./task.ts";

export type Step = IteratorResult<SuspendRequest, unknown>;
export type Frame = Iterator<SuspendRequest, unknown, unknown>;

export class Unwinding implements Frame {
  /** The generators that have not ended, the outermost first. */
  private frames: Frame[] = NO_FRAMES;
  private timer: CleanupTimer | null = null;

  constructor(
    private readonly outermost: Frame,
    private readonly task: Task<unknown>,
    /** How long the clean-up may take before its waits are interrupted. */
    private readonly cleanupMs: number,
  ) {}

  /** Begins. The result is done when all clean-up is. Throws what a clean-up throws. */
  return(): Step {
    if (this.outermost.return === undefined) return ENDED;
    const result = this.trace();
    if (result.done !== true) this.timer = CleanupTimer.start(this.task, this.cleanupMs);
    return result;
  }

  next(answer: unknown): Step {
    return this.resume(Resume.NEXT, answer);
  }

  throw(error: unknown): Step {
    return this.resume(Resume.THROW, error);
  }

  private trace(): Step {
    const outer = suspensions;
    const before = GENERATORS.return;
    suspensions = [];
    GENERATORS.return = returnAndNote;
    try {
      const result = this.outermost.return!();
      if (result.done !== true) this.frames = framesOf(suspensions, result, this.outermost);
      return result;
    } finally {
      GENERATORS.return = before;
      suspensions = outer;
    }
  }

  /** Resumes the innermost generator, and those outward of it for as long as they end. */
  private resume(how: Resume, value: unknown): Step {
    for (;;) {
      try {
        const result = resumeFrame(this.frames.at(-1)!, how, value);
        if (result.done !== true) return result;
        if (this.isLastFrame()) return result;
        how = Resume.RETURN;
      } catch (error) {
        if (this.isLastFrame()) throw error;
        how = Resume.THROW;
        value = error;
      }
    }
  }

  /** The innermost generator has ended. Returns whether it was the outermost too, so that all is done. */
  private isLastFrame(): boolean {
    this.frames.pop();
    if (this.frames.length > 0) return false;
    this.timer?.stop();
    return true;
  }
}

/**
 * Notes that a `return()` left `frame` suspended, if it did: for iterators that are no generators but end only after
 * what they delegate to, and so are part of the chain.
 */
export function noteSuspension(frame: Frame, answer: Step): void {
  if (suspensions !== null && answer.done !== true) suspensions.push({ frame, answer });
}

interface Suspended {
  readonly frame: Frame;
  readonly answer: Step;
}

/** What the `return()` that is passed down at this moment has left suspended, the innermost first. */
let suspensions: Suspended[] | null = null;

function returnAndNote(this: Frame, value: unknown): Step {
  const answer = passDown.call(this, value);
  noteSuspension(this, answer);
  return answer;
}

/**
 * Those that suspended in the request that came out, which passes through all of them. Others are generators that a
 * `finally` has used and left.
 */
function framesOf(noted: readonly Suspended[], result: Step, outermost: Frame): Frame[] {
  const frames = noted.filter(({ answer }) => answer.value === result.value).map(({ frame }) => frame);
  return frames.length === 0 ? [outermost] : frames.toReversed();
}

function resumeFrame(frame: Frame, how: Resume, value: unknown): Step {
  switch (how) {
    case Resume.NEXT:
      return frame.next(value);
    case Resume.RETURN:
      return frame.return?.() ?? ENDED;
    case Resume.THROW:
      return throwInto(frame, value);
  }
}

export function throwInto(frame: Frame, error: unknown): Step {
  if (frame.throw === undefined) throw error;
  return frame.throw(error);
}

const enum Resume {
  NEXT,
  RETURN,
  THROW,
}

/** What all generators inherit from: %GeneratorPrototype% of the language. */
const GENERATORS: { return(this: Frame, value: unknown): Step } = Object.getPrototypeOf(function* () {}).prototype;
const passDown = GENERATORS.return;

const NO_FRAMES: Frame[] = [];
export const ENDED: Step = { done: true, value: undefined };
