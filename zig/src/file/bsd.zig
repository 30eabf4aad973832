//! What is macOS's and FreeBSD's own of the calls on descriptors. macOS has no pipe2(2).

const bsd = @import("../bsd.zig");

const is_macos = bsd.is_macos;

pub fn makePipe(ends: *[2]i32) i32 {
    if (!is_macos) return bsd.call(.pipe2, .{ ends, Flag.nonblock | Flag.cloexec });
    const result = bsd.call(.pipe, .{ends});
    if (result < 0) return result;
    for (ends, 0..) |end, index| {
        const adopted = bsd.adopt(end);
        if (adopted >= 0) continue;
        _ = bsd.call(.close, .{ends[1 - index]});
        return adopted;
    }
    return 0;
}

pub fn makeFifo(path: [*:0]const u8, mode: u32) i32 {
    return bsd.call(.mkfifo, .{ path, mode });
}

pub fn open(path: [*:0]const u8, flags: u32) i32 {
    return bsd.callUninterrupted(.open, .{ path, flags });
}

pub const Command = struct {
    pub const get_flags = 3;
    pub const set_flags = 4;
    pub const duplicate_cloexec = if (is_macos) 67 else 17;
};

pub const Flag = struct {
    pub const no_controlling_terminal: u32 = if (is_macos) 0x20000 else 0x8000;
    pub const nonblock: u32 = 0x4;
    pub const cloexec: u32 = if (is_macos) 0x1000000 else 0x100000;
};
