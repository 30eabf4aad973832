//! Calls on descriptors of Linux.
//!
//! Facts. O_NONBLOCK belongs to the open file description (fcntl(2)): whoever shares it, also in another process, has it
//! too. Opening a FIFO or a terminal line may wait for the other side, unless O_NONBLOCK is given at the open; opening a
//! terminal may make it the process's own, unless O_NOCTTY is. SIGPIPE cannot be kept off a write(2), as MSG_NOSIGNAL
//! keeps it off a send: Bun ignores the signal, as Node.js does, so that EPIPE comes as a result.
//!
//! Decision. Pipes and opened files are non-blocking from the start; of a descriptor that comes from outside the flag is
//! read and set by its caller, who knows when to put it back.

const std = @import("std");
const linux = @import("../linux.zig");
const file = @import("../file.zig");
const socket = @import("../socket.zig");

pub fn read(descriptor: i32, buffer: [*]u8, length: usize) i32 {
    return linux.callUninterrupted(.read, .{ descriptor, buffer, @min(length, linux.max_transfer_bytes) });
}

pub fn write(descriptor: i32, buffer: [*]const u8, length: usize) i32 {
    return linux.callUninterrupted(.write, .{ descriptor, buffer, @min(length, linux.max_transfer_bytes) });
}

pub fn writeVectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    return linux.callUninterrupted(.writev, .{ descriptor, parts, count });
}

/// 1 if it is, 0 if it is not.
pub fn isNonBlocking(descriptor: i32) i32 {
    const flags = linux.call(.fcntl, .{ descriptor, Command.get_flags, 0 });
    if (flags < 0) return flags;
    return @intFromBool(@as(u32, @intCast(flags)) & Flag.nonblock != 0);
}

pub fn setNonBlocking(descriptor: i32, is_on: bool) i32 {
    const flags = linux.call(.fcntl, .{ descriptor, Command.get_flags, 0 });
    if (flags < 0) return flags;
    const old: u32 = @intCast(flags);
    const new = if (is_on) old | Flag.nonblock else old & ~Flag.nonblock;
    if (new == old) return 0;
    return linux.call(.fcntl, .{ descriptor, Command.set_flags, new });
}

pub fn makePipe(pair: *file.PipePair) i32 {
    return linux.call(.pipe2, .{ pair, Flag.nonblock | Flag.cloexec });
}

pub fn open(path: [*:0]const u8, access: file.Access) i32 {
    const flags: u32 = @intFromEnum(access) | Flag.nonblock | Flag.cloexec | Flag.no_controlling_terminal;
    return linux.callUninterrupted(.openat, .{ current_folder, path, flags, 0 });
}

pub fn makeFifo(path: [*:0]const u8, mode: u32) i32 {
    return linux.call(.mknodat, .{ current_folder, path, fifo_type | mode, 0 });
}

pub fn duplicate(descriptor: i32) i32 {
    return linux.call(.fcntl, .{ descriptor, Command.duplicate_cloexec, 0 });
}

/// AT_FDCWD
const current_folder: i32 = -100;

/// S_IFIFO
const fifo_type: u32 = 0o010000;

const Command = struct {
    const get_flags: u32 = 3;
    const set_flags: u32 = 4;
    const duplicate_cloexec: u32 = 1030;
};

const Flag = struct {
    const no_controlling_terminal: u32 = 0o400;
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};
