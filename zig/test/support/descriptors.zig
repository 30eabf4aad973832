//! Pairs of connected descriptors, and what tests do with their ends.

const std = @import("std");
const support = @import("../support.zig");

const Errno = support.Errno;
const socket = support.socket;
const system = support.system;

/// An option of a socket as the system has it.
pub const NativeOption = struct { option: socket.Option, level: u32, name: u32, value: i32, kernel_value: i32 };

/// Likewise of datagrams. Null if the kernel tells what was set.
pub const NativeDatagramOption = struct { family: u32, option: support.datagram.Option, level: u32, name: u32, value: i32, kernel_value: ?i32 = null };

pub const Direction = enum { readable, writable };

/// Two ends of a stream: a local one where the system has such, so that the other end's readiness shows at once what one
/// end does.
pub const Pair = struct {
    own: i32,
    peer: i32,

    pub fn open() !Pair {
        const ends = try system.openPair();
        return .{ .own = ends[0], .peer = ends[1] };
    }

    /// Its own end has a number that has just become free.
    pub fn openWithNumber(number: i32) !Pair {
        const ends = try system.openPairWithNumber(number);
        try std.testing.expectEqual(number, ends[0]);
        return .{ .own = ends[0], .peer = ends[1] };
    }

    pub fn close(pair: Pair) void {
        support.closeDescriptor(pair.own);
        support.closeDescriptor(pair.peer);
    }

    /// The bytes have arrived when it returns.
    pub fn peerWrites(pair: Pair, bytes: []const u8) !void {
        try write(pair.peer, bytes);
        if (!support.features.has_local_pairs) try untilReady(pair.own, .readable);
    }

    /// Writes until nothing more fits; returns how many bytes that were.
    pub fn fill(pair: Pair) !usize {
        var total = try fillOnce(pair.own);
        if (support.features.has_local_pairs) return total;
        // What is on its way to the peer makes room a moment later.
        while (try support.check(system.waitUntilReady(pair.own, .writable, delivery_ns)) > 0) total += try fillOnce(pair.own);
        return total;
    }

    /// The peer reads all that was written.
    pub fn peerReads(pair: Pair, count: usize) !void {
        var total: usize = 0;
        while (true) {
            total += try drain(pair.peer);
            if (total >= count or support.features.has_local_pairs) break;
            try untilReady(pair.peer, .readable);
        }
        try std.testing.expectEqual(count, total);
    }

    /// No way over the loopback interface takes longer, on a busy machine and under an emulator too.
    const delivery_ns = 200 * std.time.ns_per_ms;
};

pub const Pipe = struct {
    reader: i32,
    writer: i32,

    pub fn open() !Pipe {
        const ends = try system.openPipe();
        return .{ .reader = ends[0], .writer = ends[1] };
    }

    pub fn close(pipe: Pipe) void {
        support.closeDescriptor(pipe.reader);
        support.closeDescriptor(pipe.writer);
    }
};

/// A TCP connection over the loopback interface.
pub const Connection = struct {
    own: i32,
    peer: i32,

    pub fn open(family: u32) !Connection {
        const own = try support.check(socket.create(family));
        errdefer support.closeDescriptor(own);
        return openFrom(own, family, null);
    }

    /// With buffers that are soon full.
    pub fn openSmall(family: u32) !Connection {
        const own = try support.check(socket.create(family));
        errdefer support.closeDescriptor(own);
        return openFrom(own, family, small_buffer_bytes);
    }

    /// Connects a socket that is the caller's until it has succeeded.
    pub fn openFrom(own: i32, family: u32, buffer_bytes: ?i32) !Connection {
        const listener = try listen(family);
        defer support.closeDescriptor(listener);
        // Before there is a connection, whose other side is told of the room once and may count on it.
        if (buffer_bytes) |count| for ([_]i32{ listener, own }) |descriptor| {
            try support.expectResult(0, socket.setOption(descriptor, .send_buffer_bytes, count));
            try support.expectResult(0, socket.setOption(descriptor, .receive_buffer_bytes, count));
        };
        var address: socket.Address = undefined;
        try support.expectResult(0, socket.localAddress(listener, &address));
        const result = socket.connect(own, &address);
        if (result != 0) try support.expectResult(-Errno.in_progress, result);
        try untilReady(listener, .readable);
        const peer = try support.check(socket.accept(listener));
        errdefer support.closeDescriptor(peer);
        try untilReady(own, .writable);
        try support.expectResult(0, socket.takeError(own));
        return .{ .own = own, .peer = peer };
    }

    pub fn close(connection: Connection) void {
        support.closeDescriptor(connection.own);
        support.closeDescriptor(connection.peer);
    }

    pub const small_buffer_bytes = 32 * 1024;
};

/// A listening socket on the loopback address, on a port that the kernel chose.
pub fn listen(family: u32) !i32 {
    const listener = try bound(family);
    errdefer support.closeDescriptor(listener);
    try support.expectResult(0, socket.listen(listener, 16));
    return listener;
}

/// A socket that has a port of the loopback address, and does not listen.
pub fn bound(family: u32) !i32 {
    if (family == socket.Address.ipv6 and !system.hasIpv6Loopback()) return support.skip("this host has no ::1");
    const descriptor = try support.check(socket.create(family));
    errdefer support.closeDescriptor(descriptor);
    const address = loopback(family, 0);
    try support.expectResult(0, socket.bind(descriptor, &address));
    return descriptor;
}

pub fn loopback(family: u32, port: u32) socket.Address {
    var address: socket.Address = .{ .family = family, .port = port, .scope = 0, .bytes = @splat(0) };
    if (family == socket.Address.ipv4) {
        address.bytes[0] = 127;
        address.bytes[3] = 1;
    } else {
        address.bytes[15] = 1;
    }
    return address;
}

pub fn write(descriptor: i32, bytes: []const u8) !void {
    try support.expectResult(@intCast(bytes.len), system.write(descriptor, bytes));
}

pub fn expectRead(descriptor: i32, expected: []const u8) !void {
    var buffer: [256]u8 = undefined;
    const count = try support.check(system.read(descriptor, &buffer));
    try std.testing.expectEqualStrings(expected, buffer[0..@intCast(count)]);
}

/// Writes until the kernel takes no more; returns how many bytes it took.
pub fn fillOnce(descriptor: i32) !usize {
    const chunk: [4096]u8 = @splat('x');
    var total: usize = 0;
    while (true) {
        const result = socket.send(descriptor, &chunk, chunk.len);
        if (result == -Errno.again) return total;
        total += @intCast(try support.check(result));
    }
}

/// Reads until there is no more; returns how many bytes there were.
pub fn drain(descriptor: i32) !usize {
    var chunk: [65536]u8 = undefined;
    var total: usize = 0;
    while (true) {
        const result = system.read(descriptor, &chunk);
        if (result == -Errno.again or result == 0) return total;
        total += @intCast(try support.check(result));
    }
}

/// Waits with nothing that is under test.
pub fn untilReady(descriptor: i32, direction: Direction) !void {
    const count = try support.check(system.waitUntilReady(descriptor, direction, support.patience_ns));
    if (count == 0) return error.NothingHappened;
}

/// Room for many descriptors at once, for as long as a test runs.
pub const RoomForDescriptors = struct {
    limit: if (support.features.has_descriptor_limit) system.DescriptorLimit else void,

    pub fn make(count: u64) !RoomForDescriptors {
        if (!support.features.has_descriptor_limit) return .{ .limit = {} };
        const limit: system.DescriptorLimit = try .read();
        if (limit.most < count) return support.skip("the hard limit of descriptors is too low");
        try limit.set(@max(limit.current, count));
        return .{ .limit = limit };
    }

    pub fn giveBack(room: RoomForDescriptors) void {
        if (!support.features.has_descriptor_limit) return;
        room.limit.set(room.limit.current) catch |failure| std.debug.panic("the limit of descriptors stays raised: {t}", .{failure});
    }
};

/// A number that was a descriptor a moment ago and is none now. POSIX promises that the next new descriptor gets it.
pub fn closedNumber() !i32 {
    const descriptor = try support.check(socket.create(socket.Address.ipv4));
    support.closeDescriptor(descriptor);
    return descriptor;
}
