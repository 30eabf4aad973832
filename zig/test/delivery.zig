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
    try support.write(pair.peer, "a");
    try poller.expectOnly(token, readable);
    try poller.expectNothing();
}

test "edge reports again for more bytes, though the first were not read" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try support.write(pair.peer, "a");
    try poller.expectOnly(token, readable);
    try support.write(pair.peer, "b");
    try poller.expectOnly(token, readable);
}

test "edge reports again after would-block" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try support.write(pair.peer, "a");
    try poller.expectOnly(token, readable);
    try support.expectRead(pair.own, "a");
    try poller.expectNothing();
    try support.write(pair.peer, "b");
    try poller.expectOnly(token, readable);
}

test "edge reports what was ready before the registration" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try support.write(pair.peer, "a");
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
    const sent = try support.fill(pair.own);
    try poller.expectNothing();
    try std.testing.expectEqual(sent, try support.drain(pair.peer));
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
    try support.write(pair.peer, "a");
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
    try support.write(pair.peer, "a");
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
    try support.write(pair.peer, "ab");
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
    for ([_]i32{ edge.peer, level.peer, one_shot.peer }) |peer| try support.write(peer, "a");
    try support.expectResult(3, poller.poll(0));
    for (1..4) |slot| try support.expectEntry(support.tokenOf(@intCast(slot)), readable, poller.take().?);

    for ([_]i32{ edge.peer, level.peer, one_shot.peer }) |peer| try support.write(peer, "b");
    var reports: [4]u32 = @splat(0);
    for (0..3) |_| {
        _ = try support.check(poller.poll(0));
        while (poller.take()) |entry| reports[entry.token.slot] += 1;
    }
    try std.testing.expectEqual([4]u32{ 0, 1, 3, 0 }, reports);
}
