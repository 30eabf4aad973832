//! Calls on descriptors of any kind: one contract, an implementation for each family of operating systems.
//!
//! What is opened here is close-on-exec from its birth. Results below zero are negated errno values; on a non-blocking
//! descriptor a call that would block returns `-EAGAIN` and is tried again when the event queue says that the descriptor is
//! ready. Paths are byte strings that end with a zero.

const builtin = @import("builtin");
const socket = @import("socket.zig");

const backend = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("file/posix.zig"),
    .windows => @import("file/windows.zig"),
    else => @compileError("there are no calls on descriptors for this operating system yet"),
};

/// How a file is opened. Always without blocking, and never as the controlling terminal.
pub const Access = enum(u32) { read = 0, write = 1, both = 2 };

/// The two ends of a pipe.
pub const PipePair = extern struct { reader: i32, writer: i32 };

pub const read = backend.read;
pub const write = backend.write;
pub const writeVectored = backend.writeVectored;
pub const isNonBlocking = backend.isNonBlocking;
pub const setNonBlocking = backend.setNonBlocking;
pub const makePipe = backend.makePipe;
pub const open = backend.open;
pub const makeFifo = backend.makeFifo;
pub const duplicate = backend.duplicate;

comptime {
    expect(@TypeOf(read) == fn (i32, [*]u8, usize) i32);
    expect(@TypeOf(write) == fn (i32, [*]const u8, usize) i32);
    expect(@TypeOf(writeVectored) == fn (i32, [*]const socket.Part, u32) i32);
    expect(@TypeOf(isNonBlocking) == fn (i32) i32);
    expect(@TypeOf(setNonBlocking) == fn (i32, bool) i32);
    expect(@TypeOf(makePipe) == fn (*PipePair) i32);
    expect(@TypeOf(open) == fn ([*:0]const u8, Access) i32);
    expect(@TypeOf(makeFifo) == fn ([*:0]const u8, u32) i32);
    expect(@TypeOf(duplicate) == fn (i32) i32);
    // src/native/library.ts checks the same number when it loads the library.
    expect(@sizeOf(PipePair) == 8);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the calls on descriptors of this platform do not meet the contract in file.zig");
}
