/** Calling host code that can be told to stop. */

import { describeValue } from "../core/errors.ts";
import { type Operation, RequestOperation } from "../core/operation.ts";
import type { Task } from "../core/task.ts";
import { HostWait } from "./host-wait.ts";

/**
 * Calls host code and suspends the task until what it returns has settled; a value that is no promise is the answer at
 * once. The code gets a signal that is aborted if the task is cancelled here, as `fetch` and others take it:
 *
 *     const response = yield* call((signal) => fetch(url, { signal }));
 *
 * The signal's reason is what the task was cancelled for, if that was said, or else the platform's `AbortError`. A
 * cancelled task goes on to its `finally` blocks without waiting for the promise, as with `promise`: code that ignores
 * its signal holds nobody up, and what it comes to then is ignored. Where its end matters, keep the promise and wait
 * for it in a `finally` block.
 * @returns what the code returned, or what its promise fulfils with
 * @throws what the code throws or its promise rejects with; TypeError if `code` is no function; `UnsupportedError` in
 *   `blockOn`, where no promise can settle
 */
export function call<T>(code: (signal: AbortSignal) => PromiseLike<T> | T): Operation<T> {
  if (typeof code !== "function") throw new TypeError(`call() takes a function, but was given ${describeValue(code)}`);
  return new RequestOperation<T>("call", new CallRequest(code));
}

class CallRequest<T> extends HostWait {
  private readonly controller = new AbortController();

  constructor(private readonly code: (signal: AbortSignal) => PromiseLike<T> | T) {
    super();
  }

  describe(): string {
    return this.code.name === "" ? "a call" : `the call of ${this.code.name}`;
  }

  protected begin(): void {
    const { code } = this;
    const result = code(this.controller.signal);
    if (!isPromiseLike(result)) return this.succeed(result);
    result.then(
      (value) => this.succeed(value),
      (error: unknown) => this.fail(error),
    );
  }

  protected override takenBack(task: Task<unknown>): void {
    this.controller.abort(task.unwindingReason);
  }
}

function isPromiseLike<T>(value: PromiseLike<T> | T): value is PromiseLike<T> {
  return typeof (value as Partial<PromiseLike<T>> | null | undefined)?.then === "function";
}
