/**
 * The Zig library: where it is found, how it is loaded, and the check that it is the one that this code was written
 * for.
 *
 * It is opened on the main thread before any Worker opens it, and never closed: its code may be running on the reactor
 * thread.
 */

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { existsSync } from "node:fs";
import { UnsupportedError } from "../core/errors.ts";
import { DATAGRAM_FUNCTIONS } from "./functions/datagram.ts";
import { FILE_FUNCTIONS } from "./functions/file.ts";
import { PROCESS_FUNCTIONS } from "./functions/process.ts";
import { QUEUE_FUNCTIONS } from "./functions/queue.ts";
import { SOCKET_FUNCTIONS } from "./functions/socket.ts";
import { TERMINAL_FUNCTIONS } from "./functions/terminal.ts";
import { UNIX_FUNCTIONS } from "./functions/unix.ts";
import { WATCH_FUNCTIONS } from "./functions/watch.ts";

/** Every function of `zig/src/abi.zig`, a table for each family. */
const FUNCTIONS = {
  ...QUEUE_FUNCTIONS,
  ...SOCKET_FUNCTIONS,
  ...FILE_FUNCTIONS,
  ...TERMINAL_FUNCTIONS,
  ...UNIX_FUNCTIONS,
  ...DATAGRAM_FUNCTIONS,
  ...PROCESS_FUNCTIONS,
  ...WATCH_FUNCTIONS,
};

/** The library's functions. */
export type NativeFunctions = Library<typeof FUNCTIONS>["symbols"];

/** The environment variable that names another library file. */
export const LIBRARY_VARIABLE = "BUN_REACTOR_LIBRARY";

/** `abi_version` in `zig/src/abi.zig`. */
const ABI_VERSION = 4;

/** The sizes that both sides must agree on, by their number in `bun_reactor_size_bytes`. */
export const QUEUE_BYTES = 64;
export const RING_HEADER_BYTES = 128;
export const RING_ENTRY_BYTES = 16;
export const ADDRESS_BYTES = 32;
export const PART_BYTES = 16;
export const UNIX_ADDRESS_BYTES = 112;
export const UNIX_MESSAGE_BYTES = 1168;
export const DATAGRAM_SLOT_BYTES = 40;
export const TERMINAL_MODE_BYTES = 72;
export const TERMINAL_LINE_BYTES = 20;
export const WINDOW_SIZE_BYTES = 8;
export const PIPE_PAIR_BYTES = 8;
export const WATCH_EVENT_BYTES = 16;
const SIZES_BYTES: Readonly<Record<number, number>> = {
  0: QUEUE_BYTES,
  1: RING_HEADER_BYTES,
  2: RING_ENTRY_BYTES,
  3: ADDRESS_BYTES,
  4: PART_BYTES,
  5: UNIX_ADDRESS_BYTES,
  6: UNIX_MESSAGE_BYTES,
  7: DATAGRAM_SLOT_BYTES,
  8: TERMINAL_MODE_BYTES,
  9: TERMINAL_LINE_BYTES,
  10: WINDOW_SIZE_BYTES,
  11: WATCH_EVENT_BYTES,
  12: PIPE_PAIR_BYTES,
};

const SUPPORTED_PLATFORMS = ["linux-x64", "linux-arm64"];

let loaded: LoadedLibrary | undefined;

export interface LoadedLibrary {
  readonly path: string;
  readonly functions: NativeFunctions;
}

/**
 * The library, loaded at the first call.
 * @throws UnsupportedError if there is none for this platform; an Error that names the paths that were tried, or what
 *   is wrong with the file
 */
export function nativeLibrary(): LoadedLibrary {
  if (loaded === undefined) {
    refuseUnsupportedPlatform(`${process.platform}-${process.arch}`);
    loaded = loadLibrary(findLibrary());
  }
  return loaded;
}

/** Opens and checks one file. */
export function loadLibrary(path: string): LoadedLibrary {
  if (!existsSync(path)) throw new Error(`the native library ${path} does not exist. ${ADVICE}`);
  checkAbi(path);
  return { path, functions: open(path, FUNCTIONS) };
}

/** @throws UnsupportedError for a platform that the library is not built for */
export function refuseUnsupportedPlatform(platform: string): void {
  if (SUPPORTED_PLATFORMS.includes(platform)) return;
  throw new UnsupportedError(
    `bun-reactor has no native library for ${platform} yet: it runs on ${SUPPORTED_PLATFORMS.join(" and ")}`,
  );
}

function findLibrary(): string {
  const chosen = process.env[LIBRARY_VARIABLE];
  if (chosen !== undefined && chosen !== "") return chosen;
  const built = Bun.fileURLToPath(new URL("../../zig/zig-out/lib/libbun_reactor.so", import.meta.url));
  if (existsSync(built)) return built;
  throw new Error(
    `the native library was not found: $${LIBRARY_VARIABLE} is not set, and ${built} does not exist. ${ADVICE}`,
  );
}

function checkAbi(path: string): void {
  const { bun_reactor_abi_version, bun_reactor_size_bytes } = FUNCTIONS;
  const functions = open(path, { bun_reactor_abi_version, bun_reactor_size_bytes });
  const version = functions.bun_reactor_abi_version();
  if (version !== ABI_VERSION) {
    throw new Error(`the native library ${path} has ABI version ${version}, but ${ABI_VERSION} is needed. ${ADVICE}`);
  }
  for (const [structure, expectedBytes] of Object.entries(SIZES_BYTES)) {
    const actualBytes = functions.bun_reactor_size_bytes(Number(structure));
    if (actualBytes === expectedBytes) continue;
    throw new Error(
      `the native library ${path} has ${actualBytes} bytes for structure ${structure}, but ${expectedBytes} are needed. ${ADVICE}`,
    );
  }
}

function open<F extends Record<string, FFIFunction>>(path: string, functions: F): Library<F>["symbols"] {
  try {
    return dlopen(path, functions).symbols;
  } catch (error) {
    throw new Error(`the native library ${path} cannot be loaded: ${String(error)}. ${ADVICE}`, { cause: error });
  }
}

const ADVICE = `Build it with "bun run build", or set $${LIBRARY_VARIABLE} to the path of one that fits this version.`;
