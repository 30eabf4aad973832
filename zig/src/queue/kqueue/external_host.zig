//! Linux as the host of a kqueue(2) that is a library: what the contract suite needs to run over one. Such a library
//! needs the C library, and leaves its errors in that one's variable.

const linux = @import("../../linux.zig");

pub const Timespec = linux.Timespec;
pub const monotonicNow_ns = linux.monotonicNow_ns;

pub fn result(returned: c_int) i32 {
    return if (returned == -1) -__errno_location().* else returned;
}

pub fn closeOnExec(descriptor: i32) i32 {
    return linux.call(.fcntl, .{ descriptor, set_descriptor_flags, close_on_exec });
}

pub fn isOpen(descriptor: i32) bool {
    return linux.call(.fcntl, .{ descriptor, get_descriptor_flags, 0 }) >= 0;
}

/// The bits of `stx_mode` that say what kind of file it is (statx(2)); 0 for what is in no file system, as an eventfd.
pub fn fileType(descriptor: i32) i32 {
    var information: extern struct { ignored: [28]u8, mode: u16, rest: [226]u8 } align(8) = undefined;
    const returned = linux.call(.statx, .{ descriptor, "", empty_path, only_type, &information });
    return if (returned < 0) returned else information.mode & file_type_mask;
}

const get_descriptor_flags = 1;
const set_descriptor_flags = 2;
const close_on_exec = 1;
const empty_path = 0x1000;
const only_type = 1;
const file_type_mask: u16 = 0o170000;

extern "c" fn __errno_location() *c_int;
