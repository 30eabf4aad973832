//! The producer's side of the channel: nothing is lost when there is no room, and positions run on past 2^32.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Poller = support.Poller;
const RingMemory = support.RingMemory;
const queue = support.queue;
const readable = support.readable;

/// Some positions before the 32 bits of a position end.
const near_the_end = std.math.maxInt(u32) - 2;

test "a token is slot and generation, and survives the way through an integer" {
    const token: support.Token = .{ .slot = 0x89abcdef, .generation = 0x01234567 };
    try std.testing.expectEqual(0x01234567_89abcdef, token.toInt());
    try std.testing.expectEqual(token, support.Token.fromInt(token.toInt()));
}

test "what is staged is invisible until it is published" {
    var memory: RingMemory = undefined;
    memory.init(4, 0);
    memory.ring.stage(0, support.tokenOf(1), readable);
    memory.ring.stage(1, support.tokenOf(2), readable);
    try std.testing.expectEqual(null, memory.take());
    try std.testing.expectEqual(4, memory.ring.free());
    memory.ring.publish(2);
    try std.testing.expectEqual(2, memory.ring.free());
    try support.expectEntry(support.tokenOf(1), readable, memory.take().?);
    try support.expectEntry(support.tokenOf(2), readable, memory.take().?);
    try std.testing.expectEqual(null, memory.take());
    try std.testing.expectEqual(4, memory.ring.free());
}

test "positions wrap past 2^32 at every fill level" {
    for (0..5) |level| {
        var memory: RingMemory = undefined;
        memory.init(4, near_the_end);
        var next: u32 = 0;
        var expected: u32 = 0;
        for (0..20) |_| {
            var position = memory.ring.tail;
            for (0..level) |_| {
                memory.ring.stage(position, support.tokenOf(next), next);
                position +%= 1;
                next += 1;
            }
            memory.ring.publish(position);
            try std.testing.expectEqual(4 - level, memory.ring.free());
            while (memory.take()) |entry| : (expected += 1) {
                try support.expectEntry(support.tokenOf(expected), expected, entry);
            }
            try std.testing.expectEqual(next, expected);
        }
    }
}

test "a full ring is refused with ENOSPC, with any timeout, and the event stays in the kernel" {
    var poller: Poller = undefined;
    try poller.open(2);
    defer poller.close();
    const sources: Sources(3) = try .open(&poller, .edge);
    defer sources.close();

    try sources.signalAll();
    try poller.expectPushed(2);
    for ([_]i64{ 0, 1, std.time.ns_per_s, queue.forever }) |timeout_ns| {
        try support.expectResult(-Errno.no_space, poller.poll(timeout_ns));
    }
    try support.expectEntry(support.tokenOf(0), readable, poller.take().?);
    try poller.expectPushed(1);
    try support.expectResult(-Errno.no_space, poller.poll(0));
    try support.expectEntry(support.tokenOf(1), readable, poller.take().?);
    try support.expectEntry(support.tokenOf(2), readable, poller.take().?);
    try poller.expectNothing();
}

test "more edges than fit in the ring: each is told once, none is lost" {
    for ([_]u32{ 1, 2, 8, 64 }) |capacity| {
        for ([_]u32{ 0, near_the_end }) |position| {
            var poller: Poller = undefined;
            try poller.openAt(capacity, position);
            defer poller.close();
            const sources: Sources(100) = try .open(&poller, .edge);
            defer sources.close();
            for (0..3) |_| {
                try sources.signalAll();
                try expectEachOnce(100, &poller, capacity);
                if (!support.features.tells_every_change) try sources.takeAll(&poller);
            }
        }
    }
}

test "more one-shots than fit in the ring: each is told once, none is lost" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const sources: Sources(100) = try .open(&poller, .one_shot);
    defer sources.close();
    try sources.signalAll();
    try expectEachOnce(100, &poller, 8);
}

test "more level-triggered sources than fit in the ring: each has its turn" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const sources: Sources(100) = try .open(&poller, .level);
    defer sources.close();
    try sources.signalAll();
    var told: [100]u32 = @splat(0);
    for (0..2 * 100 / 8 + 1) |_| {
        try poller.expectPushed(8);
        while (poller.take()) |entry| told[entry.token.slot] += 1;
    }
    for (told) |times| try std.testing.expect(times > 0);
}

test "a partly drained ring is filled up, in order" {
    var poller: Poller = undefined;
    try poller.openAt(4, near_the_end);
    defer poller.close();
    const sources: Sources(20) = try .open(&poller, .edge);
    defer sources.close();
    try sources.signalAll();
    try poller.expectPushed(4);
    for (0..16) |slot| {
        try support.expectEntry(support.tokenOf(@intCast(slot)), readable, poller.take().?);
        try poller.expectPushed(1);
    }
    for (16..20) |slot| try support.expectEntry(support.tokenOf(@intCast(slot)), readable, poller.take().?);
    try poller.expectNothing();
}

test "more events than one poll fetches: the next polls bring the rest" {
    const count = support.features.more_than_a_poll_fetches;
    const limit: support.RoomForDescriptors = try .make(count * support.Counter.descriptors_of_one + 100);
    defer limit.giveBack();

    var poller: Poller = undefined;
    try poller.open(RingMemory.max_entries);
    defer poller.close();
    const sources: Sources(count) = try .open(&poller, .edge);
    defer sources.close();
    try sources.signalAll();
    try expectEachOnce(count, &poller, RingMemory.max_entries);
}

test "producer and consumer in two threads: every event arrives, in a ring that is often full" {
    var poller: Poller = undefined;
    try poller.openAt(4, near_the_end);
    defer poller.close();
    const sources: Sources(32) = try .open(&poller, .one_shot);
    defer sources.close();
    try sources.signalAll();

    var producer: Producer = .{ .poller = &poller };
    const thread = try std.Thread.spawn(.{}, Producer.run, .{&producer});
    const outcome = consume(&poller, &sources, &producer);
    producer.is_stopped.store(true, .release);
    const wake_result = queue.wake(&poller.queue);
    thread.join();
    try outcome;
    try support.expectResult(0, wake_result);
    try support.expectResult(0, producer.failure.load(.acquire));
}

const Producer = struct {
    poller: *Poller,
    is_stopped: std.atomic.Value(bool) = .init(false),
    failure: std.atomic.Value(i32) = .init(0),

    fn run(producer: *Producer) void {
        while (!producer.is_stopped.load(.acquire)) {
            const result = producer.poller.poll(queue.forever);
            if (result == -Errno.no_space) {
                support.yield();
            } else if (result < 0) {
                return producer.failure.store(result, .release);
            }
        }
    }
};

/// Takes events until each source had a hundred; a one-shot source that is lost once never comes again.
fn consume(poller: *Poller, sources: *const Sources(32), producer: *Producer) !void {
    const wanted = support.features.shortened(100);
    var told: [32]u32 = @splat(0);
    var left: u32 = 32 * wanted;
    var deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
    while (left > 0) {
        const entry = poller.take() orelse {
            if (producer.failure.load(.acquire) != 0) return error.PollFailed;
            if (support.clock.monotonicNow_ns() > deadline_ns) return error.NothingHappened;
            support.yield();
            continue;
        };
        deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
        const slot = entry.token.slot;
        told[slot] += 1;
        left -= 1;
        try support.expectEntry(.{ .slot = slot, .generation = told[slot] }, readable, entry);
        if (told[slot] == wanted) continue;
        try poller.reregister(sources.counters[slot].descriptor, .{ .slot = slot, .generation = told[slot] + 1 }, readable, .one_shot);
    }
}

/// Registered counters, the slot of each its index.
fn Sources(comptime count: usize) type {
    return struct {
        counters: [count]support.Counter,

        const Self = @This();

        fn open(poller: *Poller, delivery: queue.Delivery) !Self {
            var sources: Self = undefined;
            for (&sources.counters, 0..) |*counter, slot| {
                counter.* = try .open();
                try poller.register(counter.descriptor, support.tokenOf(@intCast(slot)), readable, delivery);
            }
            return sources;
        }

        fn close(sources: *const Self) void {
            for (sources.counters) |counter| counter.close();
        }

        fn takeAll(sources: *const Self, poller: *Poller) !void {
            for (sources.counters) |counter| {
                try std.testing.expectEqual(1, try counter.take());
                try poller.rearm(counter.descriptor, readable);
            }
        }

        fn signalAll(sources: *const Self) !void {
            for (sources.counters) |counter| try counter.signal();
        }
    };
}

fn expectEachOnce(comptime count: usize, poller: *Poller, capacity: u32) !void {
    var told: [count]u32 = @splat(0);
    var left: usize = count;
    while (left > 0) {
        const pushed: u32 = @intCast(try support.check(try poller.pollReady()));
        if (pushed == 0 or pushed > left) return error.WrongCount;
        try std.testing.expect(pushed <= capacity);
        while (poller.take()) |entry| told[entry.token.slot] += 1;
        left -= pushed;
    }
    try poller.expectNothing();
    for (told) |times| try std.testing.expectEqual(1, times);
}
