//! The error numbers that the library itself decides on, by operating system; all others pass through as numbers.
//!
//! Results of the library are these, negated. They are the numbers that Node.js has in `error.errno`, negated as well: the
//! system's own, and on Windows, which has no single set of them, those of libuv.

const builtin = @import("builtin");

pub const Errno = switch (builtin.os.tag) {
    .linux => @import("linux.zig").Errno,
    .macos, .freebsd => @import("bsd.zig").Errno,
    .windows => @import("windows.zig").Errno,
    else => @compileError("bun-reactor does not know the error numbers of this operating system"),
};
