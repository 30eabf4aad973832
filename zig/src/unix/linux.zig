//! Unix sockets of Linux.
//!
//! Facts. A path may fill `sun_path` to its last byte, without a zero; an abstract name begins with a zero and its
//! length counts (unix(7)). Descriptors that do not fit into the control buffer are closed by the kernel, and
//! MSG_CTRUNC says so; how many fit follows from the buffer's length, which must not be rounded up, or one more than
//! asked for may come. Credentials come before descriptors in it. MSG_TRUNC as an argument makes recvmsg(2) return a
//! datagram's whole length; of a stream it would throw bytes away. What a socket has sent and nobody has received yet
//! counts against its send buffer, and SIOCOUTQ tells how much that is (sockios.h).
//!
//! Decision. One send and one receive that do all: bytes, the other side's name, descriptors and credentials. Control
//! messages are laid out and read here; nothing of them crosses the border.

const std = @import("std");
const linux = @import("../linux.zig");
const socket = @import("../socket.zig");
const unix = @import("../unix.zig");

const MessageHeader = @import("../socket/posix.zig").MessageHeader;

pub fn create(kind: unix.Kind) i32 {
    return linux.call(.socket, .{ Family.unix, typeOf(kind), 0 });
}

pub fn makePair(kind: unix.Kind, pair: *unix.Pair) i32 {
    return linux.call(.socketpair, .{ Family.unix, typeOf(kind), 0, pair });
}

pub fn bind(descriptor: i32, address: *const unix.Address) i32 {
    const native: NativeAddress = .from(address);
    return linux.call(.bind, .{ descriptor, &native, native.length(address) });
}

pub fn connect(descriptor: i32, address: *const unix.Address) i32 {
    const native: NativeAddress = .from(address);
    return linux.call(.connect, .{ descriptor, &native, native.length(address) });
}

pub fn localAddress(descriptor: i32, address: *unix.Address) i32 {
    return readAddress(.getsockname, descriptor, address);
}

pub fn peerAddress(descriptor: i32, address: *unix.Address) i32 {
    return readAddress(.getpeername, descriptor, address);
}

pub fn peerCredentials(descriptor: i32, credentials: *unix.Credentials) i32 {
    var length: u32 = @sizeOf(unix.Credentials);
    return linux.call(.getsockopt, .{ descriptor, Level.socket, Name.peer_credentials, credentials, &length });
}

/// From now on each message says who has sent it.
pub fn passCredentials(descriptor: i32) i32 {
    const on: i32 = 1;
    return linux.call(.setsockopt, .{ descriptor, Level.socket, Name.pass_credentials, &on, @sizeOf(i32) });
}

/// How much of the send buffer is taken by messages that nobody has received yet, the kernel's own overhead included.
pub fn queuedBytes(descriptor: i32) i32 {
    var queued: i32 = 0;
    const result = linux.call(.ioctl, .{ descriptor, output_queue, &queued });
    return if (result < 0) result else queued;
}

pub fn send(descriptor: i32, bytes: []const u8, to: ?*const unix.Address, descriptors: []const i32) i32 {
    const parts = [1]socket.Part{.{ .base = bytes.ptr, .length = @min(bytes.len, linux.max_transfer_bytes) }};
    var native: NativeAddress = undefined;
    var control: Control = undefined;
    var header: MessageHeader = .{ .parts = &parts, .part_count = parts.len };
    if (to) |address| {
        native = .from(address);
        header.name = &native;
        header.name_length = native.length(address);
    }
    if (descriptors.len > 0) {
        std.debug.assert(descriptors.len <= unix.most_descriptors);
        const length = @sizeOf(ControlHeader) + descriptors.len * @sizeOf(i32);
        control.header = .{ .length = length, .level = Level.socket, .kind = ControlKind.rights };
        @memcpy(control.descriptors[0..descriptors.len], descriptors);
        header.control = &control;
        header.control_length = length;
    }
    return linux.callUninterrupted(.sendmsg, .{ descriptor, &header, Flag.no_signal });
}

pub fn receive(descriptor: i32, bytes: []u8, kind: unix.Kind, room: unix.Room, message: *unix.Message) i32 {
    std.debug.assert(room.descriptors <= unix.most_descriptors);
    const parts = [1]socket.Part{.{ .base = bytes.ptr, .length = @min(bytes.len, linux.max_transfer_bytes) }};
    var native: NativeAddress = undefined;
    var control: [control_bytes]u8 align(@alignOf(ControlHeader)) = undefined;
    var header: MessageHeader = .{
        .name = &native,
        .name_length = @sizeOf(NativeAddress),
        .parts = &parts,
        .part_count = parts.len,
        .control = &control,
        .control_length = roomFor(room),
    };
    const flags: u32 = Flag.close_on_exec | if (kind == .datagram) Flag.truncated else 0;
    const result = linux.callUninterrupted(.recvmsg, .{ descriptor, &header, flags });
    if (result < 0) return result;
    message.flags = 0;
    message.descriptor_count = 0;
    if (header.flags & Flag.truncated != 0) message.flags |= unix.Message.truncated;
    if (header.flags & Flag.control_truncated != 0) message.flags |= unix.Message.descriptors_truncated;
    native.toAddress(header.name_length, &message.address);
    readControl(control[0..header.control_length], message);
    return result;
}

/// Credentials come first, so descriptors have what is left: exactly as much as they may take.
fn roomFor(room: unix.Room) usize {
    var length: usize = 0;
    if (room.has_sender) length += alignUp(@sizeOf(ControlHeader) + @sizeOf(unix.Credentials));
    if (room.descriptors > 0) length += @sizeOf(ControlHeader) + room.descriptors * @sizeOf(i32);
    return length;
}

fn readControl(control: []const u8, message: *unix.Message) void {
    var at: usize = 0;
    while (at + @sizeOf(ControlHeader) <= control.len) {
        const header: *const ControlHeader = @ptrCast(@alignCast(control[at..].ptr));
        if (header.length < @sizeOf(ControlHeader) or at + header.length > control.len) return;
        const data = control[at + @sizeOf(ControlHeader) .. at + header.length];
        if (header.level == Level.socket) switch (header.kind) {
            ControlKind.rights => takeDescriptors(data, message),
            ControlKind.credentials => takeCredentials(data, message),
            else => {},
        };
        at += alignUp(header.length);
    }
}

/// Without room for them they come cut off (cmsg(3)), and say nothing.
fn takeCredentials(data: []const u8, message: *unix.Message) void {
    if (data.len < @sizeOf(unix.Credentials)) return;
    message.sender = std.mem.bytesToValue(unix.Credentials, data[0..@sizeOf(unix.Credentials)]);
    message.flags |= unix.Message.has_sender;
}

fn takeDescriptors(data: []const u8, message: *unix.Message) void {
    for (0..data.len / @sizeOf(i32)) |index| {
        const bytes = data[index * @sizeOf(i32) ..][0..@sizeOf(i32)];
        message.descriptors[message.descriptor_count] = std.mem.bytesToValue(i32, bytes);
        message.descriptor_count += 1;
    }
}

fn readAddress(number: linux.SystemCall, descriptor: i32, address: *unix.Address) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const result = linux.call(number, .{ descriptor, &native, &length });
    if (result < 0) return result;
    native.toAddress(length, address);
    return 0;
}

fn typeOf(kind: unix.Kind) u32 {
    const number: u32 = switch (kind) {
        .stream => Type.stream,
        .datagram => Type.datagram,
    };
    return number | Type.nonblock | Type.cloexec;
}

/// CMSG_ALIGN
fn alignUp(length: usize) usize {
    return std.mem.alignForward(usize, length, @sizeOf(usize));
}

/// `struct sockaddr_un`
const NativeAddress = extern struct {
    family: u16,
    name: [108]u8,

    fn from(address: *const unix.Address) NativeAddress {
        return .{ .family = Family.unix, .name = address.bytes };
    }

    /// Without a name only the family is passed, which gives a socket that is bound an abstract name of its own.
    fn length(_: *const NativeAddress, address: *const unix.Address) u32 {
        std.debug.assert(address.length <= address.bytes.len);
        return @sizeOf(u16) + address.length;
    }

    fn toAddress(native: *const NativeAddress, length_bytes: u32, address: *unix.Address) void {
        address.length = 0;
        if (length_bytes <= @sizeOf(u16)) return;
        const name = native.name[0..@min(length_bytes - @sizeOf(u16), native.name.len)];
        // The kernel counts the zero behind a path as well.
        const is_abstract = name[0] == 0;
        const end = if (is_abstract) name.len else std.mem.indexOfScalar(u8, name, 0) orelse name.len;
        @memcpy(address.bytes[0..end], name[0..end]);
        address.length = @intCast(end);
    }
};

/// `struct cmsghdr`
const ControlHeader = extern struct { length: usize, level: u32, kind: u32 };

const Control = extern struct { header: ControlHeader, descriptors: [unix.most_descriptors + 1]i32 };

const control_bytes = alignUp(@sizeOf(ControlHeader) + @sizeOf(unix.Credentials)) + @sizeOf(Control);

/// SIOCOUTQ
const output_queue: u32 = 0x5411;

const ControlKind = struct {
    const rights: u32 = 1;
    const credentials: u32 = 2;
};

const Family = struct {
    const unix: u16 = 1;
};

const Type = struct {
    const stream: u32 = 1;
    const datagram: u32 = 2;
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};

const Level = struct {
    const socket: u32 = 1;
};

const Name = struct {
    const pass_credentials: u32 = 16;
    const peer_credentials: u32 = 17;
};

const Flag = struct {
    const control_truncated: u32 = 0x8;
    const truncated: u32 = 0x20;
    const no_signal: u32 = 0x4000;
    const close_on_exec: u32 = 0x40000000;
};

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == 110);
    std.debug.assert(@sizeOf(ControlHeader) == 16);
}
