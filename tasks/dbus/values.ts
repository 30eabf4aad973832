/**
 * The values of D-Bus, to bytes and back (D-Bus Specification, "Type System" and "Marshaling (Wire Format)").
 *
 * A signature says of which types they are: `y` byte, `b` boolean, `n` `q` `i` `u` integers of 16 and 32 bits, `x` `t` of 64
 * bits, `d` double, `s` string, `o` path of an object, `g` signature, `h` descriptor, `v` variant, `a…` array, `(…)`
 * structure, `a{…}` dictionary.
 */

/** What a type looks like here: 64 bits are a bigint, `ay` is bytes, a dictionary is a Map, a structure an array. */
export type Value =
  number | bigint | boolean | string | Uint8Array | Variant | readonly Value[] | ReadonlyMap<Value, Value>;

/** A value that says itself of which type it is. */
export class Variant {
  constructor(
    readonly signature: string,
    readonly value: Value,
  ) {}
}

/** Bytes, or values, that do not follow the specification. */
export class DBusProtocolError extends Error {
  override readonly name = "DBusProtocolError";
  readonly code = "ERR_DBUS_PROTOCOL";
}

/** Writes values one after the other, in this machine's order of bytes. */
export class ValueWriter {
  /** The descriptors that values of type `h` stand for, in the order of their indexes. */
  readonly descriptors: number[] = [];
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private at = 0;

  /** What was written so far. It changes with the next write. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  get length(): number {
    return this.at;
  }

  /** Writes a value of each type of the signature. @throws DBusProtocolError for values that do not fit it */
  values(signature: string, values: readonly Value[]): void {
    const types = typesIn(signature);
    if (types.length !== values.length)
      throw new DBusProtocolError(
        `the signature "${signature}" takes ${types.length} values, but was given ${values.length}`,
      );
    for (const [index, type] of types.entries()) this.value(type, values[index]!);
  }

  /** Puts a number of 32 bits where one was left out. */
  patch(place: number, value: number): void {
    this.view.setUint32(place, value, LITTLE_ENDIAN);
  }

  align(boundary: number): void {
    const place = alignUp(this.at, boundary);
    this.makeRoom(place - this.at);
    this.bytes.fill(0, this.at, place);
    this.at = place;
  }

  raw(bytes: Uint8Array): void {
    this.makeRoom(bytes.byteLength);
    this.bytes.set(bytes, this.at);
    this.at += bytes.byteLength;
  }

  private value(type: string, value: Value): void {
    const write = this.writers[type[0]!];
    if (write === undefined) throw new DBusProtocolError(`"${type}" is no type of D-Bus`);
    write(value, type);
  }

  private readonly writers: Readonly<Record<string, (value: Value, type: string) => void>> = {
    y: (value) => this.number(1, (at) => this.view.setUint8(at, integer(value, 0, 0xff))),
    n: (value) => this.number(2, (at) => this.view.setInt16(at, integer(value, -0x8000, 0x7fff), LITTLE_ENDIAN)),
    q: (value) => this.number(2, (at) => this.view.setUint16(at, integer(value, 0, 0xffff), LITTLE_ENDIAN)),
    i: (value) =>
      this.number(4, (at) => this.view.setInt32(at, integer(value, -0x80000000, 0x7fffffff), LITTLE_ENDIAN)),
    u: (value) => this.number(4, (at) => this.view.setUint32(at, integer(value, 0, 0xffffffff), LITTLE_ENDIAN)),
    x: (value) => this.number(8, (at) => this.view.setBigInt64(at, large(value), LITTLE_ENDIAN)),
    t: (value) => this.number(8, (at) => this.view.setBigUint64(at, large(value), LITTLE_ENDIAN)),
    d: (value) => this.number(8, (at) => this.view.setFloat64(at, expect(value, "number"), LITTLE_ENDIAN)),
    b: (value) => this.number(4, (at) => this.view.setUint32(at, expect(value, "boolean") ? 1 : 0, LITTLE_ENDIAN)),
    s: (value) => this.text(4, expect(value, "string")),
    o: (value) => this.text(4, expect(value, "string")),
    g: (value) => this.text(1, expect(value, "string")),
    h: (value) => this.value("u", this.descriptors.push(integer(value, 0, 0x7fffffff)) - 1),
    v: (value) => {
      if (!(value instanceof Variant)) throw new DBusProtocolError("a value of type v is a Variant");
      this.text(1, value.signature);
      this.values(value.signature, [value.value]);
    },
    "(": (value, type) => {
      this.align(8);
      this.values(type.slice(1, -1), list(value));
    },
    "{": (value, type) => {
      this.align(8);
      this.values(type.slice(1, -1), list(value));
    },
    a: (value, type) => this.array(type.slice(1), elementsOf(value)),
  };

  private array(type: string, elements: readonly Value[]): void {
    this.value("u", 0);
    const place = this.at - 4;
    this.align(boundaryOf(type));
    const start = this.at;
    for (const element of elements) this.value(type, element);
    const length = this.at - start;
    if (length > LONGEST_ARRAY_BYTES) throw new DBusProtocolError(`an array of ${length} bytes is too long for D-Bus`);
    this.patch(place, length);
  }

  private text(lengthBytes: 1 | 4, text: string): void {
    const bytes = ENCODER.encode(text);
    this.value(lengthBytes === 1 ? "y" : "u", bytes.byteLength);
    this.raw(bytes);
    this.raw(ZERO);
  }

  private number(bytes: number, set: (at: number) => void): void {
    this.align(bytes);
    this.makeRoom(bytes);
    set(this.at);
    this.at += bytes;
  }

  private makeRoom(bytes: number): void {
    if (this.at + bytes <= this.bytes.byteLength) return;
    const grown = new Uint8Array(Math.max(2 * this.bytes.byteLength, this.at + bytes));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** Reads what a `ValueWriter` of any machine has written. A value of type `h` is the index of a descriptor. */
export class ValueReader {
  private readonly view: DataView;
  private at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly isLittleEndian: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Reads a value of each type of the signature. @throws DBusProtocolError for bytes that are none */
  values(signature: string): Value[] {
    return typesIn(signature).map((type) => this.value(type, 0));
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  align(boundary: number): void {
    this.at = alignUp(this.at, boundary);
  }

  private value(type: string, depth: number): Value {
    if (depth > DEEPEST_NESTING) throw new DBusProtocolError("values are nested deeper than D-Bus allows");
    const read = this.readers[type[0]!];
    if (read === undefined) throw new DBusProtocolError(`"${type}" is no type of D-Bus`);
    return read(type, depth);
  }

  private readonly readers: Readonly<Record<string, (type: string, depth: number) => Value>> = {
    y: () => this.view.getUint8(this.take(1)),
    n: () => this.view.getInt16(this.take(2), this.isLittleEndian),
    q: () => this.view.getUint16(this.take(2), this.isLittleEndian),
    i: () => this.view.getInt32(this.take(4), this.isLittleEndian),
    u: () => this.unsigned(),
    x: () => this.view.getBigInt64(this.take(8), this.isLittleEndian),
    t: () => this.view.getBigUint64(this.take(8), this.isLittleEndian),
    d: () => this.view.getFloat64(this.take(8), this.isLittleEndian),
    b: () => this.unsigned() !== 0,
    s: () => this.text(this.unsigned()),
    o: () => this.text(this.unsigned()),
    g: () => this.text(this.view.getUint8(this.take(1))),
    h: () => this.unsigned(),
    v: (_type, depth) => {
      const signature = this.text(this.view.getUint8(this.take(1)));
      const types = typesIn(signature);
      if (types.length !== 1)
        throw new DBusProtocolError(`a variant has the signature "${signature}", which is not one type`);
      return new Variant(signature, this.value(signature, depth + 1));
    },
    "(": (type, depth) => this.structure(type, depth),
    "{": (type, depth) => this.structure(type, depth),
    a: (type, depth) => this.array(type.slice(1), depth),
  };

  private structure(type: string, depth: number): Value[] {
    this.align(8);
    return typesIn(type.slice(1, -1)).map((inner) => this.value(inner, depth + 1));
  }

  private array(type: string, depth: number): Value {
    const length = this.unsigned();
    if (length > LONGEST_ARRAY_BYTES) throw new DBusProtocolError(`an array of ${length} bytes is too long for D-Bus`);
    this.align(boundaryOf(type));
    if (type === "y") return this.bytes.slice(this.take(length, 1), this.at);
    const end = this.at + length;
    const elements: Value[] = [];
    while (this.at < end) elements.push(this.value(type, depth + 1));
    if (this.at !== end) throw new DBusProtocolError("an array does not end where its length says");
    return type.startsWith("{") ? new Map(elements as [Value, Value][]) : elements;
  }

  private unsigned(): number {
    return this.view.getUint32(this.take(4), this.isLittleEndian);
  }

  /** Behind a text there is a zero, which is not part of it. */
  private text(length: number): string {
    const place = this.take(length + 1, 1);
    return DECODER.decode(this.bytes.subarray(place, place + length));
  }

  private take(bytes: number, boundary = bytes): number {
    this.align(boundary);
    const place = this.at;
    if (place + bytes > this.bytes.byteLength) throw new DBusProtocolError("a message ends in the middle of a value");
    this.at += bytes;
    return place;
  }
}

/** The complete types of a signature: `a{sv}u` has two. @throws DBusProtocolError if it is none */
export function typesIn(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, start: number): number {
  const first = signature[start];
  if (first === "a") return endOfType(signature, start + 1);
  if (first !== undefined && first in BOUNDARIES && !BRACKETS.includes(first)) return start + 1;
  const closing = first === "(" ? ")" : first === "{" ? "}" : undefined;
  if (closing === undefined) throw new DBusProtocolError(`"${signature}" is no signature of D-Bus`);
  let at = endOfType(signature, start + 1);
  while (signature[at] !== closing) at = endOfType(signature, at);
  return at + 1;
}

function elementsOf(value: Value): readonly Value[] {
  if (value instanceof Map) return [...value.entries()];
  return value instanceof Uint8Array ? [...value] : list(value);
}

function list(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value as readonly Value[];
  throw new DBusProtocolError(`an array was expected, but got ${typeof value}`);
}

function expect<T extends "number" | "string" | "boolean">(value: Value, type: T): TypeOf[T] {
  if (typeof value !== type) throw new DBusProtocolError(`a ${type} was expected, but got ${typeof value}`);
  return value as TypeOf[T];
}

interface TypeOf {
  readonly number: number;
  readonly string: string;
  readonly boolean: boolean;
}

function integer(value: Value, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw new DBusProtocolError(`an integer from ${least} to ${most} was expected, but got ${String(value)}`);
}

function large(value: Value): bigint {
  if (typeof value === "bigint") return value;
  throw new DBusProtocolError(`a bigint was expected, but got ${typeof value}`);
}

function boundaryOf(type: string): number {
  return BOUNDARIES[type[0]!]!;
}

export function alignUp(length: number, boundary: number): number {
  return Math.ceil(length / boundary) * boundary;
}

/** To a multiple of how many bytes a value of each type is put. */
const BOUNDARIES: Readonly<Record<string, number>> = Object.fromEntries([
  ...[..."ygv"].map((type) => [type, 1] as const),
  ...[..."nq"].map((type) => [type, 2] as const),
  ...[..."biusoha"].map((type) => [type, 4] as const),
  ...[..."xtd({"].map((type) => [type, 8] as const),
]);
const BRACKETS = ["(", "{"];

/** The limits of the specification. */
const LONGEST_ARRAY_BYTES = 67_108_864;
const DEEPEST_NESTING = 64;

export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const ZERO = new Uint8Array(1);
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();
