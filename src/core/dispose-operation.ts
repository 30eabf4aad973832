/** The name of the method by which a resource is disposed of by an operation: `use` calls it. */

import type { Operation } from "./operation.ts";

/** A resource whose end takes an operation: a connection that says goodbye. */
export interface OperationDisposable {
  /** Ends the resource, and waits until it has ended. */
  [disposeOperation](): Operation<void>;
}

/** The name of the method that `use` calls to dispose of a resource by an operation. */
export const disposeOperation: unique symbol = Symbol.for("bun-reactor.disposeOperation");
