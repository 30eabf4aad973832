//! Processes of macOS and FreeBSD.
//!
//! Facts. Neither has a descriptor of any process that could be watched as pidfd_open(2) gives one: FreeBSD has them
//! only of children that were started by pdfork(2). The runtime starts children, and tells of their ends.
//!
//! Decision. Only signals to groups are here.

const bsd = @import("../bsd.zig");

pub fn open(_: i32) i32 {
    return -bsd.Errno.not_implemented;
}

pub fn peekStatus(_: i32) i32 {
    return -bsd.Errno.not_implemented;
}

pub fn signalGroup(group_id: i32, signal: u32) i32 {
    // A group of 0 would be our own, and one of 1 everybody.
    if (group_id <= 1) return -bsd.Errno.invalid_argument;
    return bsd.call(.kill, .{ -group_id, signal });
}
