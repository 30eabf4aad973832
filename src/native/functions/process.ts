/** The calls on processes, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32 } from "./types.ts";

export const PROCESS_FUNCTIONS = {
  process_open: { args: [i32], returns: i32 },
  process_peek_status: { args: [i32], returns: i32 },
  process_signal_group: { args: [i32, u32], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
