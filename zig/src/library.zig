//! The library as the contract suite sees it: below the border of `abi.zig`, above the backends.

pub const belongings = @import("belongings.zig");
const builtin = @import("builtin");

/// What is macOS's and FreeBSD's own, for the check against their headers.
pub const bsd = switch (builtin.os.tag) {
    .macos, .freebsd => struct {
        pub const datagram = @import("datagram/bsd.zig");
        pub const file = @import("file/bsd.zig");
        pub const socket = @import("socket/bsd.zig");
        pub const system = @import("bsd.zig");
        pub const terminal = @import("terminal/bsd.zig");
        pub const unix = @import("unix/bsd.zig");
    },
    else => struct {},
};

pub const clock = @import("clock.zig");
pub const datagram = @import("datagram.zig");
pub const Errno = @import("errno.zig").Errno;
pub const file = @import("file.zig");
pub const kqueue_kernel = @import("queue/kqueue/kernel.zig");
pub const kqueue_registry = @import("queue/kqueue/registry.zig");
pub const linux = @import("linux.zig");
pub const memory = @import("memory.zig");
pub const process = @import("process.zig");
pub const queue = @import("queue.zig");
pub const ring = @import("ring.zig");
pub const socket = @import("socket.zig");
pub const terminal = @import("terminal.zig");
pub const unix = @import("unix.zig");
pub const watch = @import("watch.zig");

/// The inner parts of the Windows backend, for the tests of its own faults.
pub const windows = struct {
    pub const afd = @import("queue/iocp/afd.zig");
    pub const calls = @import("windows.zig");
    pub const socket_calls = @import("socket/windows.zig");
    pub const Registration = @import("queue/iocp/registration.zig").Registration;
    pub const Table = @import("queue/iocp/table.zig").Table;
};
