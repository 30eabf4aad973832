//! What a native program does that hands a readiness over to another thread: one thread waits in poll(2), and signals an
//! eventfd, for which the thread that has the work to do waits. The fair equivalent of a reactor thread.
//!
//!     pty-poll --path /dev/pts/3
//!
//! Answers the samples of `pty-writer` until it hangs up; then prints how late each was, in µs, as a line of JSON.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const terminal = @import("native/terminal.zig");

const Arguments = struct {
    path: []const u8 = "",
};

const samples_max = 1_000_000;

const Watched = struct {
    descriptor: i32,
    /// Signalled by the polling thread when there is something to read.
    ready: i32,
    /// Signalled by the working thread when it has read it.
    read: i32,

    fn watch(watched: *const Watched) void {
        while (true) {
            system.waitReadable(watched.descriptor);
            system.signalEvent(watched.ready);
            system.waitEvent(watched.read);
        }
    }
};

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    var path: [64]u8 = undefined;
    const name = std.fmt.bufPrintZ(&path, "{s}", .{options.path}) catch system.fail("--path is too long", .{});
    const watched: Watched = .{
        .descriptor = terminal.openPath(name),
        .ready = system.createEvent(),
        .read = system.createEvent(),
    };
    _ = std.Thread.spawn(.{}, Watched.watch, .{&watched}) catch system.fail("cannot start a thread", .{});

    const lateness = @as([*]u32, @ptrCast(@alignCast(system.reserve(samples_max * @sizeOf(u32)).ptr)))[0..samples_max];
    var count: usize = 0;
    while (count < samples_max) : (count += 1) {
        system.writeAll(watched.descriptor, "?");
        system.waitEvent(watched.ready);
        const now_ns = system.realtime_ns();
        var sent_ns: u64 = undefined;
        if (system.read(watched.descriptor, std.mem.asBytes(&sent_ns)) != @sizeOf(u64)) break;
        lateness[count] = @intCast(now_ns - sent_ns);
        system.signalEvent(watched.read);
    }
    system.print("[", .{});
    for (lateness[0..count], 0..) |late_ns, index| {
        const separator = if (index == 0) "" else ",";
        system.print("{s}{d}.{d:0>3}", .{ separator, late_ns / 1000, late_ns % 1000 });
    }
    system.print("]\n", .{});
}
