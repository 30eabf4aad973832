/**
 * The first message of a TLS client, as far as a server needs it before its session begins: the name that it asks for.
 * RFC 8446, sections 4.1.2 and 5.1, has the layout, RFC 6066, section 3, that of the name.
 */

/** What there is so far is too little to tell. */
export const INCOMPLETE = Symbol("incomplete");

/**
 * Reads the message as it comes. Each byte is looked at once, however small the pieces and the records are: who has not
 * shaken hands yet must not be able to keep the thread busy.
 */
export class ClientHello {
  private readonly all = new GatheredBytes();
  private readonly message = new GatheredBytes();
  private readonly recordHeader: number[] = [];
  /** How many bytes of the record are still to come. */
  private recordBytes = 0;

  /** All that came, for the session. */
  get bytes(): Uint8Array {
    return this.all.bytes;
  }

  /**
   * Adds what came next.
   * @returns the name of the server, in lower case; null if the client names none, or if this is no ClientHello (which
   *   the session will say better); INCOMPLETE while it is too little to tell
   */
  add(bytes: Uint8Array): string | null | typeof INCOMPLETE {
    this.all.add(bytes);
    try {
      return this.read(bytes);
    } catch (error) {
      if (error instanceof MalformedError) return null;
      throw error;
    }
  }

  /** The message may be spread over several records. */
  private read(bytes: Uint8Array): string | null | typeof INCOMPLETE {
    for (let at = 0; at < bytes.byteLength;) {
      if (this.recordBytes === 0) {
        this.readHeader(bytes[at]!);
        at++;
        continue;
      }
      const part = bytes.subarray(at, at + this.recordBytes);
      this.message.add(part);
      at += part.byteLength;
      this.recordBytes -= part.byteLength;
      const body = this.wholeBody();
      if (body !== null) return serverNameOf(body);
    }
    return INCOMPLETE;
  }

  private readHeader(byte: number): void {
    const { recordHeader } = this;
    recordHeader.push(byte);
    if (recordHeader[0] !== RECORD_OF_HANDSHAKE) throw new MalformedError();
    if (recordHeader.length < RECORD_HEADER_BYTES) return;
    const [, , , high, low] = recordHeader.splice(0);
    this.recordBytes = high! * 256 + low!;
    if (this.recordBytes === 0 || this.recordBytes > LARGEST_RECORD_BYTES) throw new MalformedError();
  }

  /** What is behind the header of the message; null as long as it is not complete. */
  private wholeBody(): Fields | null {
    const { bytes } = this.message;
    if (bytes[0] !== CLIENT_HELLO) throw new MalformedError();
    if (bytes.byteLength < MESSAGE_HEADER_BYTES) return null;
    const fields = new Fields(bytes);
    fields.number(1);
    const wanted = fields.number(3);
    return bytes.byteLength < MESSAGE_HEADER_BYTES + wanted ? null : new Fields(fields.bytes(wanted));
  }
}

function serverNameOf(hello: Fields): string | null {
  hello.bytes(VERSION_AND_RANDOM_BYTES);
  hello.vector(1); // The session's id,
  hello.vector(2); // the cipher suites,
  hello.vector(1); // the compression methods.
  if (hello.isAtEnd) return null;
  const extensions = new Fields(hello.vector(2));
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = new Fields(extensions.vector(2));
    if (type === SERVER_NAME) return nameInList(new Fields(content.vector(2)));
  }
  return null;
}

function nameInList(names: Fields): string | null {
  while (!names.isAtEnd) {
    const type = names.number(1);
    const name = names.vector(2);
    if (type === HOST_NAME) return Buffer.from(name).toString("latin1").toLowerCase();
  }
  return null;
}

/** Reads numbers and vectors, whose length is before them, one after the other. */
class Fields {
  private at = 0;

  constructor(private readonly data: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.at >= this.data.byteLength;
  }

  bytes(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.data.byteLength) throw new MalformedError();
    const bytes = this.data.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  number(sizeBytes: number): number {
    return this.bytes(sizeBytes).reduce((value, byte) => value * 256 + byte, 0);
  }

  vector(sizeBytes: number): Uint8Array {
    return this.bytes(this.number(sizeBytes));
  }
}

/** Bytes that come in pieces, in memory that doubles when it is full. */
class GatheredBytes {
  private memory = new Uint8Array(FIRST_MEMORY_BYTES);
  private length = 0;

  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.length);
  }

  add(bytes: Uint8Array): void {
    const needed = this.length + bytes.byteLength;
    if (needed > this.memory.byteLength) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.memory.byteLength));
      larger.set(this.bytes);
      this.memory = larger;
    }
    this.memory.set(bytes, this.length);
    this.length = needed;
  }
}

class MalformedError extends Error {}

const RECORD_OF_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;
const VERSION_AND_RANDOM_BYTES = 34;

/** Plain records, as those before the keys are known, are no larger (RFC 8446, section 5.1). */
const LARGEST_RECORD_BYTES = 16_384;

/** Most of these messages are smaller: some 500 bytes, those with keys against quantum computers 1,800. */
const FIRST_MEMORY_BYTES = 2_048;
