//! The datagram calls, on the loopback interface.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Poller = support.Poller;
const datagram = support.datagram;
const emulator = support.emulator;
const socket = support.socket;
const system = support.system;

const Address = socket.Address;
const Slot = datagram.Slot;
const ipv4 = Address.ipv4;
const ipv6 = Address.ipv6;

const token = support.tokenOf(1);

test "IPv4: a datagram arrives whole, with the address of its sender, and can be answered" {
    try expectEcho(ipv4, .ipv4);
}

test "IPv6: a datagram arrives whole, with the address of its sender, and can be answered" {
    try expectEcho(ipv6, .ipv6);
}

test "there is nothing to receive: EAGAIN, in both ways" {
    const descriptor = try bound(ipv4);
    defer support.closeDescriptor(descriptor);
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(-Errno.again, datagram.receive(descriptor, &byte, &slot));
    try support.expectResult(-Errno.again, datagram.receiveBatch(descriptor, &byte, 1, (&slot)[0..1]));
}

test "a socket is non-blocking and is closed by exec" {
    const descriptor = try support.check(datagram.create(ipv4));
    defer support.closeDescriptor(descriptor);
    try std.testing.expect(try system.isCloseOnExec(descriptor));
    if (support.features.has_status_flags) try std.testing.expect(try system.isNonBlocking(descriptor));
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(0, socket.bind(descriptor, &support.loopback(ipv4, 0)));
    try support.expectResult(-Errno.again, datagram.receive(descriptor, &byte, &slot));
}

test "an unknown family is refused with EAFNOSUPPORT" {
    for ([_]u32{ 0, 1, 2, 10, std.math.maxInt(u32) }) |family| {
        try support.expectResult(-Errno.family_not_supported, datagram.create(family));
    }
}

test "a truncated datagram says how long it was, and the rest of it is gone" {
    const pair: Pair = try .open();
    defer pair.close();
    try support.expectResult(10, datagram.send(pair.sender, .ipv4, "0123456789", &pair.address));
    try support.expectResult(1, datagram.send(pair.sender, .ipv4, "x", &pair.address));
    var buffer: [4]u8 = @splat(0);
    var slot: Slot = undefined;
    try support.expectResult(10, datagram.receive(pair.receiver, &buffer, &slot));
    try std.testing.expectEqual(10, slot.length);
    try std.testing.expectEqualStrings("0123", &buffer);
    try support.expectResult(1, datagram.receive(pair.receiver, &buffer, &slot));
    try std.testing.expectEqual('x', buffer[0]);
}

test "an empty datagram goes and comes" {
    const pair: Pair = try .open();
    defer pair.close();
    try support.expectResult(0, datagram.send(pair.sender, .ipv4, "", &pair.address));
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(0, datagram.receive(pair.receiver, &byte, &slot));
    try std.testing.expectEqual(0, slot.length);
    try std.testing.expectEqual(ipv4, slot.address.family);
}

test "a batch goes and comes in order, each datagram in its slot with its length and its sender" {
    const pair: Pair = try .open();
    defer pair.close();
    var out: [5 * 8]u8 = undefined;
    var out_slots: [5]Slot = undefined;
    for (&out_slots, 0..) |*slot, index| {
        slot.* = .{ .length = @intCast(index), .address = pair.address };
        @memset(out[index * 8 ..][0..8], 'a' + @as(u8, @intCast(index)));
    }
    try support.expectResult(5, datagram.sendBatch(pair.sender, .ipv4, &out, 8, &out_slots));

    var in: [6 * 8]u8 = @splat(0);
    var in_slots: [6]Slot = undefined;
    try support.expectResult(5, datagram.receiveBatch(pair.receiver, &in, 8, &in_slots));
    const sender = try localAddress(pair.sender);
    for (in_slots[0..5], 0..) |slot, index| {
        try std.testing.expectEqual(@as(u32, @intCast(index)), slot.length);
        try std.testing.expectEqual(sender, slot.address);
        const expected: [8]u8 = @splat('a' + @as(u8, @intCast(index)));
        try std.testing.expectEqualStrings(expected[0..index], in[index * 8 ..][0..index]);
    }
}

test "a batch takes no more than it has slots, and leaves the rest for the next" {
    const pair: Pair = try .open();
    defer pair.close();
    for (0..5) |index| {
        const byte = [1]u8{'a' + @as(u8, @intCast(index))};
        try support.expectResult(1, datagram.send(pair.sender, .ipv4, &byte, &pair.address));
    }
    var bytes: [3]u8 = undefined;
    var slots: [3]Slot = undefined;
    try support.expectResult(3, datagram.receiveBatch(pair.receiver, &bytes, 1, &slots));
    try std.testing.expectEqualStrings("abc", &bytes);
    try support.expectResult(2, datagram.receiveBatch(pair.receiver, &bytes, 1, &slots));
    try std.testing.expectEqualStrings("de", bytes[0..2]);
}

test "a batch of all slots that there can be" {
    const pair: Pair = try .open();
    defer pair.close();
    var out: [datagram.most_slots]u8 = @splat('x');
    var slots: [datagram.most_slots]Slot = @splat(.{ .length = 1, .address = pair.address });
    try support.expectResult(datagram.most_slots, datagram.sendBatch(pair.sender, .ipv4, &out, 1, &slots));
    try support.expectResult(datagram.most_slots, datagram.receiveBatch(pair.receiver, &out, 1, &slots));
    try support.expectResult(-Errno.again, datagram.receiveBatch(pair.receiver, &out, 1, &slots));
}

test "a truncated datagram of a batch says how long it was, and its neighbours are whole" {
    const pair: Pair = try .open();
    defer pair.close();
    for ([_][]const u8{ "ab", "0123456789", "cd" }) |text| {
        try support.expectResult(@intCast(text.len), datagram.send(pair.sender, .ipv4, text, &pair.address));
    }
    var bytes: [3 * 4]u8 = @splat('.');
    var slots: [3]Slot = undefined;
    try support.expectResult(3, datagram.receiveBatch(pair.receiver, &bytes, 4, &slots));
    try std.testing.expectEqualStrings("ab..0123cd..", &bytes);
    try std.testing.expectEqual(10, slots[1].length);
    try std.testing.expectEqual(2, slots[2].length);
}

test "a batch ends before an address that the socket cannot send to, and says so when it is the first" {
    const pair: Pair = try .open();
    defer pair.close();
    var slots: [3]Slot = @splat(.{ .length = 1, .address = pair.address });
    slots[1].address = support.loopback(ipv6, pair.address.port);
    try support.expectResult(1, datagram.sendBatch(pair.sender, .ipv4, "abc", 1, &slots));
    try support.expectResult(-Errno.family_not_supported, datagram.sendBatch(pair.sender, .ipv4, "bc", 1, slots[1..]));
    try support.expectResult(1, datagram.sendBatch(pair.sender, .ipv4, "c", 1, slots[2..]));
    var bytes: [3]u8 = undefined;
    try support.expectResult(2, datagram.receiveBatch(pair.receiver, &bytes, 1, &slots));
    try std.testing.expectEqualStrings("ac", bytes[0..2]);
}

test "a batch ends before what the system refuses, and says so when it is the first" {
    const pair: Pair = try .open();
    defer pair.close();
    var slots: [3]Slot = @splat(.{ .length = 1, .address = pair.address });
    slots[1].address.port = 0;
    try support.expectResult(1, datagram.sendBatch(pair.sender, .ipv4, "abc", 1, &slots));
    try support.expectResult(-Errno.invalid_argument, datagram.sendBatch(pair.sender, .ipv4, "bc", 1, slots[1..]));
}

test "without a destination a datagram goes to the connected peer, one by one and in a batch" {
    const pair: Pair = try .open();
    defer pair.close();
    const nowhere = datagram.send(pair.sender, .ipv4, "x", null);
    const has_gap = nowhere == -Errno.invalid_argument and system.isWine();
    if (!has_gap) try support.expectResult(-Errno.destination_required, nowhere);
    try support.expectResult(0, socket.connect(pair.sender, &pair.address));
    try support.expectResult(1, datagram.send(pair.sender, .ipv4, "a", null));
    const none: Address = .{ .family = 0, .port = 0, .scope = 0, .bytes = @splat(0) };
    const slots: [2]Slot = @splat(.{ .length = 1, .address = none });
    try support.expectResult(2, datagram.sendBatch(pair.sender, .ipv4, "bc", 1, &slots));
    for ("abc") |expected| {
        var byte: [1]u8 = undefined;
        var slot: Slot = undefined;
        try support.expectResult(1, datagram.receive(pair.receiver, &byte, &slot));
        try std.testing.expectEqual(expected, byte[0]);
    }
    if (has_gap) return support.skip("Wine has no error of its own for a datagram to nobody");
}

test "disconnect takes the connection back, and anybody is heard again" {
    const pair: Pair = try .open();
    defer pair.close();
    try support.expectResult(0, socket.connect(pair.receiver, &support.loopback(ipv4, 9)));
    try support.expectResult(0, datagram.disconnect(pair.receiver));
    var peer: Address = undefined;
    try support.expectResult(-Errno.not_connected, socket.peerAddress(pair.receiver, &peer));
    // Linux takes a port away with the connection if it has chosen it.
    var address = pair.address;
    const has_lost_port = (try localAddress(pair.receiver)).port == 0;
    if (has_lost_port and system.isWine()) return support.skip("Linux takes a port away with the connection, and Wine does not notice");
    if (has_lost_port) try support.expectResult(0, socket.bind(pair.receiver, &address));
    try std.testing.expectEqual(address, try localAddress(pair.receiver));
    try support.expectResult(1, datagram.send(pair.sender, .ipv4, "x", &address));
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(1, datagram.receive(pair.receiver, &byte, &slot));
}

test "that nobody is there is an event without anything to read, then an error of one call, and the socket goes on" {
    try support.external.needKeptErrors();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.sender);
    try support.expectResult(0, socket.connect(pair.sender, &pair.address));
    support.closeDescriptor(pair.receiver);
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    try poller.register(pair.sender, token, support.readable, .edge);
    try poller.expectNothing();
    try support.expectResult(1, datagram.send(pair.sender, .ipv4, "x", null));
    try poller.expectOnly(token, support.failed);
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    const refused = datagram.receive(pair.sender, &byte, &slot);
    if (refused == -Errno.again and system.isWine()) return support.skip("Wine takes the error of a datagram when it tells the event");
    try support.expectResult(-Errno.connection_refused, refused);
    try support.expectResult(-Errno.again, datagram.receive(pair.sender, &byte, &slot));
    try support.expectResult(1, datagram.send(pair.sender, .ipv4, "x", null));
}

test "a socket for both families sends to IPv4, and names its peers in mapped form" {
    const receiver = try bound(ipv4);
    defer support.closeDescriptor(receiver);
    const sender = try boundToBoth();
    defer support.closeDescriptor(sender);
    const receiver_address = try localAddress(receiver);
    try support.expectResult(1, datagram.send(sender, .both, "x", &receiver_address));
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(1, datagram.receive(receiver, &byte, &slot));
    try std.testing.expectEqual(ipv4, slot.address.family);

    try support.expectResult(1, datagram.send(receiver, .ipv4, "y", &slot.address));
    try support.expectResult(1, datagram.receive(sender, &byte, &slot));
    try std.testing.expectEqual(ipv6, slot.address.family);
    try std.testing.expectEqualSlices(u8, &.{ 0xff, 0xff, 127, 0, 0, 1 }, slot.address.bytes[10..16]);
    // As it came it goes back.
    try support.expectResult(1, datagram.sendBatch(sender, .both, "z", 1, &.{.{ .length = 1, .address = slot.address }}));
    try support.expectResult(1, datagram.receive(receiver, &byte, &slot));
    try std.testing.expectEqual('z', byte[0]);
}

test "an address of the other family is refused with EAFNOSUPPORT" {
    const descriptor = try support.check(datagram.create(ipv4));
    defer support.closeDescriptor(descriptor);
    const refused = -Errno.family_not_supported;
    try support.expectResult(refused, datagram.send(descriptor, .ipv4, "x", &support.loopback(ipv6, 9)));
    try support.expectResult(refused, datagram.send(descriptor, .ipv6, "x", &support.loopback(ipv4, 9)));
}

test "options reach the kernel, each its own" {
    const both = try boundToBoth();
    defer support.closeDescriptor(both);
    var has_gap = false;
    for (system.native_datagram_options) |case| {
        if (case.option == .multicast_interface and !emulator.knowsMulticastInterface(case.family)) {
            has_gap = true;
            continue;
        }
        try support.expectResult(0, datagram.setOption(both, case.family, case.option, case.value));
        var value: [2]i32 = .{ 12345, 12345 };
        try support.expectResult(0, system.nativeOption(both, case.level, case.name, &value));
        try std.testing.expectEqual(case.kernel_value orelse case.value, value[0]);
    }
    if (has_gap or !emulator.knowsMulticastInterface(ipv4)) return support.skip(emulator.no_multicast_interface);
    try support.expectResult(0, datagram.setOption(both, ipv4, .multicast_interface, 1));
}

test "an interface has a number, and what is none has ENODEV" {
    try support.expectResult(1, datagram.interfaceIndex(support.features.loopback_interface));
    try support.expectResult(-Errno.no_such_device, datagram.interfaceIndex("none-such"));
    try support.expectResult(-Errno.no_such_device, datagram.interfaceIndex("a-name-that-is-too-long"));
    try support.expectResult(-Errno.no_such_device, datagram.interfaceIndex(""));
}

test "IPv4: a member of a group gets what is sent to it until it leaves" {
    var group: Address = .{ .family = ipv4, .port = 0, .scope = 0, .bytes = @splat(0) };
    group.bytes[0..4].* = .{ 239, 77, 12, 5 };
    try expectMembership(ipv4, .ipv4, group);
}

test "IPv6: a member of a group gets what is sent to it until it leaves" {
    var group: Address = .{ .family = ipv6, .port = 0, .scope = 1, .bytes = @splat(0) };
    group.bytes[0] = 0xff;
    group.bytes[1] = 0x01;
    group.bytes[15] = 0x77;
    try expectMembership(ipv6, .ipv6, group);
}

test "a closed number is refused by every call with EBADF" {
    const number = try support.closedNumber();
    var address = support.loopback(ipv4, 9);
    var byte: [1]u8 = undefined;
    var slot: Slot = .{ .length = 1, .address = address };
    const results = [_]i32{
        datagram.disconnect(number),
        datagram.send(number, .ipv4, "x", &address),
        datagram.send(number, .ipv4, "x", null),
        datagram.receive(number, &byte, &slot),
        datagram.sendBatch(number, .ipv4, &byte, 1, (&slot)[0..1]),
        datagram.receiveBatch(number, &byte, 1, (&slot)[0..1]),
        datagram.setOption(number, ipv4, .broadcast, 1),
        datagram.setMembership(number, &address, 0, true),
    };
    try support.expectEach(-Errno.bad_descriptor, &results);
    if (!emulator.knowsMulticastInterface(ipv4)) return support.skip(emulator.no_multicast_interface);
    try support.expectResult(-Errno.bad_descriptor, datagram.setOption(number, ipv4, .multicast_interface, 1));
}

/// Two bound sockets, and the address of the one that receives.
const Pair = struct {
    sender: i32,
    receiver: i32,
    address: Address,

    fn open() !Pair {
        const sender = try bound(ipv4);
        errdefer support.closeDescriptor(sender);
        const receiver = try bound(ipv4);
        errdefer support.closeDescriptor(receiver);
        return .{ .sender = sender, .receiver = receiver, .address = try localAddress(receiver) };
    }

    fn close(pair: Pair) void {
        support.closeDescriptor(pair.sender);
        support.closeDescriptor(pair.receiver);
    }
};

fn expectEcho(family: u32, families: datagram.Families) !void {
    const server = try bound(family);
    defer support.closeDescriptor(server);
    const client = try bound(family);
    defer support.closeDescriptor(client);
    const server_address = try localAddress(server);
    try support.expectResult(5, datagram.send(client, families, "hello", &server_address));
    var buffer: [16]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(5, datagram.receive(server, &buffer, &slot));
    try std.testing.expectEqualStrings("hello", buffer[0..5]);
    try std.testing.expectEqual(try localAddress(client), slot.address);
    try support.expectResult(3, datagram.send(server, families, "you", &slot.address));
    try support.expectResult(3, datagram.receive(client, &buffer, &slot));
    try std.testing.expectEqualStrings("you", buffer[0..3]);
    try std.testing.expectEqual(server_address, slot.address);
}

/// On the loopback interface, whose number is 1 on every Linux.
fn expectMembership(family: u32, families: datagram.Families, group: Address) !void {
    const receiver = try boundTo(family, @splat(0));
    defer support.closeDescriptor(receiver);
    const sender = try bound(family);
    defer support.closeDescriptor(sender);
    if (!emulator.knowsMulticastInterface(family)) return support.skip(emulator.no_multicast_interface);
    try support.expectResult(0, datagram.setOption(sender, family, .multicast_interface, 1));
    var destination = group;
    destination.port = (try localAddress(receiver)).port;
    const joined = datagram.setMembership(receiver, &group, 1, true);
    if (joined == -Errno.no_such_device) return support.skip("groups cannot be joined on the loopback interface here");
    try support.expectResult(0, joined);
    try support.expectResult(-Errno.address_in_use, datagram.setMembership(receiver, &group, 1, true));
    const sent = datagram.send(sender, families, "x", &destination);
    if (sent == -Errno.network_unreachable) return support.skip("the loopback interface has no route to groups here");
    try support.expectResult(1, sent);
    try support.untilReady(receiver, .readable);
    var byte: [1]u8 = undefined;
    var slot: Slot = undefined;
    try support.expectResult(1, datagram.receive(receiver, &byte, &slot));

    try support.expectResult(0, datagram.setMembership(receiver, &group, 1, false));
    try support.expectResult(-Errno.address_not_available, datagram.setMembership(receiver, &group, 1, false));
    try support.expectResult(1, datagram.send(sender, families, "x", &destination));
    try support.expectResult(-Errno.again, datagram.receive(receiver, &byte, &slot));
}

fn bound(family: u32) !i32 {
    return boundTo(family, support.loopback(family, 0).bytes);
}

fn boundTo(family: u32, bytes: [16]u8) !i32 {
    if (family == ipv6 and !system.hasIpv6Loopback()) return support.skip("this host has no ::1");
    const descriptor = try support.check(datagram.create(family));
    errdefer support.closeDescriptor(descriptor);
    const address: Address = .{ .family = family, .port = 0, .scope = 0, .bytes = bytes };
    try support.expectResult(0, socket.bind(descriptor, &address));
    return descriptor;
}

fn boundToBoth() !i32 {
    if (!system.hasIpv6Loopback()) return support.skip("this host has no ::1");
    const descriptor = try support.check(datagram.create(ipv6));
    errdefer support.closeDescriptor(descriptor);
    try support.expectResult(0, socket.setOption(descriptor, .ipv6_only, 0));
    const any: Address = .{ .family = ipv6, .port = 0, .scope = 0, .bytes = @splat(0) };
    try support.expectResult(0, socket.bind(descriptor, &any));
    return descriptor;
}

fn localAddress(descriptor: i32) !Address {
    var address: Address = undefined;
    try support.expectResult(0, socket.localAddress(descriptor, &address));
    return address;
}
