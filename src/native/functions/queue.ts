/** The library itself, the clock and the event queue, as `zig/src/abi.zig` exports them. */

import type { FFIFunction } from "bun:ffi";
import { address, f64, i32, nothing, text, u32, view } from "./types.ts";

export const QUEUE_FUNCTIONS = {
  bun_reactor_abi_version: { args: [], returns: u32 },
  bun_reactor_size_bytes: { args: [u32], returns: u32 },
  bun_reactor_provenance: { args: [], returns: text },
  clock_monotonic_ns: { args: [], returns: f64 },
  queue_allocate: { args: [], returns: address },
  queue_retain: { args: [address], returns: nothing },
  queue_release: { args: [address, address], returns: nothing },
  queue_open: { args: [view], returns: i32 },
  queue_close: { args: [view], returns: i32 },
  queue_register: { args: [view, i32, u32, u32, u32, u32], returns: i32 },
  queue_reregister: { args: [view, i32, u32, u32, u32, u32], returns: i32 },
  queue_rearm: { args: [view, i32, u32], returns: i32 },
  queue_deregister: { args: [view, i32], returns: i32 },
  queue_poll: { args: [view, view, f64], returns: i32 },
  queue_wake: { args: [view], returns: i32 },
} as const satisfies Record<string, FFIFunction>;
