//! How often a registration reports: edge-triggered, level-triggered, one-shot.

const std = @import("std");
const support = @import("support.zig");

const Pair = support.Pair;
const Poller = support.Poller;
const readable = support.readable;
const writable = support.writable;

const token = support.tokenOf(1);

test "edge reports a change once, though nobody reads" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try poller.expectNothing();
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    try poller.expectNothing();
}

test "edge reports again for more bytes, though the first were not read" {
    if (!support.features.tells_every_change) return support.skip("this system tells a change once, and again when whoever reads has met would-block");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    try pair.peerWrites("b");
    try poller.expectOnly(token, readable);
}

test "edge reports again after would-block" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    try support.expectRead(pair.own, "a");
    try expectWouldBlock(&poller, pair.own);
    try poller.expectNothing();
    try pair.peerWrites("b");
    try poller.expectOnly(token, readable);
}

test "edge reports what was ready before the registration" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    try poller.register(pair.own, token, readable, .edge);
    try poller.expectOnly(token, readable);
    try poller.expectNothing();
}

test "edge reports writable again once a full buffer was drained" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, writable, .edge);
    try poller.expectOnly(token, writable);
    const sent = try pair.fill();
    try poller.rearm(pair.own, writable);
    try poller.expectNothing();
    try pair.peerReads(sent);
    try poller.expectOnly(token, writable);
    try poller.expectNothing();
}

test "level reports at every poll, until the bytes are read" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .level);
    try poller.expectNothing();
    try pair.peerWrites("a");
    for (0..3) |_| try poller.expectOnly(token, readable);
    try support.expectRead(pair.own, "a");
    try poller.expectNothing();
}

test "one-shot reports once, then stays silent whatever happens" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable | writable, .one_shot);
    try poller.expectOnly(token, writable);
    try pair.peerWrites("a");
    try poller.expectNothing();
    try support.expectResult(0, support.socket.shutdown(pair.peer, .both));
    try poller.expectNothing();
}

test "one-shot that was read short reports the rest after reregister" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .one_shot);
    try pair.peerWrites("ab");
    try poller.expectOnly(token, readable);
    var byte: [1]u8 = undefined;
    try support.expectResult(1, support.socket.receive(pair.own, &byte, 1));
    try poller.expectNothing();
    try poller.reregister(pair.own, token, readable, .one_shot);
    try poller.expectOnly(token, readable);
}

test "each delivery reports its own source of the same queue" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const edge: Pair = try .open();
    defer edge.close();
    const level: Pair = try .open();
    defer level.close();
    const one_shot: Pair = try .open();
    defer one_shot.close();

    try poller.register(edge.own, support.tokenOf(1), readable, .edge);
    try poller.register(level.own, support.tokenOf(2), readable, .level);
    try poller.register(one_shot.own, support.tokenOf(3), readable, .one_shot);
    for ([_]Pair{ edge, level, one_shot }) |pair| try pair.peerWrites("a");
    try poller.expectPushed(3);
    for (1..4) |slot| try support.expectEntry(support.tokenOf(@intCast(slot)), readable, poller.take().?);

    if (!support.features.tells_every_change) {
        try support.expectRead(edge.own, "a");
        try expectWouldBlock(&poller, edge.own);
    }
    for ([_]Pair{ edge, level, one_shot }) |pair| try pair.peerWrites("b");
    var reports: [4]u32 = @splat(0);
    for (0..3) |_| {
        _ = try support.check(poller.poll(0));
        while (poller.take()) |entry| reports[entry.token.slot] += 1;
    }
    try std.testing.expectEqual([4]u32{ 0, 1, 3, 0 }, reports);
}

/// Reads until nothing is left, and says so.
fn expectWouldBlock(poller: *Poller, descriptor: i32) !void {
    var byte: [1]u8 = undefined;
    try support.expectResult(-support.Errno.again, support.socket.receive(descriptor, &byte, 1));
    try poller.rearm(descriptor, readable);
}
