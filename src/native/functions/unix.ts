/** The calls on unix sockets, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { i32, u32, view } from "./types.ts";

export const UNIX_FUNCTIONS = {
  unix_create: { args: [u32], returns: i32 },
  unix_make_pair: { args: [u32, view], returns: i32 },
  unix_bind: { args: [i32, view], returns: i32 },
  unix_connect: { args: [i32, view], returns: i32 },
  unix_local_address: { args: [i32, view], returns: i32 },
  unix_peer_address: { args: [i32, view], returns: i32 },
  unix_peer_credentials: { args: [i32, view], returns: i32 },
  unix_pass_credentials: { args: [i32], returns: i32 },
  unix_queued_bytes: { args: [i32], returns: i32 },
  unix_send: { args: [i32, view, u32, view, view, u32], returns: i32 },
  unix_receive: { args: [i32, view, u32, u32, u32, u32, view], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
