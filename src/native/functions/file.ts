/** The calls on descriptors of any kind, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32, view } from "./types.ts";

export const FILE_FUNCTIONS = {
  file_read: { args: [i32, view, u32, u32], returns: i32 },
  file_write: { args: [i32, view, u32, u32], returns: i32 },
  file_write_vectored: { args: [i32, view, u32], returns: i32 },
  file_is_non_blocking: { args: [i32], returns: i32 },
  file_set_non_blocking: { args: [i32, u32], returns: i32 },
  file_make_pipe: { args: [view], returns: i32 },
  file_open: { args: [view, u32], returns: i32 },
  file_make_fifo: { args: [view, u32], returns: i32 },
  file_duplicate: { args: [i32], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
