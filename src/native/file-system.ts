/** `FileSystem` over the Zig library. */

import { chmodSync, fchmodSync, fstatSync, lstatSync, type Stats, unlinkSync } from "node:fs";
import type { DescriptorKind, FileSystem } from "../core/file-system.ts";
import type { NativeFunctions } from "./library.ts";
import { MOST_PARTS, PartMemory } from "./part-memory.ts";
import { absentCall, absentFamily, has, type Platform } from "./platform.ts";

export function fileSystem(functions: NativeFunctions, platform: Platform): FileSystem {
  return has("fdStream", platform) ? realFiles(functions) : namesAlone(platform);
}

function realFiles(functions: NativeFunctions): FileSystem {
  const parts = new PartMemory();
  const pair = new Int32Array(2);
  return {
    receive: functions.file_read,
    send: functions.file_write,
    sendVectored: (descriptor, buffers, first, offset) =>
      functions.file_write_vectored(
        descriptor,
        parts.write(buffers, first, offset),
        Math.min(buffers.length - first, MOST_PARTS),
      ),
    isNonBlocking: functions.file_is_non_blocking,
    setNonBlocking: (descriptor, isOn) => functions.file_set_non_blocking(descriptor, isOn ? 1 : 0),
    kindOf,
    makePipe: () => {
      const result = functions.file_make_pipe(pair);
      return result < 0 ? result : { reader: pair[0]!, writer: pair[1]! };
    },
    open: (path, access) => functions.file_open(toCString(path), access),
    makeFifo: (path, mode) => functions.file_make_fifo(toCString(path), mode),
    ...NAMES,
    setMode: (target, mode) =>
      resultOf(() => (typeof target === "number" ? fchmodSync(target, mode) : chmodSync(target, mode))),
    duplicate: functions.file_duplicate,
  };
}

/** Where descriptors are sockets, and nothing else: what can be done by a name. */
function namesAlone(platform: Platform): FileSystem {
  const openNamed = absentCall("namedPipes", platform);
  return absentFamily<FileSystem>("fdStream", platform, {
    ...NAMES,
    makePipe: absentCall("pipes", platform),
    makeFifo: openNamed,
    open: openNamed,
    setMode: absentCall("socketFileModes", platform),
  });
}

/** What is the same everywhere. */
const NAMES = {
  unlink: (path: string) => resultOf(() => unlinkSync(path)),
  kindOfFile: (path: string) => {
    const stats = statsOf(path);
    return stats === null ? null : kindIn(stats);
  },
  identityOf: (path: string) => {
    const stats = statsOf(path);
    return stats === null ? null : `${stats.dev}:${stats.ino}`;
  },
};

/** The bytes of a string with a zero at the end, as the system's calls take a path. */
export function toCString(text: string): Uint8Array {
  return ENCODER.encode(`${text}\0`);
}

function kindOf(descriptor: number): DescriptorKind | number {
  let stats: Stats | undefined;
  const result = resultOf(() => void (stats = fstatSync(descriptor)));
  return stats === undefined ? result : kindIn(stats);
}

/** Of the name itself, a symbolic link not followed; null if it cannot be had, whatever the reason is. */
function statsOf(path: string): Stats | null {
  let stats: Stats | undefined;
  resultOf(() => void (stats = lstatSync(path)));
  return stats ?? null;
}

function kindIn(stats: Stats): DescriptorKind {
  if (stats.isFile()) return "regular file";
  if (stats.isDirectory()) return "directory";
  if (stats.isFIFO()) return "pipe";
  if (stats.isSocket()) return "socket";
  if (stats.isCharacterDevice()) return "character device";
  return stats.isBlockDevice() ? "block device" : "other";
}

/** 0, or the error number of what a call of `node:fs` throws. */
export function resultOf(call: () => void): number {
  try {
    call();
    return 0;
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return -Math.abs(errno);
  }
}

const ENCODER = new TextEncoder();
