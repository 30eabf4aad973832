//! Memory on macOS and FreeBSD: mmap(2) of the system's C library, private and anonymous, which both number alike.

const std = @import("std");
const alignment = @import("../memory.zig").alignment;

pub fn map(length: usize) ?[*]align(alignment) u8 {
    const result = mmap(null, length, read_write, private_anonymous, -1, 0);
    if (result == failed) return null;
    return @ptrFromInt(result);
}

pub fn unmap(memory: [*]align(alignment) u8, length: usize) void {
    const result = munmap(memory, length);
    std.debug.assert(result == 0);
}

extern "c" fn mmap(address: ?*anyopaque, length: usize, protection: i32, flags: i32, descriptor: i32, offset: i64) usize;
extern "c" fn munmap(address: *anyopaque, length: usize) i32;

const read_write = 3;
const private_anonymous = 0x1002;
/// MAP_FAILED.
const failed = std.math.maxInt(usize);
