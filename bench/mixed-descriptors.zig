//! Opens many descriptors of mixed kinds, and then becomes another program, which inherits them.
//!
//!     mixed-descriptors 1000 bun waiter.ts --way readable
//!     mixed-descriptors 1000 poll 20000
//!
//! The program gets one more argument: what to wait for and what to write 8 bytes to so that it becomes readable, as
//! `--descriptors 3:4,5:6,7:7,…`; what nothing can be written to is only waited for, and has -1 there.
//!
//! `poll` and `epoll` are no programs: the descriptors are then waited for here, by poll(2) or by epoll(7), that many times,
//! and what a wake cost is printed as the programs do.

const std = @import("std");
const system = @import("native/system.zig");
const terminal = @import("native/terminal.zig");
const linux = std.os.linux;
const expect = system.expect;
const fail = system.fail;

const count_max = 10_000;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const CLOCK_MONOTONIC = 1;
const IN_MODIFY = 2;
const AT_FDCWD: usize = @bitCast(@as(isize, -100));
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;

const Descriptor = struct {
    waited: i32,
    written: i32,
};

/// One of ten in turn, so that ten of them are mixed as a thousand are.
fn open(index: usize) Descriptor {
    return switch (index % 10) {
        0, 5 => openPipe(),
        1, 6 => openSockets(SOCK_STREAM),
        2, 7 => openCounter(),
        3 => openTerminal(),
        4 => openSockets(SOCK_DGRAM),
        8 => openWatcher(),
        else => openTimer(),
    };
}

fn openPipe() Descriptor {
    var ends: [2]i32 = undefined;
    _ = call("open a pipe", linux.syscall2(.pipe2, @intFromPtr(&ends), 0));
    return .{ .waited = ends[0], .written = ends[1] };
}

fn openSockets(kind: usize) Descriptor {
    var ends: [2]i32 = undefined;
    _ = call("open a pair of sockets", linux.syscall4(.socketpair, AF_UNIX, kind, 0, @intFromPtr(&ends)));
    return .{ .waited = ends[0], .written = ends[1] };
}

fn openCounter() Descriptor {
    const counter = call("open an eventfd", linux.syscall2(.eventfd2, 0, 0));
    return .{ .waited = counter, .written = counter };
}

fn openTerminal() Descriptor {
    const controller = terminal.openController();
    // It must outlive this program.
    const kept = call("duplicate a descriptor", linux.syscall1(.dup, word(controller)));
    const peer = terminal.openPeer(controller, 0);
    system.close(controller);
    return .{ .waited = peer, .written = kept };
}

/// A watcher of a file that has no name any more. (Of a file that is only memory the kernel tells nothing.)
fn openWatcher() Descriptor {
    var path: [64]u8 = undefined;
    const unique = .{ linux.getpid(), system.monotonic_ns() };
    const name = (std.fmt.bufPrintZ(&path, "/tmp/bun-reactor-bench-{d}-{d}", unique) catch unreachable).ptr;
    const file = call("make a file", linux.syscall4(.openat, AT_FDCWD, @intFromPtr(name), O_RDWR | O_CREAT | O_EXCL, 0o600));
    const watcher = call("open an inotify instance", linux.syscall1(.inotify_init1, 0));
    const watching = linux.syscall3(.inotify_add_watch, word(watcher), @intFromPtr(name), IN_MODIFY);
    _ = linux.syscall3(.unlinkat, AT_FDCWD, @intFromPtr(name), 0);
    _ = call("watch a file", watching);
    return .{ .waited = watcher, .written = file };
}

fn openTimer() Descriptor {
    return .{ .waited = call("open a timer", linux.syscall2(.timerfd_create, CLOCK_MONOTONIC, 0)), .written = -1 };
}

var descriptors: [count_max]Descriptor = undefined;
var list: [32 * count_max]u8 = undefined;
var command: [64:null]?[*:0]const u8 = @splat(null);
var polled: [count_max]extern struct { descriptor: i32, events: i16, returned: i16 } = undefined;

pub fn main(init: std.process.Init.Minimal) void {
    const vector = init.args.vector;
    if (vector.len < 3) fail("usage: mixed-descriptors COUNT PROGRAM ARGUMENT...", .{});
    const count = std.fmt.parseInt(usize, std.mem.span(vector[1]), 10) catch fail("COUNT must be a number", .{});
    if (count == 0 or count > count_max) fail("COUNT must be from 1 to {d}", .{count_max});
    // A refusal leaves the limit as it is; opening says so if that turns out to be too few.
    _ = system.allowDescriptors(count_max * 3);
    for (descriptors[0..count], 0..) |*descriptor, index| descriptor.* = open(index);

    if (std.meta.stringToEnum(Way, std.mem.span(vector[2]))) |way| {
        if (vector.len != 4) fail("usage: mixed-descriptors COUNT poll|epoll WAKES", .{});
        const wakes = std.fmt.parseInt(u32, std.mem.span(vector[3]), 10) catch fail("WAKES must be a number", .{});
        return switch (way) {
            .poll => wakeFrom(Polled, descriptors[0..count], wakes),
            .epoll => wakeFrom(Queued, descriptors[0..count], wakes),
        };
    }
    become(vector[2..], descriptors[0..count], init.environ);
}

fn become(program: []const [*:0]const u8, opened: []const Descriptor, environ: std.process.Environ) void {
    if (program.len + 2 > command.len) fail("too many arguments", .{});
    for (program, 0..) |argument, index| command[index] = argument;
    command[program.len] = "--descriptors";
    command[program.len + 1] = describe(opened);
    _ = call("run the program", linux.syscall3(
        .execve,
        @intFromPtr(program[0]),
        @intFromPtr(&command),
        @intFromPtr(environ.block.slice.ptr),
    ));
}

fn describe(opened: []const Descriptor) [*:0]const u8 {
    var length: usize = 0;
    for (opened, 0..) |descriptor, index| {
        const separator = if (index == 0) "" else ",";
        const part = std.fmt.bufPrint(list[length..], "{s}{d}:{d}", .{ separator, descriptor.waited, descriptor.written });
        length += (part catch fail("too many descriptors", .{})).len;
    }
    list[length] = 0;
    return @ptrCast(&list);
}

/// Each wake makes another descriptor ready, as the programs do.
fn wakeFrom(comptime Waiter: type, opened: []const Descriptor, wakes: u32) void {
    var random: std.Random.DefaultPrng = .init(1);
    const waiter: Waiter = .init(opened);
    var begin_ns: u64 = 0;
    var cpu_ns: u64 = 0;
    // The first part is for the caches.
    for (0..wakes + wakes / 4) |wake| {
        if (wake == wakes / 4) {
            begin_ns = system.monotonic_ns();
            cpu_ns = system.processCpu_ns(0).?;
        }
        var next = random.random().uintLessThan(usize, opened.len);
        while (opened[next].written < 0) next = random.random().uintLessThan(usize, opened.len);
        system.writeAll(opened[next].written, std.mem.asBytes(&@as(u64, 1)));
        var bytes: [64]u8 = undefined;
        _ = system.read(waiter.wait(), &bytes);
    }
    const wall_ns = (system.monotonic_ns() - begin_ns) / wakes;
    const used_ns = (system.processCpu_ns(0).? - cpu_ns) / wakes;
    system.print("{{\"wallNs\":{d},\"cpuNs\":{d}}}\n", .{ wall_ns, used_ns });
}

const Way = enum { poll, epoll };

/// The kernel looks at every descriptor each time.
const Polled = struct {
    count: usize,

    fn init(opened: []const Descriptor) Polled {
        for (opened, polled[0..opened.len]) |descriptor, *entry|
            entry.* = .{ .descriptor = descriptor.waited, .events = system.POLLIN, .returned = 0 };
        return .{ .count = opened.len };
    }

    fn wait(waiter: Polled) i32 {
        _ = call("poll", linux.syscall5(.ppoll, @intFromPtr(&polled), waiter.count, 0, 0, 0));
        for (polled[0..waiter.count]) |entry| if (entry.returned != 0) return entry.descriptor;
        fail("poll(2) found nothing", .{});
    }
};

/// The kernel keeps a list of what is ready.
const Queued = struct {
    queue: i32,

    fn init(opened: []const Descriptor) Queued {
        const queue = @as(i32, @intCast(expect(system.createQueue(), "open an event queue")));
        for (opened) |descriptor|
            _ = expect(system.register(queue, descriptor.waited, system.EPOLLIN, @intCast(descriptor.waited)), "register");
        return .{ .queue = queue };
    }

    fn wait(waiter: Queued) i32 {
        var events: [1]system.EpollEvent = undefined;
        _ = expect(system.wait(waiter.queue, &events), "wait");
        return @intCast(events[0].data);
    }
};

fn call(comptime doing: []const u8, result: usize) i32 {
    return @intCast(expect(@bitCast(result), doing));
}

fn word(value: i32) usize {
    return @bitCast(@as(isize, value));
}
