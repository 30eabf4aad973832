//! Datagram sockets of the internet (UDP): one contract, an implementation for each family of operating systems.
//!
//! Every socket is non-blocking and close-on-exec from its birth. Results below zero are negated errno values; a call
//! that would block returns `-EAGAIN`. What all sockets share (bind, connect, local and peer address, close, their
//! options) is in `socket.zig`.
//!
//! A batch is memory of the caller for several datagrams: slots of equal size one after the other, and a `Slot` for
//! each, which says how long its datagram is and whose. So what was received can be sent back as it is.

const builtin = @import("builtin");
const socket = @import("socket.zig");

const backend = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("datagram/posix.zig"),
    .windows => @import("datagram/windows.zig"),
    else => @compileError("there are no datagram sockets for this operating system yet"),
};

/// What is known of one datagram beside its bytes.
pub const Slot = extern struct {
    /// In bytes. Of one that was received: its whole length, which is more than there was room for if it was truncated.
    length: u32,
    reserved: u32 = 0,
    /// Whom it came from or goes to; family 0 is the peer that the socket is connected to.
    address: socket.Address,
};

/// Which addresses a socket can send to. A socket of IPv6 takes those of IPv4 as well, in their mapped form
/// (`::ffff:1.2.3.4`), unless it was told otherwise.
pub const Families = enum(u32) { ipv4 = 4, ipv6 = 6, both = 10 };

/// More slots than this are not handled in one call: enough to make the system call's own cost vanish, and some 28 KiB
/// of stack.
pub const most_slots = 256;

/// The options that only datagrams have; those of IPv4 and of IPv6 are apart, and a socket for both families has both.
pub const Option = enum(u32) {
    /// Has no family.
    broadcast = 0,
    /// How many hops a datagram may take.
    hops = 1,
    multicast_hops = 2,
    /// Whether this host gets what it sends to a group.
    multicast_loopback = 3,
    /// The number of the interface that sends to groups; 0 lets the system choose.
    multicast_interface = 4,
};

pub const create = backend.create;
/// Takes back what `connect` did.
pub const disconnect = backend.disconnect;
/// Sends one datagram, to the connected peer if there is no address. `-EAFNOSUPPORT` for an address that the socket
/// cannot send to.
pub const send = backend.send;
/// Takes one datagram. Returns its whole length, which may be more than there was room for; the rest is gone then.
pub const receive = backend.receive;
/// Sends the datagrams in order. Returns how many went; an error only if that was none.
pub const sendBatch = backend.sendBatch;
/// Takes as many datagrams as there are, at most one for each slot. Returns how many; an error only if that was none.
pub const receiveBatch = backend.receiveBatch;
pub const setOption = backend.setOption;
/// Joins a group on an interface (0: the system chooses), or leaves it.
pub const setMembership = backend.setMembership;
/// The number of an interface, by its name.
pub const interfaceIndex = backend.interfaceIndex;

/// The address as a socket of these families has it; null if it cannot send there.
pub fn addressFor(families: Families, address: *const socket.Address) ?socket.Address {
    const is_ipv4 = address.family == socket.Address.ipv4;
    return switch (families) {
        .ipv4 => if (is_ipv4) address.* else null,
        .ipv6 => if (address.family == socket.Address.ipv6) address.* else null,
        .both => if (is_ipv4) mapped(address) else address.*,
    };
}

/// RFC 4291, section 2.5.5.2.
fn mapped(address: *const socket.Address) socket.Address {
    var result: socket.Address = .{ .family = socket.Address.ipv6, .port = address.port, .scope = 0, .bytes = @splat(0) };
    result.bytes[10..12].* = .{ 0xff, 0xff };
    result.bytes[12..16].* = address.bytes[0..4].*;
    return result;
}

comptime {
    expect(@TypeOf(create) == fn (u32) i32);
    expect(@TypeOf(disconnect) == fn (i32) i32);
    expect(@TypeOf(send) == fn (i32, Families, []const u8, ?*const socket.Address) i32);
    expect(@TypeOf(receive) == fn (i32, []u8, *Slot) i32);
    expect(@TypeOf(sendBatch) == fn (i32, Families, [*]const u8, u32, []const Slot) i32);
    expect(@TypeOf(receiveBatch) == fn (i32, [*]u8, u32, []Slot) i32);
    expect(@TypeOf(setOption) == fn (i32, u32, Option, i32) i32);
    expect(@TypeOf(setMembership) == fn (i32, *const socket.Address, u32, bool) i32);
    expect(@TypeOf(interfaceIndex) == fn ([*:0]const u8) i32);
    // src/native/library.ts checks the same numbers when it loads the library.
    expect(@sizeOf(Slot) == 40);
    expect(@offsetOf(Slot, "address") == 8);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the datagram sockets of this platform do not meet the contract in datagram.zig");
}
