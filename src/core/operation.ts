/**
 * An operation is what a task writes `yield*` before: it yields requests to its executor and in the end has a value.
 *
 * Generator functions are operations' usual form. On hot paths an operation is a small object that is its own iterator;
 * such a *leaf* has `next` and `throw` (without `throw` the language would turn an error into a `TypeError` that hides
 * it) but no `return`, which the language does not need.
 */

import { describeValue, OperationReusedError } from "./errors.ts";
import { withFrames } from "./error-trace.ts";
import type { SuspendRequest } from "./request.ts";

/**
 * Something to `yield*` in a task, with a value of type `T`. What the executor sends back is `unknown`, so that a
 * forgotten star does not compile.
 */
export interface Operation<T> {
  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown>;
}

/** What can be run as a task: a generator function without parameters, or an operation. */
export type TaskBody<T> = Operation<T> | (() => Operation<T>);

/** A body that is called with something, if it is a generator function. */
export type BodyWith<A, T> = Operation<T> | ((argument: A) => Operation<T>);

/** An operation that yields one request, whose answer is its value. */
export class RequestOperation<T> implements Operation<T>, Iterator<SuspendRequest, T, unknown>, SingleRequest {
  private state: LeafState = LeafState.UNUSED;

  constructor(
    /** What errors call the operation, such as `sleep`. */
    private readonly callName: string,
    private readonly request: SuspendRequest,
  ) {}

  [Symbol.iterator](): Iterator<SuspendRequest, T, unknown> {
    if (this.state !== LeafState.UNUSED) throw new OperationReusedError(this.callName);
    this.state = LeafState.ITERATED;
    return this;
  }

  /** The request itself, to combine with others. The operation counts as used. */
  takeRequest(): SuspendRequest {
    if (this.state !== LeafState.UNUSED) throw new OperationReusedError(this.callName);
    this.state = LeafState.SUSPENDED;
    return this.request;
  }

  next(answer: unknown): IteratorResult<SuspendRequest, T> {
    if (this.state === LeafState.ITERATED) {
      this.state = LeafState.SUSPENDED;
      return { done: false, value: this.request };
    }
    return { done: true, value: answer as T };
  }

  throw(error: unknown): never {
    throw withFrames(error);
  }
}

/** An operation of one request, or one that can be made one: it can be combined with others without a task of its own. */
export interface SingleRequest {
  /** The request, to arm once. The operation counts as used. */
  takeRequest(): SuspendRequest;
}

/** Whether the operation is one that `takeRequest` makes a request of. */
export function isSingleRequest(operation: unknown): operation is SingleRequest {
  return typeof (operation as Partial<SingleRequest> | null)?.takeRequest === "function";
}

const enum LeafState {
  UNUSED,
  ITERATED,
  SUSPENDED,
}

/**
 * Starts a body, with an argument if it takes one. Throws a `TypeError` that says what `caller` was given if it is no
 * operation.
 */
export function openBody<T>(
  body: BodyWith<never, T>,
  caller: string,
  argument?: unknown,
): Iterator<SuspendRequest, T, unknown> {
  const operation: unknown = typeof body === "function" ? (body as (argument: unknown) => unknown)(argument) : body;
  if (isOperation<T>(operation)) return operation[Symbol.iterator]();
  throw new TypeError(
    `${caller} takes a generator function (function*) or an operation, ${describeWrongBody(body, operation)}`,
  );
}

function isOperation<T>(value: unknown): value is Operation<T> {
  if (typeof value !== "object" || value === null) return false;
  return typeof (value as Partial<Operation<T>>)[Symbol.iterator] === "function" && !Array.isArray(value);
}

function describeWrongBody(body: unknown, result: unknown): string {
  if (typeof body !== "function") return `but was given ${describeValue(body)}`;
  const name = body.name === "" ? "a function" : `'${body.name}'`;
  if (result instanceof Promise) {
    // The promise is not ours to handle, but nobody else will: without this its rejection would end the process.
    result.catch(ignoreRejection);
    return `but ${name} is an async function: write it with function* and yield* promise(…) where it awaits`;
  }
  return `but ${name} returned ${describeValue(result)}: is the star of function* missing?`;
}

function ignoreRejection(): void {
  // The caller gets a TypeError for having passed an async function; what that function would have done is beside the
  // point.
}
