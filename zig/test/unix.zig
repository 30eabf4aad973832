//! The calls on sockets of the unix domain: names, messages, descriptors and credentials.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Poller = support.Poller;
const socket = support.socket;
const system = support.system;
const unix = support.unix;

const token = support.tokenOf(1);

test "a stream goes from a name to whoever connects, and both see the name" {
    const name = ownName("stream");
    defer giveBack(&name);
    const listener = try bound(.stream, &name);
    defer support.closeDescriptor(listener);
    try support.expectResult(0, socket.listen(listener, 4));
    const client = try create(.stream);
    defer support.closeDescriptor(client);
    try support.expectResult(0, unix.connect(client, &name));
    const server = try support.check(socket.accept(listener));
    defer support.closeDescriptor(server);

    try expectName(&name, try peerOf(client));
    try expectName(&name, try localOf(server));
    try expectName(&nameless, try localOf(client));
    try expectName(&nameless, try peerOf(server));

    try support.expectResult(5, socket.send(client, "hello", 5));
    try support.expectRead(server, "hello");
}

test "a path is a name, up to the last of its bytes" {
    const kind: unix.Kind = if (support.features.has_unix_datagrams) .datagram else .stream;
    for ([_]usize{ 1, 90, support.features.longest_path_bytes }) |length| {
        // Relative to the working folder, so that it is as long as it should be.
        var name: unix.Address = .{ .length = @intCast(length), .bytes = @splat(0) };
        @memset(name.bytes[0..length], 'x');
        const descriptor = try bound(kind, &name);
        defer support.closeDescriptor(descriptor);
        defer std.debug.assert(removePath(&name) == 0);
        try expectName(&name, try localOf(descriptor));
        // The same name again is taken, also when nobody has it any more, because the file stays.
        const second = try create(kind);
        defer support.closeDescriptor(second);
        try support.expectResult(-Errno.address_in_use, unix.bind(second, &name));
    }
}

test "without a name, bind gives a socket an abstract one of its own" {
    if (!support.features.has_abstract_names) return support.skip("this system has no abstract names");
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const descriptor = try bound(.datagram, &nameless);
    defer support.closeDescriptor(descriptor);
    const name = try localOf(descriptor);
    // unix(7): a zero and five hexadecimal digits.
    try std.testing.expectEqual(6, name.length);
    try std.testing.expectEqual(0, name.bytes[0]);
}

test "a name that nobody has is refused: ECONNREFUSED, and ENOENT for a path" {
    const descriptor = try create(.stream);
    defer support.closeDescriptor(descriptor);
    const path = nameOf("no such file");
    const no_file = if (support.features.has_unix_datagrams) Errno.no_entry else Errno.connection_refused;
    try support.expectResult(-no_file, unix.connect(descriptor, &path));
    if (!support.features.has_abstract_names) return;
    const abstract = ownName("nobody");
    try support.expectResult(-Errno.connection_refused, unix.connect(descriptor, &abstract));
}

test "a full backlog: EAGAIN, and no event tells when there is room" {
    if (!support.features.waits_at_full_backlog) return support.skip("this system refuses a connection when the backlog is full");
    const name = ownName("full");
    defer giveBack(&name);
    const listener = try bound(.stream, &name);
    defer support.closeDescriptor(listener);
    try support.expectResult(0, socket.listen(listener, 0));
    const first = try create(.stream);
    defer support.closeDescriptor(first);
    try support.expectResult(0, unix.connect(first, &name));
    const second = try create(.stream);
    defer support.closeDescriptor(second);
    try support.expectResult(-Errno.again, unix.connect(second, &name));
    support.closeDescriptor(try support.check(socket.accept(listener)));
    try support.expectResult(0, unix.connect(second, &name));
}

test "what is born here is non-blocking and close-on-exec" {
    if (!support.features.has_unix_pairs) return support.skip("this system has no pairs of unix sockets");
    for ([_]unix.Kind{ .stream, .datagram }) |kind| {
        const single = try create(kind);
        defer support.closeDescriptor(single);
        const pair: Pair = try .open(kind);
        defer pair.close();
        for ([_]i32{ single, pair.left, pair.right }) |descriptor| {
            try std.testing.expect(try system.isCloseOnExec(descriptor));
            try std.testing.expect(try system.isNonBlocking(descriptor));
        }
    }
}

test "a datagram says from whom it is, and a sender without a name has none" {
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const name = ownName("receiver");
    defer giveBack(&name);
    const receiver = try bound(.datagram, &name);
    defer support.closeDescriptor(receiver);
    const own_name = ownName("sender");
    defer giveBack(&own_name);
    const named = try bound(.datagram, &own_name);
    defer support.closeDescriptor(named);
    const unnamed = try create(.datagram);
    defer support.closeDescriptor(unnamed);

    try support.expectResult(3, unix.send(named, "one", &name, &.{}));
    try support.expectResult(3, unix.send(unnamed, "two", &name, &.{}));
    try support.expectResult(0, unix.send(unnamed, "", &name, &.{}));
    try expectName(&own_name, (try received(receiver, "one", no_room)).address);
    try expectName(&nameless, (try received(receiver, "two", no_room)).address);
    try expectName(&nameless, (try received(receiver, "", no_room)).address);
    var buffer: [8]u8 = undefined;
    var message: unix.Message = undefined;
    try support.expectResult(-Errno.again, unix.receive(receiver, &buffer, .datagram, no_room, &message));
}

test "a connected datagram socket sends without a name" {
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const pair: Pair = try .open(.datagram);
    defer pair.close();
    try support.expectResult(3, unix.send(pair.left, "one", null, &.{}));
    _ = try received(pair.right, "one", no_room);
    const single = try create(.datagram);
    defer support.closeDescriptor(single);
    try support.expectResult(-Errno.not_connected, unix.send(single, "one", null, &.{}));
}

test "a datagram that is longer than the buffer is told with its whole length, and the rest is gone" {
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const pair: Pair = try .open(.datagram);
    defer pair.close();
    try support.expectResult(10, unix.send(pair.left, "0123456789", null, &.{}));
    var buffer: [4]u8 = undefined;
    var message: unix.Message = undefined;
    try support.expectResult(10, unix.receive(pair.right, &buffer, .datagram, no_room, &message));
    try std.testing.expectEqualStrings("0123", &buffer);
    try std.testing.expectEqual(unix.Message.truncated, message.flags);
    try support.expectResult(-Errno.again, unix.receive(pair.right, &buffer, .datagram, no_room, &message));
}

test "a stream that has more than the buffer keeps the rest" {
    if (!support.features.has_unix_pairs) return support.skip("this system has no pairs of unix sockets");
    const pair: Pair = try .open(.stream);
    defer pair.close();
    try support.expectResult(10, unix.send(pair.left, "0123456789", null, &.{}));
    var buffer: [4]u8 = undefined;
    var message: unix.Message = undefined;
    try support.expectResult(4, unix.receive(pair.right, &buffer, .stream, no_room, &message));
    try std.testing.expectEqual(0, message.flags);
    try support.expectRead(pair.right, "456789");
    try support.expectResult(0, socket.shutdown(pair.left, .write));
    try support.expectResult(0, unix.receive(pair.right, &buffer, .stream, no_room, &message));
}

test "a passed descriptor is the same open file, by a new number that is close-on-exec" {
    if (!support.features.has_passing) return support.skip("this system passes no descriptors");
    for ([_]unix.Kind{ .stream, .datagram }) |kind| {
        const pair: Pair = try .open(kind);
        defer pair.close();
        const pipe: support.Pipe = try .open();
        defer pipe.close();
        try support.expectResult(1, unix.send(pair.left, "x", null, &.{pipe.writer}));
        const message = try receivedAs(kind, pair.right, "x", .{ .descriptors = 1, .has_sender = false });
        try std.testing.expectEqual(1, message.descriptor_count);
        const passed = message.descriptors[0];
        defer support.closeDescriptor(passed);
        try std.testing.expect(passed != pipe.writer);
        try std.testing.expect(try system.isCloseOnExec(passed));
        try support.write(passed, "through");
        try support.expectRead(pipe.reader, "through");
    }
}

test "as many descriptors go at once as the kernel takes, in order" {
    if (!support.features.has_passing) return support.skip("this system passes no descriptors");
    const pair: Pair = try .open(.stream);
    defer pair.close();
    const pipe: support.Pipe = try .open();
    defer pipe.close();
    var list: [unix.most_descriptors + 1]i32 = undefined;
    for (&list, 0..) |*descriptor, index| descriptor.* = if (index % 2 == 0) pipe.reader else pipe.writer;
    try support.expectResult(1, unix.send(pair.left, "x", null, list[0..unix.most_descriptors]));
    const message = try receivedAs(.stream, pair.right, "x", .{ .descriptors = unix.most_descriptors, .has_sender = false });
    try std.testing.expectEqual(unix.most_descriptors, message.descriptor_count);
    try std.testing.expectEqual(0, message.flags);
    for (message.descriptors[0..message.descriptor_count], 0..) |descriptor, index| {
        defer support.closeDescriptor(descriptor);
        const access = try system.statusFlags(descriptor) & access_mode;
        try std.testing.expectEqual(@as(i32, if (index % 2 == 0) read_only else write_only), access);
    }
}

test "more descriptors than room: exactly as many as there is room for come, the rest is closed, and that is told" {
    if (!support.features.has_passing) return support.skip("this system passes no descriptors");
    try support.emulator.needExactDescriptors();
    try support.external.needOneDescriptor();
    const before = support.system.countDescriptors();
    for ([_]unix.Kind{ .stream, .datagram }) |kind| {
        for (0..5) |room| {
            const pair: Pair = try .open(kind);
            defer pair.close();
            const pipe: support.Pipe = try .open();
            defer support.closeDescriptor(pipe.reader);
            const list: [5]i32 = @splat(pipe.writer);
            try support.expectResult(1, unix.send(pair.left, "x", null, &list));
            support.closeDescriptor(pipe.writer);
            const message = try receivedAs(kind, pair.right, "x", .{ .descriptors = @intCast(room), .has_sender = false });
            try std.testing.expectEqual(room, message.descriptor_count);
            try std.testing.expectEqual(unix.Message.descriptors_truncated, message.flags);
            for (message.descriptors[0..room]) |descriptor| support.closeDescriptor(descriptor);
            // Nobody has the writing end any more.
            var byte: [1]u8 = undefined;
            try support.expectResult(0, system.read(pipe.reader, &byte));
        }
    }
    try std.testing.expectEqual(before, support.system.countDescriptors());
}

test "a read without room for descriptors stops behind the message that they came with" {
    if (!support.features.has_passing) return support.skip("this system passes no descriptors");
    const pair: Pair = try .open(.stream);
    defer pair.close();
    try support.expectResult(1, unix.send(pair.left, "a", null, &.{pair.left}));
    try support.expectResult(1, unix.send(pair.left, "b", null, &.{}));
    var buffer: [16]u8 = undefined;
    try support.expectResult(1, socket.receive(pair.right, &buffer, buffer.len));
    try support.expectResult(1, socket.receive(pair.right, &buffer, buffer.len));
    try std.testing.expectEqual('b', buffer[0]);
}

test "a list with a number that is not open: EBADF, and nothing is sent" {
    if (!support.features.has_passing) return support.skip("this system passes no descriptors");
    const pair: Pair = try .open(.stream);
    defer pair.close();
    const free = try support.closedNumber();
    try support.expectResult(-Errno.bad_descriptor, unix.send(pair.left, "x", null, &.{ pair.left, free }));
    var byte: [1]u8 = undefined;
    try support.expectResult(-Errno.again, socket.receive(pair.right, &byte, 1));
}

test "credentials: who is at the other end of a stream, and who has sent a datagram" {
    if (!support.features.has_credentials) return support.skip("this system says nothing of who is at the other end");
    const streams: Pair = try .open(.stream);
    defer streams.close();
    var credentials: unix.Credentials = undefined;
    try support.expectResult(0, unix.peerCredentials(streams.left, &credentials));
    try expectOwn(credentials);

    const datagrams: Pair = try .open(.datagram);
    defer datagrams.close();
    try support.expectResult(0, unix.passCredentials(datagrams.right));
    try support.expectResult(1, unix.send(datagrams.left, "x", null, &.{}));
    const message = try received(datagrams.right, "x", .{ .descriptors = 0, .has_sender = true });
    try std.testing.expectEqual(unix.Message.has_sender, message.flags);
    try expectOwn(message.sender);
}

test "credentials and descriptors come in one message" {
    if (!support.features.has_credentials) return support.skip("this system says nothing of who is at the other end");
    try support.emulator.needExactDescriptors();
    const pair: Pair = try .open(.datagram);
    defer pair.close();
    try support.expectResult(0, unix.passCredentials(pair.right));
    const room: unix.Room = .{ .descriptors = 2, .has_sender = true };
    for (0..4) |passed| {
        const list: [3]i32 = @splat(pair.left);
        try support.expectResult(1, unix.send(pair.left, "x", null, list[0..passed]));
        const message = try received(pair.right, "x", room);
        try expectOwn(message.sender);
        try std.testing.expectEqual(@min(passed, 2), message.descriptor_count);
        const is_truncated = message.flags & unix.Message.descriptors_truncated != 0;
        try std.testing.expectEqual(passed > 2, is_truncated);
        for (message.descriptors[0..message.descriptor_count]) |descriptor| support.closeDescriptor(descriptor);
    }
}

test "credentials for which there is no room are cut off, whatever else there is room for" {
    if (!support.features.has_credentials) return support.skip("this system says nothing of who is at the other end");
    const pair: Pair = try .open(.datagram);
    defer pair.close();
    try support.expectResult(0, unix.passCredentials(pair.right));
    for (0..9) |room| {
        try support.expectResult(1, unix.send(pair.left, "x", null, &.{}));
        const message = try received(pair.right, "x", .{ .descriptors = @intCast(room), .has_sender = false });
        try std.testing.expectEqual(0, message.descriptor_count);
        if (message.flags & unix.Message.has_sender != 0) try expectOwn(message.sender);
    }
}

test "a full queue of a peer that it is connected to makes a socket unwritable, and room makes it writable again" {
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const name = ownName("queue");
    defer giveBack(&name);
    const receiver = try bound(.datagram, &name);
    defer support.closeDescriptor(receiver);
    const sender = try create(.datagram);
    defer support.closeDescriptor(sender);
    try support.expectResult(0, unix.connect(sender, &name));
    var poller: Poller = undefined;
    try poller.open(16);
    defer poller.close();
    try poller.register(sender, token, support.writable, .edge);
    try poller.expectOnly(token, support.writable);
    var sent: usize = 0;
    while (true) : (sent += 1) {
        const result = unix.send(sender, "x", null, &.{});
        if (result == -Errno.again) break;
        try support.expectResult(1, result);
    }
    try std.testing.expect(sent > 0);
    try poller.expectNothing();
    _ = try received(receiver, "x", no_room);
    try poller.expectOnly(token, support.writable);
    try support.expectResult(1, unix.send(sender, "x", null, &.{}));
}

test "what nobody has received yet counts against the send buffer" {
    if (!support.features.has_unix_datagrams) return support.skip("this system's unix sockets are streams alone");
    const pair: Pair = try .open(.datagram);
    defer pair.close();
    try support.expectResult(0, unix.queuedBytes(pair.left));
    try support.expectResult(1, unix.send(pair.left, "x", null, &.{}));
    try std.testing.expect(try support.check(unix.queuedBytes(pair.left)) > 0);
    _ = try received(pair.right, "x", no_room);
    try support.expectResult(0, unix.queuedBytes(pair.left));
}

test "a closed number is refused by every call with EBADF" {
    if (!system.hasUnixSockets()) return support.skip("this host has no unix sockets");
    const number = try support.closedNumber();
    var name = ownName("closed");
    var credentials: unix.Credentials = undefined;
    var message: unix.Message = undefined;
    var byte: [1]u8 = undefined;
    const results = [_]i32{
        unix.bind(number, &name),
        unix.connect(number, &name),
        unix.localAddress(number, &name),
        unix.peerAddress(number, &name),
        if (support.features.has_credentials) unix.peerCredentials(number, &credentials) else -Errno.bad_descriptor,
        if (support.features.has_credentials) unix.passCredentials(number) else -Errno.bad_descriptor,
        if (support.features.has_unix_datagrams) unix.queuedBytes(number) else -Errno.bad_descriptor,
        unix.send(number, &byte, null, &.{}),
        unix.receive(number, &byte, .stream, no_room, &message),
    };
    try support.expectEach(-Errno.bad_descriptor, &results);
}

const Pair = struct {
    left: i32,
    right: i32,

    fn open(kind: unix.Kind) !Pair {
        var pair: unix.Pair = undefined;
        try support.expectResult(0, unix.makePair(kind, &pair));
        return .{ .left = pair.left, .right = pair.right };
    }

    fn close(pair: Pair) void {
        support.closeDescriptor(pair.left);
        support.closeDescriptor(pair.right);
    }
};

const no_room: unix.Room = .{ .descriptors = 0, .has_sender = false };
const nameless: unix.Address = .{ .length = 0, .bytes = @splat(0) };

fn nameOf(bytes: []const u8) unix.Address {
    var name = nameless;
    name.length = @intCast(bytes.len);
    @memcpy(name.bytes[0..bytes.len], bytes);
    return name;
}

/// A name that nobody else has: an abstract one where there are such.
fn ownName(comptime purpose: []const u8) unix.Address {
    var buffer: [108]u8 = undefined;
    const first = if (support.features.has_abstract_names) "\x00" else "";
    const text = std.fmt.bufPrint(&buffer, first ++ "bun-reactor {s} {d}", .{ purpose, support.clock.monotonicNow_ns() }) catch unreachable;
    return nameOf(text);
}

/// An abstract name goes with its socket, a path does not.
fn giveBack(name: *const unix.Address) void {
    if (!support.features.has_abstract_names) _ = removePath(name);
}

fn removePath(name: *const unix.Address) i32 {
    var path: [109:0]u8 = @splat(0);
    @memcpy(path[0..name.length], name.bytes[0..name.length]);
    return system.removeFile(&path);
}

fn create(kind: unix.Kind) !i32 {
    if (!system.hasUnixSockets()) return support.skip("this host has no unix sockets");
    return support.check(unix.create(kind));
}

fn bound(kind: unix.Kind, name: *const unix.Address) !i32 {
    const descriptor = try create(kind);
    errdefer support.closeDescriptor(descriptor);
    try support.expectResult(0, unix.bind(descriptor, name));
    return descriptor;
}

fn localOf(descriptor: i32) !unix.Address {
    var name: unix.Address = undefined;
    try support.expectResult(0, unix.localAddress(descriptor, &name));
    return name;
}

fn peerOf(descriptor: i32) !unix.Address {
    var name: unix.Address = undefined;
    try support.expectResult(0, unix.peerAddress(descriptor, &name));
    return name;
}

fn received(descriptor: i32, expected: []const u8, room: unix.Room) !unix.Message {
    return receivedAs(.datagram, descriptor, expected, room);
}

fn receivedAs(kind: unix.Kind, descriptor: i32, expected: []const u8, room: unix.Room) !unix.Message {
    var buffer: [64]u8 = undefined;
    var message: unix.Message = undefined;
    const count = try support.check(unix.receive(descriptor, &buffer, kind, room, &message));
    try std.testing.expectEqualStrings(expected, buffer[0..@intCast(count)]);
    return message;
}

fn expectName(expected: *const unix.Address, name: unix.Address) !void {
    try std.testing.expectEqualStrings(expected.bytes[0..expected.length], name.bytes[0..name.length]);
}

fn expectOwn(credentials: unix.Credentials) !void {
    try std.testing.expectEqual(system.currentUser(), credentials);
}

const access_mode = 3;
const read_only = 0;
const write_only = 1;
