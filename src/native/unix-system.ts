/** `UnixSystem` over the Zig library. */

import { type Credentials, UnixKind, type UnixSystem } from "../core/unix-system.ts";
import { type NativeFunctions, UNIX_ADDRESS_BYTES, UNIX_MESSAGE_BYTES } from "./library.ts";
import { has, type Platform, refuseLacking } from "./platform.ts";

export function unixSystem(functions: NativeFunctions, platform: Platform): UnixSystem {
  const system = sockets(functions);
  return platform === "linux" ? system : limited(system, platform);
}

/** What the platform lacks of it throws, before anything is called. */
function limited(system: UnixSystem, platform: Platform): UnixSystem {
  const refuseUnnamed = (name: Uint8Array): void => {
    if (name.byteLength === 0 || name[0] === 0) refuseLacking("abstractNames", platform);
  };
  const refuseKind = (kind: UnixKind): void => {
    if (kind === UnixKind.DATAGRAM) refuseLacking("unixDatagrams", platform);
  };
  const refusePassing = (descriptorCount: number): void => {
    if (descriptorCount > 0) refuseLacking("descriptorPassing", platform);
  };
  return {
    ...system,
    probeKind: has("unixDatagrams", platform) ? UnixKind.DATAGRAM : UnixKind.STREAM,
    create: (kind) => {
      refuseKind(kind);
      return system.create(kind);
    },
    makePair: (kind) => {
      refuseKind(kind);
      refuseLacking("unixPairs", platform);
      return system.makePair(kind);
    },
    bind: (descriptor, name) => {
      refuseUnnamed(name);
      return system.bind(descriptor, name);
    },
    connect: (descriptor, name) => {
      refuseUnnamed(name);
      return system.connect(descriptor, name);
    },
    peerCredentials: (descriptor) => {
      refuseLacking("peerCredentials", platform);
      return system.peerCredentials(descriptor);
    },
    passCredentials: (descriptor) => {
      refuseLacking("senderCredentials", platform);
      return system.passCredentials(descriptor);
    },
    send: (descriptor, bytes, to, descriptors) => {
      refusePassing(descriptors.length);
      return system.send(descriptor, bytes, to, descriptors);
    },
    receive: (descriptor, buffer, room) => {
      refusePassing(room.mostDescriptors);
      return system.receive(descriptor, buffer, room);
    },
  };
}

function sockets(functions: NativeFunctions): UnixSystem {
  const pair = new Int32Array(2);
  const credentials = new Int32Array(3);
  const address = new UnixAddressMemory();
  const message = new MessageMemory();
  const readName = (call: (descriptor: number, address: Uint8Array) => number, descriptor: number) => {
    const result = call(descriptor, address.bytes);
    return result < 0 ? result : address.read();
  };
  return {
    probeKind: UnixKind.DATAGRAM,
    create: functions.unix_create,
    makePair: (kind) => {
      const result = functions.unix_make_pair(kind, pair);
      return result < 0 ? result : { reader: pair[0]!, writer: pair[1]! };
    },
    bind: (descriptor, name) => functions.unix_bind(descriptor, address.write(name)),
    connect: (descriptor, name) => functions.unix_connect(descriptor, address.write(name)),
    localName: (descriptor) => readName(functions.unix_local_address, descriptor),
    peerName: (descriptor) => readName(functions.unix_peer_address, descriptor),
    peerCredentials: (descriptor) => {
      const result = functions.unix_peer_credentials(descriptor, credentials);
      return result < 0 ? result : toCredentials(credentials);
    },
    passCredentials: functions.unix_pass_credentials,
    queuedBytes: functions.unix_queued_bytes,
    send: (descriptor, bytes, to, descriptors) => {
      const name = to === null ? null : address.write(to);
      // The place of an empty view is no pointer; no byte of these is read then.
      const list = descriptors.length === 0 ? pair : Int32Array.from(descriptors);
      const data = bytes.byteLength === 0 ? address.bytes : bytes;
      return functions.unix_send(descriptor, data, bytes.byteLength, name, list, descriptors.length);
    },
    receive: (descriptor, buffer, { kind, mostDescriptors, hasSender }) => {
      const { byteLength } = buffer;
      const result = functions.unix_receive(
        descriptor,
        buffer,
        byteLength,
        kind,
        mostDescriptors,
        hasSender ? 1 : 0,
        message.bytes,
      );
      return result < 0 ? result : message.read(result);
    },
  };
}

/** `Address` in `zig/src/unix.zig`; used for one call at a time, so one serves a whole thread. */
class UnixAddressMemory {
  readonly bytes: Uint8Array;
  private readonly words: Uint32Array;

  constructor(memory = new Uint8Array(UNIX_ADDRESS_BYTES)) {
    this.bytes = memory;
    this.words = new Uint32Array(memory.buffer, memory.byteOffset, 1);
  }

  write(name: Uint8Array): Uint8Array {
    this.words[0] = name.byteLength;
    this.bytes.fill(0, FIRST_BYTE);
    this.bytes.set(name, FIRST_BYTE);
    return this.bytes;
  }

  read(): Uint8Array {
    return this.bytes.slice(FIRST_BYTE, FIRST_BYTE + this.words[0]!);
  }
}

/** `Message` in `zig/src/unix.zig`, likewise. */
class MessageMemory {
  readonly bytes = new Uint8Array(UNIX_MESSAGE_BYTES);
  private readonly words = new Int32Array(this.bytes.buffer);
  private readonly address = new UnixAddressMemory(
    this.bytes.subarray(ADDRESS_PLACE, ADDRESS_PLACE + UNIX_ADDRESS_BYTES),
  );

  read(bytes: number): ReturnType<UnixSystem["receive"]> {
    const flags = this.words[Word.FLAGS]!;
    const count = this.words[Word.DESCRIPTOR_COUNT]!;
    const first = DESCRIPTORS_PLACE / Int32Array.BYTES_PER_ELEMENT;
    return {
      bytes,
      address: this.address.read(),
      isTruncated: (flags & Flag.TRUNCATED) !== 0,
      descriptors: [...this.words.subarray(first, first + count)],
      areDescriptorsTruncated: (flags & Flag.DESCRIPTORS_TRUNCATED) !== 0,
      sender: (flags & Flag.HAS_SENDER) === 0 ? null : toCredentials(this.words.subarray(Word.SENDER)),
    };
  }
}

function toCredentials([processId, userId, groupId]: Int32Array): Credentials {
  // Numbers of users and groups are unsigned.
  return { processId: processId!, userId: userId! >>> 0, groupId: groupId! >>> 0 };
}

const FIRST_BYTE = 4;
const ADDRESS_PLACE = 32;
const DESCRIPTORS_PLACE = 144;
const Word = { FLAGS: 0, DESCRIPTOR_COUNT: 1, SENDER: 2 } as const;
const Flag = { TRUNCATED: 1, DESCRIPTORS_TRUNCATED: 2, HAS_SENDER: 4 } as const;
