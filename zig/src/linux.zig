//! The Linux system calls that the library makes, raw: without libc there is no errno variable, only the result
//! register.
//!
//! The kernel returns errors as -4095 to -1 in the result register. Everything here returns an `i32` that is either the
//! result or the negated errno, which is also what crosses the boundary to JavaScript.

const std = @import("std");

pub const SystemCall = std.os.linux.SYS;

/// The errno values that the library itself decides on; all others pass through as numbers.
pub const Errno = struct {
    pub const not_permitted = 1; // EPERM
    pub const no_entry = 2; // ENOENT
    pub const interrupted = 4; // EINTR
    pub const bad_descriptor = 9; // EBADF
    pub const again = 11; // EAGAIN
    pub const out_of_memory = 12; // ENOMEM
    pub const busy = 16; // EBUSY
    pub const exists = 17; // EEXIST
    pub const invalid_argument = 22; // EINVAL
    pub const no_space = 28; // ENOSPC
    pub const not_implemented = 38; // ENOSYS
    pub const address_family_not_supported = 97; // EAFNOSUPPORT
};

/// Makes a system call of up to six arguments, each an integer, a pointer or an optional pointer.
pub fn call(number: SystemCall, arguments: anytype) i32 {
    var words: [arguments.len]usize = undefined;
    inline for (0..arguments.len) |index| words[index] = toWord(arguments[index]);
    const linux = std.os.linux;
    const result = switch (arguments.len) {
        1 => linux.syscall1(number, words[0]),
        2 => linux.syscall2(number, words[0], words[1]),
        3 => linux.syscall3(number, words[0], words[1], words[2]),
        4 => linux.syscall4(number, words[0], words[1], words[2], words[3]),
        5 => linux.syscall5(number, words[0], words[1], words[2], words[3], words[4]),
        6 => linux.syscall6(number, words[0], words[1], words[2], words[3], words[4], words[5]),
        else => @compileError("a Linux system call has one to six arguments here"),
    };
    // Lengths are capped at `max_transfer_bytes`, so that every result fits.
    return @intCast(@as(isize, @bitCast(result)));
}

/// Makes a system call that does not block, again and again until no signal interrupts it.
pub fn callUninterrupted(number: SystemCall, arguments: anytype) i32 {
    while (true) {
        const result = call(number, arguments);
        if (result != -Errno.interrupted) return result;
    }
}

/// read(2) and its relatives transfer at most 0x7ffff000 bytes at once, whatever they are asked for.
pub const max_transfer_bytes = 0x7ffff000;

pub fn monotonicNow_ns() i64 {
    var now: Timespec = undefined;
    const result = call(.clock_gettime, .{ @as(usize, clock_monotonic), &now });
    std.debug.assert(result == 0);
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

const clock_monotonic = 1;

fn toWord(argument: anytype) usize {
    return switch (@typeInfo(@TypeOf(argument))) {
        .pointer => @intFromPtr(argument),
        .optional => @intFromPtr(argument),
        .comptime_int => @bitCast(@as(isize, argument)),
        .int => |int| if (int.signedness == .signed) @bitCast(@as(isize, argument)) else @as(usize, argument),
        else => @compileError("not an argument of a system call: " ++ @typeName(@TypeOf(argument))),
    };
}
