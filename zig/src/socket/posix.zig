//! Socket calls of Linux.
//!
//! Facts. SIGPIPE ends a process that sends to a closed peer, and nobody ignores it for a library: MSG_NOSIGNAL does,
//! call by call. accept4(2) passes on the flags for the new socket. A connection's outcome is read once, with SO_ERROR,
//! after the socket became writable. close(2) on Linux frees the number even when it reports EINTR, so it is never
//! repeated. A call on a non-blocking socket that a signal interrupts may be repeated at once.
//!
//! Decision. Plain system calls, each doing one thing; addresses are converted at this border and nowhere else.

const std = @import("std");
const linux = @import("../linux.zig");
const socket = @import("../socket.zig");

const Address = socket.Address;

pub fn create(family: u32) i32 {
    const number: u32 = switch (family) {
        Address.ipv4 => Family.ipv4,
        Address.ipv6 => Family.ipv6,
        else => return -linux.Errno.address_family_not_supported,
    };
    return linux.call(.socket, .{ number, Type.stream | Type.nonblock | Type.cloexec, 0 });
}

pub fn bind(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -linux.Errno.address_family_not_supported;
    return linux.call(.bind, .{ descriptor, &native, length });
}

pub fn listen(descriptor: i32, backlog: i32) i32 {
    return linux.call(.listen, .{ descriptor, backlog });
}

pub fn accept(descriptor: i32) i32 {
    const no_address: ?*NativeAddress = null;
    const no_length: ?*u32 = null;
    return linux.callUninterrupted(.accept4, .{ descriptor, no_address, no_length, Type.nonblock | Type.cloexec });
}

/// `-EINPROGRESS` means: wait until writable, then ask `takeError`. An interrupted connect goes on in the background as
/// well (connect(2)), so it is not repeated; its `-EINTR` means the same.
pub fn connect(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -linux.Errno.address_family_not_supported;
    return linux.call(.connect, .{ descriptor, &native, length });
}

pub fn takeError(descriptor: i32) i32 {
    var pending: i32 = 0;
    const result = getRawOption(descriptor, Level.socket, Name.pending_error, &pending);
    return if (result < 0) result else -pending;
}

pub fn receive(descriptor: i32, buffer: [*]u8, length: usize) i32 {
    const no_address: ?*NativeAddress = null;
    const no_length: ?*u32 = null;
    const capped = @min(length, linux.max_transfer_bytes);
    return linux.callUninterrupted(.recvfrom, .{ descriptor, buffer, capped, 0, no_address, no_length });
}

pub fn send(descriptor: i32, buffer: [*]const u8, length: usize) i32 {
    const no_address: ?*const NativeAddress = null;
    const capped = @min(length, linux.max_transfer_bytes);
    return linux.callUninterrupted(.sendto, .{ descriptor, buffer, capped, message_no_signal, no_address, 0 });
}

pub fn sendVectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    const message: MessageHeader = .{ .parts = parts, .part_count = count };
    return linux.callUninterrupted(.sendmsg, .{ descriptor, &message, message_no_signal });
}

pub fn shutdown(descriptor: i32, half: socket.Half) i32 {
    return linux.call(.shutdown, .{ descriptor, @intFromEnum(half) });
}

pub fn close(descriptor: i32) i32 {
    return linux.call(.close, .{descriptor});
}

pub fn setOption(descriptor: i32, option: socket.Option, value: i32) i32 {
    if (option == .linger_s) {
        const linger: Linger = .{ .is_on = @intFromBool(value >= 0), .seconds = @max(value, 0) };
        return linux.call(.setsockopt, .{ descriptor, Level.socket, Name.linger, &linger, @sizeOf(Linger) });
    }
    const native = toNative(option);
    return linux.call(.setsockopt, .{ descriptor, native.level, native.name, &value, @sizeOf(i32) });
}

pub fn getOption(descriptor: i32, option: socket.Option, value: *i32) i32 {
    if (option == .linger_s) {
        var linger: Linger = undefined;
        var length: u32 = @sizeOf(Linger);
        const result = linux.call(.getsockopt, .{ descriptor, Level.socket, Name.linger, &linger, &length });
        if (result == 0) value.* = if (linger.is_on == 0) -1 else linger.seconds;
        return result;
    }
    const native = toNative(option);
    return getRawOption(descriptor, native.level, native.name, value);
}

pub fn localAddress(descriptor: i32, address: *Address) i32 {
    return readAddress(.getsockname, descriptor, address);
}

pub fn peerAddress(descriptor: i32, address: *Address) i32 {
    return readAddress(.getpeername, descriptor, address);
}

fn readAddress(number: linux.SystemCall, descriptor: i32, address: *Address) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const result = linux.call(number, .{ descriptor, &native, &length });
    if (result < 0) return result;
    address.* = native.toAddress() orelse return -linux.Errno.address_family_not_supported;
    return 0;
}

fn getRawOption(descriptor: i32, level: u32, name: u32, value: *i32) i32 {
    var length: u32 = @sizeOf(i32);
    return linux.call(.getsockopt, .{ descriptor, level, name, value, &length });
}

fn toNative(option: socket.Option) struct { level: u32, name: u32 } {
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
        .linger_s => unreachable,
    };
}

/// `struct sockaddr_in` and `struct sockaddr_in6` over one another; both begin with the family and the port.
pub const NativeAddress = extern struct {
    family: u16,
    port_big_endian: u16,
    rest: extern union {
        ipv4: extern struct { bytes: [4]u8, zero: [8]u8 },
        ipv6: extern struct { flow: u32, bytes: [16]u8, scope: u32 },
    },

    /// Returns the length of the native form, or null for a family that is none.
    pub fn fromAddress(native: *NativeAddress, address: *const Address) ?u32 {
        native.port_big_endian = std.mem.nativeToBig(u16, @truncate(address.port));
        switch (address.family) {
            Address.ipv4 => {
                native.family = Family.ipv4;
                native.rest = .{ .ipv4 = .{ .bytes = address.bytes[0..4].*, .zero = @splat(0) } };
                return ipv4_bytes;
            },
            Address.ipv6 => {
                native.family = Family.ipv6;
                native.rest = .{ .ipv6 = .{ .flow = 0, .bytes = address.bytes, .scope = address.scope } };
                return ipv6_bytes;
            },
            else => return null,
        }
    }

    pub fn toAddress(native: *const NativeAddress) ?Address {
        var address: Address = .{
            .family = Address.ipv4,
            .port = std.mem.bigToNative(u16, native.port_big_endian),
            .scope = 0,
            .bytes = @splat(0),
        };
        switch (native.family) {
            Family.ipv4 => address.bytes[0..4].* = native.rest.ipv4.bytes,
            Family.ipv6 => {
                address.family = Address.ipv6;
                address.bytes = native.rest.ipv6.bytes;
                address.scope = native.rest.ipv6.scope;
            },
            else => return null,
        }
        return address;
    }
};

const ipv4_bytes = 16;
const ipv6_bytes = 28;

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

const Linger = extern struct { is_on: i32, seconds: i32 };

const Family = struct {
    const ipv4: u16 = 2;
    const ipv6: u16 = 10;
};

const Type = struct {
    const stream: u32 = 1;
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};

const Level = struct {
    const socket: u32 = 1;
    const tcp: u32 = 6;
    const ipv6: u32 = 41;
};

const Name = struct {
    const pending_error: u32 = 4;
    const linger: u32 = 13;
};

const message_no_signal: u32 = 0x4000;

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == ipv6_bytes);
    std.debug.assert(@sizeOf(MessageHeader) == 56);
}
