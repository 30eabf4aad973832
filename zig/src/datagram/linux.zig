//! What is Linux's own of datagram sockets.
//!
//! Facts. MSG_TRUNC as an argument makes recvmsg(2) return a datagram's whole length (udp(7)), in recvmmsg(2) as well.
//! sendmmsg(2) and recvmmsg(2) stop at the first error and report it only if nothing went before. sendmmsg then meets
//! it again with the datagram that is next, unless it was that of an earlier datagram, which is forgotten; recvmmsg
//! keeps it for the next call. A socket for both families accepts the options of either.
//!
//! Decision. A call builds the headers that the kernel wants on its stack, from slots that hold no pointers: that costs
//! some nanoseconds a datagram, where the kernel takes a microsecond, and nothing has to stay in its place between two
//! calls. An address that the socket cannot send to ends a batch before it, as an error of the kernel would.

const std = @import("std");
const datagram = @import("../datagram.zig");
const linux = @import("../linux.zig");
const posix = @import("posix.zig");
const socket = @import("../socket.zig");
const sockets = @import("../socket/posix.zig");

const Address = socket.Address;
const Families = datagram.Families;
const Flag = sockets.system.Flag;
const Level = sockets.system.Level;
const NativeAddress = sockets.NativeAddress;
const Slot = datagram.Slot;

pub fn receive(descriptor: i32, bytes: []u8, slot: *Slot) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const capped = @min(bytes.len, linux.max_transfer_bytes);
    const result = linux.callUninterrupted(.recvfrom, .{ descriptor, bytes.ptr, capped, Flag.truncated, &native, &length });
    if (result < 0) return result;
    slot.length = @intCast(result);
    slot.address = posix.addressOf(&native, length);
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
        const length = posix.toNative(native, &slot.address, families) orelse {
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
        slot.address = posix.addressOf(&headers.addresses[index], message.header.name_length);
    }
    return result;
}

pub fn isDisconnected(result: i32) bool {
    return result == 0;
}

pub fn optionName(option: datagram.Option, is_ipv4: bool) u32 {
    return switch (option) {
        .broadcast => 6,
        .hops => if (is_ipv4) 2 else 16,
        .multicast_hops => if (is_ipv4) 33 else 18,
        .multicast_loopback => if (is_ipv4) 34 else 19,
        .multicast_interface => if (is_ipv4) ipv4_interface else 17,
    };
}

/// IP_MULTICAST_IF
pub const ipv4_interface: u32 = 32;

pub fn membership6(is_member: bool) u32 {
    return if (is_member) 20 else 21;
}

pub fn setMembership4(descriptor: i32, group: *const Address, interface: u32, is_member: bool) i32 {
    const request: posix.Membership4 = .{ .group = group.bytes[0..4].*, .interface = @bitCast(interface) };
    return posix.set(descriptor, Level.ipv4, if (is_member) 35 else 36, posix.Membership4, request);
}

/// netdevice(7) asks through any socket.
pub fn interfaceIndex(name: [*:0]const u8) i32 {
    const text = std.mem.span(name);
    var request: InterfaceRequest = .{ .name = @splat(0), .index = 0, .rest = @splat(0) };
    if (text.len >= request.name.len) return -no_such_device;
    @memcpy(request.name[0..text.len], text);
    const descriptor = sockets.system.open(sockets.system.Family.unix, sockets.system.Type.datagram);
    if (descriptor < 0) return descriptor;
    const result = linux.call(.ioctl, .{ descriptor, get_interface_index, &request });
    _ = linux.call(.close, .{descriptor});
    return if (result < 0) result else request.index;
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
    header: sockets.system.MessageHeader,
    transferred: u32 = 0,
};

/// `struct ifreq`
const InterfaceRequest = extern struct { name: [16]u8, index: i32, rest: [20]u8 };

const get_interface_index = 0x8933; // SIOCGIFINDEX
const no_such_device = 19; // ENODEV

comptime {
    std.debug.assert(@sizeOf(BatchMessage) == 64);
    std.debug.assert(@offsetOf(BatchMessage, "transferred") == 56);
    std.debug.assert(@sizeOf(InterfaceRequest) == 40);
}
