//! What is macOS's and FreeBSD's own of datagram sockets.
//!
//! Facts. What does not fit into the buffer of recvmsg(2) is thrown away, and only a flag says that there was more: no
//! call tells how much. A buffer of several parts takes a datagram from its first part on. sendmmsg(2) and recvmmsg(2)
//! do not exist on macOS, and are loops of the C library on FreeBSD. A group of IPv4 is joined on an interface with a
//! number by MCAST_JOIN_GROUP, which takes no 0, and on one that the system chooses by IP_ADD_MEMBERSHIP.
//!
//! Decision. Room for the longest datagram there is follows the caller's buffer, on the stack, so that the length comes
//! out whole: nothing of it is touched unless a datagram is too long. A batch is a loop, and stops where the calls of
//! Linux would.

const std = @import("std");
const bsd = @import("../bsd.zig");
const datagram = @import("../datagram.zig");
const one_by_one = @import("one_by_one.zig");
const posix = @import("posix.zig");
const socket = @import("../socket.zig");
const sockets = @import("../socket/posix.zig");

const Address = socket.Address;
const Errno = bsd.Errno;
const Families = datagram.Families;
const Level = sockets.system.Level;
const NativeAddress = sockets.NativeAddress;
const Slot = datagram.Slot;

pub fn receive(descriptor: i32, bytes: []u8, slot: *Slot) i32 {
    var overflow: [longest_datagram_bytes]u8 = undefined;
    var native: NativeAddress = undefined;
    const parts = [2]socket.Part{
        .{ .base = bytes.ptr, .length = @min(bytes.len, bsd.max_transfer_bytes - overflow.len) },
        .{ .base = &overflow, .length = overflow.len },
    };
    var header: sockets.system.MessageHeader = .{
        .name = &native,
        .name_length = @sizeOf(NativeAddress),
        .parts = &parts,
        .part_count = parts.len,
    };
    const result = bsd.callUninterrupted(.recvmsg, .{ descriptor, &header, 0 });
    if (result < 0) return result;
    slot.length = @intCast(result);
    slot.address = posix.addressOf(&native, header.name_length);
    return result;
}

pub fn sendBatch(descriptor: i32, families: Families, bytes: [*]const u8, slot_bytes: u32, slots: []const Slot) i32 {
    return one_by_one.sendBatch(posix.send, descriptor, families, bytes, slot_bytes, slots);
}

/// An error behind the first datagram ends the batch and is not told: the system has given it up, where Linux keeps it
/// for the next call. Only a connected socket has such errors, and meets them anew with what it sends next.
pub fn receiveBatch(descriptor: i32, bytes: [*]u8, slot_bytes: u32, slots: []Slot) i32 {
    return one_by_one.receiveBatch(receive, descriptor, bytes, slot_bytes, slots);
}

pub fn isDisconnected(result: i32) bool {
    return result == 0 or result == -Errno.address_family_not_supported or result == -Errno.invalid_argument;
}

pub fn optionName(option: datagram.Option, is_ipv4: bool) u32 {
    return switch (option) {
        .broadcast => 0x20,
        .hops => 4,
        .multicast_hops => 10,
        .multicast_loopback => 11,
        .multicast_interface => if (is_ipv4) ipv4_interface else 9,
    };
}

/// IP_MULTICAST_IF, which takes a `struct ip_mreqn`.
pub const ipv4_interface: u32 = 9;

pub fn membership6(is_member: bool) u32 {
    return if (is_member) 12 else 13;
}

pub fn setMembership4(descriptor: i32, group: *const Address, interface: u32, is_member: bool) i32 {
    if (interface == 0) {
        const request: AnyMembership4 = .{ .group = group.bytes[0..4].* };
        return posix.set(descriptor, Level.ipv4, if (is_member) 12 else 13, AnyMembership4, request);
    }
    var request: GroupRequest = .{ .interface = interface };
    const length = request.group.fromAddress(group) orelse unreachable;
    std.debug.assert(length <= @sizeOf(NativeAddress));
    return posix.set(descriptor, Level.ipv4, if (is_member) 80 else 81, GroupRequest, request);
}

pub fn interfaceIndex(name: [*:0]const u8) i32 {
    const index = if_nametoindex(name);
    return if (index == 0) bsd.result(-1) else @intCast(index);
}

/// The largest that UDP has.
const longest_datagram_bytes = 65535;

/// `struct ip_mreq`
pub const AnyMembership4 = extern struct { group: [4]u8, local: [4]u8 = @splat(0) };

/// `struct group_req`, whose address is a `struct sockaddr_storage`; macOS packs it.
pub const GroupRequest = if (bsd.is_macos) extern struct {
    interface: u32,
    group: NativeAddress = undefined,
    rest: [100]u8 = @splat(0),
} else extern struct {
    interface: u32,
    padding: u32 = 0,
    group: NativeAddress = undefined,
    rest: [100]u8 = @splat(0),
};

extern "c" fn if_nametoindex([*:0]const u8) c_uint;

comptime {
    std.debug.assert(@sizeOf(GroupRequest) == if (bsd.is_macos) 132 else 136);
}
