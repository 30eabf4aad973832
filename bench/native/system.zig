//! The Linux system calls of the native bench programs: raw, without libc, each giving its result or `-errno`.
//!
//! The programs measure what a plain program on epoll can do, so nothing stands between them and the kernel. Reading
//! the clock is the one exception: it goes through the vDSO, because a clock that costs a system call would be a
//! noticeable part of a small echo.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;

pub const EAGAIN = 11;
pub const EINTR = 4;

pub const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
pub const SOCK_NONBLOCK = 0o4000;
pub const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const IPPROTO_IP = 0;
const IP_BIND_ADDRESS_NO_PORT = 24;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const F_SETFL = 4;
pub const POLLIN = 1;
const RLIMIT_NOFILE = 7;
const PR_SET_TIMERSLACK = 29;
const SHUT_WR = 1;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;

pub const EPOLLIN = 0x1;
pub const EPOLLOUT = 0x4;
pub const EPOLLRDHUP = 0x2000;
pub const EPOLLET = 0x80000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CLOEXEC = 0o2000000;

/// The kernel packs this structure on x86-64 alone, so that 32-bit programs share its layout (epoll_ctl(2)).
pub const EpollEvent = if (builtin.cpu.arch == .x86_64)
    extern struct { events: u32, data: u64 align(4) }
else
    extern struct { events: u32, data: u64 };

pub const Ipv4Address = extern struct {
    family: u16 = AF_INET,
    port_big_endian: u16,
    host: [4]u8,
    padding: [8]u8 = @splat(0),

    pub fn init(host: [4]u8, port_number: u16) Ipv4Address {
        return .{ .port_big_endian = std.mem.nativeToBig(u16, port_number), .host = host };
    }

    pub fn port(address: Ipv4Address) u16 {
        return std.mem.bigToNative(u16, address.port_big_endian);
    }
};

pub const BatchMessage = extern struct {
    name: ?*Ipv4Address = null,
    name_length: u32 = 0,
    parts: *const Part,
    part_count: usize = 1,
    control: ?*anyopaque = null,
    control_length: usize = 0,
    flags: u32 = 0,
    transferred: u32 align(8) = 0,
};

const Part = extern struct { base: [*]u8, length: usize };

const Timespec = extern struct { seconds: i64, nanoseconds: i64 };
const Timeval = extern struct { seconds: i64, microseconds: i64 };
const Limit = extern struct { soft: u64, hard: u64 };

comptime {
    std.debug.assert(@sizeOf(EpollEvent) == if (builtin.cpu.arch == .x86_64) 12 else 16);
    std.debug.assert(@sizeOf(Ipv4Address) == 16);
    std.debug.assert(@sizeOf(BatchMessage) == 64);
}

// Sockets

pub fn createSocket(flags: usize) isize {
    return signed(linux.syscall3(.socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

pub fn createDatagramSocket() isize {
    return signed(linux.syscall3(.socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

pub fn bind(descriptor: i32, address: *const Ipv4Address) isize {
    return signed(linux.syscall3(.bind, word(descriptor), @intFromPtr(address), @sizeOf(Ipv4Address)));
}

pub fn listen(descriptor: i32, backlog: usize) isize {
    return signed(linux.syscall2(.listen, word(descriptor), backlog));
}

pub fn connect(descriptor: i32, address: *const Ipv4Address) isize {
    return signed(linux.syscall3(.connect, word(descriptor), @intFromPtr(address), @sizeOf(Ipv4Address)));
}

pub fn accept(descriptor: i32) isize {
    return signed(linux.syscall4(.accept4, word(descriptor), 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

pub fn receive(descriptor: i32, buffer: []u8) isize {
    return signed(linux.syscall6(.recvfrom, word(descriptor), @intFromPtr(buffer.ptr), buffer.len, MSG_DONTWAIT, 0, 0));
}

/// Takes at most `length` bytes off the connection without copying them anywhere (tcp(7), MSG_TRUNC).
pub fn discard(descriptor: i32, length: usize) isize {
    return signed(linux.syscall6(.recvfrom, word(descriptor), 0, length, MSG_DONTWAIT | MSG_TRUNC, 0, 0));
}

pub fn send(descriptor: i32, bytes: []const u8) isize {
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    return signed(linux.syscall6(.sendto, word(descriptor), @intFromPtr(bytes.ptr), bytes.len, flags, 0, 0));
}

/// What sendmmsg(2) and recvmmsg(2) take: datagrams in slots of equal size, of a connected socket unless addresses are given.
pub fn Batch(comptime most: usize) type {
    return struct {
        messages: [most]BatchMessage,
        parts: [most]Part,

        const Self = @This();

        pub fn prepare(batch: *Self, bytes: []u8, slot_bytes: usize, length: usize, count: usize) void {
            for (0..count) |index| {
                batch.parts[index] = .{ .base = bytes.ptr + index * slot_bytes, .length = length };
                batch.messages[index] = .{ .parts = &batch.parts[index] };
            }
        }

        /// How long the datagram was that came or went.
        pub fn lengthOf(batch: *const Self, index: usize) usize {
            return batch.messages[index].transferred;
        }
    };
}

pub fn sendBatch(descriptor: i32, batch: anytype, count: usize) isize {
    return signed(linux.syscall4(.sendmmsg, word(descriptor), @intFromPtr(&batch.messages), count, MSG_DONTWAIT));
}

pub fn receiveBatch(descriptor: i32, batch: anytype, count: usize) isize {
    return signed(linux.syscall5(.recvmmsg, word(descriptor), @intFromPtr(&batch.messages), count, MSG_DONTWAIT, 0));
}

/// Says that no more is sent; receiving goes on (shutdown(2), SHUT_WR).
pub fn shutdownWriting(descriptor: i32) isize {
    return signed(linux.syscall2(.shutdown, word(descriptor), SHUT_WR));
}

pub fn localAddress(descriptor: i32, address: *Ipv4Address) isize {
    var length: u32 = @sizeOf(Ipv4Address);
    return signed(linux.syscall3(.getsockname, word(descriptor), @intFromPtr(address), @intFromPtr(&length)));
}

pub fn setReuseAddress(descriptor: i32) isize {
    return setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, i32, 1);
}

pub fn setNoDelay(descriptor: i32) isize {
    return setOption(descriptor, IPPROTO_TCP, TCP_NODELAY, i32, 1);
}

/// Binding then fixes the source address alone; `connect` chooses the port (ip(7)).
pub fn setBindAddressNoPort(descriptor: i32) isize {
    return setOption(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, i32, 1);
}

/// Bounds how long a blocking `connect` may take (socket(7)).
pub fn setSendTimeout(descriptor: i32, timeout_seconds: i64) isize {
    return setOption(descriptor, SOL_SOCKET, SO_SNDTIMEO, Timeval, .{ .seconds = timeout_seconds, .microseconds = 0 });
}

/// Bounds how long a blocking `accept` may take (socket(7)).
pub fn setReceiveTimeout(descriptor: i32, timeout_seconds: i64) isize {
    return setOption(descriptor, SOL_SOCKET, SO_RCVTIMEO, Timeval, .{ .seconds = timeout_seconds, .microseconds = 0 });
}

fn setOption(descriptor: i32, level: usize, name: usize, comptime Value: type, value: Value) isize {
    return signed(linux.syscall5(.setsockopt, word(descriptor), level, name, @intFromPtr(&value), @sizeOf(Value)));
}

// Descriptors

pub fn close(descriptor: i32) void {
    _ = linux.syscall1(.close, word(descriptor));
}

pub fn read(descriptor: i32, buffer: []u8) isize {
    return signed(linux.syscall3(.read, word(descriptor), @intFromPtr(buffer.ptr), buffer.len));
}

/// Writes everything; a pipe whose reader is gone ends the program by SIGPIPE, which is what a bench wants.
pub fn writeAll(descriptor: i32, bytes: []const u8) void {
    var written: usize = 0;
    while (written < bytes.len) {
        const result = signed(linux.syscall3(.write, word(descriptor), @intFromPtr(bytes.ptr) + written, bytes.len - written));
        if (result == -EINTR) continue;
        if (result < 0) return;
        written += @intCast(result);
    }
}

pub fn setNonBlocking(descriptor: i32) isize {
    return signed(linux.syscall3(.fcntl, word(descriptor), F_SETFL, SOCK_NONBLOCK));
}

/// Lets this process have at least `count` open descriptors. Only a privileged process may raise its hard limit
/// (getrlimit(2)); without the privilege the result is `-EPERM`.
pub fn allowDescriptors(count: u64) isize {
    var limit: Limit = undefined;
    const got = signed(linux.syscall4(.prlimit64, 0, RLIMIT_NOFILE, 0, @intFromPtr(&limit)));
    if (got < 0 or limit.soft >= count) return got;
    limit = .{ .soft = count, .hard = @max(limit.hard, count) };
    return signed(linux.syscall4(.prlimit64, 0, RLIMIT_NOFILE, @intFromPtr(&limit), 0));
}

// The event queue

pub fn createQueue() isize {
    return signed(linux.syscall1(.epoll_create1, EPOLL_CLOEXEC));
}

pub fn register(queue: i32, descriptor: i32, events: u32, data: u64) isize {
    var event: EpollEvent = .{ .events = events, .data = data };
    return signed(linux.syscall4(.epoll_ctl, word(queue), EPOLL_CTL_ADD, word(descriptor), @intFromPtr(&event)));
}

/// Waits without a limit; `-EINTR` when a signal handler ran.
pub fn wait(queue: i32, events: []EpollEvent) isize {
    return signed(linux.syscall6(.epoll_pwait, word(queue), @intFromPtr(events.ptr), events.len, word(-1), 0, 0));
}

/// Waits for at most `timeout_ns` (epoll_pwait2, Linux 5.11 and later).
pub fn waitFor(queue: i32, events: []EpollEvent, timeout_ns: u64) isize {
    const timeout = Timespec{
        .seconds = @intCast(timeout_ns / std.time.ns_per_s),
        .nanoseconds = @intCast(timeout_ns % std.time.ns_per_s),
    };
    return signed(linux.syscall6(.epoll_pwait2, word(queue), @intFromPtr(events.ptr), events.len, @intFromPtr(&timeout), 0, 0));
}

// Time

pub fn monotonic_ns() u64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

/// The CPU time, user and system, of all threads that process `process_id` has or had; null when there is no such
/// process. 0 names the calling process. The number of such a clock is made of the process id as
/// clock_getcpuclockid(3) makes it: the id's complement, then three bits of which 2 means "scheduler time".
pub fn processCpu_ns(process_id: u32) ?u64 {
    const clock: i32 = (~@as(i32, @intCast(process_id)) << 3) | 2;
    var time: Timespec = undefined;
    if (signed(linux.syscall2(.clock_gettime, word(clock), @intFromPtr(&time))) < 0) return null;
    return @as(u64, @intCast(time.seconds)) * std.time.ns_per_s + @as(u64, @intCast(time.nanoseconds));
}

/// The kernel may end a wait 50 µs late to save wake-ups; this makes it exact (prctl(2), PR_SET_TIMERSLACK).
pub fn setExactTimers() void {
    _ = linux.syscall5(.prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

/// The time of day. It is the one clock that Bun shows in common with others.
pub fn realtime_ns() u64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.REALTIME, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

pub fn sleep(duration_ns: u64) void {
    const duration = Timespec{
        .seconds = @intCast(duration_ns / std.time.ns_per_s),
        .nanoseconds = @intCast(duration_ns % std.time.ns_per_s),
    };
    _ = linux.syscall2(.nanosleep, @intFromPtr(&duration), 0);
}

// Waiting for one descriptor, and for another thread

/// Waits in poll(2), without a limit, until there is something to read or a hang-up.
pub fn waitReadable(descriptor: i32) void {
    var wanted: extern struct { descriptor: i32, events: i16 = POLLIN, returned: i16 = 0 } = .{ .descriptor = descriptor };
    while (signed(linux.syscall5(.ppoll, @intFromPtr(&wanted), 1, 0, 0, 0)) == -EINTR) {}
}

/// A counter in the kernel (eventfd(2)) that blocks who waits for it.
pub fn createEvent() i32 {
    return @intCast(expect(signed(linux.syscall2(.eventfd2, 0, EPOLL_CLOEXEC)), "create an eventfd"));
}

pub fn signalEvent(event: i32) void {
    writeAll(event, std.mem.asBytes(&@as(u64, 1)));
}

pub fn waitEvent(event: i32) void {
    var count: u64 = undefined;
    while (read(event, std.mem.asBytes(&count)) == -EINTR) {}
}

// Memory, and the end

/// Zeroed address space; a page costs memory only once it is touched. Never given back.
pub fn reserve(bytes: usize) []u8 {
    const result = signed(linux.syscall6(.mmap, 0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, word(-1), 0));
    if (result < 0) fail("cannot reserve {d} bytes: {s}", .{ bytes, errorName(result) });
    return @as([*]u8, @ptrFromInt(@as(usize, @intCast(result))))[0..bytes];
}

pub fn print(comptime format: []const u8, values: anytype) void {
    printTo(1, format, values);
}

/// Says on standard error what went wrong and ends the process with exit code 1.
pub fn fail(comptime format: []const u8, values: anytype) noreturn {
    printTo(2, format ++ "\n", values);
    linux.exit_group(1);
}

pub fn expect(result: isize, comptime doing: []const u8) usize {
    if (result < 0) fail("cannot " ++ doing ++ ": {s}", .{errorName(result)});
    return @intCast(result);
}

/// "ECONNREFUSED" for -111.
pub fn errorName(result: isize) []const u8 {
    const code: linux.E = @enumFromInt(@as(u16, @intCast(-result)));
    return switch (code) {
        inline else => |known| "E" ++ @tagName(known),
        _ => "an unknown error",
    };
}

fn printTo(descriptor: i32, comptime format: []const u8, values: anytype) void {
    var line: [1024]u8 = undefined;
    writeAll(descriptor, std.fmt.bufPrint(&line, format, values) catch "a message longer than 1024 bytes\n");
}

fn word(number: i32) usize {
    return @bitCast(@as(isize, number));
}

fn signed(result: usize) isize {
    return @bitCast(result);
}
