//! Datagram sockets of Linux, macOS and FreeBSD: what they have in common.
//!
//! Facts. A socket of IPv6 sends to an IPv4 address in its mapped form only. connect(2) to the family AF_UNSPEC takes a
//! connection back; macOS and FreeBSD do so and report EAFNOSUPPORT, or EINVAL, all the same. The options of IPv4 are
//! kept apart from those of IPv6.
//!
//! Decision. What comes and goes one by one is here, with the options; whole batches, what is known of a datagram that
//! was too long, and the ways to name an interface are in `linux.zig` and `bsd.zig` beside this file.

const std = @import("std");
const builtin = @import("builtin");
const datagram = @import("../datagram.zig");
const posix = @import("../posix.zig");
const socket = @import("../socket.zig");
const sockets = @import("../socket/posix.zig");

const system = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

const Address = socket.Address;
const Errno = posix.Errno;
const Families = datagram.Families;
const Level = sockets.system.Level;
const NativeAddress = sockets.NativeAddress;

pub const receive = system.receive;
pub const sendBatch = system.sendBatch;
pub const receiveBatch = system.receiveBatch;
pub const interfaceIndex = system.interfaceIndex;

pub fn create(family: u32) i32 {
    return sockets.createOf(sockets.system.Type.datagram, family);
}

pub fn disconnect(descriptor: i32) i32 {
    const none: extern struct { head: sockets.system.AddressHead, rest: [14]u8 } = .{
        .head = .of(sockets.system.Family.unspecified, no_address_bytes),
        .rest = @splat(0),
    };
    const result = posix.call(.connect, .{ descriptor, &none, no_address_bytes });
    return if (system.isDisconnected(result)) 0 else result;
}

const no_address_bytes = 16;

pub fn send(descriptor: i32, families: Families, bytes: []const u8, to: ?*const Address) i32 {
    const capped = @min(bytes.len, posix.max_transfer_bytes);
    const address = to orelse {
        const no_address: ?*const NativeAddress = null;
        return posix.callUninterrupted(.sendto, .{ descriptor, bytes.ptr, capped, sockets.system.Flag.no_signal, no_address, 0 });
    };
    var native: NativeAddress = undefined;
    const length = toNative(&native, address, families) orelse return -Errno.address_family_not_supported;
    return posix.callUninterrupted(.sendto, .{ descriptor, bytes.ptr, capped, sockets.system.Flag.no_signal, &native, length });
}

pub fn setOption(descriptor: i32, family: u32, option: datagram.Option, value: i32) i32 {
    const is_ipv4 = family == Address.ipv4;
    if (option == .multicast_interface and is_ipv4) {
        return set(descriptor, Level.ipv4, system.ipv4_interface, Membership4, .{ .group = @splat(0), .interface = value });
    }
    const level: u32 = if (option == .broadcast) Level.socket else if (is_ipv4) Level.ipv4 else Level.ipv6;
    return set(descriptor, level, system.optionName(option, is_ipv4), i32, value);
}

pub fn setMembership(descriptor: i32, group: *const Address, interface: u32, is_member: bool) i32 {
    switch (group.family) {
        Address.ipv4 => return system.setMembership4(descriptor, group, interface, is_member),
        Address.ipv6 => {
            const request: Membership6 = .{ .group = group.bytes, .interface = interface };
            return set(descriptor, Level.ipv6, system.membership6(is_member), Membership6, request);
        },
        else => return -Errno.address_family_not_supported,
    }
}

pub fn set(descriptor: i32, level: u32, name: u32, comptime Value: type, value: Value) i32 {
    return posix.call(.setsockopt, .{ descriptor, level, name, &value, @sizeOf(Value) });
}

/// Returns the length of the native form, or null if the socket cannot send there.
pub fn toNative(native: *NativeAddress, address: *const Address, families: Families) ?u32 {
    const reachable = datagram.addressFor(families, address) orelse return null;
    return native.fromAddress(&reachable);
}

/// Whom a datagram came from. The kernel always says so for UDP; a socket of another kind has family 0.
pub fn addressOf(native: *const NativeAddress, length: u32) Address {
    const none: Address = .{ .family = 0, .port = 0, .scope = 0, .bytes = @splat(0) };
    if (length == 0) return none;
    return native.toAddress() orelse none;
}

/// `struct ip_mreqn`
pub const Membership4 = extern struct { group: [4]u8, local: [4]u8 = @splat(0), interface: i32 };

/// `struct ipv6_mreq`
const Membership6 = extern struct { group: [16]u8, interface: u32 };

comptime {
    std.debug.assert(@sizeOf(Membership4) == 12);
    std.debug.assert(@sizeOf(Membership6) == 20);
}
