//! The calls of macOS and FreeBSD that the library makes, through the system's own C library.
//!
//! Facts. On Linux the numbers of system calls are the interface that stays; here it is libSystem and libc, and the
//! numbers may change with any release. Their functions return -1 and leave the error in a variable of the thread. What
//! became incompatible was given another symbol: on x86-64 macOS `fstat` is the one of before 2007, and `fstat$INODE64` that of
//! the headers. On arm64 macOS the arguments of a variadic function lie on the stack, so it must be declared as one
//! (`fcntl`, `ioctl`, `open`).
//!
//! Decision. Each file declares the functions it calls, and passes what they return through `result`, so that
//! everything above sees an `i32` that is either the result or the negated errno, as on Linux.

const std = @import("std");
const builtin = @import("builtin");

pub const is_macos = builtin.os.tag == .macos;

/// The errno values that the library itself decides on; all others pass through as numbers.
pub const Errno = struct {
    pub const not_permitted = 1; // EPERM
    pub const no_entry = 2; // ENOENT
    pub const interrupted = 4; // EINTR
    pub const bad_descriptor = 9; // EBADF
    pub const out_of_memory = 12; // ENOMEM
    pub const busy = 16; // EBUSY
    pub const exists = 17; // EEXIST
    pub const no_such_device = 19; // ENODEV
    pub const invalid_argument = 22; // EINVAL
    pub const not_a_terminal = 25; // ENOTTY
    pub const no_space = 28; // ENOSPC
    pub const broken_pipe = 32; // EPIPE
    pub const again = 35; // EAGAIN
    pub const message_size = 40; // EMSGSIZE
    pub const not_supported = 45; // EOPNOTSUPP on FreeBSD, ENOTSUP on macOS
    pub const address_family_not_supported = 47; // EAFNOSUPPORT
    pub const is_connected = 56; // EISCONN
    pub const not_connected = 57; // ENOTCONN
    pub const not_implemented = 78; // ENOSYS
};

/// What a function of the C library returned, or the negated errno.
pub fn result(returned: anytype) i32 {
    if (returned == -1) return -errnoLocation().*;
    // Lengths are capped at `max_transfer_bytes`, so that every result fits.
    return @intCast(returned);
}

/// Calls a function that does not block, again and again until no signal interrupts it.
pub fn callUninterrupted(function: anytype, arguments: anytype) i32 {
    while (true) {
        const returned = result(@call(.auto, function, arguments));
        if (returned != -Errno.interrupted) return returned;
    }
}

/// What read(2) and its relatives are asked for at most, so that an `i32` can say how much it was. Darwin refuses more than
/// 2^31 - 1 bytes.
pub const max_transfer_bytes = 0x7ffff000;

pub fn monotonicNow_ns() i64 {
    var now: Timespec = undefined;
    const returned = c.clock_gettime(clock_monotonic, &now);
    std.debug.assert(returned == 0);
    return now.seconds * std.time.ns_per_s + now.nanoseconds;
}

pub const Timespec = extern struct {
    seconds: i64,
    nanoseconds: i64,

    pub fn fromNanoseconds(total_ns: i64) Timespec {
        return .{
            .seconds = @divTrunc(total_ns, std.time.ns_per_s),
            .nanoseconds = @rem(total_ns, std.time.ns_per_s),
        };
    }
};

/// Sets the flag "close on exec", where no call gives it to a descriptor at birth. A process that another thread starts in
/// between inherits the descriptor; nothing that this library could do prevents that.
pub fn closeOnExec(descriptor: i32) i32 {
    return result(c.fcntl(descriptor, Command.set_descriptor_flags, close_on_exec));
}

/// Whether the number is a descriptor.
pub fn isOpen(descriptor: i32) bool {
    return c.fcntl(descriptor, Command.get_descriptor_flags) != -1;
}

/// The bits of `st_mode` that say what kind of file a descriptor is of (stat(2)).
pub fn fileType(descriptor: i32) i32 {
    var information: FileInformation = undefined;
    const returned = result(fileInformation(descriptor, &information));
    return if (returned < 0) returned else information.mode & file_type_mask;
}

pub const Command = struct {
    pub const get_descriptor_flags: c_int = 1;
    pub const set_descriptor_flags: c_int = 2;
    pub const get_flags: c_int = 3;
    pub const set_flags: c_int = 4;
    pub const duplicate_cloexec: c_int = if (is_macos) 67 else 17;
};

pub const close_on_exec: c_int = 1;

/// `struct stat`, of which only the mode is read.
const FileInformation = if (is_macos)
    extern struct { device: i32, mode: u16, links: u16, rest: [136]u8 align(8) }
else
    extern struct { device: u64, node: u64, links: u64, mode: u16, rest: [198]u8 };

const file_type_mask: u16 = 0o170000;

/// CLOCK_MONOTONIC of FreeBSD. That of macOS counts in microseconds and goes on while the machine sleeps, which the time-outs of
/// kevent(2) do not; CLOCK_UPTIME_RAW is the clock of those.
const clock_monotonic: c_int = if (is_macos) 8 else 4;

const fileInformation = if (is_macos and builtin.cpu.arch == .x86_64) struct {
    extern "c" fn @"fstat$INODE64"(c_int, *FileInformation) c_int;
    const function = @"fstat$INODE64";
}.function else struct {
    extern "c" fn fstat(c_int, *FileInformation) c_int;
    const function = fstat;
}.function;

const errnoLocation = struct {
    extern "c" fn __error() *c_int;
    const function = __error;
}.function;

const c = struct {
    extern "c" fn clock_gettime(c_int, *Timespec) c_int;
    extern "c" fn fcntl(c_int, c_int, ...) c_int;
};

comptime {
    std.debug.assert(@sizeOf(FileInformation) == if (is_macos) 144 else 224);
    std.debug.assert(@offsetOf(FileInformation, "mode") == if (is_macos) 4 else 24);
}
