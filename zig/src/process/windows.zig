//! Windows has no descriptor of a process that an event queue of sockets can wait for, and no process groups with
//! signals. Every call says so (`-ENOSYS`); the runtime tells when a child has ended.

const windows = @import("../windows.zig");

const absent: i32 = -windows.Errno.not_implemented;

pub fn open(_: i32) i32 {
    return absent;
}

pub fn peekStatus(_: i32) i32 {
    return absent;
}

pub fn signalGroup(_: i32, _: u32) i32 {
    return absent;
}
