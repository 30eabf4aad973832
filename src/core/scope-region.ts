/** `scope`: a part of a task that waits for the children that are spawned in it. */

import { DEFAULT_CLEANUP_MS } from "./cleanup-timer.ts";
import { assertTime, CancelledError } from "./errors.ts";
import type { BodyWith, Operation } from "./operation.ts";
import { Ending, Region } from "./region.ts";
import type { SuspendRequest } from "./request.ts";
import { DrainRequest, Scope, type ScopeOwner } from "./scope.ts";
import type { Task } from "./task.ts";

export interface ScopeOptions {
  /** What messages call the scope. */
  readonly name?: string | undefined;
  /**
   * How long the clean-up of a cancelled child, or of the body, may take, in milliseconds, before its wait is ended with a
   * `CleanupTimeoutError`; by default that of the scope around it. Infinity for no limit.
   */
  readonly cleanupMs?: number | undefined;
}

/**
 * Runs the body, and ends when it and all children that were spawned in the scope have ended. The body gets the scope;
 * the children of a plain `spawn` belong to the innermost scope that is open in the task.
 *
 * The first error, of the body or of a child that nobody is joining, cancels all others, the youngest first; once they
 * have cleaned up, it is thrown as it is, several as an `AggregateError` in the order in which they came. If the task is
 * cancelled, the children end before the body's `finally` blocks run. This is trio's nursery.
 * @returns what the body returned
 * @throws what the body or a child threw; `CancelledError` if the body was ended by the scope's own `cancel`; TypeError if
 *   `body` is neither a generator function nor an operation; RangeError if `cleanupMs` is negative or no number
 */
export function scope<T>(body: BodyWith<Scope, T>, options: ScopeOptions = {}): Operation<T> {
  if (options.cleanupMs !== undefined) assertTime("scope: cleanupMs", options.cleanupMs);
  return new ScopeRegion<T>(body, options);
}

class ScopeRegion<T> extends Region<T> implements ScopeOwner {
  private readonly ownScope: Scope;

  constructor(
    body: BodyWith<Scope, T>,
    private readonly options: ScopeOptions,
  ) {
    super("scope", body);
    const label = options.name === undefined ? "a scope" : `the scope ${options.name}`;
    this.ownScope = new Scope(this, DEFAULT_CLEANUP_MS, label);
  }

  override get scope(): Scope {
    return this.ownScope;
  }

  get ownTask(): Task<unknown> | null {
    return this.task;
  }

  cancelBody(reason: unknown): void {
    this.requestCancel(reason, true);
  }

  protected override entered(task: Task<unknown>): void {
    const { cleanupMs = this.outer?.cleanupMs ?? task.scope.cleanupMs } = this.options;
    this.ownScope.cleanupMs = cleanupMs;
  }

  protected override argument(): Scope {
    return this.ownScope;
  }

  protected override bodyFailed(error: unknown): void {
    this.ownScope.bodyFailed(error);
  }

  /** What the body threw is among the scope's errors, if there are others. */
  protected override waitBeforeEnd(): SuspendRequest | null {
    const { ownScope } = this;
    if (ownScope.isEmpty) return null;
    if (this.isUnwinding) ownScope.cancelChildren(this.reason);
    return new DrainRequest(ownScope, !this.isUnwinding);
  }

  protected settle(ending: Ending, result: unknown): T {
    const { ownScope } = this;
    ownScope.end();
    if (ownScope.hasFailed) throw ownScope.takeError();
    if (ending === Ending.CANCELLED) throw new CancelledError(this.describe(), this.reason);
    return result as T;
  }

  private describe(): string {
    return `${this.ownScope.label} of ${this.task!.name}`;
  }
}
