/** The calls on datagram sockets, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32, view } from "./types.ts";

export const DATAGRAM_FUNCTIONS = {
  datagram_create: { args: [u32], returns: i32 },
  datagram_disconnect: { args: [i32], returns: i32 },
  datagram_send: { args: [i32, u32, view, u32, view], returns: i32 },
  datagram_receive: { args: [i32, view, u32, view], returns: i32 },
  datagram_send_batch: { args: [i32, u32, view, u32, view, u32, u32], returns: i32 },
  datagram_receive_batch: { args: [i32, view, u32, view, u32], returns: i32 },
  datagram_set_option: { args: [i32, u32, u32, i32], returns: i32 },
  datagram_set_membership: { args: [i32, view, u32, u32], returns: i32 },
  datagram_interface_index: { args: [view], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
