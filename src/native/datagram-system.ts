/** `DatagramSystem` over the Zig library. */

import type { DatagramSystem } from "../core/datagram-system.ts";
import type { SocketAddress } from "../core/system.ts";
import { AddressMemory, FAMILY_IPV4, FAMILY_IPV6 } from "./address.ts";
import { errorNumber } from "./error-numbers.ts";
import { toCString } from "./file-system.ts";
import type { NativeFunctions } from "./library.ts";
import type { Platform } from "./platform.ts";
import { RecentAddresses } from "./recent-addresses.ts";

export function datagramSystem(functions: NativeFunctions, platform: Platform): DatagramSystem {
  const memory = new AddressMemory();
  const recent = new RecentAddresses(memory);
  return {
    wrongFamily: errorNumber("EAFNOSUPPORT"),
    create: (family) => functions.datagram_create(numberOf(family)),
    disconnect: functions.datagram_disconnect,
    send: (descriptor, families, bytes, to) => {
      const { byteLength } = bytes;
      // The place of an empty view is no pointer; no byte of this is read then.
      return functions.datagram_send(descriptor, families, byteLength === 0 ? memory.bytes : bytes, byteLength, to);
    },
    receive: (descriptor, buffer, words) => functions.datagram_receive(descriptor, buffer, buffer.byteLength, words),
    sendBatch: (descriptor, families, { bytes, slotBytes, words }, first, count) =>
      functions.datagram_send_batch(descriptor, families, bytes, slotBytes, words, first, count),
    receiveBatch: (descriptor, { bytes, slotBytes, words }, count) =>
      functions.datagram_receive_batch(descriptor, bytes, slotBytes, words, count),

    readAddress: (words, at) => recent.read(words, at),
    wordsOf: (address) => recent.wordsOf(address),
    toWords: (address) => {
      memory.write(address);
      return memory.words.slice();
    },

    setOption: (descriptor, family, option, value) =>
      functions.datagram_set_option(descriptor, numberOf(family), option, value),
    setMembership: (descriptor, group, interfaceIndex, isMember) =>
      functions.datagram_set_membership(
        descriptor,
        memory.write({ ...group, port: 0 }),
        interfaceIndex,
        isMember ? 1 : 0,
      ),
    interfaceIndex: (nameOrAddress) => {
      // The name would end there, and be another one.
      if (nameOrAddress.includes("\0")) return errorNumber("ENODEV");
      if (platform === "win32") return numberOfInterface(nameOrAddress) ?? errorNumber("ENODEV");
      return functions.datagram_interface_index(toCString(interfaceWith(nameOrAddress) ?? nameOrAddress));
    },
  };
}

/** The name of the interface that has an address. */
function interfaceWith(address: string): string | undefined {
  const interfaces = process.getBuiltinModule("node:os").networkInterfaces();
  return Object.keys(interfaces).find((name) => interfaces[name]?.some((own) => own.address === address));
}

/**
 * On Windows, where the library knows no names: Node.js has the numbers of interfaces with their addresses of IPv6, and
 * calls them as people do. One without such an address is found by its number alone.
 */
function numberOfInterface(nameOrAddress: string): number | undefined {
  if (/^\d{1,9}$/.test(nameOrAddress)) return Number(nameOrAddress);
  const interfaces = process.getBuiltinModule("node:os").networkInterfaces();
  const own = interfaces[interfaceWith(nameOrAddress) ?? nameOrAddress] ?? [];
  return own.map(({ scopeid }) => scopeid ?? 0).find((scopeId) => scopeId > 0);
}

function numberOf(family: SocketAddress["family"]): number {
  return family === "IPv4" ? FAMILY_IPV4 : FAMILY_IPV6;
}
