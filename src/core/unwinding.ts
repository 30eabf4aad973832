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
 * Decision. While the first `return()` is passed down, `return` of all generators is replaced by one that notes on whom
 * it is called and what that answered: it is put back before anything else can run. So the generators of the chain that
 * have not ended are known. From then on the innermost is resumed directly; when it ends, the next one outward gets its
 * own `return()`, which finds an ended delegate and so runs its `finally`, and so forth. A `finally` that throws throws
 * into the next one outward, as it would in plain code.
 */

import type { SuspendRequest } from "./request.ts";

type Step = IteratorResult<SuspendRequest, unknown>;
type Frame = Iterator<SuspendRequest, unknown, unknown>;

export class Unwinding implements Frame {
  /** The generators that have not ended, the outermost first. */
  private frames: Frame[] = [];

  constructor(private readonly outermost: Frame) {}

  /** Begins. The result is done when all clean-up is. Throws what a clean-up throws. */
  return(): Step {
    if (this.outermost.return === undefined) return ENDED;
    const tracer = new Tracer();
    const result = tracer.trace(this.outermost);
    this.frames = result.done === true ? [] : tracer.suspendedWith(result);
    return this.proceed(result);
  }

  next(answer: unknown): Step {
    return this.resume((frame) => frame.next(answer));
  }

  throw(error: unknown): Step {
    return this.resume((frame) => throwInto(frame, error));
  }

  private resume(go: (frame: Frame) => Step): Step {
    try {
      return this.proceed(go(this.frames.at(-1)!));
    } catch (error) {
      return this.passOn(error);
    }
  }

  /** The innermost generator has answered. If it has ended, the next one outward cleans up. */
  private proceed(result: Step): Step {
    if (result.done !== true) return result;
    this.frames.pop();
    const next = this.frames.at(-1);
    return next === undefined ? result : this.resume((frame) => frame.return?.() ?? ENDED);
  }

  /** The innermost generator has ended with an error. */
  private passOn(error: unknown): Step {
    this.frames.pop();
    if (this.frames.length === 0) throw error;
    return this.resume((frame) => throwInto(frame, error));
  }
}

/** Finds the generators that a `return()` reaches. */
class Tracer {
  private readonly visits: Visit[] = [];

  trace(outermost: Frame): Step {
    const { visits } = this;
    const passDown = GENERATORS.return;
    GENERATORS.return = function (this: Frame, value: unknown): Step {
      const visit: Visit = { frame: this, answer: undefined };
      visits.push(visit);
      visit.answer = passDown.call(this, value);
      return visit.answer;
    };
    try {
      return outermost.return!();
    } finally {
      GENERATORS.return = passDown;
    }
  }

  /**
   * Those that suspended in the request that came out, which passes through all of them. The first visit is the
   * outermost's.
   */
  suspendedWith(result: Step): Frame[] {
    return this.visits
      .filter(({ answer }) => answer?.done === false && answer.value === result.value)
      .map(({ frame }) => frame);
  }
}

interface Visit {
  readonly frame: Frame;
  answer: Step | undefined;
}

function throwInto(frame: Frame, error: unknown): Step {
  if (frame.throw === undefined) throw error;
  return frame.throw(error);
}

/** What all generators inherit from: %GeneratorPrototype% of the language. */
const GENERATORS: { return(this: Frame, value: unknown): Step } = Object.getPrototypeOf(function* () {}).prototype;

const ENDED: Step = { done: true, value: undefined };
