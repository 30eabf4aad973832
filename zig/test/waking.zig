//! Ending a wait from outside: before it, during it, a million times.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Pair = support.Pair;
const Poller = support.Poller;
const readable = support.readable;

const token = support.tokenOf(1);

test "a wake before the wait ends the wait" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (0..10) |_| {
        try poller.wake();
        try poller.expectWoken();
    }
}

test "a wake before a wait with a timeout ends it, in every way that the backend can wait" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (support.waits) |wait| {
        poller.chooseWait(wait);
        try poller.wake();
        try support.expectResult(0, try poller.waitAtMost(10 * support.patience_ns));
    }
}

test "a wake from another thread ends a blocked poll" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (0..20) |_| {
        var blocked: BlockedPoll = undefined;
        try blocked.start(&poller);
        try poller.wake();
        try support.expectResult(0, try blocked.join());
    }
}

test "a million wakes before a poll count as one" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (0..1_000_000) |_| try poller.wake();
    try poller.expectWoken();
    // A second wake would end this poll before its thread could fall asleep in it.
    try expectBlocks(&poller);
}

test "a million wakes of four threads count as one" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var failures: std.atomic.Value(u32) = .init(0);
    var threads: [4]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, wakeOften, .{ &poller, &failures });
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(0, failures.load(.acquire));
    try poller.expectWoken();
    try expectBlocks(&poller);
}

test "wakes after a poll has returned wake the next one" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var blocked: BlockedPoll = undefined;
    try blocked.start(&poller);
    for (0..1000) |_| try poller.wake();
    try support.expectResult(0, try blocked.join());
    // Whether the last of them came before or after that return, a poll that does not wait takes what is left.
    try poller.expectNothing();
    try expectBlocks(&poller);
    try poller.wake();
    try poller.expectWoken();
}

test "a wake brings along what is ready, and is used up by it" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.wake();
    try poller.expectOnly(token, readable);
    try expectBlocks(&poller);
}

test "a wake that did not fit beside the events is kept, and one that did is used up" {
    var poller: Poller = undefined;
    try poller.open(1);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.wake();
    try poller.expectOnly(token, readable);
    if (support.features.has_place_for_wake) try poller.expectWoken();
    try expectBlocks(&poller);
}

test "a wake takes no room in the ring, and a full ring does not use it up" {
    var poller: Poller = undefined;
    try poller.open(1);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.expectPushed(1);
    try poller.wake();
    try support.expectResult(-support.Errno.no_space, poller.poll(0));
    try support.expectEntry(token, readable, poller.take().?);
    try poller.expectWoken();
    try std.testing.expectEqual(null, poller.take());
}

test "no wake is lost between threads: ping-pong" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var game: Game = .{ .poller = &poller };
    const thread = try std.Thread.spawn(.{}, Game.ping, .{&game});
    defer thread.join();
    errdefer game.is_stopped.store(true, .release);
    while (game.pings.load(.acquire) < Game.rounds or game.pongs.load(.acquire) < Game.rounds) {
        try poller.expectWoken();
        game.pongs.store(game.pings.load(.acquire), .release);
    }
}

test "no wake is lost between threads: storm" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var game: Game = .{ .poller = &poller, .does_wait = false };
    const thread = try std.Thread.spawn(.{}, Game.ping, .{&game});
    defer thread.join();
    while (game.pings.load(.acquire) < Game.rounds) try poller.expectWoken();
}

/// One thread counts up and wakes; the poller sees each count after a wake, or waits for ever.
const Game = struct {
    poller: *Poller,
    does_wait: bool = true,
    pings: std.atomic.Value(u32) = .init(0),
    pongs: std.atomic.Value(u32) = .init(0),
    is_stopped: std.atomic.Value(bool) = .init(false),

    const rounds = support.features.shortened(3000);

    fn ping(game: *Game) void {
        for (1..rounds + 1) |round| {
            game.pings.store(@intCast(round), .release);
            std.debug.assert(support.queue.wake(&game.poller.queue) == 0);
            while (game.does_wait and game.pongs.load(.acquire) < round) {
                if (game.is_stopped.load(.acquire)) return;
                support.yield();
            }
        }
    }
};

fn wakeOften(poller: *Poller, failures: *std.atomic.Value(u32)) void {
    for (0..250_000) |_| {
        if (support.queue.wake(&poller.queue) != 0) _ = failures.fetchAdd(1, .acq_rel);
    }
}

/// Shows that no wake is left: a thread falls asleep in a poll, and an event, not a wake, ends it.
fn expectBlocks(poller: *Poller) !void {
    const counter: support.Counter = try .open();
    defer counter.close();
    try poller.register(counter.descriptor, support.tokenOf(99), readable, .one_shot);
    var blocked: BlockedPoll = undefined;
    try blocked.start(poller);
    try counter.signal();
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(support.tokenOf(99), readable, poller.take().?);
    try poller.deregister(counter.descriptor);
}
