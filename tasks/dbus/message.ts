/** The messages of D-Bus (D-Bus Specification, "Message Protocol"). */

import { closeSync } from "node:fs";
import { alignUp, DBusProtocolError, LITTLE_ENDIAN, type Value, ValueReader, ValueWriter, Variant } from "./values.ts";

export const MessageKind = { CALL: 1, REPLY: 2, ERROR: 3, SIGNAL: 4 } as const;
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** What a message says besides its body; which of it there is depends on its kind. */
export interface MessageFacts {
  readonly kind: MessageKind;
  readonly path?: string | undefined;
  readonly interface?: string | undefined;
  readonly member?: string | undefined;
  readonly errorName?: string | undefined;
  readonly replySerial?: number | undefined;
  readonly destination?: string | undefined;
  readonly sender?: string | undefined;
  /** Whether the sender of a call wants no reply. */
  readonly wantsNoReply?: boolean | undefined;
  /** The types of the body; by default none. */
  readonly signature?: string | undefined;
}

/** A message that is about to be sent. A value of type `h` in its body is the descriptor to pass. */
export interface MessageToSend extends MessageFacts {
  readonly body?: readonly Value[] | undefined;
}

/** A message that has come. Disposing of it closes the descriptors that were not taken. */
export class DBusMessage implements Disposable {
  constructor(
    readonly facts: MessageFacts,
    readonly serial: number,
    /** A value of type `h` in it is an index for `takeDescriptor`. */
    readonly body: readonly Value[],
    /** Null where one was taken. */
    private readonly descriptors: (number | null)[],
  ) {}

  /**
   * Hands over a descriptor that came with the message: it is the caller's to close from now on.
   * @throws RangeError if there is none of this index, or it was taken already
   */
  takeDescriptor(index: Value): number {
    const descriptor = typeof index === "number" ? this.descriptors[index] : undefined;
    if (descriptor === undefined || descriptor === null)
      throw new RangeError(`takeDescriptor: there is no descriptor ${String(index)}, or it was taken already`);
    this.descriptors[index as number] = null;
    return descriptor;
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.descriptors.splice(0)) if (descriptor !== null) closeSync(descriptor);
  }
}

/** The bytes of a message, and the descriptors that go with them. */
export function encode(message: MessageToSend, serial: number): { bytes: Uint8Array; descriptors: readonly number[] } {
  const { kind, wantsNoReply = false, signature = "", body = [] } = message;
  const content = new ValueWriter();
  content.values(signature, body);
  const header = new ValueWriter();
  const endian = (LITTLE_ENDIAN ? "l" : "B").codePointAt(0)!;
  header.values("yyyyuu", [endian, kind, wantsNoReply ? NO_REPLY_EXPECTED : 0, VERSION, content.length, serial]);
  header.values("a(yv)", [fieldsOf(message, content.descriptors.length)]);
  header.align(8);
  header.raw(content.written);
  return { bytes: header.written, descriptors: content.descriptors };
}

/** How long a message is whose first 16 bytes these are. @throws DBusProtocolError if they begin none */
export function lengthOf(start: Uint8Array): number {
  const [version, bodyBytes, , fieldBytes] = readerOf(start, 3).values("yuuu") as [number, number, number, number];
  const length = START_BYTES + alignUp(fieldBytes, 8) + bodyBytes;
  if (version !== VERSION) throw new DBusProtocolError(`a message has version ${version} of the protocol`);
  if (length > LONGEST_MESSAGE_BYTES) throw new DBusProtocolError(`a message of ${length} bytes is too long for D-Bus`);
  return length;
}

/** Reads a whole message; `takeDescriptors` is asked for those that came with it. */
export function decode(bytes: Uint8Array, takeDescriptors: (count: number) => number[]): DBusMessage {
  const reader = readerOf(bytes, 1);
  const [kind, flags, , , serial, list] = reader.values("yyyuua(yv)") as [
    MessageKind,
    number,
    number,
    number,
    number,
    Field[],
  ];
  const fields = new Map(list.map(([code, { value }]) => [code, value]));
  reader.align(8);
  const descriptors = takeDescriptors((fields.get(FieldCode.DESCRIPTORS) as number | undefined) ?? 0);
  try {
    const text = (code: number): string | undefined => fields.get(code) as string | undefined;
    const facts: MessageFacts = {
      kind,
      path: text(FieldCode.PATH),
      interface: text(FieldCode.INTERFACE),
      member: text(FieldCode.MEMBER),
      errorName: text(FieldCode.ERROR_NAME),
      replySerial: fields.get(FieldCode.REPLY_SERIAL) as number | undefined,
      destination: text(FieldCode.DESTINATION),
      sender: text(FieldCode.SENDER),
      wantsNoReply: (flags & NO_REPLY_EXPECTED) !== 0,
      signature: text(FieldCode.SIGNATURE) ?? "",
    };
    return new DBusMessage(facts, serial, reader.values(facts.signature!), descriptors);
  } catch (error) {
    for (const descriptor of descriptors) closeSync(descriptor);
    throw error;
  }
}

type Field = readonly [code: number, value: Variant];

function fieldsOf(message: MessageToSend, descriptorCount: number): Field[] {
  const all: readonly (readonly [number, string, Value | undefined])[] = [
    [FieldCode.PATH, "o", message.path],
    [FieldCode.INTERFACE, "s", message.interface],
    [FieldCode.MEMBER, "s", message.member],
    [FieldCode.ERROR_NAME, "s", message.errorName],
    [FieldCode.REPLY_SERIAL, "u", message.replySerial],
    [FieldCode.DESTINATION, "s", message.destination],
    [FieldCode.SIGNATURE, "g", message.signature === "" ? undefined : message.signature],
    [FieldCode.DESCRIPTORS, "u", descriptorCount === 0 ? undefined : descriptorCount],
  ];
  return all.flatMap(([code, type, value]) => (value === undefined ? [] : [[code, new Variant(type, value)] as const]));
}

function readerOf(bytes: Uint8Array, skippedBytes: number): ValueReader {
  const order = bytes[0];
  if (order !== LITTLE && order !== BIG) throw new DBusProtocolError("what has come is no message of D-Bus");
  const reader = new ValueReader(bytes, order === LITTLE);
  reader.skip(skippedBytes);
  return reader;
}

const FieldCode = {
  PATH: 1,
  INTERFACE: 2,
  MEMBER: 3,
  ERROR_NAME: 4,
  REPLY_SERIAL: 5,
  DESTINATION: 6,
  SENDER: 7,
  SIGNATURE: 8,
  DESCRIPTORS: 9,
} as const;

const LITTLE = "l".codePointAt(0)!;
const BIG = "B".codePointAt(0)!;
const VERSION = 1;
const NO_REPLY_EXPECTED = 1;

/** Up to the length of the list of fields. */
export const START_BYTES = 16;

/** The limit of the specification. */
const LONGEST_MESSAGE_BYTES = 134_217_728;
