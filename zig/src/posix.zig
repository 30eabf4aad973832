//! The calls that Linux, macOS and FreeBSD have in common, each under its one name: raw system calls on Linux,
//! functions of the C library elsewhere. What differs, numbers and layouts, is in a file for each system beside the
//! code that needs it.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

pub const Errno = backend.Errno;
pub const call = backend.call;
pub const callUninterrupted = backend.callUninterrupted;
pub const max_transfer_bytes = backend.max_transfer_bytes;
