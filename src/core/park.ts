/** Waiting for whatever JavaScript itself resumes: a callback, a promise, another task. */

import { UnsupportedError } from "./errors.ts";
import { type Operation, RequestOperation } from "./operation.ts";
import { SuspendRequest, type Suspension, type Undo } from "./request.ts";

/** Ends the wait of a `park`. Only the first call counts, and none after the task was cancelled. */
export interface Resumption<T> {
  succeed(value: T): void;
  fail(error: unknown): void;
}

/**
 * Suspends the task until `arm` ends the wait through the resumption that it is given, now or later. `arm` returns its
 * undo, which is called if the task is cancelled first; it takes back what `arm` did.
 *
 * This is the bridge from callbacks:
 *
 *     yield* park((resumption) => {
 *       const timer = setTimeout(resumption.succeed, 5);
 *       return () => clearTimeout(timer);
 *     });
 *
 * @throws what `arm` throws
 */
export function park<T>(
  arm: (resumption: Resumption<T>) => (() => void) | void,
  waitsFor = "a callback",
): Operation<T> {
  return new RequestOperation<T>("park", new ParkedOnce(arm, waitsFor));
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
  return new RequestOperation("promise", promiseRequest(awaited));
}

/** The request behind `promise`, to combine with others. */
export function promiseRequest<T>(awaited: PromiseLike<T>): SuspendRequest {
  return new PromiseRequest<T>(({ succeed, fail }) => void awaited.then(succeed, fail), "a promise");
}

/**
 * The request, the resumption and the undo of a wait in one. It lets the first end of the wait through and no other:
 * callbacks of user code may come twice, or late.
 */
class ParkedOnce<T> extends SuspendRequest implements Resumption<T>, Undo {
  /** Who waits; null before, and once the wait is over. */
  private suspension: Suspension | null = null;
  private takeBack: (() => void) | void = undefined;

  constructor(
    private readonly armed: (resumption: Resumption<T>) => (() => void) | void,
    private readonly words: string,
  ) {
    super();
  }

  describe(): string {
    return this.words;
  }

  /** A function that can be passed on as it is, made when it is asked for: most waits need one of the two. */
  get succeed(): (value: T) => void {
    return (value) => this.finish()?.resume(value);
  }

  get fail(): (error: unknown) => void {
    return (error) => this.finish()?.fail(error);
  }

  arm(suspension: Suspension): Undo | null {
    this.suspension = suspension;
    suspension.scheduler.hostWaitCount++;
    try {
      this.takeBack = this.armed(this);
    } catch (error) {
      this.finish();
      throw error;
    }
    return this.suspension === null ? null : this;
  }

  undo(): void {
    this.finish();
    this.takeBack?.();
  }

  private finish(): Suspension | null {
    const { suspension } = this;
    this.suspension = null;
    if (suspension !== null) suspension.scheduler.hostWaitCount--;
    return suspension;
  }
}

class PromiseRequest<T> extends ParkedOnce<T> {
  override arm(suspension: Suspension): Undo | null {
    if (!suspension.scheduler.isBlocking) return super.arm(suspension);
    throw new UnsupportedError(
      `${suspension.task.name} waits for a promise inside blockOn, which blocks the thread that would settle it: use run instead`,
    );
  }
}
