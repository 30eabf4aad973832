/** The calls on watchers of files, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32, view } from "./types.ts";

export const WATCH_FUNCTIONS = {
  watch_open: { args: [], returns: i32 },
  watch_add: { args: [i32, view, u32], returns: i32 },
  watch_remove: { args: [i32, i32], returns: i32 },
  watch_read: { args: [i32, view, u32], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
