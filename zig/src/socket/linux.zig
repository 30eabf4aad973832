//! What is Linux's own of the socket calls: layouts, numbers, and how a socket is born.

const std = @import("std");
const linux = @import("../linux.zig");
const socket = @import("../socket.zig");

/// What begins a native address.
pub const AddressHead = extern struct {
    family: u16,

    pub fn of(family: u8, _: u32) AddressHead {
        return .{ .family = family };
    }
};

/// `struct msghdr`. The kernel writes to the parts of one that is received into.
pub const MessageHeader = extern struct {
    name: ?*anyopaque = null,
    name_length: u32 = 0,
    parts: [*]const socket.Part,
    part_count: usize,
    control: ?*anyopaque = null,
    control_length: usize = 0,
    flags: u32 = 0,
};

pub fn open(family: u32, kind: u32) i32 {
    return linux.call(.socket, .{ family, kind | Type.nonblock | Type.cloexec, 0 });
}

pub fn openPair(family: u32, kind: u32, ends: *[2]i32) i32 {
    return linux.call(.socketpair, .{ family, kind | Type.nonblock | Type.cloexec, 0, ends });
}

pub fn accept(descriptor: i32) i32 {
    const no_address: ?*anyopaque = null;
    const no_length: ?*u32 = null;
    return linux.callUninterrupted(.accept4, .{ descriptor, no_address, no_length, Type.nonblock | Type.cloexec });
}

pub fn nativeOption(option: socket.Option) struct { level: u32, name: u32 } {
    return switch (option) {
        .no_delay => .{ .level = Level.tcp, .name = 1 },
        .keep_alive => .{ .level = Level.socket, .name = 9 },
        .keep_alive_idle_s => .{ .level = Level.tcp, .name = 4 },
        .keep_alive_interval_s => .{ .level = Level.tcp, .name = 5 },
        .keep_alive_count => .{ .level = Level.tcp, .name = 6 },
        .reuse_address => .{ .level = Level.socket, .name = 2 },
        .reuse_port => .{ .level = Level.socket, .name = 15 },
        .ipv6_only => .{ .level = Level.ipv6, .name = 26 },
        .receive_buffer_bytes => .{ .level = Level.socket, .name = 8 },
        .send_buffer_bytes => .{ .level = Level.socket, .name = 7 },
        .linger_s => .{ .level = Level.socket, .name = 13 },
    };
}

pub const Family = struct {
    pub const unspecified = 0;
    pub const unix = 1;
    pub const ipv4 = 2;
    pub const ipv6 = 10;
};

pub const Type = struct {
    pub const stream: u32 = 1;
    pub const datagram: u32 = 2;
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};

pub const Level = struct {
    pub const ipv4: u32 = 0;
    pub const socket: u32 = 1;
    pub const ipv6: u32 = 41;
    const tcp: u32 = 6;
};

/// SO_ERROR
pub const pending_error: u32 = 4;

/// Beside MSG_NOSIGNAL, flags of messages.
pub const Flag = struct {
    pub const control_truncated: u32 = 0x8;
    pub const truncated: u32 = 0x20;
    pub const no_signal: u32 = 0x4000;
};

comptime {
    std.debug.assert(@sizeOf(MessageHeader) == 56);
}
