//! Numbers that are closed, reused and duplicated. The token, and never the number, says whom an event is for.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const Token = support.Token;
const queue = support.queue;
const readable = support.readable;
const writable = support.writable;

const old_owner: Token = .{ .slot = 3, .generation = 1 };
const new_owner: Token = .{ .slot = 3, .generation = 2 };

test "a token comes back whole: every bit of slot and generation" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, .{ .slot = 0, .generation = 0 }, writable, .level);
    try poller.expectOnly(.{ .slot = 0, .generation = 0 }, writable);
    for (0..32) |bit| {
        const one_bit = @as(u32, 1) << @intCast(bit);
        for ([_]Token{
            .{ .slot = one_bit, .generation = 0 },
            .{ .slot = 0, .generation = one_bit },
            .{ .slot = ~one_bit, .generation = std.math.maxInt(u32) },
            .{ .slot = std.math.maxInt(u32), .generation = ~one_bit },
        }) |token| {
            try poller.reregister(pair.own, token, writable, .level);
            try poller.expectOnly(token, writable);
        }
    }
}

test "a descriptor that is closed while it is registered is silent from then on" {
    try support.external.needForgottenNumbers();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);

    try pair.peerWrites("a");
    try poller.register(pair.own, old_owner, readable, .level);
    support.closeDescriptor(pair.own);
    try poller.expectNothing();
    try support.expectResult(-Errno.bad_descriptor, queue.deregister(&poller.queue, pair.own));
}

test "a descriptor that is closed during a blocked poll is silent from then on" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);

    try poller.register(pair.own, old_owner, readable, .level);
    var blocked: support.BlockedPoll = undefined;
    try blocked.start(&poller);
    support.closeDescriptor(pair.own);
    try poller.wake();
    try support.expectResult(0, try blocked.join());
}

test "a late event of the number's earlier owner carries the earlier token" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const first: Pair = try .open();
    defer support.closeDescriptor(first.peer);

    try first.peerWrites("a");
    try poller.register(first.own, old_owner, readable, .edge);
    try poller.expectPushed(1);
    // The event lies in the ring. Its descriptor goes, and the number comes back for somebody else.
    try poller.deregister(first.own);
    support.closeDescriptor(first.own);
    const second: Pair = try .openWithNumber(first.own);
    defer second.close();
    try poller.register(second.own, new_owner, writable, .edge);
    try poller.expectPushed(1);

    try support.expectEntry(old_owner, readable, poller.take().?);
    try support.expectEntry(new_owner, writable, poller.take().?);
    try std.testing.expectEqual(null, poller.take());
}

test "a number that was closed without deregister can be registered again" {
    try support.external.needForgottenNumbers();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const first: Pair = try .open();
    defer support.closeDescriptor(first.peer);

    try poller.register(first.own, old_owner, readable, .level);
    support.closeDescriptor(first.own);
    const second: Pair = try .openWithNumber(first.own);
    defer second.close();
    try support.expectResult(-Errno.no_entry, queue.reregister(&poller.queue, second.own, new_owner, readable, .level));
    try poller.register(second.own, new_owner, readable, .level);
    try second.peerWrites("a");
    try poller.expectOnly(new_owner, readable);
}

test "deregister before close leaves no ghost, though a duplicate stays open" {
    if (!support.features.has_duplicates) return support.skip("this system's sockets have no duplicates");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);
    const duplicate = try support.system.duplicate(pair.own);
    defer support.closeDescriptor(duplicate);

    try poller.register(pair.own, old_owner, readable, .level);
    try poller.deregister(pair.own);
    support.closeDescriptor(pair.own);
    try pair.peerWrites("a");
    try poller.expectNothing();
}

test "a descriptor and its duplicate are two registrations" {
    if (!support.features.has_duplicates) return support.skip("this system's sockets have no duplicates");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();
    const duplicate = try support.system.duplicate(pair.own);
    defer support.closeDescriptor(duplicate);

    try poller.register(pair.own, support.tokenOf(1), readable, .level);
    try poller.register(duplicate, support.tokenOf(2), writable, .level);
    try pair.peerWrites("a");
    try poller.expectPushed(2);
    var told: [3]u32 = @splat(0);
    while (poller.take()) |entry| told[entry.token.slot] = entry.readiness;
    try std.testing.expectEqual([3]u32{ 0, readable, writable }, told);
    try poller.deregister(pair.own);
    try poller.expectOnly(support.tokenOf(2), writable);
}
