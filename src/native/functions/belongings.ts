/** What opens something for a Worker, and closes it, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { address, i32, nothing, u32, view } from "./types.ts";

/** The last arguments are the addresses of the places where it is noted. */
export const BELONGING_FUNCTIONS = {
  descriptors_allocate: { args: [], returns: address },
  descriptors_release: { args: [address, address], returns: nothing },
  noted_socket_create: { args: [u32, address], returns: i32 },
  noted_socket_accept: { args: [i32, address], returns: i32 },
  noted_datagram_create: { args: [u32, address], returns: i32 },
  noted_unix_create: { args: [u32, address], returns: i32 },
  noted_unix_make_pair: { args: [u32, view, address, address], returns: i32 },
  noted_file_open: { args: [view, u32, address], returns: i32 },
  noted_file_make_pipe: { args: [view, address, address], returns: i32 },
  noted_terminal_open_controller: { args: [address], returns: i32 },
  noted_terminal_open_peer: { args: [i32, address], returns: i32 },
  noted_process_open: { args: [i32, address], returns: i32 },
  noted_watch_open: { args: [address], returns: i32 },
  noted_close: { args: [i32, address], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
