//! Watching files and folders for changes: one contract, an implementation for each family of operating systems.
//!
//! A watcher is a descriptor, non-blocking and close-on-exec, that is readable when something has happened. Results
//! below zero are negated errno values; `read` returns `-EAGAIN` when all has been told. What does not fit into the
//! kernel's queue is lost, and `Happened.overflow` says so in its place.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux => @import("watch/linux.zig"),
    .macos, .freebsd => @import("watch/bsd.zig"),
    .windows => @import("watch/windows.zig"),
    else => @compileError("there is no watching of files for this operating system yet"),
};

/// What happened; the other numbers are in `src/core/watch-system.ts`.
pub const Happened = struct {
    pub const created: u32 = 1;
    pub const changed: u32 = 2;
    pub const attributes: u32 = 4;
    /// A file that was open for writing was closed.
    pub const closed: u32 = 8;
    pub const removed: u32 = 16;
    /// A name was moved from here, to where the event with the same cookie says, if that is watched.
    pub const moved_from: u32 = 32;
    pub const moved_to: u32 = 64;
    /// What is watched has got another name itself.
    pub const self_moved: u32 = 128;
    /// The watch is gone: what it watched was removed or unmounted, or `remove` was called.
    pub const ended: u32 = 256;
    /// Events were lost.
    pub const overflow: u32 = 512;
    /// It happened to a folder.
    pub const folder: u32 = 1024;
};

/// One event; behind it follow the bytes of a name, filled up with zeros.
pub const Event = extern struct {
    /// The number of the watch; -1 for an overflow.
    watch: i32,
    happened: u32,
    /// Joins the two halves of a move; else 0.
    cookie: u32,
    name_length: u32,
};

/// What is watched.
pub const Target = enum(u32) {
    /// A file, or a folder with what is directly in it; a symbolic link stands for what it names. Its own moves are
    /// told.
    root = 0,
    /// A folder inside of a root, and no symbolic link.
    folder = 1,
};

pub const open = backend.open;
/// Returns the number of the watch, which is the same as before if the file is watched already.
pub const add = backend.add;
pub const remove = backend.remove;
/// Fills the buffer with whole events, and returns how many bytes they take.
pub const read = backend.read;

comptime {
    expect(@TypeOf(open) == fn () i32);
    expect(@TypeOf(add) == fn (i32, [*:0]const u8, Target) i32);
    expect(@TypeOf(remove) == fn (i32, i32) i32);
    expect(@TypeOf(read) == fn (i32, []align(4) u8) i32);
    // src/native/library.ts checks the same number when it loads the library.
    expect(@sizeOf(Event) == 16);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the watching of files of this platform does not meet the contract in watch.zig");
}
