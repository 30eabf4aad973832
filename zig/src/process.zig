//! Calls on processes: one contract, an implementation for each family of operating systems.
//!
//! Processes are started by the runtime, which also takes their exit status from the system. What is here looks, waits
//! and signals, and takes nothing away. Results below zero are negated errno values.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux => @import("process/linux.zig"),
    .macos, .freebsd => @import("process/bsd.zig"),
    .windows => @import("process/windows.zig"),
    else => @compileError("there are no calls on processes for this operating system yet"),
};

/// A status is the exit code, from 0 to 255, or this plus the number of the signal that has ended the process.
pub const ended_by_signal: i32 = 256;

/// A descriptor of the process, close-on-exec, that is readable once the process has ended.
pub const open = backend.open;
/// How a child of this process has ended, by its descriptor, or `-EAGAIN` while it runs. Its status can still be taken.
pub const peekStatus = backend.peekStatus;
/// Sends a signal to every process of a group, or, if it is 0, only asks whether there is one.
pub const signalGroup = backend.signalGroup;

comptime {
    expect(@TypeOf(open) == fn (i32) i32);
    expect(@TypeOf(peekStatus) == fn (i32) i32);
    expect(@TypeOf(signalGroup) == fn (i32, u32) i32);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the calls on processes of this platform do not meet the contract in process.zig");
}
