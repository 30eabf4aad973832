//! Watching files on macOS and FreeBSD: not there.
//!
//! Facts. EVFILT_VNODE of kqueue(2) tells that something has changed in a folder, and not what; it needs a descriptor
//! of each file, and its events come from the queue that the descriptor is registered with. FSEvents of macOS calls
//! back on threads of its own. Nothing of that is a descriptor that is readable when there are events, as inotify(7)
//! is.
//!
//! Decision. Every call says so.

const bsd = @import("../bsd.zig");
const watch = @import("../watch.zig");

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

const absent = -bsd.Errno.not_implemented;
