/**
 * The Zig library: where it is found, how it is loaded, and the check that it is the one that this code was written for.
 *
 * It is opened on the main thread before any Worker opens it, and never closed: its code may be running on the reactor
 * thread.
 */

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UnsupportedError } from "../core/errors.ts";

const i32 = "i32";
const u32 = "u32";
const view = "ptr";

/** Every function of `zig/src/abi.zig`, in its order. */
const FUNCTIONS = {
  bun_reactor_abi_version: { args: [], returns: u32 },
  bun_reactor_size_bytes: { args: [u32], returns: u32 },
  clock_monotonic_ns: { args: [], returns: "f64" },
  queue_open: { args: [view], returns: i32 },
  queue_close: { args: [view], returns: i32 },
  queue_register: { args: [view, i32, u32, u32, u32, u32], returns: i32 },
  queue_reregister: { args: [view, i32, u32, u32, u32, u32], returns: i32 },
  queue_deregister: { args: [view, i32], returns: i32 },
  queue_poll: { args: [view, view, "f64"], returns: i32 },
  queue_wake: { args: [view], returns: i32 },
  socket_create: { args: [u32], returns: i32 },
  socket_bind: { args: [i32, view], returns: i32 },
  socket_listen: { args: [i32, i32], returns: i32 },
  socket_accept: { args: [i32], returns: i32 },
  socket_connect: { args: [i32, view], returns: i32 },
  socket_take_error: { args: [i32], returns: i32 },
  socket_receive: { args: [i32, view, u32, u32], returns: i32 },
  socket_send: { args: [i32, view, u32, u32], returns: i32 },
  socket_send_vectored: { args: [i32, view, u32], returns: i32 },
  socket_shutdown: { args: [i32, u32], returns: i32 },
  socket_close: { args: [i32], returns: i32 },
  socket_set_option: { args: [i32, u32, i32], returns: i32 },
  socket_get_option: { args: [i32, u32, view], returns: i32 },
  socket_local_address: { args: [i32, view], returns: i32 },
  socket_peer_address: { args: [i32, view], returns: i32 },
} as const satisfies Record<string, FFIFunction>;

/** The library's functions. */
export type NativeFunctions = Library<typeof FUNCTIONS>["symbols"];

/** The environment variable that names another library file. */
export const LIBRARY_VARIABLE = "BUN_REACTOR_LIBRARY";

/** `abi_version` in `zig/src/abi.zig`. */
const ABI_VERSION = 1;

/** The sizes that both sides must agree on, by their number in `bun_reactor_size_bytes`. */
export const QUEUE_BYTES = 64;
export const RING_HEADER_BYTES = 128;
export const RING_ENTRY_BYTES = 16;
export const ADDRESS_BYTES = 32;
export const PART_BYTES = 16;
const SIZES_BYTES = [QUEUE_BYTES, RING_HEADER_BYTES, RING_ENTRY_BYTES, ADDRESS_BYTES, PART_BYTES];

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
  const built = fileURLToPath(new URL("../../zig/zig-out/lib/libbun_reactor.so", import.meta.url));
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
  for (const [structure, expectedBytes] of SIZES_BYTES.entries()) {
    const actualBytes = functions.bun_reactor_size_bytes(structure);
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
