//! Windows tells of changed files through directory handles (ReadDirectoryChangesW), which are no descriptors that become
//! readable. Every call says so (`-ENOSYS`).

const watch = @import("../watch.zig");
const windows = @import("../windows.zig");

const absent: i32 = -windows.Errno.not_implemented;

pub fn open() i32 {
    return absent;
}

pub fn add(_: i32, _: [*:0]const u8, _: watch.Target) i32 {
    return absent;
}

pub fn remove(_: i32, _: i32) i32 {
    return absent;
}

pub fn read(_: i32, _: []align(4) u8) i32 {
    return absent;
}
