//! Processes of Linux.
//!
//! Facts. A number of a process is free for the next one as soon as its parent has taken its status; a descriptor of it
//! (pidfd_open(2), Linux 5.3) stays what it is. waitid(2) with WNOWAIT leaves a child waitable, so that whoever is to
//! take its status, the runtime's own event loop, still finds it. The number of a group is kept as long as it has a
//! member, zombies included.
//!
//! Decision. A child is looked at by descriptor and never reaped here: two that reap would steal from each other, and
//! one of them might be told of a stranger who has got the number meanwhile.

const std = @import("std");
const linux = @import("../linux.zig");
const process = @import("../process.zig");

pub fn open(process_id: i32) i32 {
    return linux.call(.pidfd_open, .{ process_id, 0 });
}

pub fn peekStatus(descriptor: i32) i32 {
    var information: ChildInformation = .{};
    const flags = Wait.exited | Wait.no_hang | Wait.no_wait;
    const result = linux.callUninterrupted(.waitid, .{ Wait.by_descriptor, descriptor, &information, flags, 0 });
    if (result < 0) return result;
    // Without a child that has ended the call succeeds, and fills in nothing.
    if (information.process_id == 0) return -linux.Errno.again;
    return switch (information.code) {
        Code.exited => information.status,
        else => process.ended_by_signal + information.status,
    };
}

pub fn signalGroup(group_id: i32, signal: u32) i32 {
    // A group of 0 would be our own, and one of 1 everybody.
    if (group_id <= 1) return -linux.Errno.invalid_argument;
    return linux.call(.kill, .{ -group_id, signal });
}

/// `siginfo_t` as SIGCHLD fills it.
const ChildInformation = extern struct {
    signal: i32 = 0,
    errno: i32 = 0,
    code: i32 = 0,
    padding: i32 = 0,
    process_id: i32 = 0,
    user_id: u32 = 0,
    status: i32 = 0,
    rest: [100]u8 = undefined,
};

/// CLD_EXITED; CLD_KILLED and CLD_DUMPED are the other ways to end.
const Code = struct {
    const exited: i32 = 1;
};

const Wait = struct {
    const no_hang: u32 = 0x1;
    const exited: u32 = 0x4;
    const no_wait: u32 = 0x01000000;
    /// P_PIDFD, Linux 5.4
    const by_descriptor: u32 = 3;
};

comptime {
    std.debug.assert(@sizeOf(ChildInformation) == 128);
    std.debug.assert(@offsetOf(ChildInformation, "status") == 24);
}
