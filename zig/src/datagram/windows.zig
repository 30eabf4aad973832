//! Datagram sockets of Windows.
//!
//! Facts. A datagram that is longer than the buffer is cut off with WSAEMSGSIZE, and its length is not told. Winsock has
//! no call for several datagrams. When an earlier datagram met a port where nobody listens, the next receive fails with
//! WSAECONNRESET, also on a socket that has no peer; SIO_UDP_CONNRESET turns that off, and SIO_UDP_NETRESET the like of it
//! for datagrams that took too many hops. A send without an address on a socket without a peer is WSAENOTCONN. The
//! interface of an IPv4 group is given as an address, or as an index in the form 0.x.x.x. IP_MULTICAST_LOOP is an option of
//! the socket that receives, not of the one that sends. Names of interfaces are known to a library of its own
//! (iphlpapi), which is not used here. A socket of IPv6 is for IPv6 alone, unless it is told otherwise.
//!
//! Decision. A receive has room for the longest datagram there is: what does not fit into the caller's buffer goes into
//! memory that nobody reads, so that its length is known. A batch is a loop. As on Linux only a socket with a peer is told that its
//! port is closed, as ECONNREFUSED: refusals are off from the socket's birth, and on while it is connected. A socket of
//! IPv6 is for both families, as elsewhere. Interfaces have numbers, in decimal digits, and no names.

const std = @import("std");
const datagram = @import("../datagram.zig");
const one_by_one = @import("one_by_one.zig");
const sockets = @import("../socket/windows.zig");
const socket = @import("../socket.zig");
const windows = @import("../windows.zig");

const Address = socket.Address;
const Code = windows.Code;
const Errno = windows.Errno;
const Families = datagram.Families;
const Level = sockets.Level;
const NativeAddress = sockets.NativeAddress;
const Slot = datagram.Slot;

pub fn create(family: u32) i32 {
    const descriptor = sockets.createInternet(family, sockets.Type.datagram, sockets.Protocol.udp);
    if (descriptor >= 0) sockets.reportRefusals(descriptor, false);
    return descriptor;
}

pub fn disconnect(descriptor: i32) i32 {
    const none: extern struct { family: u16, rest: [14]u8 } = .{ .family = 0, .rest = @splat(0) };
    const result = windows.connect(windows.toSocket(descriptor), &none, @sizeOf(@TypeOf(none)));
    if (result != 0) return windows.lastFailureOf(descriptor);
    sockets.reportRefusals(descriptor, false);
    return 0;
}

pub fn send(descriptor: i32, families: Families, bytes: []const u8, to: ?*const Address) i32 {
    const capped: i32 = @intCast(@min(bytes.len, windows.max_transfer_bytes));
    const subject = windows.toSocket(descriptor);
    const address = to orelse {
        const result = windows.send(subject, bytes.ptr, capped, 0);
        return if (result >= 0) result else sendFailure(descriptor);
    };
    var native: NativeAddress = undefined;
    const length = toNative(&native, address, families) orelse return -Errno.address_family_not_supported;
    const result = windows.sendto(subject, bytes.ptr, capped, 0, &native, length);
    return if (result >= 0) result else failure(descriptor);
}

pub fn receive(descriptor: i32, bytes: []u8, slot: *Slot) i32 {
    const capped: u32 = @intCast(@min(bytes.len, windows.max_transfer_bytes));
    const buffers = [2]windows.Buffer{
        .{ .length = capped, .base = bytes.ptr },
        .{ .length = discarded.len, .base = &discarded },
    };
    var native: NativeAddress = undefined;
    var length: i32 = @sizeOf(NativeAddress);
    var received_bytes: u32 = 0;
    var flags: u32 = 0;
    const subject = windows.toSocket(descriptor);
    // What has room for everything needs no second buffer.
    const count: u32 = if (capped >= longest_datagram_bytes) 1 else 2;
    const result = windows.WSARecvFrom(subject, &buffers, count, &received_bytes, &flags, &native, &length, null, null);
    if (result != 0) return failure(descriptor);
    slot.length = received_bytes;
    slot.address = addressOf(&native, length);
    return @intCast(received_bytes);
}

pub fn sendBatch(descriptor: i32, families: Families, bytes: [*]const u8, slot_bytes: u32, slots: []const Slot) i32 {
    return one_by_one.sendBatch(send, descriptor, families, bytes, slot_bytes, slots);
}

/// An error behind other datagrams is forgotten: the call that meets it takes it from the socket.
pub fn receiveBatch(descriptor: i32, bytes: [*]u8, slot_bytes: u32, slots: []Slot) i32 {
    return one_by_one.receiveBatch(receive, descriptor, bytes, slot_bytes, slots);
}

pub fn setOption(descriptor: i32, family: u32, option: datagram.Option, value: i32) i32 {
    const is_ipv4 = family == Address.ipv4;
    const level = if (option == .broadcast) Level.socket else if (is_ipv4) Level.ipv4 else Level.ipv6;
    const name: i32 = switch (option) {
        .broadcast => 0x20,
        .hops => 4,
        .multicast_hops => 10,
        .multicast_loopback => 11,
        .multicast_interface => 9,
    };
    const has_index_form = option == .multicast_interface and is_ipv4;
    const native = if (has_index_form) @as(i32, @bitCast(toIndexForm(@bitCast(value)))) else value;
    return sockets.setRaw(descriptor, level, name, i32, native);
}

pub fn setMembership(descriptor: i32, group: *const Address, interface: u32, is_member: bool) i32 {
    const name: i32 = if (is_member) 12 else 13;
    switch (group.family) {
        Address.ipv4 => {
            const request: Membership4 = .{ .group = group.bytes[0..4].*, .interface = toIndexForm(interface) };
            return sockets.setRaw(descriptor, Level.ipv4, name, Membership4, request);
        },
        Address.ipv6 => {
            const request: Membership6 = .{ .group = group.bytes, .interface = interface };
            return sockets.setRaw(descriptor, Level.ipv6, name, Membership6, request);
        },
        else => return -Errno.address_family_not_supported,
    }
}

pub fn interfaceIndex(name: [*:0]const u8) i32 {
    var index: u64 = 0;
    for (0..most_digits) |place| {
        if (name[place] == 0 and index > 0) return @intCast(index);
        if (!std.ascii.isDigit(name[place])) break;
        index = index * 10 + (name[place] - '0');
    }
    return -Errno.no_such_device;
}

/// An answer from the network to an earlier datagram: nobody listens there, or it took too many hops.
fn failure(descriptor: i32) i32 {
    return switch (windows.WSAGetLastError()) {
        Code.connection_reset => -Errno.connection_refused,
        Code.network_reset => -Errno.host_unreachable,
        else => windows.lastFailureOf(descriptor),
    };
}

fn sendFailure(descriptor: i32) i32 {
    if (windows.WSAGetLastError() == Code.not_connected) return -Errno.destination_required;
    return failure(descriptor);
}

/// Returns the length of the native form, or null if the socket cannot send there.
fn toNative(native: *NativeAddress, address: *const Address, families: Families) ?i32 {
    const reachable = datagram.addressFor(families, address) orelse return null;
    return native.fromAddress(&reachable);
}

/// Whom a datagram came from. The system always says so for UDP; a socket of another kind has family 0.
fn addressOf(native: *const NativeAddress, length: i32) Address {
    const none: Address = .{ .family = 0, .port = 0, .scope = 0, .bytes = @splat(0) };
    if (length <= 0) return none;
    return native.toAddress() orelse none;
}

/// 0.x.x.x in network byte order; 0 lets the system choose.
fn toIndexForm(index: u32) u32 {
    return std.mem.nativeToBig(u32, index);
}

/// `IP_MREQ`
const Membership4 = extern struct { group: [4]u8, interface: u32 };

/// `IPV6_MREQ`
const Membership6 = extern struct { group: [16]u8, interface: u32 };

/// The length field of UDP has 16 bits.
const longest_datagram_bytes = 65_535;

/// Written by any thread at any time, and read by none.
var discarded: [longest_datagram_bytes]u8 = undefined;

/// No interface has a number that needs more, and every such number fits into an `i32`.
const most_digits = 10;

comptime {
    std.debug.assert(@sizeOf(Membership4) == 8);
    std.debug.assert(@sizeOf(Membership6) == 20);
}
