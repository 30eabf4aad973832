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

pub const has_local_pairs = true;
pub const has_pipes = true;
pub const has_files = true;
pub const has_duplicates = true;
pub const has_descriptor_limit = true;
pub const has_signals = true;
pub const has_watching = false;
pub const has_processes = false;
pub const has_terminals = true;
pub const has_speed_constants = false;
pub const has_unix_datagrams = true;
pub const has_unix_pairs = true;
pub const has_passing = true;
pub const has_credentials = true;
pub const has_abstract_names = false;
/// A vectored call has a limit of parts, above which it does nothing.
pub const refuses_many_parts = true;
/// The reset of a connection is told to one call; from then on it is at its end.
pub const forgets_resets = true;
pub const has_shared_ports = true;
pub const has_status_flags = true;

/// unix(4)
pub const loopback_interface = "lo0";
pub const longest_path_bytes = 104;

pub const steps_of_slow_fuzz = 6_000;
pub const more_than_a_poll_fetches = 1500;

/// What the kernel gives of a socket's buffer for each byte that is asked for.
pub const buffer_factor = 1;

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

/// POSIX promises the lowest free number.
pub fn openPairWithNumber(_: i32) ![2]i32 {
    return openPair();
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

pub fn removeFile(path: [*:0]const u8) i32 {
    return resultOf(c.unlink(path));
}

/// A handler of a signal, without SA_RESTART, for as long as a test runs. It counts.
pub const Handler = struct {
    signal: c.SIG,
    old: c.Sigaction,

    var count: std.atomic.Value(u32) = .init(0);

    pub fn install(signal: Signal) Handler {
        count.store(0, .release);
        var handler: Handler = .{ .signal = numberOf(signal), .old = undefined };
        var mask: c.sigset_t = undefined;
        std.debug.assert(c.sigemptyset(&mask) == 0);
        const action: c.Sigaction = .{ .handler = .{ .handler = countOne }, .mask = mask, .flags = 0 };
        std.debug.assert(c.sigaction(handler.signal, &action, &handler.old) == 0);
        return handler;
    }

    /// How often the latest handler has run.
    pub fn seen() u32 {
        return count.load(.acquire);
    }

    pub fn remove(handler: *Handler) void {
        std.debug.assert(c.sigaction(handler.signal, &handler.old, null) == 0);
    }

    fn countOne(_: c.SIG) callconv(.c) void {
        _ = count.fetchAdd(1, .acq_rel);
    }
};

/// SIGUSR1 and SIGPIPE.
pub const Signal = enum { user, pipe };

/// Sends SIGUSR1 to a thread of this process; one that has ended gets none.
pub fn signalThread(thread: Thread) !void {
    const result = c.pthread_kill(thread, .USR1);
    if (result != Errno.no_process) try support.expectResult(0, result);
}

/// Sends SIGUSR1 to the thread that started it, again and again, from a thread of its own.
pub const SignalStorm = struct {
    target: Thread,
    interval_ns: i64,
    state: std.atomic.Value(State),
    thread: std.Thread,

    const State = enum(u8) { blows, is_to_pause, pauses, is_to_end };

    pub fn start(storm: *SignalStorm, interval_ns: i64) !void {
        storm.target = currentThread();
        storm.interval_ns = interval_ns;
        storm.state = .init(.blows);
        storm.thread = try std.Thread.spawn(.{}, blow, .{storm});
    }

    /// No signal comes after it.
    pub fn pause(storm: *SignalStorm) void {
        storm.state.store(.is_to_pause, .release);
        while (storm.state.load(.acquire) != .pauses) support.yield();
    }

    pub fn stop(storm: *SignalStorm) void {
        storm.state.store(.is_to_end, .release);
        storm.thread.join();
    }

    fn blow(storm: *SignalStorm) void {
        const io = std.Io.Threaded.global_single_threaded.io();
        while (true) {
            switch (storm.state.load(.acquire)) {
                .blows => signalThread(storm.target) catch |failure| std.debug.panic("no signal can be sent: {t}", .{failure}),
                .is_to_pause => storm.state.store(.pauses, .release),
                .pauses => {},
                .is_to_end => return,
            }
            io.sleep(.fromNanoseconds(storm.interval_ns), .awake) catch |failure| std.debug.panic("the storm cannot sleep: {t}", .{failure});
        }
    }
};

fn numberOf(signal: Signal) c.SIG {
    return switch (signal) {
        .user => .USR1,
        .pipe => .PIPE,
    };
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
