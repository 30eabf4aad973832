//! What is macOS's and FreeBSD's own of the socket calls: layouts, numbers, and how a socket is born.
//!
//! Facts. A native address begins with its length and its family, one byte each. FreeBSD gives a new socket its flags
//! as Linux does, and keeps SIGPIPE off a send with MSG_NOSIGNAL; macOS has neither: the flags are set afterwards, and
//! SO_NOSIGPIPE keeps the signal off a whole socket. Setting that fails with EINVAL once the peer has reset the
//! connection. An accepted socket takes over O_NONBLOCK from its listener. FreeBSD lets a socket of IPv6 send to IPv4
//! only if IPV6_V6ONLY is turned off (sysctl net.inet6.ip6.v6only). SO_LINGER of macOS counts in ticks, SO_LINGER_SEC
//! in seconds. With SO_REUSEPORT the latest listener gets all connections; SO_REUSEPORT_LB of FreeBSD shares them out,
//! as SO_REUSEPORT of Linux does. An option that is on or off is read back as a bit of some mask.
//!
//! Decision. What a socket is from its birth on Linux, it is here when it is handed out. `reuse_port` is what shares
//! connections out where that exists, which is what it is for.

const std = @import("std");
const bsd = @import("../bsd.zig");
const socket = @import("../socket.zig");

const is_macos = bsd.is_macos;

/// What begins a native address.
pub const AddressHead = extern struct {
    length: u8,
    family: u8,

    pub fn of(family: u8, length: u32) AddressHead {
        return .{ .length = @intCast(length), .family = family };
    }
};

/// `struct msghdr`
pub const MessageHeader = extern struct {
    name: ?*anyopaque = null,
    name_length: u32 = 0,
    parts: [*]const socket.Part,
    part_count: u32,
    control: ?*anyopaque = null,
    control_length: u32 = 0,
    flags: u32 = 0,
};

pub fn open(family: u32, kind: u32) i32 {
    const descriptor = prepare(bsd.call(.socket, .{ family, kind | Type.at_birth, 0 }));
    if (descriptor < 0 or is_macos or family != Family.ipv6) return descriptor;
    const off: i32 = 0;
    const result = bsd.call(.setsockopt, .{ descriptor, Level.ipv6, ipv6_only, &off, @sizeOf(i32) });
    return if (result < 0) closeWith(descriptor, result) else descriptor;
}

pub fn openPair(family: u32, kind: u32, ends: *[2]i32) i32 {
    const result = bsd.call(.socketpair, .{ family, kind | Type.at_birth, 0, ends });
    if (result < 0) return result;
    for (ends, 0..) |end, index| {
        const prepared = prepare(end);
        if (prepared < 0) return closeWith(ends[1 - index], prepared);
    }
    return 0;
}

pub fn accept(descriptor: i32) i32 {
    const no_address: ?*anyopaque = null;
    const no_length: ?*u32 = null;
    if (is_macos) return prepare(bsd.callUninterrupted(.accept, .{ descriptor, no_address, no_length }));
    return bsd.callUninterrupted(.accept4, .{ descriptor, no_address, no_length, Type.at_birth });
}

/// Makes a new socket what it could not be made at its birth.
fn prepare(descriptor: i32) i32 {
    if (!is_macos) return descriptor;
    const adopted = bsd.adopt(descriptor);
    if (adopted < 0) return adopted;
    const on: i32 = 1;
    // It fails for a connection that is broken already. The runtime ignores SIGPIPE as well.
    _ = bsd.call(.setsockopt, .{ descriptor, Level.socket, no_signal_option, &on, @sizeOf(i32) });
    return adopted;
}

fn closeWith(descriptor: i32, failure: i32) i32 {
    _ = bsd.call(.close, .{descriptor});
    return failure;
}

pub fn nativeOption(option: socket.Option) struct { level: u32, name: u32 } {
    return switch (option) {
        .no_delay => .{ .level = Level.tcp, .name = 1 },
        .keep_alive => .{ .level = Level.socket, .name = 0x8 },
        .keep_alive_idle_s => .{ .level = Level.tcp, .name = if (is_macos) 0x10 else 0x100 },
        .keep_alive_interval_s => .{ .level = Level.tcp, .name = if (is_macos) 0x101 else 0x200 },
        .keep_alive_count => .{ .level = Level.tcp, .name = if (is_macos) 0x102 else 0x400 },
        .reuse_address => .{ .level = Level.socket, .name = 0x4 },
        .reuse_port => .{ .level = Level.socket, .name = if (is_macos) 0x200 else 0x10000 },
        .ipv6_only => .{ .level = Level.ipv6, .name = ipv6_only },
        .receive_buffer_bytes => .{ .level = Level.socket, .name = 0x1002 },
        .send_buffer_bytes => .{ .level = Level.socket, .name = 0x1001 },
        .linger_s => .{ .level = Level.socket, .name = if (is_macos) 0x1080 else 0x80 },
    };
}

pub const Family = struct {
    pub const unspecified = 0;
    pub const unix = 1;
    pub const ipv4 = 2;
    pub const ipv6 = if (is_macos) 30 else 28;
};

pub const Type = struct {
    pub const stream: u32 = 1;
    pub const datagram: u32 = 2;
    /// SOCK_NONBLOCK and SOCK_CLOEXEC
    pub const at_birth: u32 = if (is_macos) 0 else 0x20000000 | 0x10000000;
};

pub const Level = struct {
    pub const ipv4: u32 = 0;
    pub const ipv6: u32 = 41;
    pub const socket: u32 = 0xffff;
    const tcp: u32 = 6;
};

/// SO_ERROR
pub const pending_error: u32 = 0x1007;

/// Flags of messages.
pub const Flag = struct {
    pub const truncated: u32 = 0x10;
    pub const control_truncated: u32 = 0x20;
    pub const no_signal: u32 = if (is_macos) 0 else 0x20000;
};

/// IPV6_V6ONLY
const ipv6_only: u32 = 27;
/// SO_NOSIGPIPE of macOS
pub const no_signal_option: u32 = 0x1022;

comptime {
    std.debug.assert(@sizeOf(MessageHeader) == 48);
    std.debug.assert(@sizeOf(AddressHead) == 2);
}
