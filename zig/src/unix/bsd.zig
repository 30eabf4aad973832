//! What is macOS's and FreeBSD's own of unix sockets.
//!
//! Facts. Names are paths, of 104 bytes at most; there are no abstract ones, and none without a name. A receiver that
//! has too little room for descriptors may be given them all the same, with numbers that it is not told: they would be
//! open for ever. macOS has no MSG_CMSG_CLOEXEC. Who has connected is told by LOCAL_PEERCRED, whose first group is the
//! one in effect, and its process on macOS by LOCAL_PEERPID. With each message the sender is told by nothing on macOS,
//! and on FreeBSD by options that do not say the same for streams and for datagrams. No call tells how long a datagram
//! was that did not fit. What was sent is in the receiver's buffer at once, and a datagram that has no room there is
//! refused with ENOBUFS.
//!
//! Decision. There is always room for as many descriptors as one message can carry, and those that were not asked for
//! are closed here. Credentials with each message are not there (`-ENOSYS`). Room for a long datagram follows the
//! caller's buffer, as in `datagram/bsd.zig`.

const std = @import("std");
const bsd = @import("../bsd.zig");
const posix = @import("posix.zig");
const unix = @import("../unix.zig");

const Errno = bsd.Errno;

/// `struct cmsghdr`
pub const ControlHeader = extern struct { length: u32, level: u32, kind: u32 };

/// macOS aligns control messages to 4 bytes, FreeBSD to 8.
pub const control_alignment = if (bsd.is_macos) 4 else 8;

/// Of `sun_path`
pub const name_bytes = 104;

pub const has_abstract_names = false;

/// Longer datagrams do not fit into the buffers of sockets, unless they were enlarged beyond what the system allows at
/// first.
pub const overflow_bytes = 65536;
pub const whole_length: u32 = 0;

/// MSG_CMSG_CLOEXEC
pub const close_on_exec: u32 = if (bsd.is_macos) 0 else 0x40000;

/// A control message lies in one buffer of 2,048 bytes in the kernel.
pub const most_received = 512;

pub const credentials_bytes = 0;

pub fn refusalOf(address: *const unix.Address) i32 {
    if (address.length == 0 or address.bytes[0] == 0) return -Errno.invalid_argument;
    return if (address.length > name_bytes) -Errno.name_too_long else 0;
}

pub fn controlRoom(_: unix.Room) usize {
    return posix.spaceOf(most_received * @sizeOf(i32));
}

pub fn mostTaken(room: unix.Room) u32 {
    return room.descriptors;
}

pub fn prepareReceived(descriptor: i32) void {
    // It is open, so this cannot fail.
    if (bsd.is_macos) std.debug.assert(bsd.closeOnExec(descriptor) >= 0);
}

pub fn takeCredentials(_: u32, _: []const u8, _: *unix.Message) void {}

pub fn peerCredentials(descriptor: i32, credentials: *unix.Credentials) i32 {
    var native: NativeCredentials = undefined;
    var length: u32 = @sizeOf(NativeCredentials);
    const result = bsd.call(.getsockopt, .{ descriptor, level_local, peer_credentials, &native, &length });
    if (result < 0) return result;
    if (native.group_count < 1) return -Errno.invalid_argument;
    credentials.* = .{ .process_id = 0, .user_id = native.user_id, .group_id = native.groups[0] };
    if (!bsd.is_macos) {
        credentials.process_id = native.process.id;
        return 0;
    }
    length = @sizeOf(i32);
    return bsd.call(.getsockopt, .{ descriptor, level_local, peer_process, &credentials.process_id, &length });
}

pub fn passCredentials(_: i32) i32 {
    return -Errno.not_implemented;
}

/// What the socket itself still has to hand over; messages in the receiver's buffer are the receiver's.
pub fn queuedBytes(descriptor: i32) i32 {
    var queued: i32 = 0;
    var length: u32 = @sizeOf(i32);
    const result = if (bsd.is_macos)
        bsd.call(.getsockopt, .{ descriptor, level_socket, unsent_bytes, &queued, &length })
    else
        bsd.call(.ioctl, .{ descriptor, unsent_request, &queued });
    return if (result < 0) result else queued;
}

/// `struct xucred`, to which FreeBSD has added the process.
pub const NativeCredentials = if (bsd.is_macos) extern struct {
    version: u32,
    user_id: u32,
    group_count: i16,
    groups: [16]u32,
} else extern struct {
    version: u32,
    user_id: u32,
    group_count: i16,
    groups: [16]u32,
    process: extern union { id: i32, reserved: usize },
};

/// SOL_LOCAL
const level_local: u32 = 0;
const level_socket: u32 = 0xffff;
/// LOCAL_PEERCRED
pub const peer_credentials: u32 = 1;
/// LOCAL_PEERPID
pub const peer_process: u32 = 2;
/// SO_NWRITE of macOS
pub const unsent_bytes: u32 = 0x1024;
/// FIONWRITE of FreeBSD
pub const unsent_request: u32 = 0x40046677;

comptime {
    std.debug.assert(@sizeOf(ControlHeader) == 12);
    std.debug.assert(posix.data_offset == if (bsd.is_macos) 12 else 16);
    std.debug.assert(@sizeOf(NativeCredentials) == if (bsd.is_macos) 76 else 88);
}
