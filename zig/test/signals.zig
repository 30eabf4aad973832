//! A signal ends a wait with `-EINTR`: the caller alone knows its deadline, and a runtime that stops a thread with a
//! signal needs to get it back.

const std = @import("std");
const support = @import("support.zig");

const BlockedPoll = support.BlockedPoll;
const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const linux = support.linux;
const system = std.os.linux;

const token = support.tokenOf(1);

test "a signal to the polling thread ends the poll with EINTR" {
    var handler: Handler = .install(.USR1);
    defer handler.remove();
    for ([_]i64{ support.queue.forever, 10 * support.patience_ns }) |timeout_ns| {
        for ([_]u32{ 1, 0 }) |has_nanosecond_wait| try expectInterrupted(timeout_ns, has_nanosecond_wait);
    }
}

test "an interval timer ends the poll of its own thread with EINTR" {
    var handler: Handler = .install(.USR1);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const timer: IntervalTimer = try .start(storm_interval_ns);
    defer timer.stop();

    try poller.armGuard();
    const result = poller.poll(support.queue.forever);
    timer.pause();
    try poller.disarmGuard();
    try support.expectResult(-Errno.interrupted, result);
}

test "a caller that waits again for the rest keeps its deadline through a storm of signals" {
    var handler: Handler = .install(.USR1);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const timer: IntervalTimer = try .start(storm_interval_ns);
    defer timer.stop();

    const deadline_ns = linux.monotonicNow_ns() + 20 * std.time.ns_per_ms;
    while (true) {
        const rest_ns = deadline_ns - linux.monotonicNow_ns();
        if (rest_ns <= 0) break;
        const result = poller.poll(rest_ns);
        if (result == -Errno.interrupted) continue;
        try support.expectResult(0, result);
        try std.testing.expect(linux.monotonicNow_ns() >= deadline_ns);
    }
}

test "no event and no wake is lost to a storm of signals" {
    var handler: Handler = .install(.USR1);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();
    const timer: IntervalTimer = try .start(storm_interval_ns);
    defer timer.stop();

    try poller.register(pair.own, token, support.readable, .edge);
    for (0..500) |_| {
        try support.write(pair.peer, "a");
        try support.expectResult(1, waitThroughSignals(&poller));
        try support.expectEntry(token, support.readable, poller.take().?);
        try support.expectRead(pair.own, "a");
        try poller.wake();
        try support.expectResult(0, waitThroughSignals(&poller));
    }
}

test "a poll that does not wait is not interrupted" {
    var handler: Handler = .install(.USR1);
    defer handler.remove();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const timer: IntervalTimer = try .start(storm_interval_ns);
    defer timer.stop();
    for (0..20_000) |_| try poller.expectNothing();
}

/// Ten thousand signals a second.
const storm_interval_ns = 100 * std.time.ns_per_us;

fn expectInterrupted(timeout_ns: i64, has_nanosecond_wait: u32) !void {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    poller.queue.has_nanosecond_wait = has_nanosecond_wait;
    var blocked: BlockedPoll = undefined;
    try blocked.startFor(&poller, timeout_ns);
    const process_id = system.getpid();
    // Again and again until it worked, so that it does not matter when the thread takes the signal.
    while (!blocked.is_done.load(.acquire)) {
        const result = linux.call(.tgkill, .{ process_id, blocked.thread_id.load(.acquire), @intFromEnum(system.SIG.USR1) });
        if (result != -Errno.no_process) try support.expectResult(0, result);
        support.yield();
    }
    try support.expectResult(-Errno.interrupted, try blocked.join());
}

fn waitThroughSignals(poller: *Poller) i32 {
    while (true) {
        const result = poller.poll(support.patience_ns);
        if (result != -Errno.interrupted) return result;
    }
}

/// A handler that does nothing, without SA_RESTART, for as long as a test runs.
const Handler = struct {
    number: system.SIG,
    old: system.Sigaction,

    fn install(number: system.SIG) Handler {
        var handler: Handler = .{ .number = number, .old = undefined };
        const action: system.Sigaction = .{
            .handler = .{ .handler = ignore },
            .mask = system.sigemptyset(),
            .flags = 0,
        };
        std.debug.assert(system.sigaction(number, &action, &handler.old) == 0);
        return handler;
    }

    fn remove(handler: *Handler) void {
        std.debug.assert(system.sigaction(handler.number, &handler.old, null) == 0);
    }

    fn ignore(_: system.SIG) callconv(.c) void {}
};

/// Sends SIGUSR1 to the thread that started it, again and again (timer_create(2), SIGEV_THREAD_ID).
const IntervalTimer = struct {
    identifier: i32,

    fn start(interval_ns: i64) !IntervalTimer {
        const SignalEvent = extern struct { value: usize, signal: i32, notify: i32, thread_id: i32, reserved: [44]u8 };
        comptime std.debug.assert(@sizeOf(SignalEvent) == 64);
        const clock_monotonic = 1;
        const notify_thread = 4;
        const event: SignalEvent = .{
            .value = 0,
            .signal = @intFromEnum(system.SIG.USR1),
            .notify = notify_thread,
            .thread_id = system.gettid(),
            .reserved = @splat(0),
        };
        var timer: IntervalTimer = undefined;
        if (linux.call(.timer_create, .{ clock_monotonic, &event, &timer.identifier }) != 0) {
            return support.skip("this host has no timer that signals a thread");
        }
        timer.set(interval_ns);
        return timer;
    }

    fn pause(timer: IntervalTimer) void {
        timer.set(0);
    }

    fn stop(timer: IntervalTimer) void {
        std.debug.assert(linux.call(.timer_delete, .{timer.identifier}) == 0);
    }

    fn set(timer: IntervalTimer, interval_ns: i64) void {
        const setting: support.TimerSetting = .{
            .interval = .fromNanoseconds(interval_ns),
            .value = .fromNanoseconds(interval_ns),
        };
        const no_old: ?*support.TimerSetting = null;
        std.debug.assert(linux.call(.timer_settime, .{ timer.identifier, 0, &setting, no_old }) == 0);
    }
};
