/**
 * The first message of a TLS client, as far as a server needs it before its session begins: the name that it asks for.
 * RFC 8446, sections 4.1.2 and 5.1, has the layout, RFC 6066, section 3, that of the name.
 */

/** What there is so far is too little to tell. */
export const INCOMPLETE = Symbol("incomplete");

/**
 * The name of the server in a ClientHello, in lower case; null if the client names none, or if this is no ClientHello
 * (which the session will say better).
 */
export function serverNameIn(bytes: Uint8Array): string | null | typeof INCOMPLETE {
  try {
    const message = handshakeMessage(bytes);
    return message === INCOMPLETE ? INCOMPLETE : serverNameOf(message);
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

/** The body of the first handshake message, which may be spread over several records. */
function handshakeMessage(bytes: Uint8Array): Fields | typeof INCOMPLETE {
  const parts: Uint8Array[] = [];
  for (let at = 0; ;) {
    if (bytes.byteLength > at && bytes[at] !== RECORD_OF_HANDSHAKE) throw new MalformedError();
    if (bytes.byteLength < at + RECORD_HEADER_BYTES) return INCOMPLETE;
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!;
    if (length === 0 || length > LARGEST_RECORD_BYTES) throw new MalformedError();
    parts.push(bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length));
    at += RECORD_HEADER_BYTES + length;
    const gathered = Buffer.concat(parts);
    if (gathered.byteLength >= MESSAGE_HEADER_BYTES) {
      const fields = new Fields(gathered);
      if (fields.number(1) !== CLIENT_HELLO) throw new MalformedError();
      const wanted = fields.number(3);
      if (gathered.byteLength >= MESSAGE_HEADER_BYTES + wanted) return new Fields(fields.bytes(wanted));
    }
    if (bytes.byteLength < at) return INCOMPLETE;
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
