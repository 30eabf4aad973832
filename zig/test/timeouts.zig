//! How long a poll waits: never shorter than asked for. How much longer is the scheduler's affair, so no test asserts
//! an upper bound.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Pair = support.Pair;
const Poller = support.Poller;
const linux = support.linux;
const readable = support.readable;

const token = support.tokenOf(1);

const microsecond = std.time.ns_per_us;
const millisecond = std.time.ns_per_ms;

/// Both system calls that a wait may become: 1 is epoll_pwait2(2), 0 the older epoll_pwait(2), which counts in
/// milliseconds.
const both_waits = [_]u32{ 1, 0 };

test "a timeout of zero does not wait, and tells what is ready" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    for (both_waits) |has_nanosecond_wait| {
        poller.queue.has_nanosecond_wait = has_nanosecond_wait;
        try support.expectResult(0, poller.poll(0));
        try support.write(pair.peer, "a");
        try support.expectResult(1, poller.poll(0));
        try support.expectEntry(token, readable, poller.take().?);
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
    for (both_waits) |has_nanosecond_wait| {
        poller.queue.has_nanosecond_wait = has_nanosecond_wait;
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
    for (both_waits) |has_nanosecond_wait| {
        for (timeouts_ns) |timeout_ns| {
            try expectEvent(has_nanosecond_wait, timeout_ns);
            try expectWake(has_nanosecond_wait, timeout_ns);
        }
    }
}

test "a kernel without epoll_pwait2 is found out, and the wait is not shorter for it" {
    try WithoutNanoseconds.expectFallBack(support.Errno.not_implemented);
}

test "a sandbox that forbids epoll_pwait2 is found out, and the wait is not shorter for it" {
    try WithoutNanoseconds.expectFallBack(support.Errno.not_permitted);
}

/// A thread that forbids itself epoll_pwait2 with a filter of seccomp(2). The filter ends with the thread.
const WithoutNanoseconds = struct {
    errno: u32,
    outcome: anyerror!void = error.ThreadDidNotRun,

    fn expectFallBack(errno: u32) !void {
        var attempt: WithoutNanoseconds = .{ .errno = errno };
        const thread = try std.Thread.spawn(.{}, run, .{&attempt});
        thread.join();
        try attempt.outcome;
    }

    fn run(attempt: *WithoutNanoseconds) void {
        attempt.outcome = attempt.waitWithout();
    }

    fn waitWithout(attempt: *const WithoutNanoseconds) anyerror!void {
        try forbid(.epoll_pwait2, attempt.errno);
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        try std.testing.expectEqual(1, poller.queue.has_nanosecond_wait);
        for (0..5) |_| try expectWait(&poller, 100 * microsecond);
        try std.testing.expectEqual(0, poller.queue.has_nanosecond_wait);
        try poller.wake();
        try poller.expectWoken();
    }
};

/// The filter's instructions: load the call's number; equal: the errno; else: allow (seccomp(2)).
fn forbid(number: linux.SystemCall, errno: u32) !void {
    const Instruction = extern struct { code: u16, if_true: u8, if_false: u8, operand: u32 };
    const load_number = 0x20;
    const is_equal = 0x15;
    const answer = 0x06;
    const answer_errno = 0x0005_0000;
    const answer_allow = 0x7fff_0000;
    const filter = [_]Instruction{
        .{ .code = load_number, .if_true = 0, .if_false = 0, .operand = 0 },
        .{ .code = is_equal, .if_true = 0, .if_false = 1, .operand = @intCast(@intFromEnum(number)) },
        .{ .code = answer, .if_true = 0, .if_false = 0, .operand = answer_errno | errno },
        .{ .code = answer, .if_true = 0, .if_false = 0, .operand = answer_allow },
    };
    const program: extern struct { length: u16, filter: [*]const Instruction } = .{ .length = filter.len, .filter = &filter };
    const no_new_privileges = 38;
    const set_filter = 1;
    if (linux.call(.prctl, .{ no_new_privileges, 1, 0, 0, 0 }) != 0 or linux.call(.seccomp, .{ set_filter, 0, &program }) != 0) {
        return support.skip("this host lets no thread filter its own system calls");
    }
}

fn expectWait(poller: *Poller, timeout_ns: i64) !void {
    const start_ns = linux.monotonicNow_ns();
    try support.expectResult(0, poller.poll(timeout_ns));
    const waited_ns = linux.monotonicNow_ns() - start_ns;
    if (waited_ns < timeout_ns) {
        std.debug.print("waited {d} ns instead of {d} ns\n", .{ waited_ns, timeout_ns });
        return error.EndedEarly;
    }
}

fn expectEvent(has_nanosecond_wait: u32, timeout_ns: i64) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.queue.has_nanosecond_wait = has_nanosecond_wait;
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    try support.write(pair.peer, "a");
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(token, readable, poller.take().?);
}

fn expectWake(has_nanosecond_wait: u32, timeout_ns: i64) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.queue.has_nanosecond_wait = has_nanosecond_wait;

    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    try poller.wake();
    try support.expectResult(0, try blocked.join());
}
