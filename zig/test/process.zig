//! The calls on processes, with children of the test's own.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Poller = support.Poller;
const linux = @import("library").linux;
const process = support.process;

const token = support.tokenOf(1);

test "a process is readable by its descriptor once it has ended, and its status says how" {
    if (!support.features.has_processes) return support.skip("this system has no descriptors of processes");
    for ([_]u8{ 0, 1, 42, 255 }) |code| {
        const child: Child = try .start(.{ .code = code });
        defer child.reap();
        try child.waitReadable();
        try support.expectResult(code, process.peekStatus(child.descriptor));
    }
}

test "a status is not taken: it is there again, and for whoever reaps" {
    if (!support.features.has_processes) return support.skip("this system has no descriptors of processes");
    const child: Child = try .start(.{ .code = 7 });
    try child.waitReadable();
    for (0..3) |_| try support.expectResult(7, process.peekStatus(child.descriptor));
    var status: i32 = undefined;
    try support.expectResult(child.id, linux.call(.wait4, .{ child.id, &status, 0, 0 }));
    // WEXITSTATUS
    try std.testing.expectEqual(7, status >> 8);
    try support.expectResult(-Errno.no_child, process.peekStatus(child.descriptor));
    support.closeDescriptor(child.descriptor);
}

test "while a process runs there is no status: EAGAIN; a signal to its group ends it, and is told" {
    if (!support.features.has_processes) return support.skip("this system has no descriptors of processes");
    const child: Child = try .start(.waits);
    defer child.reap();
    try support.expectResult(-Errno.again, process.peekStatus(child.descriptor));
    try support.expectResult(0, process.signalGroup(child.id, 0));
    try support.expectResult(0, process.signalGroup(child.id, signal_kill));
    try child.waitReadable();
    try support.expectResult(process.ended_by_signal + signal_kill, process.peekStatus(child.descriptor));
}

test "a group that has nobody left is ESRCH, and so is a process that is gone" {
    if (!support.features.has_processes) return support.skip("this system has no descriptors of processes");
    const child: Child = try .start(.{ .code = 0 });
    try child.waitReadable();
    // A zombie still counts as a member.
    try support.expectResult(0, process.signalGroup(child.id, 0));
    child.reap();
    try support.expectResult(-Errno.no_process, process.signalGroup(child.id, 0));
    try support.expectResult(-Errno.no_process, process.open(child.id));
}

test "the groups of the caller and of everybody are refused" {
    if (!support.features.has_process_groups) return support.skip("this system has no groups of processes");
    for ([_]i32{ 1, 0, -1, -7 }) |group| {
        try support.expectResult(-Errno.invalid_argument, process.signalGroup(group, 0));
    }
}

test "a descriptor of a process is close-on-exec" {
    if (!support.features.has_processes) return support.skip("this system has no descriptors of processes");
    const child: Child = try .start(.{ .code = 0 });
    defer child.reap();
    try std.testing.expect(try support.system.isCloseOnExec(child.descriptor));
}

const Child = struct {
    id: i32,
    descriptor: i32,

    const Life = union(enum) { code: u8, waits };

    /// Makes a child that leads a group of its own. It makes system calls only, because other threads' locks may be
    /// held.
    fn start(life: Life) !Child {
        const id = try support.check(linux.call(.clone, .{ signal_child, 0, 0, 0, 0 }));
        if (id == 0) live(life);
        // Either side may be the first; the second does nothing.
        _ = linux.call(.setpgid, .{ id, id });
        return .{ .id = id, .descriptor = try support.check(process.open(id)) };
    }

    fn live(life: Life) noreturn {
        switch (life) {
            .code => |code| while (true) {
                _ = linux.call(.exit_group, .{@as(u32, code)});
            },
            .waits => while (true) {
                _ = linux.call(.ppoll, .{ @as(usize, 0), 0, 0, 0 });
            },
        }
    }

    fn waitReadable(child: Child) !void {
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        try poller.register(child.descriptor, token, support.readable, .one_shot);
        _ = try poller.gather(token, support.readable);
    }

    fn reap(child: Child) void {
        _ = linux.call(.wait4, .{ child.id, 0, 0, 0 });
        support.closeDescriptor(child.descriptor);
    }
};

const signal_child = 17;
const signal_kill = 9;
