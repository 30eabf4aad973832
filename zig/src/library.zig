//! The library as the contract suite sees it: below the border of `abi.zig`, above the backends.

pub const belongings = @import("belongings.zig");
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
