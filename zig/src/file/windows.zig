//! Calls on descriptors of Windows.
//!
//! Facts. A descriptor is a SOCKET here: the event queue of Windows can wait for no other handle, as pipes, consoles and
//! files have no readiness, only completions that take the bytes. Whether a socket is non-blocking cannot be asked, only
//! set (ioctlsocket). There are no FIFOs in the file system.
//!
//! Decision. Reading, writing and the non-blocking mode work on sockets, so that a socket of somebody else can be used as
//! a stream; everything else is not there (`-ENOSYS`).

const file = @import("../file.zig");
const socket = @import("../socket.zig");
const windows = @import("../windows.zig");

const absent: i32 = -windows.Errno.not_implemented;

pub const read = socket.receive;
pub const write = socket.send;
pub const writeVectored = socket.sendVectored;

pub fn isNonBlocking(_: i32) i32 {
    return absent;
}

pub fn setNonBlocking(descriptor: i32, is_on: bool) i32 {
    const result = windows.setNonBlocking(windows.toSocket(descriptor), is_on);
    return if (result == 0) 0 else windows.lastFailureOf(descriptor);
}

pub fn makePipe(_: *file.PipePair) i32 {
    return absent;
}

pub fn open(_: [*:0]const u8, _: file.Access) i32 {
    return absent;
}

pub fn makeFifo(_: [*:0]const u8, _: u32) i32 {
    return absent;
}

pub fn duplicate(_: i32) i32 {
    return absent;
}
