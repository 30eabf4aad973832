//! What the parts of the contract suite share: a queue with its ring, pairs of connected descriptors, and hand-shakes
//! with threads.
//!
//! No test sleeps and none asserts that something was fast. A wait that a correct queue ends would last for ever with a
//! broken one, so each such wait is guarded (`support/guard.zig`), and the hang becomes `error.NothingHappened`. That a thread
//! is blocked is read from the kernel where it tells, not guessed from a pause.
//!
//! What only the operating system itself can be asked is in `support/linux.zig`, `support/bsd.zig` and
//! `support/windows.zig`; what the systems have and do otherwise is in `support/features.zig`, by which a test skips itself.

const std = @import("std");
const builtin = @import("builtin");
const library = @import("library");
const descriptors = @import("support/descriptors.zig");
const Guard = @import("support/guard.zig").Guard;

pub const system = switch (builtin.os.tag) {
    .linux => @import("support/linux.zig"),
    .macos, .freebsd => @import("support/bsd.zig"),
    .windows => @import("support/windows.zig"),
    else => @compileError("the contract suite does not know this operating system yet"),
};

pub const clock = library.clock;
pub const datagram = library.datagram;
pub const file = library.file;
pub const process = library.process;
pub const queue = library.queue;
pub const ring = library.ring;
pub const socket = library.socket;
pub const terminal = library.terminal;
pub const unix = library.unix;
pub const watch = library.watch;

pub const Entry = ring.Entry;
pub const Errno = system.Errno;
pub const Queue = queue.Queue;
pub const Readiness = ring.Readiness;
pub const Ring = ring.Ring;
pub const Token = ring.Token;

pub const emulator = @import("support/emulator.zig");
pub const external = @import("support/external.zig");
pub const features = @import("support/features.zig");

pub const Connection = descriptors.Connection;
pub const Counter = system.Counter;
pub const Direction = descriptors.Direction;
pub const NativeDatagramOption = descriptors.NativeDatagramOption;
pub const NativeOption = descriptors.NativeOption;
pub const Pair = descriptors.Pair;
pub const Pipe = descriptors.Pipe;
pub const RoomForDescriptors = descriptors.RoomForDescriptors;
pub const bound = descriptors.bound;
pub const closeDescriptor = system.close;
pub const closedNumber = descriptors.closedNumber;
pub const drain = descriptors.drain;
pub const expectRead = descriptors.expectRead;
pub const fill = descriptors.fillOnce;
pub const listen = descriptors.listen;
pub const loopback = descriptors.loopback;
pub const untilReady = descriptors.untilReady;
pub const write = descriptors.write;

pub const readable = Readiness.readable;
pub const writable = Readiness.writable;
pub const priority = Readiness.priority;
pub const read_closed = Readiness.read_closed;
pub const write_closed = Readiness.write_closed;
pub const hung_up = Readiness.hung_up;
pub const failed = Readiness.failed;

/// The ways in which a backend waits: epoll has epoll_pwait2(2), and the older epoll_pwait(2), which counts in
/// milliseconds.
pub const Wait = enum { usual, in_milliseconds };
pub const waits: []const Wait = if (features.has_epoll) &.{ .usual, .in_milliseconds } else &.{.usual};

/// How long a test waits for what must happen before it fails. Only a broken queue ever waits that long.
pub const patience_ns = 10 * std.time.ns_per_s;

/// A ring with room for as many entries as any test wants; `Poller.open` says how many it uses.
pub const RingMemory = extern struct {
    ring: Ring,
    entries: [max_entries]Entry,

    pub const max_entries = 2048;

    pub fn init(memory: *RingMemory, capacity: u32, position: u32) void {
        std.debug.assert(capacity <= max_entries);
        memory.ring = .{ .tail = position, .capacity = capacity, .head = position };
    }

    /// The consumer's side: what `src/reactor/ready-channel.ts` does.
    pub fn take(memory: *RingMemory) ?Entry {
        const head = memory.ring.head;
        if (head == @atomicLoad(u32, &memory.ring.tail, .acquire)) return null;
        const entry = memory.entries[head & (memory.ring.capacity - 1)];
        @atomicStore(u32, &memory.ring.head, head +% 1, .release);
        return entry;
    }
};

/// An event queue with its ring and the guard of its waits. It stays where it was opened.
pub const Poller = struct {
    queue: Queue,
    memory: RingMemory,
    guard: Guard,

    pub fn open(poller: *Poller, capacity: u32) !void {
        try poller.openAt(capacity, 0);
    }

    /// `position` is where the ring's free-running positions begin.
    pub fn openAt(poller: *Poller, capacity: u32, position: u32) !void {
        poller.memory.init(capacity, position);
        try expectResult(0, queue.open(&poller.queue));
        try poller.guard.open();
        try poller.register(poller.guard.pair.own, guard_token, readable, .level);
    }

    pub fn close(poller: *Poller) void {
        std.debug.assert(queue.close(&poller.queue) == 0);
        poller.guard.close();
    }

    pub fn chooseWait(poller: *Poller, chosen: Wait) void {
        if (features.has_epoll) poller.queue.has_nanosecond_wait = @intFromBool(chosen == .usual);
    }

    pub fn register(poller: *Poller, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) !void {
        try expectResult(0, queue.register(&poller.queue, descriptor, token, interest, delivery));
    }

    pub fn reregister(poller: *Poller, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) !void {
        try expectResult(0, queue.reregister(&poller.queue, descriptor, token, interest, delivery));
    }

    pub fn deregister(poller: *Poller, descriptor: i32) !void {
        try expectResult(0, queue.deregister(&poller.queue, descriptor));
    }

    pub fn wake(poller: *Poller) !void {
        try expectResult(0, queue.wake(&poller.queue));
    }

    pub fn poll(poller: *Poller, timeout_ns: i64) i32 {
        return queue.poll(&poller.queue, &poller.memory.ring, timeout_ns);
    }

    /// Polls for ever, guarded.
    pub fn wait(poller: *Poller) !i32 {
        return poller.waitAtMost(queue.forever);
    }

    /// Polls with a timeout that is not expected to pass, guarded.
    pub fn waitAtMost(poller: *Poller, timeout_ns: i64) !i32 {
        poller.armGuard();
        const result = poller.poll(timeout_ns);
        try poller.disarmGuard();
        return result;
    }

    pub fn armGuard(poller: *Poller) void {
        poller.guard.arm();
    }

    /// Fails when the guard was what ended the wait.
    pub fn disarmGuard(poller: *Poller) !void {
        poller.guard.disarm();
        var position = poller.memory.ring.head;
        while (position != poller.memory.ring.tail) : (position +%= 1) {
            const entry = poller.memory.entries[position & (poller.memory.ring.capacity - 1)];
            if (std.meta.eql(entry.token, guard_token)) return error.NothingHappened;
        }
    }

    pub fn take(poller: *Poller) ?Entry {
        return poller.memory.take();
    }

    /// Waits; the next poll must push this one event and no other.
    pub fn expectOnly(poller: *Poller, token: Token, readiness: u32) !void {
        try expectResult(1, try poller.wait());
        try expectEntry(token, readiness, poller.take().?);
        try std.testing.expectEqual(null, poller.take());
    }

    /// Waits until the events of this one source have told all of `readiness`, however many polls that takes: the
    /// kernel may report a change over the network in steps. Returns all that they told.
    pub fn gather(poller: *Poller, token: Token, readiness: u32) !u32 {
        var told: u32 = 0;
        while (told & readiness != readiness) {
            if (try poller.wait() < 0) return error.PollFailed;
            while (poller.take()) |entry| {
                try std.testing.expectEqual(token, entry.token);
                told |= entry.readiness;
            }
        }
        return told;
    }

    /// Polls for events whose causes are there; where an effect is not told at once, waits for the first.
    pub fn pollReady(poller: *Poller) !i32 {
        return if (features.has_local_pairs) poller.poll(0) else poller.wait();
    }

    /// So many events are there. Where an effect is not told at once, they may come with several polls.
    pub fn expectPushed(poller: *Poller, count: u32) !void {
        if (features.has_local_pairs) return expectResult(@intCast(count), poller.poll(0));
        var pushed: u32 = 0;
        while (pushed < count) pushed += @intCast(try check(try poller.wait()));
        try std.testing.expectEqual(count, pushed);
    }

    /// Says, as whoever has read or written must, that the kernel said "would block".
    pub fn rearm(poller: *Poller, descriptor: i32, interest: u32) !void {
        try expectResult(0, queue.rearm(&poller.queue, descriptor, interest));
    }

    /// Nothing is ready now.
    pub fn expectNothing(poller: *Poller) !void {
        try expectResult(0, poller.poll(0));
    }

    /// A wake is pending: the next wait ends, and brings nothing.
    pub fn expectWoken(poller: *Poller) !void {
        try expectResult(0, try poller.wait());
    }
};

/// A poll without a timeout in a thread of its own. The test goes on only when the thread is blocked in it.
pub const BlockedPoll = struct {
    poller: *Poller,
    timeout_ns: i64,
    thread: std.Thread,
    /// Set before `is_running`.
    native_thread: system.Thread,
    is_running: std.atomic.Value(bool),
    result: i32,
    is_done: std.atomic.Value(bool),

    pub fn start(blocked: *BlockedPoll, poller: *Poller) !void {
        try blocked.startFor(poller, queue.forever);
    }

    pub fn startFor(blocked: *BlockedPoll, poller: *Poller, timeout_ns: i64) !void {
        poller.armGuard();
        blocked.poller = poller;
        blocked.timeout_ns = timeout_ns;
        blocked.is_running = .init(false);
        blocked.is_done = .init(false);
        blocked.thread = try std.Thread.spawn(.{}, run, .{blocked});
        blocked.untilAsleep() catch |failure| {
            blocked.thread.join();
            return failure;
        };
    }

    /// The poll's result. Fails when only the guard ended it.
    pub fn join(blocked: *BlockedPoll) !i32 {
        blocked.thread.join();
        try blocked.poller.disarmGuard();
        return blocked.result;
    }

    fn untilAsleep(blocked: *BlockedPoll) !void {
        while (!blocked.is_running.load(.acquire)) yield();
        while (!try system.isAsleep(blocked.native_thread)) {
            if (blocked.is_done.load(.acquire)) return error.PollDidNotBlock;
            yield();
        }
    }

    fn run(blocked: *BlockedPoll) void {
        blocked.native_thread = system.currentThread();
        blocked.is_running.store(true, .release);
        blocked.result = blocked.poller.poll(blocked.timeout_ns);
        blocked.is_done.store(true, .release);
    }
};

pub fn yield() void {
    std.Thread.yield() catch |failure| std.debug.panic("no other thread can be let run: {t}", .{failure});
}

/// Ends a test that this host cannot run. The runner prints the reason, and takes what follows the last ": " for it.
pub fn skip(comptime reason: []const u8) error{SkipZigTest} {
    comptime std.debug.assert(std.mem.indexOf(u8, reason, ": ") == null);
    @import("root").skip_reason = reason;
    return error.SkipZigTest;
}

/// Passes on a result, and turns a negated errno into a failure of the test.
pub fn check(result: i32) !i32 {
    if (result >= 0) return result;
    std.debug.print("a system call failed with errno {d}\n", .{-result});
    return error.SystemCallFailed;
}

pub fn expectResult(expected: i32, result: i32) !void {
    try std.testing.expectEqual(expected, result);
}

/// The results of several calls. A failure says which it was, counted from 0.
pub fn expectEach(expected: i32, results: []const i32) !void {
    for (results, 0..) |result, index| {
        errdefer std.debug.print("it was call {d}\n", .{index});
        try expectResult(expected, result);
    }
}

pub fn expectEntry(token: Token, readiness: u32, entry: Entry) !void {
    try std.testing.expectEqual(token, entry.token);
    try std.testing.expectEqual(readiness, entry.readiness);
}

/// A token for tests that need no particular one.
pub fn tokenOf(slot: u32) Token {
    return .{ .slot = slot, .generation = 1 };
}

/// A slot that no test uses.
const guard_token: Token = .{ .slot = 0xfffffff0, .generation = 0xfffffff0 };
