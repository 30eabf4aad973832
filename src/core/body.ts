/** A task's body as a part of an operation, which is how locks and task locals run what is done under them. */

import { openBody, type Operation, type TaskBody } from "./operation.ts";

/**
 * Starts the body, for `yield*`.
 * @throws TypeError, naming `caller`, if it is neither a generator function nor an operation
 */
export function startBody<T>(body: TaskBody<T>, caller: string): Operation<T> {
  return new StartedBody(openBody(body, caller));
}

/** `yield*` takes what can be iterated, and not an iterator; an object literal in its place costs 200 ns. */
class StartedBody<T> implements Operation<T> {
  constructor(private readonly iterator: ReturnType<Operation<T>[typeof Symbol.iterator]>) {}

  [Symbol.iterator](): ReturnType<Operation<T>[typeof Symbol.iterator]> {
    return this.iterator;
  }
}
