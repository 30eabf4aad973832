//! Socket calls of Windows.
//!
//! Facts. There is no flag that makes a socket non-blocking at its birth, and an accepted one has the properties of its
//! listener (accept of Winsock), but for the handle's inheritance. A connect that goes on is WSAEWOULDBLOCK. Winsock
//! knows one error more than others for a connection that broke: WSAECONNABORTED, when the local side gave up. accept
//! reports a connection that was reset while it waited as WSAECONNRESET. A receive after one's own shutdown of the
//! reading half is WSAESHUTDOWN, where POSIX has the end of the stream. A connect to the wildcard address is refused
//! (WSAEADDRNOTAVAIL), where others reach this machine; and one to a port of this machine where nobody listens is tried for
//! two seconds before it fails, unless SIO_TCP_INITIAL_RTO says otherwise. SO_REUSEADDR lets a socket take the port of
//! another that listens on it ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE"); what servers set it for elsewhere, to
//! listen again while old connections linger, is Windows' behaviour without it. SO_EXCLUSIVEADDRUSE keeps others off, but
//! makes a restart wait for the last of the old connections. There is no SO_REUSEPORT.
//!
//! Decision. Errors are told as Linux tells them, where the programs that use this package act on them: ECONNRESET for a
//! broken connection, ECONNABORTED for one that broke before it was accepted (so that a server goes on to the next), the end
//! of the stream after a shutdown. The wildcard address stands for this machine, as in libuv, and a refusal from this
//! machine comes at once. `reuse_address` changes nothing of a stream socket, as in libuv, mio and Go: a server can be
//! restarted at once, and no other socket can take its port by it. Of datagram sockets it is what it is elsewhere, as
//! several share a port of a multicast group by it. `reuse_port` is not supported.

const std = @import("std");
const socket = @import("../socket.zig");
const windows = @import("../windows.zig");

const Address = socket.Address;
const Code = windows.Code;
const Errno = windows.Errno;

pub fn create(family: u32) i32 {
    return createInternet(family, Type.stream, Protocol.tcp);
}

pub fn bind(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -Errno.address_family_not_supported;
    return check(windows.bind(windows.toSocket(descriptor), &native, length), descriptor);
}

pub fn listen(descriptor: i32, backlog: i32) i32 {
    return check(windows.listen(windows.toSocket(descriptor), backlog), descriptor);
}

pub fn accept(descriptor: i32) i32 {
    const accepted = windows.accept(windows.toSocket(descriptor), null, null);
    if (accepted == windows.invalid_socket) return acceptFailure(descriptor);
    const handle = windows.toHandle(windows.toDescriptor(accepted));
    const result = windows.setNonBlocking(accepted, true);
    if (result == 0 and windows.SetHandleInformation(handle, handle_is_inherited, 0) != 0) {
        return windows.toDescriptor(accepted);
    }
    const failure = if (result < 0) result else windows.fromCode(windows.GetLastError());
    _ = windows.closesocket(accepted);
    return failure;
}

/// The connection that broke while it waited is gone; the next may be there.
pub fn acceptFailure(descriptor: i32) i32 {
    if (windows.WSAGetLastError() == Code.connection_reset) return -Errno.connection_aborted;
    return windows.lastFailureOf(descriptor);
}

/// `-EINPROGRESS` means: wait until writable, then ask `takeError`.
pub fn connect(descriptor: i32, address: *const Address) i32 {
    var native: NativeAddress = undefined;
    const length = native.fromAddress(address) orelse return -Errno.address_family_not_supported;
    native.replaceWildcard();
    if (isDatagram(descriptor)) {
        reportRefusals(descriptor, true);
    } else if (native.isLoopback()) failAtOnce(descriptor);
    return finishConnect(windows.connect(windows.toSocket(descriptor), &native, length), descriptor);
}

/// For the connects of other families as well.
pub fn finishConnect(result: i32, descriptor: i32) i32 {
    if (result == 0) return 0;
    if (windows.WSAGetLastError() == Code.would_block) return -Errno.in_progress;
    return windows.lastFailureOf(descriptor);
}

pub fn takeError(descriptor: i32) i32 {
    var pending: i32 = 0;
    const result = getRawOption(descriptor, Level.socket, Name.pending_error, &pending);
    return if (result < 0 or pending == 0) result else windows.fromCode(@intCast(pending));
}

pub fn receive(descriptor: i32, buffer: [*]u8, length: usize) i32 {
    const capped: i32 = @intCast(@min(length, windows.max_transfer_bytes));
    const result = windows.recv(windows.toSocket(descriptor), buffer, capped, 0);
    if (result >= 0) return result;
    if (windows.WSAGetLastError() == Code.shut_down) return 0;
    return transferFailure(descriptor);
}

pub fn send(descriptor: i32, buffer: [*]const u8, length: usize) i32 {
    const capped: i32 = @intCast(@min(length, windows.max_transfer_bytes));
    const result = windows.send(windows.toSocket(descriptor), buffer, capped, 0);
    return if (result >= 0) result else transferFailure(descriptor);
}

/// Sends as much of the first parts as fits into a call.
pub fn sendVectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    var buffers: [most_parts]windows.Buffer = undefined;
    const used = toBuffers(&buffers, parts[0..count]);
    var sent_bytes: u32 = 0;
    const result = windows.WSASend(windows.toSocket(descriptor), &buffers, used, &sent_bytes, 0, null, null);
    return if (result == 0) @intCast(sent_bytes) else transferFailure(descriptor);
}

pub fn shutdown(descriptor: i32, half: socket.Half) i32 {
    const number: i32 = @intCast(@intFromEnum(half));
    return check(windows.shutdown(windows.toSocket(descriptor), number), descriptor);
}

pub fn close(descriptor: i32) i32 {
    return check(windows.closesocket(windows.toSocket(descriptor)), descriptor);
}

pub fn setOption(descriptor: i32, option: socket.Option, value: i32) i32 {
    switch (option) {
        .reuse_port => return -Errno.not_supported,
        .reuse_address => if (typeOf(descriptor) == Type.stream) return 0,
        .linger_s => {
            const linger: Linger = .{ .is_on = @intFromBool(value >= 0), .seconds = toSeconds(value) };
            return setRaw(descriptor, Level.socket, Name.linger, Linger, linger);
        },
        else => {},
    }
    const native = toNative(option);
    return setRaw(descriptor, native.level, native.name, i32, value);
}

pub fn getOption(descriptor: i32, option: socket.Option, value: *i32) i32 {
    if (option == .reuse_port) return -Errno.not_supported;
    if (option == .linger_s) {
        var linger: Linger = undefined;
        const result = getRaw(descriptor, Level.socket, Name.linger, Linger, &linger);
        if (result == 0) value.* = if (linger.is_on == 0) -1 else linger.seconds;
        return result;
    }
    const native = toNative(option);
    return getRawOption(descriptor, native.level, native.name, value);
}

pub fn localAddress(descriptor: i32, address: *Address) i32 {
    var native: NativeAddress = undefined;
    var length: i32 = @sizeOf(NativeAddress);
    if (windows.getsockname(windows.toSocket(descriptor), &native, &length) != 0) return windows.lastFailureOf(descriptor);
    address.* = native.toAddress() orelse return -Errno.address_family_not_supported;
    return 0;
}

pub fn peerAddress(descriptor: i32, address: *Address) i32 {
    var native: NativeAddress = undefined;
    var length: i32 = @sizeOf(NativeAddress);
    if (windows.getpeername(windows.toSocket(descriptor), &native, &length) != 0) return windows.lastFailureOf(descriptor);
    address.* = native.toAddress() orelse return -Errno.address_family_not_supported;
    return 0;
}

/// A socket of IPv6 is for IPv4 as well, as it is elsewhere, unless it is told otherwise.
pub fn createInternet(family: u32, kind: i32, protocol: i32) i32 {
    const number = Family.fromAddress(family) orelse return -Errno.address_family_not_supported;
    const descriptor = windows.makeSocket(number, kind, protocol);
    if (descriptor < 0 or number != Family.ipv6) return descriptor;
    const result = setOption(descriptor, .ipv6_only, 0);
    if (result < 0) _ = close(descriptor);
    return if (result < 0) result else descriptor;
}

/// Whether a datagram socket's calls fail when the network has answered to an earlier datagram that it was not taken.
/// Only asked for: what does not know it has nothing to report.
pub fn reportRefusals(descriptor: i32, is_on: bool) void {
    const value: u32 = @intFromBool(is_on);
    var returned_bytes: u32 = 0;
    const subject = windows.toSocket(descriptor);
    for ([_]u32{ report_reset, report_expiry }) |code| {
        _ = windows.WSAIoctl(subject, code, &value, @sizeOf(u32), null, 0, &returned_bytes, null, null);
    }
}

/// The result of a call that is 0, or has failed and names the descriptor.
pub fn check(result: i32, descriptor: i32) i32 {
    return if (result == 0) 0 else windows.lastFailureOf(descriptor);
}

/// Sets an option of any type.
pub fn setRaw(descriptor: i32, level: i32, name: i32, comptime Value: type, value: Value) i32 {
    return check(windows.setsockopt(windows.toSocket(descriptor), level, name, &value, @sizeOf(Value)), descriptor);
}

pub fn getRaw(descriptor: i32, level: i32, name: i32, comptime Value: type, value: *Value) i32 {
    var length: i32 = @sizeOf(Value);
    return check(windows.getsockopt(windows.toSocket(descriptor), level, name, value, &length), descriptor);
}

/// Some options are a byte, and leave the rest of the number as it was.
fn getRawOption(descriptor: i32, level: i32, name: i32, value: *i32) i32 {
    value.* = 0;
    return getRaw(descriptor, level, name, i32, value);
}

pub fn isDatagram(descriptor: i32) bool {
    return typeOf(descriptor) == Type.datagram;
}

fn typeOf(descriptor: i32) i32 {
    var kind: i32 = 0;
    return if (getRawOption(descriptor, Level.socket, Name.type, &kind) < 0) 0 else kind;
}

/// A connection that the local side gave up is as broken as one that the peer has reset.
fn transferFailure(descriptor: i32) i32 {
    if (windows.WSAGetLastError() == Code.connection_aborted) return -Errno.connection_reset;
    return windows.lastFailureOf(descriptor);
}

fn toBuffers(buffers: *[most_parts]windows.Buffer, parts: []const socket.Part) u32 {
    var left_bytes: usize = windows.max_transfer_bytes;
    var used: u32 = 0;
    for (parts[0..@min(parts.len, most_parts)]) |part| {
        const length = @min(part.length, left_bytes);
        if (length == 0 and part.length != 0) break;
        buffers[used] = .{ .length = @intCast(length), .base = @constCast(part.base) };
        used += 1;
        left_bytes -= length;
    }
    return used;
}

/// Only asked for: Windows before 10 1809 does not know it, and then a refusal takes its two seconds.
fn failAtOnce(descriptor: i32) void {
    const request: InitialTimeout = .{ .round_trip = no_retransmission, .retransmissions = no_syn_retransmissions };
    var returned_bytes: u32 = 0;
    const size = @sizeOf(InitialTimeout);
    const subject = windows.toSocket(descriptor);
    _ = windows.WSAIoctl(subject, set_initial_timeout, &request, size, null, 0, &returned_bytes, null, null);
}

fn toSeconds(value: i32) u16 {
    return @intCast(std.math.clamp(value, 0, std.math.maxInt(u16)));
}

fn toNative(option: socket.Option) struct { level: i32, name: i32 } {
    return switch (option) {
        .no_delay => .{ .level = Level.tcp, .name = 1 },
        .keep_alive => .{ .level = Level.socket, .name = 8 },
        .keep_alive_idle_s => .{ .level = Level.tcp, .name = 3 },
        .keep_alive_interval_s => .{ .level = Level.tcp, .name = 17 },
        .keep_alive_count => .{ .level = Level.tcp, .name = 16 },
        .reuse_address => .{ .level = Level.socket, .name = 4 },
        .ipv6_only => .{ .level = Level.ipv6, .name = 27 },
        .receive_buffer_bytes => .{ .level = Level.socket, .name = 0x1002 },
        .send_buffer_bytes => .{ .level = Level.socket, .name = 0x1001 },
        .reuse_port, .linger_s => unreachable,
    };
}

/// `SOCKADDR_IN` and `SOCKADDR_IN6` over one another; both begin with the family and the port.
pub const NativeAddress = extern struct {
    family: u16,
    port_big_endian: u16,
    rest: extern union {
        ipv4: extern struct { bytes: [4]u8, zero: [8]u8 },
        ipv6: extern struct { flow: u32, bytes: [16]u8, scope: u32 },
    },

    /// Returns the length of the native form, or null for a family that is none.
    pub fn fromAddress(native: *NativeAddress, address: *const Address) ?i32 {
        native.port_big_endian = std.mem.nativeToBig(u16, @truncate(address.port));
        switch (address.family) {
            Address.ipv4 => {
                native.family = Family.ipv4;
                native.rest = .{ .ipv4 = .{ .bytes = address.bytes[0..4].*, .zero = @splat(0) } };
                return ipv4_bytes;
            },
            Address.ipv6 => {
                native.family = Family.ipv6;
                native.rest = .{ .ipv6 = .{ .flow = 0, .bytes = address.bytes, .scope = address.scope } };
                return ipv6_bytes;
            },
            else => return null,
        }
    }

    pub fn toAddress(native: *const NativeAddress) ?Address {
        var address: Address = .{
            .family = Address.ipv4,
            .port = std.mem.bigToNative(u16, native.port_big_endian),
            .scope = 0,
            .bytes = @splat(0),
        };
        switch (native.family) {
            Family.ipv4 => address.bytes[0..4].* = native.rest.ipv4.bytes,
            Family.ipv6 => {
                address.family = Address.ipv6;
                address.bytes = native.rest.ipv6.bytes;
                address.scope = native.rest.ipv6.scope;
            },
            else => return null,
        }
        return address;
    }

    fn replaceWildcard(native: *NativeAddress) void {
        switch (native.family) {
            Family.ipv4 => if (std.mem.allEqual(u8, &native.rest.ipv4.bytes, 0)) {
                native.rest.ipv4.bytes = .{ 127, 0, 0, 1 };
            },
            else => if (std.mem.allEqual(u8, &native.rest.ipv6.bytes, 0)) {
                native.rest.ipv6.bytes[15] = 1;
            },
        }
    }

    fn isLoopback(native: *const NativeAddress) bool {
        if (native.family == Family.ipv4) return native.rest.ipv4.bytes[0] == 127;
        const bytes = &native.rest.ipv6.bytes;
        return std.mem.allEqual(u8, bytes[0..15], 0) and bytes[15] == 1;
    }
};

const ipv4_bytes = 16;
const ipv6_bytes = 28;

/// `LINGER`
const Linger = extern struct { is_on: u16, seconds: u16 };

/// `TCP_INITIAL_RTO_PARAMETERS`
const InitialTimeout = extern struct { round_trip: u16, retransmissions: u8 };

const no_retransmission: u16 = 0xffff; // TCP_INITIAL_RTO_UNSPECIFIED_RTT
const no_syn_retransmissions: u8 = 0xfe; // TCP_INITIAL_RTO_NO_SYN_RETRANSMISSIONS

/// SIO_TCP_INITIAL_RTO
const set_initial_timeout: u32 = 0x98000011;

const report_reset: u32 = 0x9800000c; // SIO_UDP_CONNRESET
const report_expiry: u32 = 0x9800000f; // SIO_UDP_NETRESET

/// HANDLE_FLAG_INHERIT
const handle_is_inherited: u32 = 1;

/// A call takes as many parts: 2 KiB of stack.
const most_parts = 128;

pub const Family = struct {
    pub const unix: u16 = 1;
    pub const ipv4: u16 = 2;
    pub const ipv6: u16 = 23;

    pub fn fromAddress(family: u32) ?i32 {
        return switch (family) {
            Address.ipv4 => ipv4,
            Address.ipv6 => ipv6,
            else => null,
        };
    }
};

pub const Type = struct {
    pub const stream: i32 = 1;
    pub const datagram: i32 = 2;
};

pub const Protocol = struct {
    pub const tcp: i32 = 6;
    pub const udp: i32 = 17;
};

pub const Level = struct {
    pub const ipv4: i32 = 0;
    pub const tcp: i32 = 6;
    pub const ipv6: i32 = 41;
    pub const socket: i32 = 0xffff;
};

const Name = struct {
    const linger: i32 = 0x80;
    const pending_error: i32 = 0x1007;
    const @"type": i32 = 0x1008;
};

comptime {
    std.debug.assert(@sizeOf(NativeAddress) == ipv6_bytes);
    std.debug.assert(@sizeOf(Linger) == 4);
    std.debug.assert(@sizeOf(InitialTimeout) == 4);
}
