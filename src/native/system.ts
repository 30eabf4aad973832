/** The real world: `System` over the Zig library. */

import { type SocketAddress, SocketOption, type System } from "../core/system.ts";
import { AddressMemory, parseAddress } from "./address.ts";
import { closingWithThread } from "./belongings.ts";
import { datagramSystem } from "./datagram-system.ts";
import { errorNumber } from "./error-numbers.ts";
import { fileSystem } from "./file-system.ts";
import { type NativeFunctions, nativeLibrary } from "./library.ts";
import { terminalSystem } from "./terminal-system.ts";
import { processSystem } from "./process-system.ts";
import { unixSystem } from "./unix-system.ts";
import { watchSystem } from "./watch-system.ts";
import { MOST_PARTS, PartMemory } from "./part-memory.ts";
import { has, lacking, type Platform, reportsChanges, THIS_PLATFORM } from "./platform.ts";
import { errorOf, meaningOf } from "./status.ts";

let system: System | undefined;

/** The system of this thread. Loads the library at the first call, and throws what `nativeLibrary` does. */
export function nativeSystem(): System {
  system ??= systemFor(THIS_PLATFORM);
  return system;
}

/** The same with what another platform lacks: for tests of that. */
export function systemFor(platform: Platform): System {
  const { functions: shared } = nativeLibrary();
  // With the main thread all ends, and the system closes what is open.
  const functions = Bun.isMainThread ? shared : closingWithThread(shared);
  const memory = new AddressMemory();
  const parts = new PartMemory();
  const value = new Int32Array(1);

  const readAddress = (
    call: (descriptor: number, address: Uint8Array) => number,
    name: string,
    descriptor: number,
  ): SocketAddress => {
    const result = call(descriptor, memory.bytes);
    if (result < 0) throw errorOf(result, name);
    return memory.read();
  };

  return {
    meaningOf,
    errorOf,
    shortReadIsLast: reportsChanges(platform),
    timedOut: errorNumber("ETIMEDOUT"),
    hungUp: errorNumber("EIO"),
    parseAddress,
    warn: (message) => process.emitWarning(message, "BunReactorWarning"),
    resolve: resolveName,

    createSocket: (family) => functions.socket_create(family === "IPv4" ? 4 : 6),
    bind: (descriptor, address) => functions.socket_bind(descriptor, memory.write(address)),
    listen: functions.socket_listen,
    accept: functions.socket_accept,
    connect: (descriptor, address) => functions.socket_connect(descriptor, memory.write(address)),
    takeError: functions.socket_take_error,
    receive: functions.socket_receive,
    send: functions.socket_send,
    sendVectored: (descriptor, buffers, first, offset) =>
      functions.socket_send_vectored(
        descriptor,
        parts.write(buffers, first, offset),
        Math.min(buffers.length - first, MOST_PARTS),
      ),
    shutdown: functions.socket_shutdown,
    close: functions.socket_close,
    setOption: has("reusePort", platform) ? functions.socket_set_option : setOptionButReusePort(functions, platform),
    getOption: (descriptor, option: SocketOption) => {
      const result = functions.socket_get_option(descriptor, option, value);
      if (result < 0) throw errorOf(result, "getsockopt");
      return value[0]!;
    },
    localAddress: (descriptor) => readAddress(functions.socket_local_address, "getsockname", descriptor),
    peerAddress: (descriptor) => readAddress(functions.socket_peer_address, "getpeername", descriptor),

    files: fileSystem(functions, platform),
    unix: unixSystem(functions, platform),
    datagrams: datagramSystem(functions, platform),
    terminals: terminalSystem(functions, platform),
    processes: processSystem(functions, platform),
    watching: watchSystem(functions, platform),
  };
}

function setOptionButReusePort(functions: NativeFunctions, platform: Platform): System["setOption"] {
  return (descriptor, option, value) => {
    if (option === SocketOption.REUSE_PORT) throw lacking("reusePort", platform);
    return functions.socket_set_option(descriptor, option, value);
  };
}

/** Node.js names the host in the message as well, and so does this. */
async function resolveName(name: string): Promise<readonly string[]> {
  // Loaded with the first name: it is slow to import, and many programs have none.
  const { lookup } = await import("node:dns/promises");
  try {
    const found = await lookup(name, { all: true, verbatim: true });
    return found.map(({ address }) => address);
  } catch (error) {
    throw withName(error, name);
  }
}

/** Bun 1.4.5 writes "undefined" where Node.js has the name. */
function withName(error: unknown, name: string): unknown {
  if (!(error instanceof Error)) return error;
  const { code, syscall = "getaddrinfo" } = error as NodeJS.ErrnoException;
  if (code !== undefined && !error.message.includes(name)) error.message = `${syscall} ${code} ${name}`;
  return Object.assign(error, { hostname: name });
}
