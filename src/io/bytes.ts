/** What users pass as bytes, and the errors for what is none. */

import { assertInteger, describeValue } from "../core/errors.ts";

/** @throws TypeError that names the argument */
export function assertBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array))
    throw new TypeError(`${name} must be a Uint8Array, but is ${describeValue(value)}`);
}

/** A buffer to read into. */
export function assertRoom(name: string, value: unknown): asserts value is Uint8Array {
  assertBytes(name, value);
  if (value.byteLength === 0) throw new RangeError(`${name} is empty, so nothing could be read into it`);
}

/** @throws RangeError if `start` and `end` are no range of `bytes` */
export function assertRange(call: string, bytes: Uint8Array, start: number, end: number): void {
  assertInteger(`${call}: end`, end, 0, bytes.byteLength);
  assertInteger(`${call}: start`, start, 0, end);
}

/** A string as UTF-8. @throws TypeError that names the argument */
export function toBytes(name: string, data: Uint8Array | string): Uint8Array {
  if (typeof data === "string") return ENCODER.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`${name} must be a Uint8Array or a string, but is ${describeValue(data)}`);
}

const ENCODER = new TextEncoder();
