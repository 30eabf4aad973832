//! Runs the contract suite, one test after the other, and says on standard error how it went: the same on every platform,
//! under emulators too, and when the executable is started by hand. Arguments are parts of names; only tests with one of
//! them in their names run.
//!
//! The format is for scripts as much as for people, and stays as it is. A line for each test that was skipped or has
//! failed, among whatever else failing tests print, and a last line that counts all of them:
//!
//!     skipped: NAME: REASON
//!     failed: NAME: ERROR
//!     N passed, N failed, N skipped
//!
//! NAME may contain ": " and REASON and ERROR never do, so what follows the last ": " of a line is the reason. The exit code is 0
//! if none has failed. A test that ends the process (a panic, or not finished within `test_limit_s`) is counted as failed,
//! and so are those that could not run after it. A run without the last line was ended from outside.

const std = @import("std");
const builtin = @import("builtin");

const testing = std.testing;

/// A hang is a failure with a name. The slowest test takes a second, and under Wine half a minute.
const test_limit_s = 180;

pub const panic = std.debug.FullPanic(endAfterPanic);

/// Why the current test skips itself: `support.skip` writes it.
pub var skip_reason: []const u8 = unnamed_reason;

const unnamed_reason = "it does not say why";

var counts: Counts = .{};
var current: std.atomic.Value(usize) = .init(0);
var has_ended: std.atomic.Value(bool) = .init(false);

const Counts = struct { passed: usize = 0, failed: usize = 0, skipped: usize = 0 };

pub fn main(init: std.process.Init.Minimal) void {
    const filters = init.args.toSlice(std.heap.page_allocator) catch |failure| std.debug.panic("no arguments: {t}", .{failure});
    const watchdog = std.Thread.spawn(.{}, watch, .{}) catch |failure| std.debug.panic("no watchdog: {t}", .{failure});
    watchdog.detach();
    for (builtin.test_functions, 0..) |function, index| {
        if (!isChosen(function.name, filters[1..])) continue;
        current.store(index, .release);
        run(function, init);
    }
    has_ended.store(true, .release);
    report();
    std.process.exit(@intFromBool(counts.failed > 0));
}

fn run(function: std.builtin.TestFn, init: std.process.Init.Minimal) void {
    testing.environ = init.environ;
    testing.allocator_instance = .{};
    testing.io_instance = .init(testing.allocator, .{ .argv0 = .init(init.args), .environ = init.environ });
    testing.log_level = .warn;
    skip_reason = unnamed_reason;
    const outcome = function.func();
    testing.io_instance.deinit();
    const has_leaked = testing.allocator_instance.deinit() == .leak;
    if (outcome) {
        if (has_leaked) return fail(function.name, "MemoryLeaked");
        counts.passed += 1;
    } else |failure| switch (failure) {
        error.SkipZigTest => {
            counts.skipped += 1;
            std.debug.print("skipped: {s}: {s}\n", .{ function.name, skip_reason });
        },
        else => {
            fail(function.name, @errorName(failure));
            // Zig 0.16 prints each place of a Windows trace dozens of times, slowly.
            if (builtin.os.tag == .windows) return;
            if (@errorReturnTrace()) |trace| std.debug.dumpErrorReturnTrace(trace);
        },
    }
}

fn fail(name: []const u8, failure: []const u8) void {
    counts.failed += 1;
    std.debug.print("failed: {s}: {s}\n", .{ name, failure });
}

fn report() void {
    std.debug.print("{d} passed, {d} failed, {d} skipped\n", .{ counts.passed, counts.failed, counts.skipped });
}

fn isChosen(name: []const u8, filters: []const [:0]const u8) bool {
    for (filters) |filter| {
        if (std.mem.indexOf(u8, name, filter) != null) return true;
    }
    return filters.len == 0;
}

/// A test has ended the process: it has failed, and those after it have not run.
fn endAfterPanic(message: []const u8, first_address: ?usize) noreturn {
    if (!has_ended.swap(true, .acq_rel)) reportEnd("Panicked");
    std.debug.defaultPanic(message, first_address);
}

fn reportEnd(failure: []const u8) void {
    const index = current.load(.acquire);
    fail(builtin.test_functions[index].name, failure);
    for (builtin.test_functions[index + 1 ..]) |function| fail(function.name, "NotRun");
    report();
}

fn watch() void {
    const io = std.Io.Threaded.global_single_threaded.io();
    var watched: usize = std.math.maxInt(usize);
    var seconds: u32 = 0;
    while (true) : (seconds += 1) {
        io.sleep(.fromSeconds(1), .awake) catch |failure| std.debug.panic("the watchdog cannot sleep: {t}", .{failure});
        const index = current.load(.acquire);
        if (index != watched) seconds = 0;
        watched = index;
        if (seconds < test_limit_s) continue;
        if (has_ended.swap(true, .acq_rel)) return;
        reportEnd("NotFinishedInTime");
        std.process.exit(1);
    }
}
