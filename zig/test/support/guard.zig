//! The guard of waits: a wait that a correct queue ends would last for ever with a broken one, so a socket in the same
//! queue becomes readable after `patience_ns` and turns the hang into a failure.
//!
//! One thread for all guards looks a few times a second whether one of them is due, and writes a byte to its socket. It is
//! the same on every platform; only a broken queue ever meets it.

const std = @import("std");
const library = @import("library");
const support = @import("../support.zig");

pub const Guard = struct {
    /// Its own end is what the queue watches.
    pair: support.Pair,
    /// 0 while it is not armed.
    due_ns: std.atomic.Value(i64),
    next: ?*Guard,

    pub fn open(guard: *Guard) !void {
        guard.* = .{ .pair = try .open(), .due_ns = .init(0), .next = null };
        try startWatchman();
        lock();
        defer unlock();
        guard.next = first;
        first = guard;
    }

    pub fn close(guard: *Guard) void {
        lock();
        var link = &first;
        while (link.* != guard) link = &link.*.?.next;
        link.* = guard.next;
        unlock();
        guard.pair.close();
    }

    pub fn arm(guard: *Guard) void {
        guard.due_ns.store(library.clock.monotonicNow_ns() + support.patience_ns, .release);
    }

    pub fn disarm(guard: *Guard) void {
        guard.due_ns.store(0, .release);
    }

    fn ringIfDue(guard: *Guard, now_ns: i64) void {
        const due_ns = guard.due_ns.load(.acquire);
        if (due_ns == 0 or now_ns < due_ns) return;
        guard.due_ns.store(0, .release);
        support.write(guard.pair.peer, "!") catch |failure| std.debug.panic("the guard cannot ring: {t}", .{failure});
    }
};

var first: ?*Guard = null;
var is_locked: std.atomic.Value(bool) = .init(false);
var has_watchman: std.atomic.Value(bool) = .init(false);

fn startWatchman() !void {
    if (has_watchman.swap(true, .acq_rel)) return;
    const thread = try std.Thread.spawn(.{}, watch, .{});
    thread.detach();
}

fn watch() void {
    const io = std.Io.Threaded.global_single_threaded.io();
    while (true) {
        io.sleep(.fromMilliseconds(look_every_ms), .awake) catch |failure| std.debug.panic("the guard cannot sleep: {t}", .{failure});
        lock();
        defer unlock();
        const now_ns = library.clock.monotonicNow_ns();
        var each = first;
        while (each) |guard| : (each = guard.next) guard.ringIfDue(now_ns);
    }
}

/// Held for a few instructions, so that whoever waits yields.
fn lock() void {
    while (is_locked.swap(true, .acquire)) support.yield();
}

fn unlock() void {
    is_locked.store(false, .release);
}

const look_every_ms = 200;
