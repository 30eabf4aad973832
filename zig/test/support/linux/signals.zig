//! Signals of Linux, as the suite needs them.

const std = @import("std");
const library = @import("library");
const support = @import("../../support.zig");

const linux = library.linux;
const names = std.os.linux;

/// A handler of a signal, without SA_RESTART, for as long as a test runs. It counts.
pub const Handler = struct {
    signal: names.SIG,
    old: names.Sigaction,

    var count: std.atomic.Value(u32) = .init(0);

    pub fn install(signal: Signal) Handler {
        count.store(0, .release);
        var handler: Handler = .{ .signal = numberOf(signal), .old = undefined };
        const action: names.Sigaction = .{ .handler = .{ .handler = countOne }, .mask = names.sigemptyset(), .flags = 0 };
        std.debug.assert(names.sigaction(handler.signal, &action, &handler.old) == 0);
        return handler;
    }

    /// How often the latest handler has run.
    pub fn seen() u32 {
        return count.load(.acquire);
    }

    pub fn remove(handler: *Handler) void {
        std.debug.assert(names.sigaction(handler.signal, &handler.old, null) == 0);
    }

    fn countOne(_: names.SIG) callconv(.c) void {
        _ = count.fetchAdd(1, .acq_rel);
    }
};

/// SIGUSR1 and SIGPIPE.
pub const Signal = enum { user, pipe };

/// Sends SIGUSR1 to a thread of this process; one that has ended gets none.
pub fn signalThread(thread: support.system.Thread) !void {
    const result = linux.call(.tgkill, .{ names.getpid(), thread, @intFromEnum(names.SIG.USR1) });
    if (result != -support.Errno.no_process) try support.expectResult(0, result);
}

/// Sends SIGUSR1 to the thread that started it, again and again (timer_create(2), SIGEV_THREAD_ID).
pub const SignalStorm = struct {
    identifier: i32,

    pub fn start(storm: *SignalStorm, interval_ns: i64) !void {
        const SignalEvent = extern struct { value: usize, signal: i32, notify: i32, thread_id: i32, reserved: [44]u8 };
        comptime std.debug.assert(@sizeOf(SignalEvent) == 64);
        const clock_monotonic = 1;
        const notify_thread = 4;
        const event: SignalEvent = .{
            .value = 0,
            .signal = @intFromEnum(names.SIG.USR1),
            .notify = notify_thread,
            .thread_id = names.gettid(),
            .reserved = @splat(0),
        };
        if (linux.call(.timer_create, .{ clock_monotonic, &event, &storm.identifier }) != 0) {
            return support.skip("this host has no timer that signals a thread");
        }
        storm.set(interval_ns);
    }

    /// No signal comes after it.
    pub fn pause(storm: *SignalStorm) void {
        storm.set(0);
    }

    pub fn stop(storm: *SignalStorm) void {
        std.debug.assert(linux.call(.timer_delete, .{storm.identifier}) == 0);
    }

    fn set(storm: *SignalStorm, interval_ns: i64) void {
        const setting: extern struct { interval: linux.Timespec, value: linux.Timespec } = .{
            .interval = .fromNanoseconds(interval_ns),
            .value = .fromNanoseconds(interval_ns),
        };
        const no_old: ?*anyopaque = null;
        std.debug.assert(linux.call(.timer_settime, .{ storm.identifier, 0, &setting, no_old }) == 0);
    }
};

fn numberOf(signal: Signal) names.SIG {
    return switch (signal) {
        .user => .USR1,
        .pipe => .PIPE,
    };
}
