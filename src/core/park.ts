/** Waiting for whatever JavaScript itself resumes: a callback, a promise, another task. */

import { UnsupportedError } from "./errors.ts";
import { LeafOperation, type Operation } from "./operation.ts";
import { ParkRequest, type SuspendRequest, type Suspension, type Undo } from "./request.ts";

/** Ends the wait of a `park`. Only the first call counts, and none after the task was cancelled. */
export interface Resumption<T> {
  succeed(value: T): void;
  fail(error: unknown): void;
}

/**
 * Suspends the task until `arm` ends the wait through the resumption that it is given, now or later. `arm` returns its undo, which is
 * called if the task is cancelled first; it takes back what `arm` did.
 *
 * This is the bridge from callbacks: `park((resumption) => { const timer = setTimeout(resumption.succeed, 5); return () => clearTimeout(timer); })`
 * @throws what `arm` throws
 */
export function park<T>(
  arm: (resumption: Resumption<T>) => (() => void) | void,
  waitsFor = "a callback",
): Operation<T> {
  return new ParkOperation<T>("park", new ParkRequest((suspension) => ParkedOnce.arm(suspension, arm), waitsFor));
}

/**
 * Suspends the task until the promise settles. A promise cannot be cancelled: if the task is, what the promise
 * comes to is ignored.
 * @returns what the promise fulfils with
 * @throws what it rejects with; `UnsupportedError` in `blockOn`, where no promise can settle
 */
export function promise<T>(awaited: PromiseLike<T>): Operation<Awaited<T>> {
  if (typeof (awaited as Partial<PromiseLike<T>> | null | undefined)?.then !== "function") {
    throw new TypeError("promise() takes a Promise: for an operation, yield* it directly");
  }
  return new ParkOperation("promise", promiseRequest(awaited));
}

/** The request behind `promise`, to combine with others. */
export function promiseRequest<T>(awaited: PromiseLike<T>): ParkRequest {
  return new ParkRequest((suspension) => armPromise(suspension, awaited), "a promise");
}

/** An operation whose request answers with its value. */
export class ParkOperation<T> extends LeafOperation<T> {
  constructor(
    private readonly callName: string,
    private readonly request: SuspendRequest,
  ) {
    super();
  }

  protected override get operationName(): string {
    return this.callName;
  }

  protected override begin(): SuspendRequest {
    return this.request;
  }

  protected override end(answer: unknown): T {
    return answer as T;
  }
}

function armPromise<T>(suspension: Suspension, awaited: PromiseLike<T>): Undo | null {
  if (suspension.scheduler.isBlocking) {
    throw new UnsupportedError(
      `${suspension.task.name} waits for a promise inside blockOn, which blocks the thread that would settle it: use run instead`,
    );
  }
  return ParkedOnce.arm<T>(suspension, ({ succeed, fail }) => void awaited.then(succeed, fail));
}

/** Lets the first end of a wait through and no other: callbacks of user code may come twice, or late. */
class ParkedOnce implements Undo {
  private isOver = false;
  private takeBack: (() => void) | void = undefined;

  static arm<T>(suspension: Suspension, arm: (resumption: Resumption<T>) => (() => void) | void): Undo | null {
    const parked = new ParkedOnce();
    try {
      parked.takeBack = arm({
        succeed: (value) => {
          if (parked.finish()) suspension.resume(value);
        },
        fail: (error) => {
          if (parked.finish()) suspension.fail(error);
        },
      });
    } catch (error) {
      parked.isOver = true;
      throw error;
    }
    return parked.isOver ? null : parked;
  }

  undo(): void {
    this.isOver = true;
    this.takeBack?.();
  }

  private finish(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    return true;
  }
}
