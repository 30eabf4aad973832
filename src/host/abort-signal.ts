/**
 * Abort signals, both ways: `withSignal` lets one of the host end a part of a task, `abortSignal` makes one of ours for
 * the host.
 */

import { describeValue } from "../core/errors.ts";
import type { BodyWith, Operation } from "../core/operation.ts";
import { Ending, Region } from "../core/region.ts";

/**
 * Runs the body, and ends it when the signal is aborted: its `finally` blocks run, and are waited for. If it ends in
 * the same turn in which the signal is aborted, its outcome counts. A signal that is aborted already is thrown before
 * the body begins. Tasks that the body spawned belong to the scope around it and are not ended, unless it opens a
 * `scope`.
 * @returns what the body returned
 * @throws the signal's reason if it was aborted (a `SuppressedError` of it and of the clean-up's error, if that failed
 *   too); what the body threw; TypeError if `signal` is no `AbortSignal`
 */
export function withSignal<T>(signal: AbortSignal, body: BodyWith<void, T>): Operation<T> {
  if (!(signal instanceof AbortSignal)) {
    throw new TypeError(`withSignal: signal must be an AbortSignal, but is ${describeValue(signal)}`);
  }
  return new AbortableRegion<T>(signal, body);
}

/**
 * Runs the body with a signal that is aborted when the body ends, however it ends: what it has begun in the host with
 * that signal does not outlive it.
 *
 *     yield* abortSignal(function* (signal) {
 *       const response = yield* promise(fetch(url, { signal }));
 *       return yield* promise(response.json());
 *     });
 *
 * If the body is cancelled, the signal is aborted before the body's `finally` blocks run, once the tasks that it
 * spawned in scopes of its own have ended. The reason is what the task was cancelled for, if that was said, or else the
 * platform's `AbortError`. For a single call there is `call`.
 * @returns what the body returned
 * @throws what the body threw
 */
export function abortSignal<T>(body: BodyWith<AbortSignal, T>): Operation<T> {
  return new SignallingRegion<T>("abortSignal", body);
}

class AbortableRegion<T> extends Region<T> implements EventListenerObject {
  constructor(
    private readonly signal: AbortSignal,
    body: BodyWith<void, T>,
  ) {
    super("withSignal", body);
  }

  override [Symbol.iterator](): this {
    this.signal.throwIfAborted();
    return super[Symbol.iterator]();
  }

  /** Part of `EventListenerObject`: the signal was aborted. */
  handleEvent(): void {
    this.requestCancel(this.signal.reason, false);
  }

  protected override entered(): void {
    // The body itself may have aborted it on the way to its first wait.
    if (this.signal.aborted) this.handleEvent();
    else this.signal.addEventListener("abort", this, ONCE);
  }

  protected override left(): void {
    this.signal.removeEventListener("abort", this);
  }

  protected settle(ending: Ending, result: unknown): T {
    switch (ending) {
      case Ending.FAILED:
        throw result;
      case Ending.CANCELLED:
        throw this.signal.reason;
      case Ending.CLEANUP_FAILED:
        throw new SuppressedError(result, this.signal.reason, "clean-up failed after a signal was aborted");
      default:
        return result as T;
    }
  }
}

class SignallingRegion<T> extends Region<T> {
  private readonly controller = new AbortController();

  /** What is around the region is cancelled. */
  override return(): ReturnType<Region<T>["return"]> {
    this.controller.abort(this.task?.unwindingReason);
    return super.return();
  }

  protected override argument(): AbortSignal {
    return this.controller.signal;
  }

  protected settle(ending: Ending, result: unknown): T {
    this.controller.abort(BODY_ENDED);
    if (ending === Ending.FAILED || ending === Ending.CLEANUP_FAILED) throw result;
    return result as T;
  }
}

const ONCE = { once: true };

/** Made once: an error takes longer to make than all else here. */
const BODY_ENDED = new DOMException("what the signal belongs to has ended", "AbortError");
