//! How long a poll waits: never shorter than asked for. How much longer is the scheduler's affair, so no test asserts
//! an upper bound.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Pair = support.Pair;
const Poller = support.Poller;
const readable = support.readable;

const token = support.tokenOf(1);

const microsecond = std.time.ns_per_us;
const millisecond = std.time.ns_per_ms;

test "a timeout of zero does not wait, and tells what is ready" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    for (support.waits) |wait| {
        poller.chooseWait(wait);
        try support.expectResult(0, poller.poll(0));
        try pair.peerWrites("a");
        try poller.expectPushed(1);
        try support.expectEntry(token, readable, poller.take().?);
        try support.expectRead(pair.own, "a");
        try poller.rearm(pair.own, readable);
    }
}

test "a wait is never shorter than asked for" {
    const timeouts_ns = [_]i64{
        1,
        microsecond,
        100 * microsecond,
        millisecond - 1,
        millisecond,
        millisecond + 1,
        3 * millisecond / 2,
        3 * millisecond,
    };
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (support.waits) |wait| {
        poller.chooseWait(wait);
        for (timeouts_ns) |timeout_ns| {
            for (0..5) |_| try expectWait(&poller, timeout_ns);
        }
    }
}

test "an event ends a wait of any length, and so does a wake" {
    const timeouts_ns = [_]i64{
        support.queue.forever,
        10 * support.patience_ns,
        // Where milliseconds in 32 bits end: 24.8 days.
        std.math.maxInt(i32) * @as(i64, millisecond),
        (std.math.maxInt(i32) + 1) * @as(i64, millisecond),
        (std.math.maxInt(u32) + 1) * @as(i64, millisecond),
        std.math.maxInt(i64),
    };
    for (support.waits) |wait| {
        for (timeouts_ns) |timeout_ns| {
            try expectEvent(wait, timeout_ns);
            try expectWake(wait, timeout_ns);
        }
    }
}

fn expectWait(poller: *Poller, timeout_ns: i64) !void {
    const start_ns = support.clock.monotonicNow_ns();
    try support.expectResult(0, poller.poll(timeout_ns));
    const waited_ns = support.clock.monotonicNow_ns() - start_ns;
    if (waited_ns < timeout_ns) {
        std.debug.print("waited {d} ns instead of {d} ns\n", .{ waited_ns, timeout_ns });
        return error.EndedEarly;
    }
}

fn expectEvent(wait: support.Wait, timeout_ns: i64) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.chooseWait(wait);
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    try pair.peerWrites("a");
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(token, readable, poller.take().?);
}

fn expectWake(wait: support.Wait, timeout_ns: i64) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.chooseWait(wait);

    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    try poller.wake();
    try support.expectResult(0, try blocked.join());
}
