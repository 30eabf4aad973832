//! Calls on descriptors of Linux, macOS and FreeBSD. What differs between the systems is in `linux.zig` and `bsd.zig`
//! beside this file.
//!
//! Facts. O_NONBLOCK belongs to the open file description (fcntl(2)): whoever shares it, also in another process, has
//! it too. Opening a FIFO or a terminal line may wait for the other side, unless O_NONBLOCK is given at the open;
//! opening a terminal may make it the process's own, unless O_NOCTTY is. SIGPIPE cannot be kept off a write(2), as
//! MSG_NOSIGNAL keeps it off a send: Bun ignores the signal, as Node.js does, so that EPIPE comes as a result.
//!
//! Decision. Pipes and opened files are non-blocking from the start; of a descriptor that comes from outside the flag
//! is read and set by its caller, who knows when to put it back.

const std = @import("std");
const builtin = @import("builtin");
const posix = @import("../posix.zig");
const file = @import("../file.zig");
const socket = @import("../socket.zig");

const system = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

const Command = system.Command;
const Flag = system.Flag;

pub fn read(descriptor: i32, buffer: [*]u8, length: usize) i32 {
    return posix.callUninterrupted(.read, .{ descriptor, buffer, @min(length, posix.max_transfer_bytes) });
}

pub fn write(descriptor: i32, buffer: [*]const u8, length: usize) i32 {
    return posix.callUninterrupted(.write, .{ descriptor, buffer, @min(length, posix.max_transfer_bytes) });
}

pub fn writeVectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    return posix.callUninterrupted(.writev, .{ descriptor, parts, count });
}

/// 1 if it is, 0 if it is not.
pub fn isNonBlocking(descriptor: i32) i32 {
    const flags = posix.call(.fcntl, .{ descriptor, Command.get_flags, 0 });
    if (flags < 0) return flags;
    return @intFromBool(@as(u32, @intCast(flags)) & Flag.nonblock != 0);
}

pub fn setNonBlocking(descriptor: i32, is_on: bool) i32 {
    const flags = posix.call(.fcntl, .{ descriptor, Command.get_flags, 0 });
    if (flags < 0) return flags;
    const old: u32 = @intCast(flags);
    const new = if (is_on) old | Flag.nonblock else old & ~Flag.nonblock;
    if (new == old) return 0;
    return posix.call(.fcntl, .{ descriptor, Command.set_flags, new });
}

pub fn makePipe(pair: *file.PipePair) i32 {
    return system.makePipe(@ptrCast(pair));
}

pub fn open(path: [*:0]const u8, access: file.Access) i32 {
    const flags: u32 = @intFromEnum(access) | Flag.nonblock | Flag.cloexec | Flag.no_controlling_terminal;
    return system.open(path, flags);
}

pub const makeFifo = system.makeFifo;

pub fn duplicate(descriptor: i32) i32 {
    return posix.call(.fcntl, .{ descriptor, Command.duplicate_cloexec, 0 });
}
