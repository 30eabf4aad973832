//! Signals of macOS and FreeBSD, as the suite needs them.

const std = @import("std");
const support = @import("../../support.zig");

const c = std.c;
const system = support.system;

/// A handler of a signal, without SA_RESTART, for as long as a test runs. It counts.
pub const Handler = struct {
    signal: c.SIG,
    old: c.Sigaction,

    var count: std.atomic.Value(u32) = .init(0);

    pub fn install(signal: Signal) Handler {
        count.store(0, .release);
        var handler: Handler = .{ .signal = numberOf(signal), .old = undefined };
        var mask: c.sigset_t = undefined;
        std.debug.assert(c.sigemptyset(&mask) == 0);
        const action: c.Sigaction = .{ .handler = .{ .handler = countOne }, .mask = mask, .flags = 0 };
        std.debug.assert(c.sigaction(handler.signal, &action, &handler.old) == 0);
        return handler;
    }

    /// How often the latest handler has run.
    pub fn seen() u32 {
        return count.load(.acquire);
    }

    pub fn remove(handler: *Handler) void {
        std.debug.assert(c.sigaction(handler.signal, &handler.old, null) == 0);
    }

    fn countOne(_: c.SIG) callconv(.c) void {
        _ = count.fetchAdd(1, .acq_rel);
    }
};

/// SIGUSR1 and SIGPIPE.
pub const Signal = enum { user, pipe };

/// Sends SIGUSR1 to a thread of this process; one that has ended gets none.
pub fn signalThread(thread: system.Thread) !void {
    const result = c.pthread_kill(thread, .USR1);
    if (result != support.Errno.no_process) try support.expectResult(0, result);
}

/// Sends SIGUSR1 to the thread that started it, again and again, from a thread of its own.
pub const SignalStorm = struct {
    target: system.Thread,
    interval_ns: i64,
    state: std.atomic.Value(State),
    thread: std.Thread,

    const State = enum(u8) { blows, is_to_pause, pauses, is_to_end };

    pub fn start(storm: *SignalStorm, interval_ns: i64) !void {
        storm.target = system.currentThread();
        storm.interval_ns = interval_ns;
        storm.state = .init(.blows);
        storm.thread = try std.Thread.spawn(.{}, blow, .{storm});
    }

    /// No signal comes after it.
    pub fn pause(storm: *SignalStorm) void {
        storm.state.store(.is_to_pause, .release);
        while (storm.state.load(.acquire) != .pauses) support.yield();
    }

    pub fn stop(storm: *SignalStorm) void {
        storm.state.store(.is_to_end, .release);
        storm.thread.join();
    }

    fn blow(storm: *SignalStorm) void {
        const io = std.Io.Threaded.global_single_threaded.io();
        while (true) {
            switch (storm.state.load(.acquire)) {
                .blows => signalThread(storm.target) catch |failure| std.debug.panic("no signal can be sent: {t}", .{failure}),
                .is_to_pause => storm.state.store(.pauses, .release),
                .pauses => {},
                .is_to_end => return,
            }
            io.sleep(.fromNanoseconds(storm.interval_ns), .awake) catch |failure| std.debug.panic("the storm cannot sleep: {t}", .{failure});
        }
    }
};

fn numberOf(signal: Signal) c.SIG {
    return switch (signal) {
        .user => .USR1,
        .pipe => .PIPE,
    };
}
