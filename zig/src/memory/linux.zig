//! Memory on Linux: mmap(2), private and anonymous. Its result is an address, or -4095 to -1 for an error.

const std = @import("std");
const linux = std.os.linux;
const alignment = @import("../memory.zig").alignment;

pub fn map(length: usize) ?[*]align(alignment) u8 {
    const no_descriptor: usize = std.math.maxInt(usize);
    const result = linux.syscall6(.mmap, 0, length, read_write, private_anonymous, no_descriptor, 0);
    if (result > std.math.maxInt(usize) - highest_error) return null;
    return @ptrFromInt(result);
}

pub fn unmap(memory: [*]align(alignment) u8, length: usize) void {
    const result = linux.syscall2(.munmap, @intFromPtr(memory), length);
    std.debug.assert(result == 0);
}

const read_write = 3;
const private_anonymous = 0x22;
const highest_error = 4095;
