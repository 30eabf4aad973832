//! Unix sockets of Linux, macOS and FreeBSD.
//!
//! Facts. A path may fill `sun_path` to its last byte, without a zero. Descriptors come in a control message, whose
//! header and alignment differ between the systems. What a receiver has no room for is its own affair on some of them.
//!
//! Decision. One send and one receive that do all: bytes, the other side's name, descriptors and credentials. Control
//! messages are laid out and read here; nothing of them crosses the border. What differs is in `linux.zig` and
//! `bsd.zig` beside this file.

const std = @import("std");
const builtin = @import("builtin");
const posix = @import("../posix.zig");
const socket = @import("../socket.zig");
const sockets = @import("../socket/posix.zig").system;
const unix = @import("../unix.zig");

const system = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

const ControlHeader = system.ControlHeader;
const Flag = sockets.Flag;

pub const passCredentials = system.passCredentials;
pub const peerCredentials = system.peerCredentials;
pub const queuedBytes = system.queuedBytes;

pub fn create(kind: unix.Kind) i32 {
    return sockets.open(sockets.Family.unix, typeOf(kind));
}

pub fn makePair(kind: unix.Kind, pair: *unix.Pair) i32 {
    return sockets.openPair(sockets.Family.unix, typeOf(kind), @ptrCast(pair));
}

pub fn bind(descriptor: i32, address: *const unix.Address) i32 {
    return callWithAddress(.bind, descriptor, address);
}

pub fn connect(descriptor: i32, address: *const unix.Address) i32 {
    return callWithAddress(.connect, descriptor, address);
}

pub fn localAddress(descriptor: i32, address: *unix.Address) i32 {
    return readAddress(.getsockname, descriptor, address);
}

pub fn peerAddress(descriptor: i32, address: *unix.Address) i32 {
    return readAddress(.getpeername, descriptor, address);
}

pub fn send(descriptor: i32, bytes: []const u8, to: ?*const unix.Address, descriptors: []const i32) i32 {
    const parts = [1]socket.Part{.{ .base = bytes.ptr, .length = @min(bytes.len, posix.max_transfer_bytes) }};
    var native: NativeAddress = undefined;
    var control: [spaceOf(unix.most_descriptors * @sizeOf(i32))]u8 align(@alignOf(ControlHeader)) = undefined;
    var header: sockets.MessageHeader = .{ .parts = &parts, .part_count = parts.len };
    if (to) |address| {
        const length = native.fromAddress(address);
        if (length < 0) return length;
        header.name = &native;
        header.name_length = @intCast(length);
    }
    if (descriptors.len > 0) {
        std.debug.assert(descriptors.len <= unix.most_descriptors);
        const length = data_offset + descriptors.len * @sizeOf(i32);
        const control_header: *ControlHeader = @ptrCast(&control);
        control_header.* = .{ .length = @intCast(length), .level = sockets.Level.socket, .kind = passed_descriptors };
        @memcpy(control[data_offset..length], std.mem.sliceAsBytes(descriptors));
        header.control = &control;
        header.control_length = @intCast(length);
    }
    return posix.callUninterrupted(.sendmsg, .{ descriptor, &header, Flag.no_signal });
}

pub fn receive(descriptor: i32, bytes: []u8, kind: unix.Kind, room: unix.Room, message: *unix.Message) i32 {
    std.debug.assert(room.descriptors <= unix.most_descriptors);
    var overflow: [system.overflow_bytes]u8 = undefined;
    const parts = [2]socket.Part{
        .{ .base = bytes.ptr, .length = @min(bytes.len, posix.max_transfer_bytes - overflow.len) },
        .{ .base = &overflow, .length = overflow.len },
    };
    var native: NativeAddress = undefined;
    var control: [most_control_bytes]u8 align(@alignOf(ControlHeader)) = undefined;
    var header: sockets.MessageHeader = .{
        .name = &native,
        .name_length = @sizeOf(NativeAddress),
        .parts = &parts,
        .part_count = if (kind == .datagram and overflow.len > 0) 2 else 1,
        .control = &control,
        .control_length = @intCast(system.controlRoom(room)),
    };
    const flags: u32 = system.close_on_exec | if (kind == .datagram) system.whole_length else 0;
    const result = posix.callUninterrupted(.recvmsg, .{ descriptor, &header, flags });
    if (result < 0) return result;
    message.flags = 0;
    message.descriptor_count = 0;
    if (header.flags & Flag.truncated != 0 or result > bytes.len) message.flags |= unix.Message.truncated;
    if (header.flags & Flag.control_truncated != 0) message.flags |= unix.Message.descriptors_truncated;
    native.toAddress(header.name_length, &message.address);
    readControl(control[0..header.control_length], system.mostTaken(room), message);
    return result;
}

fn readControl(control: []const u8, most_descriptors: u32, message: *unix.Message) void {
    var at: usize = 0;
    while (at + @sizeOf(ControlHeader) <= control.len) {
        const header: *const ControlHeader = @ptrCast(@alignCast(control[at..].ptr));
        if (header.length < data_offset or at + header.length > control.len) return;
        const data = control[at + data_offset .. at + header.length];
        if (header.level == sockets.Level.socket) {
            if (header.kind == passed_descriptors) takeDescriptors(data, most_descriptors, message);
            system.takeCredentials(header.kind, data, message);
        }
        at += alignUp(header.length);
    }
}

/// More than were asked for are closed, where the kernel does not do that.
fn takeDescriptors(data: []const u8, most: u32, message: *unix.Message) void {
    for (0..data.len / @sizeOf(i32)) |index| {
        const descriptor = std.mem.bytesToValue(i32, data[index * @sizeOf(i32) ..][0..@sizeOf(i32)]);
        if (message.descriptor_count == most) {
            message.flags |= unix.Message.descriptors_truncated;
            _ = posix.call(.close, .{descriptor});
            continue;
        }
        system.prepareReceived(descriptor);
        message.descriptors[message.descriptor_count] = descriptor;
        message.descriptor_count += 1;
    }
}

fn callWithAddress(comptime function: @TypeOf(.name), descriptor: i32, address: *const unix.Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address);
    if (length < 0) return length;
    return posix.call(function, .{ descriptor, &native, @as(u32, @intCast(length)) });
}

fn readAddress(comptime function: @TypeOf(.name), descriptor: i32, address: *unix.Address) i32 {
    var native: NativeAddress = undefined;
    var length: u32 = @sizeOf(NativeAddress);
    const result = posix.call(function, .{ descriptor, &native, &length });
    if (result < 0) return result;
    native.toAddress(length, address);
    return 0;
}

fn typeOf(kind: unix.Kind) u32 {
    return switch (kind) {
        .stream => sockets.Type.stream,
        .datagram => sockets.Type.datagram,
    };
}

/// CMSG_ALIGN
fn alignUp(length: usize) usize {
    return std.mem.alignForward(usize, length, system.control_alignment);
}

/// CMSG_SPACE
pub fn spaceOf(data_bytes: usize) usize {
    return data_offset + alignUp(data_bytes);
}

/// Where the data of a control message begins.
pub const data_offset = std.mem.alignForward(usize, @sizeOf(ControlHeader), system.control_alignment);

/// What a message can bring along at most.
const most_control_bytes = spaceOf(system.most_received * @sizeOf(i32)) + system.credentials_bytes;

/// SCM_RIGHTS
const passed_descriptors: u32 = 1;

/// `struct sockaddr_un`
const NativeAddress = extern struct {
    head: sockets.AddressHead,
    name: [system.name_bytes]u8,

    /// The length of the native form, or a negated errno for a name that this system has not.
    fn fromAddress(native: *NativeAddress, address: *const unix.Address) i32 {
        std.debug.assert(address.length <= address.bytes.len);
        const refusal = system.refusalOf(address);
        if (refusal < 0) return refusal;
        const length = @sizeOf(sockets.AddressHead) + address.length;
        native.head = .of(sockets.Family.unix, length);
        native.name = address.bytes[0..system.name_bytes].*;
        return @intCast(length);
    }

    fn toAddress(native: *const NativeAddress, length_bytes: u32, address: *unix.Address) void {
        address.length = 0;
        if (length_bytes <= @sizeOf(sockets.AddressHead)) return;
        const name = native.name[0..@min(length_bytes - @sizeOf(sockets.AddressHead), native.name.len)];
        // The zero behind a path may count as well.
        const is_abstract = system.has_abstract_names and name[0] == 0;
        for (name) |byte| {
            if (byte == 0 and !is_abstract) return;
            address.bytes[address.length] = byte;
            address.length += 1;
        }
    }
};

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == @sizeOf(sockets.AddressHead) + system.name_bytes);
}
