/** `WatchSystem` over the Zig library. */

import { readdirSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { FolderEntry, SystemWatchEvent, WatchSystem } from "../core/watch-system.ts";
import { resultOf, toCString } from "./file-system.ts";
import { type NativeFunctions, WATCH_EVENT_BYTES } from "./library.ts";
import { absentFamily, has, type Platform } from "./platform.ts";

export function watchSystem(functions: NativeFunctions, platform: Platform): WatchSystem {
  if (!has("watching", platform)) return absentFamily<WatchSystem>("watching", platform);
  const memory = new EventMemory();
  return {
    open: functions.watch_open,
    add: (descriptor, path, target) => functions.watch_add(descriptor, toCString(path), target),
    remove: functions.watch_remove,
    read: (descriptor) => {
      const result = functions.watch_read(descriptor, memory.bytes, memory.bytes.byteLength);
      return result < 0 ? result : memory.read(result);
    },
    isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true,
    list,
    absolute: (path) => resolve(path),
  };
}

function list(path: string): readonly FolderEntry[] | number {
  const entries: FolderEntry[] = [];
  const result = resultOf(() => {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      entries.push({ name: entry.name, isDirectory: entry.isDirectory() });
  });
  return result < 0 ? result : entries;
}

/**
 * Where a read puts its events, each an `Event` of `zig/src/watch.zig` and its name; one read at a time, so one serves
 * a whole thread.
 */
class EventMemory {
  readonly bytes = new Uint8Array(EVENT_MEMORY_BYTES);
  private readonly words = new Int32Array(this.bytes.buffer);

  read(byteLength: number): SystemWatchEvent[] {
    const events: SystemWatchEvent[] = [];
    for (let at = 0; at < byteLength;) {
      const word = at / Int32Array.BYTES_PER_ELEMENT;
      const nameLength = this.words[word + Word.NAME_LENGTH]!;
      at += WATCH_EVENT_BYTES;
      events.push({
        watch: this.words[word + Word.WATCH]!,
        happened: this.words[word + Word.HAPPENED]!,
        cookie: this.words[word + Word.COOKIE]! >>> 0,
        name: this.nameAt(at, nameLength),
      });
      at += nameLength;
    }
    return events;
  }

  /** A name is filled up with zeros. */
  private nameAt(start: number, length: number): string {
    if (length === 0) return "";
    const bytes = this.bytes.subarray(start, start + length);
    const end = bytes.indexOf(0);
    return DECODER.decode(end === -1 ? bytes : bytes.subarray(0, end));
  }
}

const Word = { WATCH: 0, HAPPENED: 1, COOKIE: 2, NAME_LENGTH: 3 } as const;

/** A name may begin with what looks like a byte order mark. */
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** Some hundred events, and at least one with the longest name. */
const EVENT_MEMORY_BYTES = 16_384;
