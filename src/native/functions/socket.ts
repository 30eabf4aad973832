/** The calls on sockets, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32, view } from "./types.ts";

export const SOCKET_FUNCTIONS = {
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
