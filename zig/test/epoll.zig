//! What only the epoll backend has: the eventfd of its wakes, registrations that outlive their numbers, and two system calls
//! to wait with. These tests look into the backend, so they run with no other.

const std = @import("std");
const library = @import("library");
const support = @import("support.zig");

const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const Token = support.Token;
const linux = library.linux;
const queue = support.queue;
const readable = support.readable;

const old_owner: Token = .{ .slot = 3, .generation = 1 };
const new_owner: Token = .{ .slot = 3, .generation = 2 };

test "the queue's descriptors are closed on exec" {
    var q: support.Queue = undefined;
    try support.expectResult(0, queue.open(&q));
    defer std.debug.assert(queue.close(&q) == 0);
    for ([_]i32{ q.epoll_descriptor, q.wake_descriptor }) |descriptor| {
        try std.testing.expect(try support.system.isCloseOnExec(descriptor));
    }
}

test "a million wakes before a poll are one system call" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (0..1_000_000) |_| try poller.wake();
    // The eventfd adds up what was written to it.
    const counter: support.Counter = .{ .descriptor = poller.queue.wake_descriptor };
    try std.testing.expectEqual(1, try counter.take());
}

test "why deregister comes before close: a duplicate keeps the registration alive, and its number cannot remove it" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);
    const duplicate = try support.system.duplicate(pair.own);
    defer support.closeDescriptor(duplicate);

    try poller.register(pair.own, old_owner, readable, .level);
    support.closeDescriptor(pair.own);
    try support.write(pair.peer, "a");
    // The ghost: at every poll an event for a descriptor that nobody has. The token is all that tells.
    for (0..3) |_| try poller.expectOnly(old_owner, readable);
    try support.expectResult(-Errno.bad_descriptor, queue.deregister(&poller.queue, pair.own));
    try support.expectResult(-Errno.no_entry, queue.deregister(&poller.queue, duplicate));
    // The new owner of the number does not get rid of it either.
    const counter: support.Counter = try .open();
    const other = counter.descriptor;
    try std.testing.expectEqual(pair.own, other);
    try poller.register(other, new_owner, readable, .level);
    try poller.expectOnly(old_owner, readable);
    try poller.deregister(other);
    try poller.expectOnly(old_owner, readable);
    // Only when number and description come together again can it be removed.
    try support.system.duplicateTo(duplicate, other);
    defer support.closeDescriptor(other);
    try poller.deregister(other);
    try poller.expectNothing();
}

test "a kernel without epoll_pwait2 is found out, and the wait is not shorter for it" {
    try WithoutNanoseconds.expectFallBack(Errno.not_implemented);
}

test "a sandbox that forbids epoll_pwait2 is found out, and the wait is not shorter for it" {
    try WithoutNanoseconds.expectFallBack(Errno.not_permitted);
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
        for (0..5) |_| try expectWait(&poller);
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

fn expectWait(poller: *Poller) !void {
    const timeout_ns = 100 * std.time.ns_per_us;
    const start_ns = support.clock.monotonicNow_ns();
    try support.expectResult(0, poller.poll(timeout_ns));
    try std.testing.expect(support.clock.monotonicNow_ns() - start_ns >= timeout_ns);
}
