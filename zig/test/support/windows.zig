//! What the suite asks of Windows itself, past the library. A descriptor is a SOCKET.
//!
//! Facts. There is no socketpair: two ends of a stream are a TCP connection over the loopback interface, so what one end does
//! shows at the other a moment later. There are no signals, no limit of descriptors that a process could lower, no call
//! that tells whether a socket is non-blocking, and nothing but sockets can be waited for.

const std = @import("std");
const library = @import("library");
const support = @import("../support.zig");

const socket = library.socket;
const ipv4 = socket.Address.ipv4;
const ipv6 = socket.Address.ipv6;

/// The numbers of libuv (`uv/errno.h`), which Node.js shows in `error.errno`.
pub const Errno = struct {
    pub const in_progress = 112; // EINPROGRESS of the C runtime: libuv has none
    pub const no_such_option = 4035; // ENOPROTOOPT
    pub const broken_pipe = 4047; // EPIPE
    pub const not_permitted = 4048; // EPERM
    pub const not_supported = 4049; // ENOTSUP
    pub const not_a_socket = 4050; // ENOTSOCK
    pub const not_connected = 4053; // ENOTCONN
    pub const not_implemented = 4054; // ENOSYS
    pub const no_space = 4055; // ENOSPC
    pub const no_entry = 4058; // ENOENT
    pub const no_such_device = 4059; // ENODEV
    pub const network_unreachable = 4062; // ENETUNREACH
    pub const message_size = 4065; // EMSGSIZE
    pub const is_connected = 4069; // EISCONN
    pub const invalid_argument = 4071; // EINVAL
    pub const interrupted = 4072; // EINTR
    pub const exists = 4075; // EEXIST
    pub const destination_required = 4076; // EDESTADDRREQ
    pub const connection_reset = 4077; // ECONNRESET
    pub const connection_refused = 4078; // ECONNREFUSED
    pub const bad_descriptor = 4083; // EBADF
    pub const again = 4088; // EAGAIN
    pub const family_not_supported = 4089; // EAFNOSUPPORT
    pub const address_not_available = 4090; // EADDRNOTAVAIL
    pub const address_in_use = 4091; // EADDRINUSE
};

pub const Thread = u32;

pub fn currentThread() Thread {
    return GetCurrentThreadId();
}

/// Windows tells nobody whether a thread waits. Letting others run for a while makes it likely; no outcome depends on it.
pub fn isAsleep(_: Thread) !bool {
    for (0..yields_until_asleep) |_| support.yield();
    return true;
}

const yields_until_asleep = 200;

pub fn openPair() ![2]i32 {
    const connection: support.Connection = try .openSmall(ipv4);
    errdefer connection.close();
    for ([_]i32{ connection.own, connection.peer }) |descriptor| {
        try support.expectResult(0, socket.setOption(descriptor, .no_delay, 1));
    }
    return .{ connection.own, connection.peer };
}

/// Nobody promises who gets a free number next, but somebody gets it soon.
pub fn openPairWithNumber(number: i32) ![2]i32 {
    var others: [most_attempts]i32 = undefined;
    var count: usize = 0;
    defer for (others[0..count]) |other| close(other);
    while (count < most_attempts) {
        const descriptor = try support.check(socket.create(ipv4));
        if (descriptor == number) return connectPair(descriptor);
        others[count] = descriptor;
        count += 1;
    }
    return support.skip("Windows gave the free number to nobody again");
}

fn connectPair(own: i32) ![2]i32 {
    errdefer close(own);
    const connection: support.Connection = try .openFrom(own, ipv4, support.Connection.small_buffer_bytes);
    return .{ connection.own, connection.peer };
}

const most_attempts = 256;

/// A pair whose own end is readable when `signal` was called, and writable always.
pub const Counter = struct {
    descriptor: i32,
    peer: i32,

    pub const descriptors_of_one = 2;

    pub fn open() !Counter {
        const ends = try openPair();
        return .{ .descriptor = ends[0], .peer = ends[1] };
    }

    pub fn close(counter: Counter) void {
        support.closeDescriptor(counter.descriptor);
        support.closeDescriptor(counter.peer);
    }

    pub fn signal(counter: Counter) !void {
        try support.write(counter.peer, "!");
    }

    /// Takes what `signal` has added up.
    pub fn take(counter: Counter) !u64 {
        return support.drain(counter.descriptor);
    }
};

pub fn read(descriptor: i32, buffer: []u8) i32 {
    return socket.receive(descriptor, buffer.ptr, buffer.len);
}

pub fn write(descriptor: i32, bytes: []const u8) i32 {
    return socket.send(descriptor, bytes.ptr, bytes.len);
}

pub fn close(descriptor: i32) void {
    const result = closesocket(toSocket(descriptor));
    std.debug.assert(result == 0);
}

/// select. A connect that has failed is told as an exception. Returns 0 when it took too long.
pub fn waitUntilReady(descriptor: i32, direction: support.Direction, timeout_ns: i64) i32 {
    const timeout: TimeValue = .{
        .seconds = @intCast(@divTrunc(timeout_ns, std.time.ns_per_s)),
        .microseconds = @intCast(@divTrunc(@rem(timeout_ns, std.time.ns_per_s), std.time.ns_per_us)),
    };
    var wanted: SocketSet = .{ .count = 1, .sockets = @splat(toSocket(descriptor)) };
    var exceptional = wanted;
    const count = switch (direction) {
        .readable => select(0, &wanted, null, &exceptional, &timeout),
        .writable => select(0, null, &wanted, &exceptional, &timeout),
    };
    return if (count >= 0) count else -Errno.not_a_socket;
}

/// A handle is not inherited by a new process.
pub fn isCloseOnExec(descriptor: i32) !bool {
    var flags: u32 = undefined;
    if (GetHandleInformation(toHandle(descriptor), &flags) == 0) return error.SystemCallFailed;
    return flags & handle_is_inherited == 0;
}

pub fn nativeOption(descriptor: i32, level: u32, name: u32, value: *[2]i32) i32 {
    var length: i32 = @sizeOf(@TypeOf(value.*));
    return getsockopt(toSocket(descriptor), @bitCast(level), @bitCast(name), value, &length);
}

/// The options of a stream by their numbers, each with a value and what the kernel then tells.
pub const native_options = [_]support.NativeOption{
    .{ .option = .no_delay, .level = Level.tcp, .name = 1, .value = 1, .kernel_value = 1 },
    .{ .option = .keep_alive, .level = Level.socket, .name = 8, .value = 1, .kernel_value = 1 },
    .{ .option = .keep_alive_idle_s, .level = Level.tcp, .name = 3, .value = 31, .kernel_value = 31 },
    .{ .option = .keep_alive_interval_s, .level = Level.tcp, .name = 17, .value = 32, .kernel_value = 32 },
    .{ .option = .keep_alive_count, .level = Level.tcp, .name = 16, .value = 33, .kernel_value = 33 },
    .{ .option = .receive_buffer_bytes, .level = Level.socket, .name = 0x1002, .value = 32768, .kernel_value = 32768 },
    .{ .option = .send_buffer_bytes, .level = Level.socket, .name = 0x1001, .value = 49152, .kernel_value = 49152 },
    // LINGER begins with two numbers of 16 bits: that it is on, and the seconds.
    .{ .option = .linger_s, .level = Level.socket, .name = 0x80, .value = 7, .kernel_value = 7 << 16 | 1 },
};

/// The options of datagrams by their numbers.
pub const native_datagram_options = [_]support.NativeDatagramOption{
    .{ .family = ipv4, .option = .broadcast, .level = Level.socket, .name = 0x20, .value = 1 },
    .{ .family = ipv4, .option = .hops, .level = Level.ipv4, .name = 4, .value = 17 },
    .{ .family = ipv6, .option = .hops, .level = Level.ipv6, .name = 4, .value = 18 },
    .{ .family = ipv4, .option = .multicast_hops, .level = Level.ipv4, .name = 10, .value = 19 },
    .{ .family = ipv6, .option = .multicast_hops, .level = Level.ipv6, .name = 10, .value = 20 },
    .{ .family = ipv4, .option = .multicast_loopback, .level = Level.ipv4, .name = 11, .value = 0 },
    .{ .family = ipv6, .option = .multicast_loopback, .level = Level.ipv6, .name = 11, .value = 0 },
    .{ .family = ipv6, .option = .multicast_interface, .level = Level.ipv6, .name = 9, .value = 1 },
};

/// The address as the system keeps it: family, port and the rest.
pub fn nativeLocalAddress(descriptor: i32, bytes: *[16]u8) i32 {
    var length: i32 = bytes.len;
    return getsockname(toSocket(descriptor), bytes, &length);
}

pub fn sendOutOfBand(descriptor: i32, bytes: []const u8) i32 {
    const out_of_band = 1;
    return send(toSocket(descriptor), bytes.ptr, @intCast(bytes.len), out_of_band);
}

/// Windows 10 1803 has them, Wine since version 9.
pub fn hasUnixSockets() bool {
    const family_unix = 1;
    const made = WSASocketW(family_unix, type_stream, 0, null, 0, 0);
    if (made == std.math.maxInt(usize)) return false;
    std.debug.assert(closesocket(made) == 0);
    return true;
}

/// A handle that is no socket: an event's.
pub fn openUnfit() !i32 {
    const handle = CreateEventA(null, 1, 0, null) orelse return error.SystemCallFailed;
    return @intCast(@intFromPtr(handle));
}

pub fn closeUnfit(number: i32) void {
    std.debug.assert(CloseHandle(toHandle(number)) != 0);
}

pub fn removeFile(path: [*:0]const u8) i32 {
    return if (DeleteFileA(path) != 0) 0 else -Errno.no_entry;
}

pub fn hasIpv6Loopback() bool {
    const address: extern struct { family: u16, port: u16, flow: u32, bytes: [16]u8, scope: u32 } = .{
        .family = family_ipv6,
        .port = 0,
        .flow = 0,
        .bytes = support.loopback(ipv6, 0).bytes,
        .scope = 0,
    };
    const made = WSASocketW(family_ipv6, type_stream, 0, null, 0, 0);
    if (made == std.math.maxInt(usize)) return false;
    defer std.debug.assert(closesocket(made) == 0);
    return bind(made, &address, @sizeOf(@TypeOf(address))) == 0;
}

/// How many handles this process has open, up to a number that no test reaches. Wine does not count them
/// (GetProcessHandleCount says 0), so that each number is asked for.
pub fn countDescriptors() u32 {
    var count: u32 = 0;
    for (1..most_handles) |index| {
        var flags: u32 = undefined;
        count += @intFromBool(GetHandleInformation(toHandle(@intCast(4 * index)), &flags) != 0);
    }
    return count;
}

const most_handles = 4096;

/// Whether this is Wine, which calls itself so in its ntdll.
pub fn isWine() bool {
    const ntdll = GetModuleHandleA("ntdll.dll") orelse return false;
    return GetProcAddress(ntdll, "wine_get_version") != null;
}

fn toSocket(descriptor: i32) usize {
    return @intCast(@as(u32, @bitCast(descriptor)));
}

fn toHandle(descriptor: i32) *anyopaque {
    return @ptrFromInt(toSocket(descriptor));
}

/// `fd_set`
const SocketSet = extern struct { count: u32, sockets: [64]usize };

/// `TIMEVAL`
const TimeValue = extern struct { seconds: i32, microseconds: i32 };

const Level = struct {
    const ipv4: u32 = 0;
    const tcp: u32 = 6;
    const ipv6: u32 = 41;
    const socket: u32 = 0xffff;
};

const family_ipv6 = 23;
const type_stream = 1;
const handle_is_inherited: u32 = 1;

extern "kernel32" fn CloseHandle(handle: *anyopaque) callconv(.winapi) i32;
extern "kernel32" fn CreateEventA(security: ?*anyopaque, is_manual: i32, is_set: i32, name: ?[*:0]const u8) callconv(.winapi) ?*anyopaque;
extern "kernel32" fn DeleteFileA(path: [*:0]const u8) callconv(.winapi) i32;
extern "kernel32" fn GetCurrentThreadId() callconv(.winapi) u32;
extern "kernel32" fn GetHandleInformation(handle: *anyopaque, flags: *u32) callconv(.winapi) i32;
extern "kernel32" fn GetModuleHandleA(name: [*:0]const u8) callconv(.winapi) ?*anyopaque;
extern "kernel32" fn GetProcAddress(module: *anyopaque, name: [*:0]const u8) callconv(.winapi) ?*anyopaque;
extern "ws2_32" fn WSASocketW(family: i32, kind: i32, protocol: i32, info: ?*anyopaque, group: u32, flags: u32) callconv(.winapi) usize;
extern "ws2_32" fn bind(socket: usize, address: *const anyopaque, length: i32) callconv(.winapi) i32;
extern "ws2_32" fn closesocket(socket: usize) callconv(.winapi) i32;
extern "ws2_32" fn getsockname(socket: usize, address: *anyopaque, length: *i32) callconv(.winapi) i32;
extern "ws2_32" fn getsockopt(socket: usize, level: i32, name: i32, value: *anyopaque, length: *i32) callconv(.winapi) i32;
extern "ws2_32" fn send(socket: usize, buffer: [*]const u8, length: i32, flags: i32) callconv(.winapi) i32;
extern "ws2_32" fn select(
    ignored: i32,
    readable: ?*SocketSet,
    writable: ?*SocketSet,
    exceptional: ?*SocketSet,
    timeout: *const TimeValue,
) callconv(.winapi) i32;
