//! The socket calls, on the loopback interface.

const std = @import("std");
const support = @import("support.zig");

const Connection = support.Connection;
const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const socket = support.socket;
const system = support.system;

const Address = socket.Address;
const ipv4 = Address.ipv4;
const ipv6 = Address.ipv6;

const token = support.tokenOf(1);

test "IPv4: connect, accept, send, receive, end of file" {
    try expectConversation(ipv4);
}

test "IPv6: connect, accept, send, receive, end of file" {
    try expectConversation(ipv6);
}

test "IPv4: both sides agree on local and peer address" {
    try expectAddresses(ipv4);
}

test "IPv6: both sides agree on local and peer address" {
    try expectAddresses(ipv6);
}

test "an address comes back as it was bound: port and bytes" {
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    var wanted = support.loopback(ipv4, 0);
    // All of 127.0.0.0/8 is the loopback interface.
    wanted.bytes[0..4].* = .{ 127, 1, 2, 3 };
    try support.expectResult(0, socket.bind(descriptor, &wanted));
    var given: Address = undefined;
    try support.expectResult(0, socket.localAddress(descriptor, &given));
    try std.testing.expect(given.port > 0 and given.port <= std.math.maxInt(u16));
    wanted.port = given.port;
    try std.testing.expectEqual(wanted, given);

    // The same port by its number: only one byte order makes that refused.
    const other = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(other);
    try support.expectResult(-Errno.address_in_use, socket.bind(other, &given));
}

test "a port is a number in host byte order" {
    // What the kernel keeps is read past the library: family, port (network order), address.
    const descriptor = try support.bound(ipv4);
    defer support.closeDescriptor(descriptor);
    var native: [16]u8 = undefined;
    try support.expectResult(0, system.nativeLocalAddress(descriptor, &native));
    var address: Address = undefined;
    try support.expectResult(0, socket.localAddress(descriptor, &address));
    try std.testing.expectEqual(std.mem.readInt(u16, native[2..4], .big), address.port);
    try std.testing.expectEqualSlices(u8, native[4..8], address.bytes[0..4]);
}

test "an unknown family is refused with EAFNOSUPPORT" {
    for ([_]u32{ 0, 1, 2, 5, 10, std.math.maxInt(u32) }) |family| {
        try support.expectResult(-Errno.family_not_supported, socket.create(family));
        const descriptor = try support.check(socket.create(ipv4));
        defer support.closeDescriptor(descriptor);
        var address = support.loopback(ipv4, 0);
        address.family = family;
        try support.expectResult(-Errno.family_not_supported, socket.bind(descriptor, &address));
        try support.expectResult(-Errno.family_not_supported, socket.connect(descriptor, &address));
    }
}

test "a socket of another family has no internet address: EAFNOSUPPORT" {
    if (!support.features.has_local_pairs) return support.skip("this system has no pairs of another family");
    const pair: Pair = try .open();
    defer pair.close();
    var address: Address = undefined;
    try support.expectResult(-Errno.family_not_supported, socket.localAddress(pair.own, &address));
    try support.expectResult(-Errno.family_not_supported, socket.peerAddress(pair.own, &address));
}

test "a socket without a connection has no peer: ENOTCONN" {
    const descriptor = try support.bound(ipv4);
    defer support.closeDescriptor(descriptor);
    var address: Address = undefined;
    try support.expectResult(-Errno.not_connected, socket.peerAddress(descriptor, &address));
    var byte: [1]u8 = undefined;
    try support.expectResult(-Errno.not_connected, socket.receive(descriptor, &byte, 1));
    try support.expectResult(-Errno.not_connected, socket.shutdown(descriptor, .both));
}

test "an address that a listener has is refused with EADDRINUSE" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));
    const other = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(other);
    try support.expectResult(-Errno.address_in_use, socket.bind(other, &address));
    try support.expectResult(0, socket.setOption(other, .reuse_address, 1));
    try support.expectResult(-Errno.address_in_use, socket.bind(other, &address));
}

test "two listeners share a port when both ask for it" {
    if (!support.features.has_shared_ports) return support.skip("this system shares no port among listeners");
    const first = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(first);
    const second = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(second);
    var address = support.loopback(ipv4, 0);
    try support.expectResult(0, socket.setOption(first, .reuse_port, 1));
    try support.expectResult(0, socket.setOption(second, .reuse_port, 1));
    try support.expectResult(0, socket.bind(first, &address));
    try support.expectResult(0, socket.localAddress(first, &address));
    try support.expectResult(0, socket.bind(second, &address));
    try support.expectResult(0, socket.listen(first, 1));
    try support.expectResult(0, socket.listen(second, 1));
}

test "accept without a connection would block: EAGAIN" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    try support.expectResult(-Errno.again, socket.accept(listener));
}

test "accept on what is no listener is refused" {
    const descriptor = try support.bound(ipv4);
    defer support.closeDescriptor(descriptor);
    try support.expectResult(-Errno.invalid_argument, socket.accept(descriptor));
    try support.expectResult(-Errno.bad_descriptor, socket.accept(-1));
}

test "a connect that nobody listens for: ECONNREFUSED, told once" {
    const closed_port = try support.bound(ipv4);
    defer support.closeDescriptor(closed_port);
    var address: Address = undefined;
    try support.expectResult(0, socket.localAddress(closed_port, &address));
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    try support.expectResult(-Errno.in_progress, socket.connect(descriptor, &address));
    try support.untilReady(descriptor, .writable);
    try support.expectResult(-Errno.connection_refused, socket.takeError(descriptor));
    if (system.isWine()) return support.skip("Wine keeps the error of a connect that was taken");
    try support.expectResult(0, socket.takeError(descriptor));
}

test "a connect after the connection is made: once 0, then EISCONN" {
    const connection: Connection = try .open(ipv4);
    defer connection.close();
    var address: Address = undefined;
    try support.expectResult(0, socket.peerAddress(connection.own, &address));
    // connect(2) itself reports the end of a connect that went on in the background, once; Winsock does not.
    if (support.features.tells_connect_once) try support.expectResult(0, socket.connect(connection.own, &address));
    try support.expectResult(-Errno.is_connected, socket.connect(connection.own, &address));
}

test "created and accepted sockets are non-blocking and closed on exec" {
    const connection: Connection = try .open(ipv4);
    defer connection.close();
    for ([_]i32{ connection.own, connection.peer }) |descriptor| {
        try std.testing.expect(try system.isCloseOnExec(descriptor));
        if (support.features.has_status_flags) try std.testing.expect(try system.isNonBlocking(descriptor));
        var byte: [1]u8 = undefined;
        try support.expectResult(-Errno.again, socket.receive(descriptor, &byte, 1));
    }
}

test "a send that does not fit is short, then would block, and goes on once it is writable" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, support.writable, .edge);
    try poller.expectOnly(token, support.writable);
    const sent = try support.fill(connection.own);
    try std.testing.expect(sent > 0);
    try poller.rearm(connection.own, support.writable);
    var received: usize = 0;
    while (received < sent) {
        try support.untilReady(connection.peer, .readable);
        received += try support.drain(connection.peer);
    }
    try std.testing.expectEqual(sent, received);
    try poller.expectOnly(token, support.writable);
    try support.expectResult(1, socket.send(connection.own, "a", 1));
}

test "a vectored send joins its parts in order, empty ones too" {
    const connection: Connection = try .open(ipv4);
    defer connection.close();
    const parts = [_]socket.Part{ partOf("one "), partOf(""), partOf("two "), partOf("three") };
    try support.expectResult(13, socket.sendVectored(connection.own, &parts, parts.len));
    try support.untilReady(connection.peer, .readable);
    try support.expectRead(connection.peer, "one two three");
    try support.expectResult(0, socket.sendVectored(connection.own, &parts, 0));
}

test "a vectored send that does not fit is short" {
    const pair: Pair = try .open();
    defer pair.close();
    const part: [64 * 1024]u8 = @splat('x');
    const parts: [1024]socket.Part = @splat(partOf(&part));
    var sent: usize = 0;
    while (true) {
        const result = socket.sendVectored(pair.own, &parts, parts.len);
        if (result == -Errno.again) break;
        sent += @intCast(try support.check(result));
    }
    try std.testing.expect(sent > 0 and sent < parts.len * part.len);
    try std.testing.expectEqual(sent, try support.drain(pair.peer));
}

test "a vectored send of more parts than the kernel takes: EMSGSIZE, or as many as it takes" {
    const pair: Pair = try .open();
    defer pair.close();
    const most_parts = 1024; // IOV_MAX
    const parts: [most_parts + 1]socket.Part = @splat(partOf("a"));
    if (!support.features.refuses_many_parts) {
        const sent = try support.check(socket.sendVectored(pair.own, &parts, parts.len));
        try std.testing.expect(sent > 0 and sent <= parts.len);
        return pair.peerReads(@intCast(sent));
    }
    try support.expectResult(most_parts, socket.sendVectored(pair.own, &parts, most_parts));
    try support.expectResult(-Errno.message_size, socket.sendVectored(pair.own, &parts, most_parts + 1));
}

test "a send after the own half was shut down gives EPIPE" {
    const connection: Connection = try .open(ipv4);
    defer connection.close();
    try support.expectResult(0, socket.shutdown(connection.own, .write));
    const parts = [_]socket.Part{partOf("a")};
    for (0..2) |_| {
        try support.expectResult(-Errno.broken_pipe, socket.send(connection.own, "a", 1));
        try support.expectResult(-Errno.broken_pipe, socket.sendVectored(connection.own, &parts, 1));
    }
}

test "a send to a closed peer gives EPIPE, and no signal" {
    if (!support.features.has_signals) return support.skip("this system has no signal for a send to a closed peer");
    // Zig's start code ignores the signal, so that its default action would not show.
    var handler: system.Handler = .install(.pipe);
    defer handler.remove();
    const parts = [_]socket.Part{partOf("a")};

    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.own);
    support.closeDescriptor(pair.peer);
    try support.expectResult(-Errno.broken_pipe, socket.send(pair.own, "a", 1));
    try support.expectResult(-Errno.broken_pipe, socket.sendVectored(pair.own, &parts, 1));

    const connection: Connection = try .open(ipv4);
    defer connection.close();
    try support.expectResult(0, socket.shutdown(connection.own, .write));
    try support.expectResult(-Errno.broken_pipe, socket.send(connection.own, "a", 1));
    try support.expectResult(-Errno.broken_pipe, socket.sendVectored(connection.own, &parts, 1));
    try std.testing.expectEqual(0, system.Handler.seen());

    // The handler does see one: a send that asks for no exception.
    try support.expectResult(-Errno.broken_pipe, system.sendWithSignal(pair.own, "a"));
    try std.testing.expectEqual(1, system.Handler.seen());
}

test "a close with a linger of 0 resets the connection: ECONNRESET, then end of file and EPIPE" {
    const connection: Connection = try .open(ipv4);
    defer support.closeDescriptor(connection.own);
    try support.expectResult(0, socket.setOption(connection.peer, .linger_s, 0));
    try support.expectResult(0, socket.close(connection.peer));
    try support.untilReady(connection.own, .readable);
    var byte: [1]u8 = undefined;
    const result = socket.receive(connection.own, &byte, 1);
    if (result == 0 and system.isWine()) return support.skip(support.emulator.no_reset);
    try support.expectResult(-Errno.connection_reset, result);
    if (!support.features.forgets_resets) return;
    try support.expectResult(0, socket.receive(connection.own, &byte, 1));
    try support.expectResult(-Errno.broken_pipe, socket.send(connection.own, "a", 1));
}

test "takeError tells a reset once" {
    const connection: Connection = try .open(ipv4);
    defer support.closeDescriptor(connection.own);
    try support.expectResult(0, socket.takeError(connection.own));
    try support.expectResult(0, socket.setOption(connection.peer, .linger_s, 0));
    try support.expectResult(0, socket.close(connection.peer));
    try support.untilReady(connection.own, .readable);
    if (!support.features.forgets_resets) return support.skip("this system tells a reset to every receive, and to nobody who asks");
    try support.expectResult(-Errno.connection_reset, socket.takeError(connection.own));
    try support.expectResult(0, socket.takeError(connection.own));
}

test "each shutdown closes its own half" {
    for ([_]socket.Half{ .read, .write, .both }) |half| {
        const pair: Pair = try .open();
        defer pair.close();
        try support.expectResult(0, socket.shutdown(pair.own, half));
        var byte: [1]u8 = undefined;
        const read_result: i32 = if (half == .write) -Errno.again else 0;
        try support.expectResult(read_result, socket.receive(pair.own, &byte, 1));
        const send_result: i32 = if (half == .read) 1 else -Errno.broken_pipe;
        try support.expectResult(send_result, socket.send(pair.own, "a", 1));
    }
}

test "options are read back as they were set" {
    const Case = struct { option: socket.Option, values: []const i32 };
    const cases = [_]Case{
        .{ .option = .no_delay, .values = &.{ 1, 0 } },
        .{ .option = .keep_alive, .values = &.{ 1, 0 } },
        .{ .option = .keep_alive_idle_s, .values = &.{ 30, 7200 } },
        .{ .option = .keep_alive_interval_s, .values = &.{ 5, 75 } },
        .{ .option = .keep_alive_count, .values = &.{ 3, 9 } },
        .{ .option = .reuse_address, .values = &.{ 1, 0 } },
        .{ .option = .reuse_port, .values = &.{ 1, 0 } },
        .{ .option = .linger_s, .values = &.{ 0, 7, -1 } },
    };
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    var has_gap = false;
    for (cases) |case| {
        if (!support.features.has_shared_ports and isOfSharing(case.option)) continue;
        for (case.values) |wanted| {
            const result = socket.setOption(descriptor, case.option, wanted);
            if (isWineGap(result)) {
                has_gap = true;
                continue;
            }
            try support.expectResult(0, result);
            var value: i32 = 12345;
            try support.expectResult(0, socket.getOption(descriptor, case.option, &value));
            try std.testing.expectEqual(wanted, value);
        }
    }
    if (has_gap) return support.skip(no_keep_alive);
}

test "each option is the kernel's option of that name" {
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    var has_gap = false;
    for (system.native_options) |case| {
        const result = socket.setOption(descriptor, case.option, case.value);
        if (isWineGap(result)) {
            has_gap = true;
            continue;
        }
        try support.expectResult(0, result);
        // SO_LINGER is a structure whose first word says whether it is on.
        var value: [2]i32 = @splat(0);
        try support.expectResult(0, system.nativeOption(descriptor, case.level, case.name, &value));
        try std.testing.expectEqual(case.kernel_value, value[0]);
    }
    if (has_gap) return support.skip(no_keep_alive);
}

test "setting one option changes no other" {
    const options = [_]socket.Option{
        .no_delay,
        .keep_alive,
        .keep_alive_idle_s,
        .keep_alive_interval_s,
        .keep_alive_count,
        .reuse_address,
        .reuse_port,
        .linger_s,
    };
    var has_gap = false;
    for (options) |changed| {
        const descriptor = try support.check(socket.create(ipv4));
        defer support.closeDescriptor(descriptor);
        if (!support.features.has_shared_ports and isOfSharing(changed)) continue;
        if (try optionOf(descriptor, changed) == null) {
            has_gap = true;
            continue;
        }
        var before: [options.len]?i32 = undefined;
        for (options, &before) |option, *value| value.* = try optionOf(descriptor, option);
        try support.expectResult(0, socket.setOption(descriptor, changed, 11));
        for (options, before) |option, old| {
            try std.testing.expectEqual(option == changed, try optionOf(descriptor, option) != old);
        }
    }
    if (has_gap) return support.skip(no_keep_alive);
}

test "a new socket does not linger" {
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    var value: i32 = 12345;
    try support.expectResult(0, socket.getOption(descriptor, .linger_s, &value));
    try std.testing.expectEqual(-1, value);
}

test "the kernel gives at least the buffers that were asked for, each its own" {
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    // socket(7): Linux doubles the value for its own bookkeeping, and has a minimum and a maximum.
    try support.expectResult(0, socket.setOption(descriptor, .receive_buffer_bytes, 32 * 1024));
    try support.expectResult(0, socket.setOption(descriptor, .send_buffer_bytes, 48 * 1024));
    var value: i32 = 0;
    try support.expectResult(0, socket.getOption(descriptor, .receive_buffer_bytes, &value));
    try std.testing.expectEqual(support.features.buffer_factor * 32 * 1024, value);
    try support.expectResult(0, socket.getOption(descriptor, .send_buffer_bytes, &value));
    try std.testing.expectEqual(support.features.buffer_factor * 48 * 1024, value);
}

test "IPv6: a socket can be bound to IPv6 alone, or to both families" {
    support.closeDescriptor(try support.bound(ipv6));
    for ([_]i32{ 0, 1 }) |wanted| {
        const descriptor = try support.check(socket.create(ipv6));
        defer support.closeDescriptor(descriptor);
        try support.expectResult(0, socket.setOption(descriptor, .ipv6_only, wanted));
        var value: i32 = 12345;
        try support.expectResult(0, socket.getOption(descriptor, .ipv6_only, &value));
        try std.testing.expectEqual(wanted, value);
        // The IPv4 loopback address in its IPv6 form, ::ffff:127.0.0.1.
        var mapped: Address = .{ .family = ipv6, .port = 0, .scope = 0, .bytes = @splat(0) };
        mapped.bytes[10..16].* = .{ 0xff, 0xff, 127, 0, 0, 1 };
        const expected: i32 = if (wanted == 1) -Errno.invalid_argument else 0;
        try support.expectResult(expected, socket.bind(descriptor, &mapped));
    }
}

test "a closed number is refused by every call with EBADF" {
    const number = try support.closedNumber();
    var address = support.loopback(ipv4, 0);
    var byte: [1]u8 = undefined;
    var value: i32 = 0;
    const parts = [_]socket.Part{partOf("a")};
    const results = [_]i32{
        socket.bind(number, &address),
        socket.listen(number, 1),
        socket.accept(number),
        socket.connect(number, &address),
        socket.takeError(number),
        socket.receive(number, &byte, 1),
        socket.send(number, &byte, 1),
        socket.sendVectored(number, &parts, 1),
        socket.shutdown(number, .both),
        socket.setOption(number, .no_delay, 1),
        socket.setOption(number, .linger_s, 1),
        socket.getOption(number, .no_delay, &value),
        socket.getOption(number, .linger_s, &value),
        socket.localAddress(number, &address),
        socket.peerAddress(number, &address),
        socket.close(number),
    };
    try support.expectEach(-Errno.bad_descriptor, &results);
}

fn expectConversation(family: u32) !void {
    const connection: Connection = try .open(family);
    defer connection.close();
    var buffer: [16]u8 = undefined;
    try support.expectResult(-Errno.again, socket.receive(connection.peer, &buffer, buffer.len));
    try support.expectResult(5, socket.send(connection.own, "hello", 5));
    try support.untilReady(connection.peer, .readable);
    try support.expectResult(5, socket.receive(connection.peer, &buffer, buffer.len));
    try std.testing.expectEqualStrings("hello", buffer[0..5]);
    try support.expectResult(3, socket.send(connection.peer, "you", 3));
    try support.untilReady(connection.own, .readable);
    try support.expectResult(2, socket.receive(connection.own, &buffer, 2));
    try support.expectResult(1, socket.receive(connection.own, &buffer, 2));
    try support.expectResult(0, socket.shutdown(connection.own, .write));
    try support.untilReady(connection.peer, .readable);
    try support.expectResult(0, socket.receive(connection.peer, &buffer, buffer.len));
}

fn expectAddresses(family: u32) !void {
    const connection: Connection = try .open(family);
    defer connection.close();
    var own_local: Address = undefined;
    var own_peer: Address = undefined;
    var peer_local: Address = undefined;
    var peer_peer: Address = undefined;
    try support.expectResult(0, socket.localAddress(connection.own, &own_local));
    try support.expectResult(0, socket.peerAddress(connection.own, &own_peer));
    try support.expectResult(0, socket.localAddress(connection.peer, &peer_local));
    try support.expectResult(0, socket.peerAddress(connection.peer, &peer_peer));
    try std.testing.expectEqual(own_local, peer_peer);
    try std.testing.expectEqual(own_peer, peer_local);
    try std.testing.expect(own_local.port != own_peer.port);
    try std.testing.expectEqual(support.loopback(family, own_local.port), own_local);
}

/// Null for what this system has not.
fn optionOf(descriptor: i32, option: socket.Option) !?i32 {
    var value: i32 = 12345;
    const result = socket.getOption(descriptor, option, &value);
    if (option == .reuse_port and !support.features.has_shared_ports) {
        try support.expectResult(-Errno.not_supported, result);
        return null;
    }
    if (isWineGap(result)) return null;
    try support.expectResult(0, result);
    return value;
}

/// Wine 8 does not know the options of keep-alive.
fn isWineGap(result: i32) bool {
    return result == -Errno.no_such_option and system.isWine();
}

const no_keep_alive = "Wine does not know the times and the count of keep-alive";

/// Of a port by several sockets of a stream.
fn isOfSharing(option: socket.Option) bool {
    return option == .reuse_address or option == .reuse_port;
}

fn partOf(text: []const u8) socket.Part {
    return .{ .base = text.ptr, .length = text.len };
}
