/**
 * The Zig library: how it is loaded, and the check that it is the one that this code was written for. `library-file.ts`
 * tells where it is found.
 *
 * It is opened on the main thread before any Worker opens it, and never closed: its code may be running on the reactor
 * thread.
 */

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { existsSync } from "node:fs";
import { BELONGING_FUNCTIONS } from "./functions/belongings.ts";
import { DATAGRAM_FUNCTIONS } from "./functions/datagram.ts";
import { FILE_FUNCTIONS } from "./functions/file.ts";
import { PROCESS_FUNCTIONS } from "./functions/process.ts";
import { QUEUE_FUNCTIONS } from "./functions/queue.ts";
import { SOCKET_FUNCTIONS } from "./functions/socket.ts";
import { TERMINAL_FUNCTIONS } from "./functions/terminal.ts";
import { UNIX_FUNCTIONS } from "./functions/unix.ts";
import { WATCH_FUNCTIONS } from "./functions/watch.ts";
import { ADVICE, findLibrary, type FoundLibrary } from "./library-file.ts";
import { whyNotLoadable } from "./library-header.ts";

type Symbols = Library<ReturnType<typeof everyFunction>>["symbols"];

/** The library's functions; any other of the same arguments may stand in for one. */
export type NativeFunctions = {
  readonly [Name in keyof Symbols]: (...given: Parameters<Symbols[Name]>) => ReturnType<Symbols[Name]>;
};

/** Those that the reactor thread calls. */
export type QueueFunctions = Pick<NativeFunctions, keyof typeof QUEUE_FUNCTIONS>;

/** `abi_version` in `zig/src/abi.zig`. */
export const ABI_VERSION = 4;

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
export const QUEUE_PAGE_BYTES = 72;
export const DESCRIPTORS_BYTES = 16_384;
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
  13: QUEUE_PAGE_BYTES,
  14: DESCRIPTORS_BYTES,
};

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
    const found = findLibrary();
    loaded = loadLibrary(found.path, found);
  }
  return loaded;
}

/**
 * Opens and checks one file.
 * @param lookUp what the message of an error tells besides
 */
export function loadLibrary(path: string, lookUp: LookUp = NO_LOOK_UP): LoadedLibrary {
  return { path, functions: load({ ...lookUp, path }, everyFunction()) };
}

/**
 * Every function of `zig/src/abi.zig`, a table for each family. Made when it is needed, so that the program of the reactor
 * thread is without those that it does not call.
 */
function everyFunction() {
  return {
    ...QUEUE_FUNCTIONS,
    ...SOCKET_FUNCTIONS,
    ...FILE_FUNCTIONS,
    ...TERMINAL_FUNCTIONS,
    ...UNIX_FUNCTIONS,
    ...DATAGRAM_FUNCTIONS,
    ...PROCESS_FUNCTIONS,
    ...WATCH_FUNCTIONS,
    ...BELONGING_FUNCTIONS,
  };
}

/** Opens and checks a file for the reactor thread, whose program has no more than it needs. */
export function loadQueueFunctions(path: string): QueueFunctions {
  return load({ ...NO_LOOK_UP, path }, QUEUE_FUNCTIONS);
}

/** Where the file comes from, in the words of its maker; see `zig/src/provenance.zig`. */
export function provenanceOf({ functions }: LoadedLibrary): string {
  return String(functions.bun_reactor_provenance());
}

/** How a file was found. */
type LookUp = Pick<FoundLibrary, "tried" | "advice">;

const NO_LOOK_UP: LookUp = { tried: [], advice: ADVICE };

interface Candidate extends LookUp {
  readonly path: string;
}

function load<F extends Record<string, FFIFunction>>(file: Candidate, functions: F): Library<F>["symbols"] {
  checkHeader(file);
  checkAbi(file);
  return open(file, functions);
}

function checkHeader(file: Candidate): void {
  if (!existsSync(file.path)) refuse(file, "does not exist");
  let reason: string | null;
  try {
    reason = whyNotLoadable(file.path);
  } catch (error) {
    refuse(file, `cannot be read: ${String(error)}`, error);
  }
  if (reason !== null) refuse(file, `cannot be loaded: ${reason}`);
}

function checkAbi(file: Candidate): void {
  const { bun_reactor_abi_version, bun_reactor_size_bytes } = QUEUE_FUNCTIONS;
  const functions = open(file, { bun_reactor_abi_version, bun_reactor_size_bytes });
  const version = functions.bun_reactor_abi_version();
  if (version !== ABI_VERSION) refuse(file, `has ABI version ${version}, but ${ABI_VERSION} is needed`);
  for (const [structure, expectedBytes] of Object.entries(SIZES_BYTES)) {
    const actualBytes = functions.bun_reactor_size_bytes(Number(structure));
    if (actualBytes === expectedBytes) continue;
    refuse(file, `has ${actualBytes} bytes for structure ${structure}, but ${expectedBytes} are needed`);
  }
}

function open<F extends Record<string, FFIFunction>>(file: Candidate, functions: F): Library<F>["symbols"] {
  try {
    return dlopen(file.path, functions).symbols;
  } catch (error) {
    return refuse(file, `cannot be loaded: ${String(error)}`, error);
  }
}

function refuse({ path, tried, advice }: Candidate, problem: string, cause?: unknown): never {
  const before = tried.length === 0 ? "" : ` Tried before it: ${tried.join("; ")}.`;
  throw new Error(`the native library ${path} ${problem}.${before} ${advice}`, { cause });
}
