//! Socket calls of Linux, macOS and FreeBSD.
//!
//! Facts. SIGPIPE ends a process that sends to a closed peer, and nobody ignores it for a library: MSG_NOSIGNAL does,
//! call by call, where it exists. A connection's outcome is read once, with SO_ERROR, after the socket became writable.
//! close(2) frees the number even when it reports EINTR, so it is never repeated. A call on a non-blocking socket that
//! a signal interrupts may be repeated at once.
//!
//! Decision. Plain system calls, each doing one thing; addresses are converted at this border and nowhere else. What
//! differs between the systems is in `linux.zig` and `bsd.zig` beside this file.

const std = @import("std");
const builtin = @import("builtin");
const posix = @import("../posix.zig");
const socket = @import("../socket.zig");

/// Numbers, layouts, and how a socket is born.
pub const system = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

const Address = socket.Address;
const Errno = posix.Errno;
const Family = system.Family;
const Level = system.Level;
const MessageHeader = system.MessageHeader;

pub fn create(family: u32) i32 {
    return createOf(system.Type.stream, family);
}

/// Of the kind that is a number of the system.
pub fn createOf(kind: u32, family: u32) i32 {
    return switch (family) {
        Address.ipv4 => system.open(Family.ipv4, kind),
        Address.ipv6 => system.open(Family.ipv6, kind),
        else => -Errno.address_family_not_supported,
    };
}

pub fn bind(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -Errno.address_family_not_supported;
    return posix.call(.bind, .{ descriptor, &native, length });
}

pub fn listen(descriptor: i32, backlog: i32) i32 {
    return posix.call(.listen, .{ descriptor, backlog });
}

pub fn accept(descriptor: i32) i32 {
    return system.accept(descriptor);
}

/// `-EINPROGRESS` means: wait until writable, then ask `takeError`. An interrupted connect goes on in the background as
/// well (connect(2)), so it is not repeated; its `-EINTR` means the same.
pub fn connect(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -Errno.address_family_not_supported;
    return posix.call(.connect, .{ descriptor, &native, length });
}

pub fn takeError(descriptor: i32) i32 {
    var pending: i32 = 0;
    const result = getRawOption(descriptor, Level.socket, system.pending_error, &pending);
    return if (result < 0) result else -pending;
}

pub fn receive(descriptor: i32, buffer: [*]u8, length: usize) i32 {
    const no_address: ?*NativeAddress = null;
    const no_length: ?*u32 = null;
    const capped = @min(length, posix.max_transfer_bytes);
    return posix.callUninterrupted(.recvfrom, .{ descriptor, buffer, capped, 0, no_address, no_length });
}

pub fn send(descriptor: i32, buffer: [*]const u8, length: usize) i32 {
    const no_address: ?*const NativeAddress = null;
    const capped = @min(length, posix.max_transfer_bytes);
    return posix.callUninterrupted(.sendto, .{ descriptor, buffer, capped, system.Flag.no_signal, no_address, 0 });
}

pub fn sendVectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    const message: MessageHeader = .{ .parts = parts, .part_count = count };
    return posix.callUninterrupted(.sendmsg, .{ descriptor, &message, system.Flag.no_signal });
}

pub fn shutdown(descriptor: i32, half: socket.Half) i32 {
    return posix.call(.shutdown, .{ descriptor, @intFromEnum(half) });
}

pub fn close(descriptor: i32) i32 {
    return posix.call(.close, .{descriptor});
}

pub fn setOption(descriptor: i32, option: socket.Option, value: i32) i32 {
    const native = system.nativeOption(option);
    if (option == .linger_s) {
        const linger: Linger = .{ .is_on = @intFromBool(value >= 0), .seconds = @max(value, 0) };
        return posix.call(.setsockopt, .{ descriptor, native.level, native.name, &linger, @sizeOf(Linger) });
    }
    return posix.call(.setsockopt, .{ descriptor, native.level, native.name, &value, @sizeOf(i32) });
}

pub fn getOption(descriptor: i32, option: socket.Option, value: *i32) i32 {
    const native = system.nativeOption(option);
    if (option == .linger_s) {
        var linger: Linger = undefined;
        var length: u32 = @sizeOf(Linger);
        const result = posix.call(.getsockopt, .{ descriptor, native.level, native.name, &linger, &length });
        if (result == 0) value.* = if (linger.is_on == 0) -1 else linger.seconds;
        return result;
    }
    const result = getRawOption(descriptor, native.level, native.name, value);
    if (result == 0 and isSwitch(option)) value.* = @intFromBool(value.* != 0);
    return result;
}

/// Some systems read it back as a bit of a mask.
fn isSwitch(option: socket.Option) bool {
    return switch (option) {
        .no_delay, .keep_alive, .reuse_address, .reuse_port, .ipv6_only => true,
        else => false,
    };
}

pub fn localAddress(descriptor: i32, address: *Address) i32 {
    return readAddress(.getsockname, descriptor, address);
}

pub fn peerAddress(descriptor: i32, address: *Address) i32 {
    return readAddress(.getpeername, descriptor, address);
}

fn readAddress(comptime function: @TypeOf(.name), descriptor: i32, address: *Address) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const result = posix.call(function, .{ descriptor, &native, &length });
    if (result < 0) return result;
    address.* = native.toAddress() orelse return -Errno.address_family_not_supported;
    return 0;
}

fn getRawOption(descriptor: i32, level: u32, name: u32, value: *i32) i32 {
    var length: u32 = @sizeOf(i32);
    return posix.call(.getsockopt, .{ descriptor, level, name, value, &length });
}

/// `struct sockaddr_in` and `struct sockaddr_in6` over one another; both begin in the same way.
pub const NativeAddress = extern struct {
    head: system.AddressHead,
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
                native.head = .of(Family.ipv4, ipv4_bytes);
                native.rest = .{ .ipv4 = .{ .bytes = address.bytes[0..4].*, .zero = @splat(0) } };
                return ipv4_bytes;
            },
            Address.ipv6 => {
                native.head = .of(Family.ipv6, ipv6_bytes);
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
        switch (native.head.family) {
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

const Linger = extern struct { is_on: i32, seconds: i32 };

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == ipv6_bytes);
}
