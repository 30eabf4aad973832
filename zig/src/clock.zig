//! The clock: one contract, an implementation for each family of operating systems.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    .macos, .freebsd => @import("bsd.zig"),
    .windows => @import("windows.zig"),
    else => @compileError("bun-reactor does not know the clock of this operating system"),
};

/// The time since some moment before the process began: it never goes back, and is the same on every thread.
pub const monotonicNow_ns = backend.monotonicNow_ns;

comptime {
    if (@TypeOf(monotonicNow_ns) != fn () i64) @compileError("the clock of this platform does not meet the contract");
}
