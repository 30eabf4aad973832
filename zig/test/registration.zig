//! What the registry accepts, refuses and forgets, also while another thread polls.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const queue = support.queue;
const readable = support.readable;
const writable = support.writable;

const token = support.tokenOf(1);

test "open and close leave no descriptor behind" {
    try support.external.needOneDescriptor();
    const before = support.system.countDescriptors();
    for (0..50) |_| {
        var q: support.Queue = undefined;
        try support.expectResult(0, queue.open(&q));
        try support.expectResult(0, queue.close(&q));
    }
    try std.testing.expectEqual(before, support.system.countDescriptors());
}

test "open that meets the descriptor limit leaves no descriptor behind" {
    if (!support.features.has_descriptor_limit) return support.skip("this system has no limit of descriptors that a process can lower");
    try support.external.needOneDescriptor();
    const before = support.system.countDescriptors();
    const next: u64 = @intCast(try support.closedNumber());
    const limit: support.system.DescriptorLimit = try .read();
    for (0..if (support.features.has_epoll) 2 else 1) |free_numbers| {
        try limit.set(next + free_numbers);
        var q: support.Queue = undefined;
        const result = queue.open(&q);
        try limit.set(limit.current);
        try support.expectResult(-Errno.too_many_descriptors, result);
        try std.testing.expectEqual(before, support.system.countDescriptors());
    }
}

test "a second registration is refused with EEXIST, and the first stays" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .level);
    const second = queue.register(&poller.queue, pair.own, support.tokenOf(2), writable, .level);
    try support.expectResult(-Errno.exists, second);
    try poller.expectNothing();
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
}

test "reregister without a registration is refused with ENOENT, and adds none" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try support.expectResult(-Errno.no_entry, queue.reregister(&poller.queue, pair.own, token, writable, .level));
    try poller.expectNothing();
    try poller.register(pair.own, token, writable, .level);
    try poller.deregister(pair.own);
    try support.expectResult(-Errno.no_entry, queue.reregister(&poller.queue, pair.own, token, writable, .level));
    try poller.expectNothing();
}

test "deregister without a registration is refused with ENOENT" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try support.expectResult(-Errno.no_entry, queue.deregister(&poller.queue, pair.own));
    try poller.register(pair.own, token, readable, .edge);
    try poller.deregister(pair.own);
    try support.expectResult(-Errno.no_entry, queue.deregister(&poller.queue, pair.own));
    try poller.register(pair.own, token, readable, .edge);
}

test "reregister re-arms: what is ready is reported again, also an edge" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    for ([_]queue.Delivery{ .edge, .one_shot }) |delivery| {
        try poller.register(pair.own, token, readable, delivery);
        try poller.expectOnly(token, readable);
        try poller.expectNothing();
        for (0..3) |_| {
            try poller.reregister(pair.own, token, readable, delivery);
            try poller.expectOnly(token, readable);
            try poller.expectNothing();
        }
        try poller.deregister(pair.own);
    }
}

test "reregister replaces interest, token and delivery" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    try poller.register(pair.own, token, readable, .edge);
    try poller.expectOnly(token, readable);
    const renewed: support.Token = .{ .slot = 7, .generation = 9 };
    try poller.reregister(pair.own, renewed, writable, .level);
    try poller.expectOnly(renewed, writable);
    try poller.expectOnly(renewed, writable);
    try poller.reregister(pair.own, token, readable | writable, .one_shot);
    try poller.expectOnly(token, readable | writable);
    try poller.expectNothing();
}

test "reregister to another interest, without a poll between, reports the new one alone" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, writable, .edge);
    try poller.reregister(pair.own, token, readable, .edge);
    try poller.expectNothing();
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
}

test "an interest in nothing is silent about bytes, and tells a hang-up" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.own);

    try poller.register(pair.own, token, 0, .level);
    try pair.peerWrites("a");
    try poller.expectNothing();
    const closed = support.read_closed | support.write_closed | support.hung_up;
    if (support.features.has_local_pairs) {
        support.closeDescriptor(pair.peer);
        try poller.expectOnly(token, closed);
    } else {
        // The end of the peer's half is no hang-up of a connection; a reset is.
        try support.expectResult(0, support.socket.setOption(pair.peer, .linger_s, 0));
        support.closeDescriptor(pair.peer);
        try poller.expectOnly(token, closed | support.failed);
    }
}

test "nothing is reported after deregister, though it was pending" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    for ([_]queue.Delivery{ .edge, .level, .one_shot }) |delivery| {
        try pair.peerWrites("a");
        try poller.register(pair.own, token, readable | writable, delivery);
        try poller.deregister(pair.own);
        try poller.expectNothing();
        try pair.peerWrites("b");
        try poller.expectNothing();
    }
}

test "an event that was fetched before deregister is still in the ring, under its old token" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    try poller.register(pair.own, .{ .slot = 1, .generation = 1 }, readable, .level);
    try poller.expectPushed(1);
    try poller.deregister(pair.own);
    try poller.register(pair.own, .{ .slot = 1, .generation = 2 }, readable, .level);
    try poller.expectPushed(1);
    try support.expectEntry(.{ .slot = 1, .generation = 1 }, readable, poller.take().?);
    try support.expectEntry(.{ .slot = 1, .generation = 2 }, readable, poller.take().?);
}

test "register during a blocked poll of another thread ends it with the event" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    var blocked: BlockedPoll = undefined;
    try blocked.start(&poller);
    try poller.register(pair.own, token, readable, .edge);
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(token, readable, poller.take().?);
}

test "what becomes ready after a registration during a blocked poll ends it" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    var blocked: BlockedPoll = undefined;
    try blocked.start(&poller);
    try poller.register(pair.own, token, readable, .one_shot);
    try pair.peerWrites("a");
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(token, readable, poller.take().?);
}

test "reregister during a blocked poll of another thread re-arms at once" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, writable, .one_shot);
    try poller.expectOnly(token, writable);
    var blocked: BlockedPoll = undefined;
    try blocked.start(&poller);
    try poller.reregister(pair.own, support.tokenOf(2), writable, .one_shot);
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(support.tokenOf(2), writable, poller.take().?);
}

test "deregister during a blocked poll of another thread silences at once" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .level);
    var blocked: BlockedPoll = undefined;
    try blocked.start(&poller);
    try poller.deregister(pair.own);
    try pair.peerWrites("a");
    try poller.wake();
    try support.expectResult(0, try blocked.join());
}

test "one descriptor in two queues: each reports it, each with its own token and delivery" {
    var first: Poller = undefined;
    try first.open(8);
    defer first.close();
    var second: Poller = undefined;
    try second.open(8);
    defer second.close();
    const pair: Pair = try .open();
    defer pair.close();

    try first.register(pair.own, support.tokenOf(1), readable, .edge);
    try second.register(pair.own, support.tokenOf(2), readable, .level);
    try pair.peerWrites("a");
    try first.expectOnly(support.tokenOf(1), readable);
    try second.expectOnly(support.tokenOf(2), readable);
    try first.expectNothing();
    try second.expectOnly(support.tokenOf(2), readable);
    try first.deregister(pair.own);
    try pair.peerWrites("b");
    try first.expectNothing();
    try second.expectOnly(support.tokenOf(2), readable);
}

test "what cannot be waited for, as a regular file, is refused with EPERM" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const unfit = try support.system.openUnfit();
    defer support.system.closeUnfit(unfit);
    const result = queue.register(&poller.queue, unfit, token, readable, .level);
    if (result == -Errno.bad_descriptor and support.system.isWine()) return support.skip("Wine takes a handle that is no socket for nobody's");
    try support.expectResult(-Errno.not_permitted, result);
    try poller.expectNothing();
}

test "a number that is no descriptor is refused with EBADF" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const closed = try support.closedNumber();
    for ([_]i32{ closed, -1, no_descriptor }) |number| {
        try support.expectResult(-Errno.bad_descriptor, queue.register(&poller.queue, number, token, readable, .level));
        try support.expectResult(-Errno.bad_descriptor, queue.reregister(&poller.queue, number, token, readable, .level));
        try support.expectResult(-Errno.bad_descriptor, queue.deregister(&poller.queue, number));
    }
}

/// Higher than any that a process has. The very highest is a name for the process itself under Wine.
const no_descriptor = 0x7ffffff0;

test "a queue that was closed refuses everything with EBADF" {
    var poller: Poller = undefined;
    try poller.open(8);
    poller.close();
    const pair: Pair = try .open();
    defer pair.close();
    try support.expectResult(-Errno.bad_descriptor, queue.register(&poller.queue, pair.own, token, readable, .edge));
    try support.expectResult(-Errno.bad_descriptor, poller.poll(0));
    try support.expectResult(-Errno.bad_descriptor, queue.wake(&poller.queue));
    try support.expectResult(-Errno.bad_descriptor, queue.close(&poller.queue));
}

test "registrations, wakes and polls of three threads lose nothing" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    var storm: Storm = .{ .poller = &poller };
    for (&storm.counters) |*counter| counter.* = try .open();
    defer for (storm.counters) |counter| counter.close();
    for (storm.counters, 0..) |counter, slot| {
        try poller.register(counter.descriptor, support.tokenOf(@intCast(slot)), readable, .one_shot);
    }

    const signaller = try std.Thread.spawn(.{}, Storm.run, .{ &storm, Storm.signalAll });
    const registrator = try std.Thread.spawn(.{}, Storm.run, .{ &storm, Storm.registerOthers });
    const outcome = storm.serve();
    storm.is_stopped.store(true, .release);
    registrator.join();
    signaller.join();
    try outcome;
}

/// One thread signals counters and waits for the answer to each; one registers, deregisters and wakes all the time; the
/// test's own thread polls, answers and re-arms.
const Storm = struct {
    poller: *Poller,
    counters: [16]support.Counter = undefined,
    answered: std.atomic.Value(u32) = .init(0),
    is_stopped: std.atomic.Value(bool) = .init(false),
    has_failed: std.atomic.Value(bool) = .init(false),

    const rounds = support.features.shortened(2000);
    const other_slot = 1000;

    fn serve(storm: *Storm) !void {
        var deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
        while (storm.answered.load(.acquire) < rounds) {
            if (storm.has_failed.load(.acquire)) return error.ThreadFailed;
            // The guard of a wait does not help here, because another thread wakes it all the time.
            if (support.clock.monotonicNow_ns() > deadline_ns) return error.NothingHappened;
            if (try storm.poller.wait() < 0) return error.PollFailed;
            while (storm.poller.take()) |entry| {
                if (entry.token.slot == other_slot) continue;
                try storm.answer(entry);
                deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
            }
        }
    }

    fn answer(storm: *Storm, entry: support.Entry) !void {
        const counter = storm.counters[entry.token.slot];
        try std.testing.expectEqual(1, try counter.take());
        try storm.poller.reregister(counter.descriptor, entry.token, readable, .one_shot);
        _ = storm.answered.fetchAdd(1, .acq_rel);
    }

    fn run(storm: *Storm, comptime work: fn (*Storm) anyerror!void) void {
        work(storm) catch |failure| {
            std.debug.print("a thread of the storm failed: {t}\n", .{failure});
            storm.has_failed.store(true, .release);
        };
    }

    fn signalAll(storm: *Storm) anyerror!void {
        for (0..rounds) |round| {
            try storm.counters[round % storm.counters.len].signal();
            while (storm.answered.load(.acquire) <= round) {
                if (storm.is_stopped.load(.acquire)) return;
                support.yield();
            }
        }
    }

    fn registerOthers(storm: *Storm) anyerror!void {
        const pair: Pair = try .open();
        defer pair.close();
        while (!storm.is_stopped.load(.acquire)) {
            try storm.poller.register(pair.own, support.tokenOf(other_slot), writable, .edge);
            try storm.poller.wake();
            try storm.poller.deregister(pair.own);
        }
    }
};
