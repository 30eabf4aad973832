//! The calls of macOS and FreeBSD that the library makes, through the system's own C library.
//!
//! Facts. On Linux the numbers of system calls are the interface that stays; here it is libSystem and libc, and the
//! numbers may change with any release. Their functions return -1 and leave the error in a variable of the thread. What
//! became incompatible was given another symbol: on x86-64 macOS `fstat` is the one of before 2007, and `fstat$INODE64`
//! that of the headers. On arm64 macOS the arguments of a variadic function lie on the stack, so it must be declared as
//! one (`fcntl`, `ioctl`, `open`).
//!
//! Decision. The functions are declared here, once, and called by name through `call`, so that everything above sees an
//! `i32` that is either the result or the negated errno, as on Linux, and much of it is the same code (`posix.zig`).

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
    pub const invalid_argument = 22; // EINVAL
    pub const no_space = 28; // ENOSPC
    pub const again = 35; // EAGAIN
    pub const address_family_not_supported = 47; // EAFNOSUPPORT
    pub const name_too_long = 63; // ENAMETOOLONG
    pub const not_implemented = 78; // ENOSYS
};

/// Calls a function of the C library by its name. Numbers are converted to what it takes.
pub fn call(comptime function: @TypeOf(.name), arguments: anytype) i32 {
    const implementation = @field(c, @tagName(function));
    return result(@call(.auto, implementation, toArguments(@TypeOf(implementation), arguments)));
}

/// Calls a function that does not block, again and again until no signal interrupts it.
pub fn callUninterrupted(comptime function: @TypeOf(.name), arguments: anytype) i32 {
    while (true) {
        const returned = call(function, arguments);
        if (returned != -Errno.interrupted) return returned;
    }
}

/// What a function of the C library returned, or the negated errno.
pub fn result(returned: anytype) i32 {
    if (returned == -1) return -errnoLocation().*;
    // Lengths are capped at `max_transfer_bytes`, so that every result fits.
    return @intCast(returned);
}

/// What read(2) and its relatives are asked for at most, so that an `i32` can say how much it was. Darwin refuses more
/// than 2^31 - 1 bytes.
pub const max_transfer_bytes = 0x7ffff000;

pub fn monotonicNow_ns() i64 {
    var now: Timespec = undefined;
    const returned = call(.clock_gettime, .{ clock_monotonic, &now });
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

/// Sets the flag "close on exec", where no call gives it to a descriptor at birth. A process that another thread starts
/// in between inherits the descriptor; nothing that this library could do prevents that.
pub fn closeOnExec(descriptor: i32) i32 {
    return call(.fcntl, .{ descriptor, Command.set_descriptor_flags, close_on_exec });
}

/// Makes a new descriptor what those of this library are from their birth. It is closed if that cannot be.
pub fn adopt(descriptor: i32) i32 {
    if (descriptor < 0) return descriptor;
    var failure = closeOnExec(descriptor);
    if (failure >= 0) failure = call(.fcntl, .{ descriptor, Command.set_flags, nonblock });
    if (failure >= 0) return descriptor;
    _ = call(.close, .{descriptor});
    return failure;
}

/// Whether the number is a descriptor.
pub fn isOpen(descriptor: i32) bool {
    return call(.fcntl, .{ descriptor, Command.get_descriptor_flags }) >= 0;
}

/// The bits of `st_mode` that say what kind of file a descriptor is of (stat(2)).
pub fn fileType(descriptor: i32) i32 {
    var information: FileInformation = undefined;
    const returned = result(fileInformation(descriptor, &information));
    return if (returned < 0) returned else information.mode & file_type_mask;
}

const Command = struct {
    const get_descriptor_flags = 1;
    const set_descriptor_flags = 2;
    const set_flags = 4;
};

const close_on_exec = 1;

/// O_NONBLOCK. Set alone where a descriptor is new: read(2) and write(2) were given with it, and cannot be set.
const nonblock = 0x4;

/// `struct stat`, of which only the mode is read.
pub const FileInformation = if (is_macos)
    extern struct { device: i32, mode: u16, links: u16, rest: [136]u8 align(8) }
else
    extern struct { device: u64, node: u64, links: u64, mode: u16, rest: [198]u8 };

const file_type_mask: u16 = 0o170000;

/// CLOCK_MONOTONIC of FreeBSD. That of macOS counts in microseconds and goes on while the machine sleeps, which the
/// time-outs of kevent(2) do not; CLOCK_UPTIME_RAW is the clock of those.
pub const clock_monotonic: c_int = if (is_macos) 8 else 4;

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

/// The arguments as the function declares them; those behind the declared ones, of a variadic function, as C passes
/// them.
fn toArguments(comptime Function: type, arguments: anytype) Arguments(Function, @TypeOf(arguments)) {
    var converted: Arguments(Function, @TypeOf(arguments)) = undefined;
    inline for (0..arguments.len) |index| {
        const argument = arguments[index];
        const Wanted = @TypeOf(converted[index]);
        converted[index] = switch (@typeInfo(Wanted)) {
            .int => @intCast(argument),
            else => argument,
        };
    }
    return converted;
}

fn Arguments(comptime Function: type, comptime Given: type) type {
    const parameters = @typeInfo(Function).@"fn".params;
    const given = @typeInfo(Given).@"struct".fields;
    var types: [given.len]type = undefined;
    for (&types, 0..) |*each, index| {
        each.* = if (index < parameters.len)
            parameters[index].type.?
        else switch (@typeInfo(given[index].type)) {
            .int, .comptime_int => c_int,
            else => given[index].type,
        };
    }
    return @Tuple(&types);
}

const c = struct {
    extern "c" fn accept(c_int, ?*anyopaque, ?*u32) c_int;
    extern "c" fn accept4(c_int, ?*anyopaque, ?*u32, c_int) c_int;
    extern "c" fn bind(c_int, *const anyopaque, u32) c_int;
    extern "c" fn clock_gettime(c_int, *Timespec) c_int;
    extern "c" fn close(c_int) c_int;
    extern "c" fn connect(c_int, *const anyopaque, u32) c_int;
    extern "c" fn fcntl(c_int, c_int, ...) c_int;
    extern "c" fn getpeername(c_int, *anyopaque, *u32) c_int;
    extern "c" fn getsockname(c_int, *anyopaque, *u32) c_int;
    extern "c" fn getsockopt(c_int, c_int, c_int, *anyopaque, *u32) c_int;
    extern "c" fn grantpt(c_int) c_int;
    extern "c" fn ioctl(c_int, c_ulong, ...) c_int;
    extern "c" fn kill(c_int, c_int) c_int;
    extern "c" fn listen(c_int, c_int) c_int;
    extern "c" fn mkfifo([*:0]const u8, ModeArgument) c_int;
    extern "c" fn open([*:0]const u8, c_int, ...) c_int;
    extern "c" fn pipe(*anyopaque) c_int;
    extern "c" fn pipe2(*anyopaque, c_int) c_int;
    extern "c" fn posix_openpt(c_int) c_int;
    extern "c" fn read(c_int, *anyopaque, usize) isize;
    extern "c" fn recvfrom(c_int, *anyopaque, usize, c_int, ?*anyopaque, ?*u32) isize;
    extern "c" fn recvmsg(c_int, *anyopaque, c_int) isize;
    extern "c" fn sendmsg(c_int, *const anyopaque, c_int) isize;
    extern "c" fn sendto(c_int, *const anyopaque, usize, c_int, ?*const anyopaque, u32) isize;
    extern "c" fn setsockopt(c_int, c_int, c_int, *const anyopaque, u32) c_int;
    extern "c" fn shutdown(c_int, c_int) c_int;
    extern "c" fn socket(c_int, c_int, c_int) c_int;
    extern "c" fn socketpair(c_int, c_int, c_int, *anyopaque) c_int;
    extern "c" fn unlockpt(c_int) c_int;
    extern "c" fn write(c_int, *const anyopaque, usize) isize;
    extern "c" fn writev(c_int, *const anyopaque, c_int) isize;
};

/// `mode_t`
const ModeArgument = u16;

comptime {
    std.debug.assert(@sizeOf(FileInformation) == if (is_macos) 144 else 224);
    std.debug.assert(@offsetOf(FileInformation, "mode") == if (is_macos) 4 else 24);
}
