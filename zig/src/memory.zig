//! Memory of the process itself: one contract, an implementation for each family of operating systems.
//!
//! Everything else that the library works on is the caller's, and goes when the caller's JavaScript does. What has to be
//! there after that is mapped here: whole pages, a few for each thread.

const std = @import("std");
const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux => @import("memory/linux.zig"),
    .macos, .freebsd => @import("memory/bsd.zig"),
    .windows => @import("memory/windows.zig"),
    else => @compileError("bun-reactor does not know how this operating system maps memory"),
};

/// At least `length` bytes, all of them zero; null if there is no memory.
pub const map = backend.map;

/// Gives back what `map` gave, with the same length.
pub const unmap = backend.unmap;

/// No operating system has smaller pages.
pub const alignment = 4096;

comptime {
    if (@TypeOf(map) != fn (usize) ?[*]align(alignment) u8) @compileError(complaint);
    if (@TypeOf(unmap) != fn ([*]align(alignment) u8, usize) void) @compileError(complaint);
}

const complaint = "the memory of this platform does not meet the contract in memory.zig";
