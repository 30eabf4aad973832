//! Unix sockets of Windows.
//!
//! Facts. Windows has them since version 10 1803: streams with a path as their name. There are no datagrams, no pairs, no
//! abstract names that work, no descriptors and no credentials that are passed (Microsoft's article "AF_UNIX comes to
//! Windows"). A path is UTF-8, ends with a zero and has at most 107 bytes before it. Before that version the family is not
//! supported.
//!
//! Decision. Streams work as elsewhere. What is asked for beyond them is refused: `-ENOTSUP` for a kind of socket, a name
//! or a message, `-ENOSYS` for a call.

const std = @import("std");
const socket = @import("../socket.zig");
const sockets = @import("../socket/windows.zig");
const unix = @import("../unix.zig");
const windows = @import("../windows.zig");

const Errno = windows.Errno;

const absent: i32 = -Errno.not_implemented;

pub fn create(kind: unix.Kind) i32 {
    if (kind != .stream) return -Errno.not_supported;
    return windows.makeSocket(sockets.Family.unix, sockets.Type.stream, 0);
}

pub fn makePair(_: unix.Kind, _: *unix.Pair) i32 {
    return absent;
}

pub fn bind(descriptor: i32, address: *const unix.Address) i32 {
    var native: NativeAddress = undefined;
    const result = native.fromAddress(address);
    if (result < 0) return result;
    return sockets.check(windows.bind(windows.toSocket(descriptor), &native, @sizeOf(NativeAddress)), descriptor);
}

pub fn connect(descriptor: i32, address: *const unix.Address) i32 {
    var native: NativeAddress = undefined;
    const result = native.fromAddress(address);
    if (result < 0) return result;
    const connected = windows.connect(windows.toSocket(descriptor), &native, @sizeOf(NativeAddress));
    return sockets.finishConnect(connected, descriptor);
}

pub fn localAddress(descriptor: i32, address: *unix.Address) i32 {
    var native: NativeAddress = .{};
    var length: i32 = @sizeOf(NativeAddress);
    const result = windows.getsockname(windows.toSocket(descriptor), &native, &length);
    if (result == 0) native.toAddress(length, address);
    return sockets.check(result, descriptor);
}

pub fn peerAddress(descriptor: i32, address: *unix.Address) i32 {
    var native: NativeAddress = .{};
    var length: i32 = @sizeOf(NativeAddress);
    const result = windows.getpeername(windows.toSocket(descriptor), &native, &length);
    if (result == 0) native.toAddress(length, address);
    return sockets.check(result, descriptor);
}

pub fn peerCredentials(_: i32, _: *unix.Credentials) i32 {
    return absent;
}

pub fn passCredentials(_: i32) i32 {
    return absent;
}

pub fn queuedBytes(_: i32) i32 {
    return absent;
}

pub fn send(descriptor: i32, bytes: []const u8, to: ?*const unix.Address, descriptors: []const i32) i32 {
    if (to != null or descriptors.len > 0) return -Errno.not_supported;
    return socket.send(descriptor, bytes.ptr, bytes.len);
}

/// Nothing but bytes can come, so the message says nothing.
pub fn receive(descriptor: i32, bytes: []u8, kind: unix.Kind, _: unix.Room, message: *unix.Message) i32 {
    if (kind != .stream) return -Errno.not_supported;
    const result = socket.receive(descriptor, bytes.ptr, bytes.len);
    if (result < 0) return result;
    message.flags = 0;
    message.descriptor_count = 0;
    message.address.length = 0;
    return result;
}

/// `SOCKADDR_UN`
const NativeAddress = extern struct {
    family: u16 = sockets.Family.unix,
    path: [108]u8 = @splat(0),

    fn fromAddress(native: *NativeAddress, address: *const unix.Address) i32 {
        const name = address.bytes[0..@min(address.length, address.bytes.len)];
        if (name.len == 0) return -Errno.invalid_argument;
        if (name[0] == 0) return -Errno.not_supported;
        if (name.len >= native.path.len) return -Errno.name_too_long;
        native.* = .{ .path = address.bytes };
        native.path[name.len] = 0;
        return 0;
    }

    fn toAddress(native: *const NativeAddress, length: i32, address: *unix.Address) void {
        const path_bytes = std.math.clamp(length - @offsetOf(NativeAddress, "path"), 0, native.path.len);
        const path = native.path[0..@intCast(path_bytes)];
        const end = std.mem.indexOfScalar(u8, path, 0) orelse path.len;
        address.* = .{ .length = @intCast(end), .bytes = native.path };
    }
};

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == 110);
}
