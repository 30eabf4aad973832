//! What the suite asks of macOS and FreeBSD themselves, past the library: functions of the system's own C library.
//!
//! Facts. An event of one end of a socketpair shows at the other at once, as on Linux. Options that are on or off are read
//! back as a bit of some mask, not as 1. No timer sends a signal to one thread, but pthread_kill does. Whether another
//! thread sleeps is told, if at all, by interfaces that differ between the two.

const std = @import("std");
const builtin = @import("builtin");
const library = @import("library");
const support = @import("../support.zig");

const c = std.c;
const ipv4 = library.socket.Address.ipv4;
const ipv6 = library.socket.Address.ipv6;

const is_macos = builtin.os.tag == .macos;

const signals = @import("bsd/signals.zig");

pub const Handler = signals.Handler;
pub const Signal = signals.Signal;
pub const SignalStorm = signals.SignalStorm;
pub const signalThread = signals.signalThread;

/// The errno values that the contract names, and those that the tests provoke.
pub const Errno = struct {
    pub const not_permitted = 1; // EPERM
    pub const no_entry = 2; // ENOENT
    pub const no_process = 3; // ESRCH
    pub const interrupted = 4; // EINTR
    pub const io_error = 5; // EIO
    pub const no_such_address = 6; // ENXIO
    pub const bad_descriptor = 9; // EBADF
    pub const no_child = 10; // ECHILD
    pub const busy = 16; // EBUSY
    pub const exists = 17; // EEXIST
    pub const no_such_device = 19; // ENODEV
    pub const not_a_folder = 20; // ENOTDIR
    pub const is_a_folder = 21; // EISDIR
    pub const invalid_argument = 22; // EINVAL
    pub const too_many_descriptors = 24; // EMFILE
    pub const not_a_terminal = 25; // ENOTTY
    pub const no_space = 28; // ENOSPC
    pub const broken_pipe = 32; // EPIPE
    pub const again = 35; // EAGAIN
    pub const in_progress = 36; // EINPROGRESS
    pub const destination_required = 39; // EDESTADDRREQ
    pub const message_size = 40; // EMSGSIZE
    pub const no_such_option = 42; // ENOPROTOOPT
    pub const family_not_supported = 47; // EAFNOSUPPORT
    pub const address_in_use = 48; // EADDRINUSE
    pub const address_not_available = 49; // EADDRNOTAVAIL
    pub const network_unreachable = 51; // ENETUNREACH
    pub const connection_reset = 54; // ECONNRESET
    pub const is_connected = 56; // EISCONN
    pub const not_connected = 57; // ENOTCONN
    pub const connection_refused = 61; // ECONNREFUSED
    pub const not_implemented = 78; // ENOSYS
};

pub const Thread = c.pthread_t;

pub fn currentThread() Thread {
    return c.pthread_self();
}

/// Letting others run for a while makes it likely; no outcome depends on it.
pub fn isAsleep(_: Thread) !bool {
    for (0..yields_until_asleep) |_| support.yield();
    return true;
}

const yields_until_asleep = 200;

/// A local stream: socketpair(2).
pub fn openPair() ![2]i32 {
    var ends: [2]i32 = undefined;
    _ = try support.check(resultOf(socketpair(family_unix, type_stream, 0, &ends)));
    for (ends) |end| try prepare(end);
    return ends;
}

/// POSIX promises the lowest free number, but another thread may have closed one.
pub fn openPairWithNumber(number: i32) ![2]i32 {
    const ends = try openPair();
    if (ends[0] == number) return ends;
    if (ends[1] == number) return .{ ends[1], ends[0] };
    defer close(ends[0]);
    errdefer close(ends[1]);
    try duplicateTo(ends[0], number);
    return .{ number, ends[1] };
}

pub fn openPipe() ![2]i32 {
    var ends: [2]i32 = undefined;
    _ = try support.check(resultOf(c.pipe(&ends)));
    for (ends) |end| try prepare(end);
    return ends;
}

fn prepare(descriptor: i32) !void {
    _ = try support.check(resultOf(fcntl(descriptor, Command.set_status_flags, nonblock)));
    _ = try support.check(resultOf(fcntl(descriptor, Command.set_descriptor_flags, close_on_exec)));
}

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
    return resultOf(c.read(descriptor, buffer.ptr, buffer.len));
}

pub fn write(descriptor: i32, bytes: []const u8) i32 {
    return resultOf(c.write(descriptor, bytes.ptr, bytes.len));
}

pub fn close(descriptor: i32) void {
    const result = c.close(descriptor);
    std.debug.assert(result == 0);
}

pub fn duplicate(descriptor: i32) !i32 {
    return support.check(resultOf(c.dup(descriptor)));
}

/// Makes `number` refer to what `descriptor` refers to, whatever it was before.
pub fn duplicateTo(descriptor: i32, number: i32) !void {
    try support.expectResult(number, resultOf(c.dup2(descriptor, number)));
    _ = try support.check(resultOf(fcntl(number, Command.set_descriptor_flags, close_on_exec)));
}

/// poll(2). Returns 0 when it took too long.
pub fn waitUntilReady(descriptor: i32, direction: support.Direction, timeout_ns: i64) i32 {
    const deadline_ns = library.clock.monotonicNow_ns() + timeout_ns;
    while (true) {
        var wanted: [1]c.pollfd = .{.{
            .fd = descriptor,
            .events = switch (direction) {
                .readable => 0x001,
                .writable => 0x004,
            },
            .revents = 0,
        }};
        const rest_ns = @max(deadline_ns - library.clock.monotonicNow_ns(), 0);
        const result = resultOf(c.poll(&wanted, 1, @intCast(@divTrunc(rest_ns, std.time.ns_per_ms))));
        if (result != -Errno.interrupted) return result;
    }
}

pub fn isCloseOnExec(descriptor: i32) !bool {
    return try support.check(resultOf(fcntl(descriptor, Command.get_descriptor_flags))) & close_on_exec != 0;
}

pub fn isNonBlocking(descriptor: i32) !bool {
    return try statusFlags(descriptor) & nonblock != 0;
}

/// The flags of the open file: fcntl(2), F_GETFL.
pub fn statusFlags(descriptor: i32) !i32 {
    return support.check(resultOf(fcntl(descriptor, Command.get_status_flags)));
}

/// The first words of an option's value.
pub fn nativeOption(descriptor: i32, level: u32, name: u32, value: *[2]i32) i32 {
    var length: c.socklen_t = @sizeOf(@TypeOf(value.*));
    return resultOf(c.getsockopt(descriptor, @bitCast(level), name, value, &length));
}

/// The options of a stream by their numbers, each with a value and what the kernel then tells.
pub const native_options = [_]support.NativeOption{
    .{ .option = .no_delay, .level = Level.tcp, .name = 1, .value = 1, .kernel_value = 4 },
    .{ .option = .keep_alive, .level = Level.socket, .name = 8, .value = 1, .kernel_value = 8 },
    .{ .option = .keep_alive_idle_s, .level = Level.tcp, .name = if (is_macos) 0x10 else 256, .value = 31, .kernel_value = 31 },
    .{ .option = .keep_alive_interval_s, .level = Level.tcp, .name = if (is_macos) 0x101 else 512, .value = 32, .kernel_value = 32 },
    .{ .option = .keep_alive_count, .level = Level.tcp, .name = if (is_macos) 0x102 else 1024, .value = 33, .kernel_value = 33 },
    .{ .option = .reuse_address, .level = Level.socket, .name = 4, .value = 1, .kernel_value = 4 },
    .{ .option = .reuse_port, .level = Level.socket, .name = 0x200, .value = 1, .kernel_value = 0x200 },
    .{ .option = .receive_buffer_bytes, .level = Level.socket, .name = 0x1002, .value = 32768, .kernel_value = 32768 },
    .{ .option = .send_buffer_bytes, .level = Level.socket, .name = 0x1001, .value = 49152, .kernel_value = 49152 },
    .{ .option = .linger_s, .level = Level.socket, .name = 0x80, .value = 7, .kernel_value = 0x80 },
};

/// The options of datagrams by their numbers.
pub const native_datagram_options = [_]support.NativeDatagramOption{
    .{ .family = ipv4, .option = .broadcast, .level = Level.socket, .name = 0x20, .value = 1, .kernel_value = 0x20 },
    .{ .family = ipv4, .option = .hops, .level = Level.ipv4, .name = 4, .value = 17 },
    .{ .family = ipv6, .option = .hops, .level = Level.ipv6, .name = 4, .value = 18 },
    .{ .family = ipv4, .option = .multicast_hops, .level = Level.ipv4, .name = 10, .value = 19 },
    .{ .family = ipv6, .option = .multicast_hops, .level = Level.ipv6, .name = 10, .value = 20 },
    .{ .family = ipv4, .option = .multicast_loopback, .level = Level.ipv4, .name = 11, .value = 0 },
    .{ .family = ipv6, .option = .multicast_loopback, .level = Level.ipv6, .name = 11, .value = 0 },
    .{ .family = ipv6, .option = .multicast_interface, .level = Level.ipv6, .name = 9, .value = 1 },
};

/// The address as the kernel keeps it: length, family, port and the rest.
pub fn nativeLocalAddress(descriptor: i32, bytes: *[16]u8) i32 {
    var length: c.socklen_t = bytes.len;
    return resultOf(getsockname(descriptor, bytes, &length));
}

pub fn sendOutOfBand(descriptor: i32, bytes: []const u8) i32 {
    const out_of_band = 1;
    return resultOf(send(descriptor, bytes.ptr, bytes.len, out_of_band));
}

/// Without MSG_NOSIGNAL, and to a socket that SO_NOSIGPIPE was not set for.
pub fn sendWithSignal(descriptor: i32, bytes: []const u8) i32 {
    return write(descriptor, bytes);
}

pub fn hasUnixSockets() bool {
    return true;
}

pub fn isWine() bool {
    return false;
}

pub fn hasIpv6Loopback() bool {
    const address: extern struct { length: u8, family: u8, port: u16, flow: u32, bytes: [16]u8, scope: u32 } = .{
        .length = 28,
        .family = family_ipv6,
        .port = 0,
        .flow = 0,
        .bytes = support.loopback(ipv6, 0).bytes,
        .scope = 0,
    };
    const descriptor = socket(family_ipv6, type_stream, 0);
    if (descriptor < 0) return false;
    defer close(descriptor);
    return bind(descriptor, &address, @sizeOf(@TypeOf(address))) == 0;
}

/// How many descriptors this process has open, of the numbers that the suite comes to.
pub fn countDescriptors() u32 {
    var count: u32 = 0;
    for (0..4096) |number| {
        if (fcntl(@intCast(number), Command.get_descriptor_flags) >= 0) count += 1;
    }
    return count;
}

/// The limit of open descriptors (RLIMIT_NOFILE): what is asked for, and the most that may be.
pub const DescriptorLimit = struct {
    current: u64,
    most: u64,

    pub fn read() !DescriptorLimit {
        var limit: c.rlimit = undefined;
        _ = try support.check(resultOf(c.getrlimit(.NOFILE, &limit)));
        return .{ .current = @intCast(limit.cur), .most = @intCast(limit.max) };
    }

    pub fn set(limit: DescriptorLimit, current: u64) !void {
        const new: c.rlimit = .{ .cur = @intCast(current), .max = @intCast(limit.most) };
        _ = try support.check(resultOf(c.setrlimit(.NOFILE, &new)));
    }
};

/// Makes a file.
pub fn openForAppending(path: [*:0]const u8) !i32 {
    const create = 0x200;
    const append = 0x8;
    const read_write = 2;
    const descriptor = try support.check(resultOf(open(path, read_write | append | create, @as(c_int, 0o600))));
    _ = try support.check(resultOf(fcntl(descriptor, Command.set_descriptor_flags, close_on_exec)));
    return descriptor;
}

/// A regular file, which has no name any more.
pub fn openUnfit() !i32 {
    const path = "bun-reactor-unfit";
    const descriptor = try openForAppending(path);
    errdefer close(descriptor);
    _ = try support.check(removeFile(path));
    return descriptor;
}

pub const closeUnfit = close;

pub fn removeFile(path: [*:0]const u8) i32 {
    return resultOf(c.unlink(path));
}

pub fn currentUser() library.unix.Credentials {
    return .{ .process_id = c.getpid(), .user_id = c.getuid(), .group_id = c.getgid() };
}

fn resultOf(returned: anytype) i32 {
    if (returned == -1) return -c._errno().*;
    return @intCast(returned);
}

const Command = struct {
    const get_descriptor_flags: c_int = 1;
    const set_descriptor_flags: c_int = 2;
    const get_status_flags: c_int = 3;
    const set_status_flags: c_int = 4;
};

const Level = struct {
    const ipv4: u32 = 0;
    const tcp: u32 = 6;
    const ipv6: u32 = 41;
    const socket: u32 = 0xffff;
};

const close_on_exec: c_int = 1;
const nonblock: c_int = 0x4;
const family_unix: c_int = 1;
const family_ipv6 = if (is_macos) 30 else 28;
const type_stream: c_int = 1;

extern "c" fn bind(descriptor: c_int, address: *const anyopaque, length: c.socklen_t) c_int;
extern "c" fn fcntl(descriptor: c_int, command: c_int, ...) c_int;
extern "c" fn getsockname(descriptor: c_int, address: *anyopaque, length: *c.socklen_t) c_int;
extern "c" fn open(path: [*:0]const u8, flags: c_int, ...) c_int;
extern "c" fn send(descriptor: c_int, bytes: [*]const u8, length: usize, flags: c_int) isize;
extern "c" fn socket(family: c_int, kind: c_int, protocol: c_int) c_int;
extern "c" fn socketpair(family: c_int, kind: c_int, protocol: c_int, ends: *[2]i32) c_int;
