//! What is Linux's own of the calls on descriptors.

const linux = @import("../linux.zig");

pub fn makePipe(ends: *[2]i32) i32 {
    return linux.call(.pipe2, .{ ends, Flag.nonblock | Flag.cloexec });
}

pub fn makeFifo(path: [*:0]const u8, mode: u32) i32 {
    return linux.call(.mknodat, .{ current_folder, path, fifo_type | mode, 0 });
}

pub fn open(path: [*:0]const u8, flags: u32) i32 {
    return linux.callUninterrupted(.openat, .{ current_folder, path, flags, 0 });
}

pub const Command = struct {
    pub const get_flags: u32 = 3;
    pub const set_flags: u32 = 4;
    pub const duplicate_cloexec: u32 = 1030;
};

pub const Flag = struct {
    pub const no_controlling_terminal: u32 = 0o400;
    pub const nonblock: u32 = 0o4000;
    pub const cloexec: u32 = 0o2000000;
};

/// AT_FDCWD
const current_folder: i32 = -100;

/// S_IFIFO
const fifo_type: u32 = 0o010000;
