/** The calls on terminals, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, nothing, u32, view } from "./types.ts";

export const TERMINAL_FUNCTIONS = {
  terminal_open_controller: { args: [], returns: i32 },
  terminal_number: { args: [i32], returns: i32 },
  terminal_open_peer: { args: [i32], returns: i32 },
  terminal_get_mode: { args: [i32, view], returns: i32 },
  terminal_set_mode: { args: [i32, view], returns: i32 },
  terminal_make_raw: { args: [view], returns: nothing },
  terminal_configure_line: { args: [view, view], returns: i32 },
  terminal_describe_line: { args: [view, view], returns: nothing },
  terminal_get_window_size: { args: [i32, view], returns: i32 },
  terminal_set_window_size: { args: [i32, view], returns: i32 },
  terminal_modem_lines: { args: [i32], returns: i32 },
  terminal_change_modem_lines: { args: [i32, u32, u32], returns: i32 },
  terminal_set_break: { args: [i32, u32], returns: i32 },
  terminal_unsent_bytes: { args: [i32], returns: i32 },
  terminal_is_transmitter_empty: { args: [i32], returns: i32 },
  terminal_discard: { args: [i32, u32], returns: i32 },
  terminal_set_exclusive: { args: [i32, u32], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
