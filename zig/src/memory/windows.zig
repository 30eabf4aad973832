//! Memory on Windows: VirtualAlloc, reserved and committed at once. It is given back as a whole, so its length is not asked.

const std = @import("std");
const alignment = @import("../memory.zig").alignment;

pub fn map(length: usize) ?[*]align(alignment) u8 {
    return @ptrCast(@alignCast(VirtualAlloc(null, length, commit | reserve, read_write) orelse return null));
}

pub fn unmap(memory: [*]align(alignment) u8, _: usize) void {
    const is_free = VirtualFree(memory, 0, release);
    std.debug.assert(is_free != 0);
}

extern "kernel32" fn VirtualAlloc(address: ?*anyopaque, size: usize, kind: u32, protection: u32) callconv(.winapi) ?*anyopaque;
extern "kernel32" fn VirtualFree(address: *anyopaque, size: usize, kind: u32) callconv(.winapi) i32;

const commit: u32 = 0x1000;
const reserve: u32 = 0x2000;
const release: u32 = 0x8000;
/// PAGE_READWRITE.
const read_write: u32 = 0x04;
