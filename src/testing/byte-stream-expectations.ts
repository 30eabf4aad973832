/** What the scenarios of `byte-stream-check.ts` expect of a stream, each with an error that says what came instead. */

import { describeValue, UnexpectedEndError } from "../core/errors.ts";
import type { Operation } from "../core/operation.ts";
import type { ByteReader } from "../io/byte-stream.ts";

export function* expectError(
  kind: abstract new (...args: never[]) => Error,
  act: () => Operation<unknown>,
): Operation<Error> {
  let result: unknown;
  try {
    result = yield* act();
  } catch (error) {
    if (error instanceof kind) return error;
    throw new Error(`expected a ${kind.name}, but got ${String(error)}`, { cause: error });
  }
  throw new Error(`expected a ${kind.name}, but it returned ${describeValue(result)}`);
}

/** A leaf operation says that it was used; a generator function's has come to its end, and does nothing. */
export function* useAgain(operation: Operation<unknown>): Operation<void> {
  try {
    yield* operation;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Reads as many bytes as the pattern has, in pieces of the sizes given, and compares each. */
export function* expectPattern(reader: ByteReader, pattern: Uint8Array, nextSize: () => number): Operation<void> {
  for (let at = 0; at < pattern.byteLength;) {
    const buffer = new Uint8Array(nextSize());
    const bytes = yield* reader.read(buffer);
    if (bytes === 0) throw new UnexpectedEndError(reader.label, at, pattern.byteLength);
    for (let index = 0; index < bytes; index++) {
      if (buffer[index] === pattern[at + index]) continue;
      throw new Error(`byte ${at + index} is ${buffer[index]}, but ${pattern[at + index]} was sent`);
    }
    at += bytes;
  }
}

export function expectTrue(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

export function expectEqual(actual: unknown, expected: unknown): void {
  const [shown, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (shown !== wanted) throw new Error(`expected ${wanted}, but got ${shown}`);
}

export function expectText(parts: readonly (Uint8Array | null)[], expected: string): void {
  const decoder = new TextDecoder();
  expectEqual(parts.map((part) => (part === null ? null : decoder.decode(part))).join(""), expected);
}

export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expectEqual([...actual], [...expected]);
}

/** A period that divides no buffer size, so that a piece out of place shows. */
export function patternOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
}
