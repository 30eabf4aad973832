/** `use`: a resource, and its disposal whatever happens. */

import { disposeOperation, type OperationDisposable } from "../core/dispose-operation.ts";
import { describeValue } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import { promise } from "../core/park.ts";
import { shield } from "../core/shield.ts";
import { cleanUpAfter } from "./clean-up-after.ts";

export { disposeOperation, type OperationDisposable };

/** What `use` can dispose of: in the ways of the language, or by an operation. */
export type Resource = Disposable | AsyncDisposable | OperationDisposable;

/**
 * Gives a resource to the body, and disposes of it when the body has ended, however it has: by `[disposeOperation]`, by
 * `[Symbol.asyncDispose]`, whose promise is waited for, or by `[Symbol.dispose]`, whichever it has first. That is
 * waited for if the task was cancelled before, within its grace period, and if it is cancelled meanwhile. (For what
 * only needs `[Symbol.dispose]`, the language's `using` does the same.)
 * @param resource the resource, or an operation that comes to it
 * @returns what the body returned
 * @throws what the body threw, and what the disposal threw (both: a `SuppressedError`); TypeError if the resource can
 *   be disposed of in none of the ways
 */
export function* use<R extends Resource, T>(
  resource: R | Operation<R>,
  body: (resource: R) => Operation<T>,
): Operation<T> {
  const own: R = isOperation(resource) ? yield* resource : resource;
  const dispose = disposalOf(own);
  const failures: unknown[] = [];
  try {
    return yield* body(own);
  } catch (error) {
    failures.push(error);
    throw error;
  } finally {
    yield* cleanUpAfter(failures, () => shield(dispose));
  }
}

function disposalOf(resource: Resource): () => Operation<void> {
  const given = resource as Partial<Disposable & AsyncDisposable & OperationDisposable>;
  if (typeof given?.[disposeOperation] === "function") return () => given[disposeOperation]!();
  if (typeof given?.[Symbol.asyncDispose] === "function") return () => disposeAsync(given as AsyncDisposable);
  if (typeof given?.[Symbol.dispose] === "function") return () => disposeNow(given as Disposable);
  throw new TypeError(
    "use takes a resource with [Symbol.dispose], [Symbol.asyncDispose] or [disposeOperation], " +
      `but was given ${describeValue(resource)}`,
  );
}

function* disposeAsync(resource: AsyncDisposable): Operation<void> {
  yield* promise(Promise.resolve(resource[Symbol.asyncDispose]()));
}

function* disposeNow(resource: Disposable): Operation<void> {
  resource[Symbol.dispose]();
}

function isOperation<R>(value: R | Operation<R>): value is Operation<R> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}
