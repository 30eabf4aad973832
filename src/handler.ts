/** `handler`: a generator function that answers the requests of `Bun.serve`. */

import { describeValue } from "./core/errors.ts";
import type { Operation } from "./core/operation.ts";
import { failureText } from "./host/failure-text.ts";
import { run } from "./run.ts";

/** Answers a request. What `Bun.serve` passes on besides, the server, comes second. */
export type RequestTask<R extends Request = Request, S = Bun.Server<undefined>> = (
  request: R,
  server: S,
) => Operation<Response>;

export interface HandlerOptions {
  /**
   * Is told of an error that comes up when the client is gone, in a clean-up mostly: `Bun.serve` ignores such errors.
   * By default it is printed to stderr.
   */
  readonly onLateError?: ((error: unknown, request: Request) => void) | undefined;
}

/**
 * Makes of a generator function what `Bun.serve` calls for each request:
 *
 *     Bun.serve({
 *       fetch: handler(function* (request) {
 *         return Response.json(yield* timeout(1_000, lookUp(request)));
 *       }),
 *     });
 *
 * Each request is a run of its own. If the client goes away before it has its answer, the task and all that it spawned
 * are cancelled, and `Bun.serve` hears of it only when they have cleaned up. What the task throws goes to the `error`
 * function of `Bun.serve`. A response with a stream as its body outlives the task: `toReadableStream` makes one whose
 * task is cancelled when the client goes away.
 *
 * To shut down, call the server's `stop()`, which waits for the requests that are being answered, or `stop(true)`,
 * which breaks their connections off and so cancels their tasks: in a `finally` block of `main`, for example.
 * @throws TypeError if `task` is no function
 */
export function handler<R extends Request = Request, S = Bun.Server<undefined>>(
  task: RequestTask<R, S>,
  { onLateError = printError }: HandlerOptions = {},
): (request: R, server: S) => Promise<Response> {
  if (typeof task !== "function") {
    throw new TypeError(`handler() takes a generator function (function*), but was given ${describeValue(task)}`);
  }
  const name = task.name === "" ? "handler" : task.name;
  return async (request, server) => {
    const { signal } = request;
    try {
      return await run(() => task(request, server), { name, signal });
    } catch (error) {
      if (!signal.aborted) throw error;
      if (error !== signal.reason) onLateError(error, request);
      return new Response(null, { status: CLIENT_CLOSED_REQUEST });
    }
  };
}

function printError(error: unknown): void {
  console.error(failureText(error));
}

/** Nobody gets it; nginx logs the same. */
const CLIENT_CLOSED_REQUEST = 499;
