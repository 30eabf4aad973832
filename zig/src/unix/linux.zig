//! What is Linux's own of unix sockets.
//!
//! Facts. An abstract name begins with a zero and its length counts (unix(7)); to bind without a name gives a socket an
//! abstract one. Descriptors that do not fit into the control buffer are closed by the kernel, and MSG_CTRUNC says so;
//! how many fit follows from the buffer's length, which must not be rounded up, or one more than asked for may come.
//! Credentials come before descriptors in it. MSG_TRUNC as an argument makes recvmsg(2) return a datagram's whole
//! length; of a stream it would throw bytes away. What a socket has sent and nobody has received yet counts against its
//! send buffer, and SIOCOUTQ tells how much that is (sockios.h).

const std = @import("std");
const linux = @import("../linux.zig");
const posix = @import("posix.zig");
const sockets = @import("../socket/linux.zig");
const unix = @import("../unix.zig");

/// `struct cmsghdr`
pub const ControlHeader = extern struct { length: usize, level: u32, kind: u32 };

pub const control_alignment = @sizeOf(usize);

/// Of `sun_path`
pub const name_bytes = 108;

pub const has_abstract_names = true;

/// Room for a datagram that is longer than its buffer; here MSG_TRUNC tells its length.
pub const overflow_bytes = 0;
pub const whole_length: u32 = sockets.Flag.truncated;

/// MSG_CMSG_CLOEXEC
pub const close_on_exec: u32 = 0x40000000;

pub const most_received = unix.most_descriptors + 1;

pub const credentials_bytes = posix.spaceOf(@sizeOf(unix.Credentials));

/// The kernel has every name.
pub fn refusalOf(_: *const unix.Address) i32 {
    return 0;
}

/// Credentials come first, so descriptors have what is left: exactly as much as they may take.
pub fn controlRoom(room: unix.Room) usize {
    var length: usize = 0;
    if (room.has_sender) length += credentials_bytes;
    if (room.descriptors > 0) length += posix.data_offset + room.descriptors * @sizeOf(i32);
    return length;
}

/// The kernel counts them.
pub fn mostTaken(_: unix.Room) u32 {
    return most_received;
}

pub fn prepareReceived(_: i32) void {}

/// Without room for them they come cut off (cmsg(3)), and say nothing.
pub fn takeCredentials(kind: u32, data: []const u8, message: *unix.Message) void {
    if (kind != credentials_kind or data.len < @sizeOf(unix.Credentials)) return;
    message.sender = std.mem.bytesToValue(unix.Credentials, data[0..@sizeOf(unix.Credentials)]);
    message.flags |= unix.Message.has_sender;
}

pub fn peerCredentials(descriptor: i32, credentials: *unix.Credentials) i32 {
    var length: u32 = @sizeOf(unix.Credentials);
    return linux.call(.getsockopt, .{ descriptor, sockets.Level.socket, peer_credentials, credentials, &length });
}

/// From now on each message says who has sent it.
pub fn passCredentials(descriptor: i32) i32 {
    const on: i32 = 1;
    return linux.call(.setsockopt, .{ descriptor, sockets.Level.socket, pass_credentials, &on, @sizeOf(i32) });
}

/// How much of the send buffer is taken by messages that nobody has received yet, the kernel's own overhead included.
pub fn queuedBytes(descriptor: i32) i32 {
    var queued: i32 = 0;
    const result = linux.call(.ioctl, .{ descriptor, output_queue, &queued });
    return if (result < 0) result else queued;
}

/// SIOCOUTQ
const output_queue: u32 = 0x5411;
/// SO_PASSCRED
const pass_credentials: u32 = 16;
/// SO_PEERCRED
const peer_credentials: u32 = 17;
/// SCM_CREDENTIALS
const credentials_kind: u32 = 2;

comptime {
    std.debug.assert(@sizeOf(ControlHeader) == 16);
    std.debug.assert(posix.data_offset == 16);
}
