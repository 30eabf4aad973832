/** Operations that note how far they came, for tests of what runs several of them. */

import type { Operation } from "../../src/core/operation.ts";
import { sleep } from "../../src/core/sleep.ts";

export interface ArmOptions {
  /** How long it works before it returns its name, in milliseconds. */
  readonly workMs: number;
  /** How long its `finally` block takes, in milliseconds. */
  readonly cleanupMs?: number;
  /** What it throws instead of returning. */
  readonly error?: Error;
  /** What its `finally` block throws. */
  readonly cleanupError?: Error;
}

/**
 * An arm as a generator function. It logs `name begins`, `name returns` or `name throws`, and `name has cleaned up`.
 */
export function arm(log: string[], name: string, options: ArmOptions): () => Operation<string> {
  return Object.defineProperty(() => work(log, name, options), "name", { value: name });
}

function* work(log: string[], name: string, options: ArmOptions): Operation<string> {
  log.push(`${name} begins`);
  try {
    yield* sleep(options.workMs);
    log.push(`${name} ${options.error === undefined ? "returns" : "throws"}`);
    if (options.error !== undefined) throw options.error;
    return name;
  } finally {
    yield* cleanUp(log, name, options);
  }
}

function* cleanUp(log: string[], name: string, { cleanupMs, cleanupError }: ArmOptions): Operation<void> {
  if (cleanupMs !== undefined) yield* sleep(cleanupMs);
  log.push(`${name} has cleaned up`);
  if (cleanupError !== undefined) throw cleanupError;
}
