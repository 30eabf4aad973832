//! Datagram sockets of Linux.
//!
//! Facts. MSG_TRUNC as an argument makes recvmsg(2) return a datagram's whole length (udp(7)), in recvmmsg(2) as well.
//! sendmmsg(2) and recvmmsg(2) stop at the first error and report it only if nothing went before. sendmmsg then meets
//! it again with the datagram that is next, unless it was that of an earlier datagram, which is forgotten; recvmmsg
//! keeps it for the next call. A socket of IPv6 sends to an IPv4 address in its mapped form only. connect(2) to the
//! family AF_UNSPEC takes a connection back. The options of IPv4 are kept apart from those of IPv6, and a socket for
//! both families accepts either level.
//!
//! Decision. A call builds the headers that the kernel wants on its stack, from slots that hold no pointers: that costs
//! some nanoseconds a datagram, where the kernel takes a microsecond, and nothing has to stay in its place between two
//! calls. An address that the socket cannot send to ends a batch before it, as an error of the kernel would.

const std = @import("std");
const datagram = @import("../datagram.zig");
const linux = @import("../linux.zig");
const posix = @import("../socket/posix.zig");
const socket = @import("../socket.zig");

const Address = socket.Address;
const Families = datagram.Families;
const NativeAddress = posix.NativeAddress;
const Slot = datagram.Slot;

pub fn create(family: u32) i32 {
    const number: u32 = switch (family) {
        Address.ipv4 => Family.ipv4,
        Address.ipv6 => Family.ipv6,
        else => return -linux.Errno.address_family_not_supported,
    };
    return linux.call(.socket, .{ number, Type.datagram | Type.nonblock | Type.cloexec, 0 });
}

pub fn disconnect(descriptor: i32) i32 {
    const none: extern struct { family: u16, rest: [14]u8 } = .{ .family = Family.unspecified, .rest = @splat(0) };
    return linux.call(.connect, .{ descriptor, &none, @sizeOf(@TypeOf(none)) });
}

pub fn send(descriptor: i32, families: Families, bytes: []const u8, to: ?*const Address) i32 {
    const capped = @min(bytes.len, linux.max_transfer_bytes);
    const address = to orelse {
        const no_address: ?*const NativeAddress = null;
        return linux.callUninterrupted(.sendto, .{ descriptor, bytes.ptr, capped, Flag.no_signal, no_address, 0 });
    };
    var native: NativeAddress = undefined;
    const length = toNative(&native, address, families) orelse return -linux.Errno.address_family_not_supported;
    return linux.callUninterrupted(.sendto, .{ descriptor, bytes.ptr, capped, Flag.no_signal, &native, length });
}

pub fn receive(descriptor: i32, bytes: []u8, slot: *Slot) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const capped = @min(bytes.len, linux.max_transfer_bytes);
    const result = linux.callUninterrupted(.recvfrom, .{ descriptor, bytes.ptr, capped, Flag.truncated, &native, &length });
    if (result < 0) return result;
    slot.length = @intCast(result);
    slot.address = addressOf(&native, length);
    return result;
}

pub fn sendBatch(descriptor: i32, families: Families, bytes: [*]const u8, slot_bytes: u32, slots: []const Slot) i32 {
    std.debug.assert(slots.len <= datagram.most_slots);
    var headers: Headers = undefined;
    for (slots, 0..) |*slot, index| {
        const start = bytes + index * slot_bytes;
        headers.prepare(index, start, @min(slot.length, slot_bytes));
        if (slot.address.family == 0) continue;
        const native = &headers.addresses[index];
        const length = toNative(native, &slot.address, families) orelse {
            if (index == 0) return -linux.Errno.address_family_not_supported;
            return sendPrepared(descriptor, &headers, index);
        };
        headers.messages[index].header.name = native;
        headers.messages[index].header.name_length = length;
    }
    return sendPrepared(descriptor, &headers, slots.len);
}

fn sendPrepared(descriptor: i32, headers: *Headers, count: usize) i32 {
    return linux.callUninterrupted(.sendmmsg, .{ descriptor, &headers.messages, count, Flag.no_signal });
}

pub fn receiveBatch(descriptor: i32, bytes: [*]u8, slot_bytes: u32, slots: []Slot) i32 {
    std.debug.assert(slots.len <= datagram.most_slots);
    var headers: Headers = undefined;
    for (0..slots.len) |index| {
        headers.prepare(index, bytes + index * slot_bytes, slot_bytes);
        headers.messages[index].header.name = &headers.addresses[index];
        headers.messages[index].header.name_length = @sizeOf(NativeAddress);
    }
    const no_timeout: ?*const linux.Timespec = null;
    const count = slots.len;
    const result = linux.callUninterrupted(.recvmmsg, .{ descriptor, &headers.messages, count, Flag.truncated, no_timeout });
    if (result < 0) return result;
    for (slots[0..@intCast(result)], 0..) |*slot, index| {
        const message = &headers.messages[index];
        slot.length = message.transferred;
        slot.address = addressOf(&headers.addresses[index], message.header.name_length);
    }
    return result;
}

pub fn setOption(descriptor: i32, family: u32, option: datagram.Option, value: i32) i32 {
    const is_ipv4 = family == Address.ipv4;
    if (option == .broadcast) return set(descriptor, Level.socket, 6, i32, value);
    if (option == .multicast_interface and is_ipv4)
        return set(descriptor, Level.ipv4, 32, Membership4, .{ .group = @splat(0), .interface = value });
    const level: u32 = if (is_ipv4) Level.ipv4 else Level.ipv6;
    const name: u32 = switch (option) {
        .broadcast => unreachable,
        .hops => if (is_ipv4) 2 else 16,
        .multicast_hops => if (is_ipv4) 33 else 18,
        .multicast_loopback => if (is_ipv4) 34 else 19,
        .multicast_interface => 17,
    };
    return set(descriptor, level, name, i32, value);
}

pub fn setMembership(descriptor: i32, group: *const Address, interface: u32, is_member: bool) i32 {
    switch (group.family) {
        Address.ipv4 => {
            const request: Membership4 = .{ .group = group.bytes[0..4].*, .interface = @bitCast(interface) };
            return set(descriptor, Level.ipv4, if (is_member) 35 else 36, Membership4, request);
        },
        Address.ipv6 => {
            const request: Membership6 = .{ .group = group.bytes, .interface = interface };
            return set(descriptor, Level.ipv6, if (is_member) 20 else 21, Membership6, request);
        },
        else => return -linux.Errno.address_family_not_supported,
    }
}

/// netdevice(7) asks through any socket.
pub fn interfaceIndex(name: [*:0]const u8) i32 {
    const text = std.mem.span(name);
    var request: InterfaceRequest = .{ .name = @splat(0), .index = 0, .rest = @splat(0) };
    if (text.len >= request.name.len) return -no_such_device;
    @memcpy(request.name[0..text.len], text);
    const descriptor = linux.call(.socket, .{ Family.unix, Type.datagram | Type.cloexec, 0 });
    if (descriptor < 0) return descriptor;
    const result = linux.call(.ioctl, .{ descriptor, get_interface_index, &request });
    _ = linux.call(.close, .{descriptor});
    return if (result < 0) result else request.index;
}

fn set(descriptor: i32, level: u32, name: u32, comptime Value: type, value: Value) i32 {
    return linux.call(.setsockopt, .{ descriptor, level, name, &value, @sizeOf(Value) });
}

/// Returns the length of the native form, or null if the socket cannot send there.
fn toNative(native: *NativeAddress, address: *const Address, families: Families) ?u32 {
    switch (families) {
        .ipv4 => if (address.family != Address.ipv4) return null,
        .ipv6 => if (address.family != Address.ipv6) return null,
        .both => if (address.family == Address.ipv4) return native.fromAddress(&mapped(address)),
    }
    return native.fromAddress(address);
}

/// RFC 4291, section 2.5.5.2.
fn mapped(address: *const Address) Address {
    var result: Address = .{ .family = Address.ipv6, .port = address.port, .scope = 0, .bytes = @splat(0) };
    result.bytes[10..12].* = .{ 0xff, 0xff };
    result.bytes[12..16].* = address.bytes[0..4].*;
    return result;
}

/// Whom a datagram came from. The kernel always says so for UDP; a socket of another kind has family 0.
fn addressOf(native: *const NativeAddress, length: u32) Address {
    const none: Address = .{ .family = 0, .port = 0, .scope = 0, .bytes = @splat(0) };
    if (length == 0) return none;
    return native.toAddress() orelse none;
}

/// What sendmmsg(2) and recvmmsg(2) want, for as many datagrams as there can be.
const Headers = struct {
    messages: [datagram.most_slots]BatchMessage,
    parts: [datagram.most_slots]socket.Part,
    addresses: [datagram.most_slots]NativeAddress,

    fn prepare(headers: *Headers, index: usize, base: [*]const u8, length: usize) void {
        headers.parts[index] = .{ .base = base, .length = length };
        headers.messages[index] = .{ .header = .{ .parts = headers.parts[index..].ptr, .part_count = 1 } };
    }
};

/// `struct mmsghdr`: a `struct msghdr`, and how many bytes went.
const BatchMessage = extern struct {
    header: posix.MessageHeader,
    transferred: u32 = 0,
};

/// `struct ip_mreqn`
const Membership4 = extern struct { group: [4]u8, local: [4]u8 = @splat(0), interface: i32 };

/// `struct ipv6_mreq`
const Membership6 = extern struct { group: [16]u8, interface: u32 };

/// `struct ifreq`
const InterfaceRequest = extern struct { name: [16]u8, index: i32, rest: [20]u8 };

const get_interface_index = 0x8933; // SIOCGIFINDEX
const no_such_device = 19; // ENODEV

const Family = struct {
    const unspecified: u16 = 0;
    const unix: u16 = 1;
    const ipv4: u16 = 2;
    const ipv6: u16 = 10;
};

const Type = struct {
    const datagram: u32 = 2;
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};

const Level = struct {
    const ipv4: u32 = 0;
    const socket: u32 = 1;
    const ipv6: u32 = 41;
};

const Flag = struct {
    const truncated: u32 = 0x20;
    const no_signal: u32 = 0x4000;
};

comptime {
    std.debug.assert(@sizeOf(BatchMessage) == 64);
    std.debug.assert(@offsetOf(BatchMessage, "transferred") == 56);
    std.debug.assert(@sizeOf(Membership4) == 12);
    std.debug.assert(@sizeOf(Membership6) == 20);
    std.debug.assert(@sizeOf(InterfaceRequest) == 40);
}
