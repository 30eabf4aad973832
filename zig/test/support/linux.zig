//! What the suite asks of Linux itself, past the library: raw system calls, so that no fault of ours passes for a fault of
//! the host.

const std = @import("std");
const library = @import("library");
const support = @import("../support.zig");

const ipv4 = library.socket.Address.ipv4;
const ipv6 = library.socket.Address.ipv6;
const linux = library.linux;
const names = std.os.linux;

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
    pub const again = 11; // EAGAIN
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
    pub const not_implemented = 38; // ENOSYS
    pub const destination_required = 89; // EDESTADDRREQ
    pub const message_size = 90; // EMSGSIZE
    pub const no_such_option = 92; // ENOPROTOOPT
    pub const family_not_supported = 97; // EAFNOSUPPORT
    pub const address_in_use = 98; // EADDRINUSE
    pub const address_not_available = 99; // EADDRNOTAVAIL
    pub const network_unreachable = 101; // ENETUNREACH
    pub const connection_reset = 104; // ECONNRESET
    pub const is_connected = 106; // EISCONN
    pub const not_connected = 107; // ENOTCONN
    pub const connection_refused = 111; // ECONNREFUSED
    pub const in_progress = 115; // EINPROGRESS
};

pub const has_local_pairs = true;
pub const has_pipes = true;
pub const has_files = true;
pub const has_duplicates = true;
pub const has_descriptor_limit = true;
pub const has_signals = true;
pub const has_watching = true;
pub const has_processes = true;
pub const has_terminals = true;
pub const has_speed_constants = true;
pub const has_unix_datagrams = true;
pub const has_unix_pairs = true;
pub const has_passing = true;
pub const has_credentials = true;
pub const has_abstract_names = true;
/// A vectored call has a limit of parts, above which it does nothing.
pub const refuses_many_parts = true;
/// The reset of a connection is told to one call; from then on it is at its end.
pub const forgets_resets = true;
pub const has_shared_ports = true;
pub const has_status_flags = true;

/// unix(7)
pub const loopback_interface = "lo";
pub const longest_path_bytes = 108;

pub const steps_of_slow_fuzz = 6_000;
pub const more_than_a_poll_fetches = 1500;

/// What the kernel gives of a socket's buffer for each byte that is asked for.
pub const buffer_factor = 2;

pub const Thread = i32;

pub fn currentThread() Thread {
    return names.gettid();
}

/// Whether the kernel shows a thread of this process as sleeping: the first field after the name in parentheses
/// (proc_pid_stat(5)). A thread that has ended does not sleep.
pub fn isAsleep(thread: Thread) !bool {
    var path_buffer: [64]u8 = undefined;
    const path = try std.fmt.bufPrintZ(&path_buffer, "/proc/self/task/{d}/stat", .{thread});
    const file = linux.call(.openat, .{ working_folder, path.ptr, 0, 0 });
    if (file == -Errno.no_entry) return false;
    if (file < 0) return support.skip("/proc does not tell the state of threads here");
    defer close(file);
    var buffer: [512]u8 = undefined;
    const count = read(file, &buffer);
    if (count == -Errno.no_process) return false;
    const text = buffer[0..@intCast(try support.check(count))];
    const name_end = std.mem.lastIndexOfScalar(u8, text, ')') orelse return error.UnknownFormat;
    return text[name_end + 2] == 'S';
}

/// A local stream: socketpair(2).
pub fn openPair() ![2]i32 {
    var ends: [2]i32 = undefined;
    _ = try support.check(linux.call(.socketpair, .{ family_unix, type_stream | type_nonblock | type_cloexec, 0, &ends }));
    return ends;
}

/// POSIX promises the lowest free number.
pub fn openPairWithNumber(_: i32) ![2]i32 {
    return openPair();
}

pub fn openPipe() ![2]i32 {
    var ends: [2]i32 = undefined;
    _ = try support.check(linux.call(.pipe2, .{ &ends, type_nonblock | type_cloexec }));
    return ends;
}

/// An eventfd(2): one descriptor that is readable when `signal` was called, and writable always.
pub const Counter = struct {
    descriptor: i32,

    pub const descriptors_of_one = 1;

    pub fn open() !Counter {
        return .{ .descriptor = try support.check(linux.call(.eventfd2, .{ 0, type_nonblock | type_cloexec })) };
    }

    pub fn close(counter: Counter) void {
        support.closeDescriptor(counter.descriptor);
    }

    pub fn signal(counter: Counter) !void {
        const one: u64 = 1;
        try support.expectResult(8, linux.call(.write, .{ counter.descriptor, &one, 8 }));
    }

    /// Takes what `signal` has added up.
    pub fn take(counter: Counter) !u64 {
        var value: u64 = 0;
        try support.expectResult(8, linux.call(.read, .{ counter.descriptor, &value, 8 }));
        return value;
    }
};

pub fn read(descriptor: i32, buffer: []u8) i32 {
    return linux.call(.read, .{ descriptor, buffer.ptr, buffer.len });
}

pub fn write(descriptor: i32, bytes: []const u8) i32 {
    return linux.call(.write, .{ descriptor, bytes.ptr, bytes.len });
}

pub fn close(descriptor: i32) void {
    const result = linux.call(.close, .{descriptor});
    std.debug.assert(result == 0);
}

pub fn duplicate(descriptor: i32) !i32 {
    return support.check(linux.call(.dup, .{descriptor}));
}

/// Makes `number` refer to what `descriptor` refers to, whatever it was before.
pub fn duplicateTo(descriptor: i32, number: i32) !void {
    try support.expectResult(number, linux.call(.dup3, .{ descriptor, number, type_cloexec }));
}

/// ppoll(2). Returns 0 when it took too long.
pub fn waitUntilReady(descriptor: i32, direction: support.Direction, timeout_ns: i64) i32 {
    var wanted: extern struct { descriptor: i32, events: i16, returned: i16 } = .{
        .descriptor = descriptor,
        .events = switch (direction) {
            .readable => 0x001,
            .writable => 0x004,
        },
        .returned = 0,
    };
    const timeout: linux.Timespec = .fromNanoseconds(timeout_ns);
    const no_mask: ?*const anyopaque = null;
    return linux.callUninterrupted(.ppoll, .{ &wanted, 1, &timeout, no_mask, 0 });
}

pub fn isCloseOnExec(descriptor: i32) !bool {
    const get_descriptor_flags = 1;
    return try support.check(linux.call(.fcntl, .{ descriptor, get_descriptor_flags, 0 })) & 1 != 0;
}

pub fn isNonBlocking(descriptor: i32) !bool {
    return try statusFlags(descriptor) & @as(i32, type_nonblock) != 0;
}

/// The flags of the open file: fcntl(2), F_GETFL.
pub fn statusFlags(descriptor: i32) !i32 {
    const get_status_flags = 3;
    return support.check(linux.call(.fcntl, .{ descriptor, get_status_flags, 0 }));
}

/// The first words of an option's value.
pub fn nativeOption(descriptor: i32, level: u32, name: u32, value: *[2]i32) i32 {
    var length: u32 = @sizeOf(@TypeOf(value.*));
    return linux.call(.getsockopt, .{ descriptor, level, name, value, &length });
}

/// The options of a stream by their numbers, each with a value and what the kernel then tells.
pub const native_options = [_]support.NativeOption{
    .{ .option = .no_delay, .level = names.IPPROTO.TCP, .name = names.TCP.NODELAY, .value = 1, .kernel_value = 1 },
    .{ .option = .keep_alive, .level = names.SOL.SOCKET, .name = names.SO.KEEPALIVE, .value = 1, .kernel_value = 1 },
    .{ .option = .keep_alive_idle_s, .level = names.IPPROTO.TCP, .name = names.TCP.KEEPIDLE, .value = 31, .kernel_value = 31 },
    .{ .option = .keep_alive_interval_s, .level = names.IPPROTO.TCP, .name = names.TCP.KEEPINTVL, .value = 32, .kernel_value = 32 },
    .{ .option = .keep_alive_count, .level = names.IPPROTO.TCP, .name = names.TCP.KEEPCNT, .value = 33, .kernel_value = 33 },
    .{ .option = .reuse_address, .level = names.SOL.SOCKET, .name = names.SO.REUSEADDR, .value = 1, .kernel_value = 1 },
    .{ .option = .reuse_port, .level = names.SOL.SOCKET, .name = names.SO.REUSEPORT, .value = 1, .kernel_value = 1 },
    // socket(7): the kernel doubles a buffer's size for its own bookkeeping.
    .{ .option = .receive_buffer_bytes, .level = names.SOL.SOCKET, .name = names.SO.RCVBUF, .value = 32768, .kernel_value = 65536 },
    .{ .option = .send_buffer_bytes, .level = names.SOL.SOCKET, .name = names.SO.SNDBUF, .value = 49152, .kernel_value = 98304 },
    .{ .option = .linger_s, .level = names.SOL.SOCKET, .name = names.SO.LINGER, .value = 7, .kernel_value = 1 },
};

/// The options of datagrams by their numbers.
pub const native_datagram_options = [_]support.NativeDatagramOption{
    .{ .family = ipv4, .option = .broadcast, .level = 1, .name = 6, .value = 1 },
    .{ .family = ipv4, .option = .hops, .level = 0, .name = 2, .value = 17 },
    .{ .family = ipv6, .option = .hops, .level = 41, .name = 16, .value = 18 },
    .{ .family = ipv4, .option = .multicast_hops, .level = 0, .name = 33, .value = 19 },
    .{ .family = ipv6, .option = .multicast_hops, .level = 41, .name = 18, .value = 20 },
    .{ .family = ipv4, .option = .multicast_loopback, .level = 0, .name = 34, .value = 0 },
    .{ .family = ipv6, .option = .multicast_loopback, .level = 41, .name = 19, .value = 0 },
    .{ .family = ipv6, .option = .multicast_interface, .level = 41, .name = 17, .value = 1 },
};

/// The address as the kernel keeps it: family, port and the rest.
pub fn nativeLocalAddress(descriptor: i32, bytes: *[16]u8) i32 {
    var length: u32 = bytes.len;
    return linux.call(.getsockname, .{ descriptor, bytes, &length });
}

pub fn sendOutOfBand(descriptor: i32, bytes: []const u8) i32 {
    return sendWithFlags(descriptor, bytes, 1);
}

/// Without MSG_NOSIGNAL.
pub fn sendWithSignal(descriptor: i32, bytes: []const u8) i32 {
    return sendWithFlags(descriptor, bytes, 0);
}

fn sendWithFlags(descriptor: i32, bytes: []const u8, flags: u32) i32 {
    const no_address: ?*const anyopaque = null;
    return linux.call(.sendto, .{ descriptor, bytes.ptr, bytes.len, flags, no_address, 0 });
}

pub fn hasUnixSockets() bool {
    return true;
}

pub fn isWine() bool {
    return false;
}

pub fn hasIpv6Loopback() bool {
    const address: extern struct { family: u16, port: u16, flow: u32, bytes: [16]u8, scope: u32 } = .{
        .family = family_ipv6,
        .port = 0,
        .flow = 0,
        .bytes = support.loopback(library.socket.Address.ipv6, 0).bytes,
        .scope = 0,
    };
    const descriptor = linux.call(.socket, .{ family_ipv6, type_stream | type_cloexec, 0 });
    if (descriptor < 0) return false;
    defer close(descriptor);
    return linux.call(.bind, .{ descriptor, &address, @sizeOf(@TypeOf(address)) }) == 0;
}

/// How many descriptors this process has open, of the numbers that the suite comes to.
pub fn countDescriptors() u32 {
    const get_descriptor_flags = 1;
    var count: u32 = 0;
    for (0..4096) |number| {
        if (linux.call(.fcntl, .{ number, get_descriptor_flags, 0 }) >= 0) count += 1;
    }
    return count;
}

/// The limit of open descriptors (RLIMIT_NOFILE): what is asked for, and the most that may be.
pub const DescriptorLimit = extern struct {
    current: u64,
    most: u64,

    pub fn read() !DescriptorLimit {
        var limit: DescriptorLimit = undefined;
        const no_new: ?*const DescriptorLimit = null;
        try support.expectResult(0, linux.call(.prlimit64, .{ 0, limit_of_descriptors, no_new, &limit }));
        return limit;
    }

    pub fn set(limit: DescriptorLimit, current: u64) !void {
        const new: DescriptorLimit = .{ .current = current, .most = limit.most };
        const no_old: ?*DescriptorLimit = null;
        try support.expectResult(0, linux.call(.prlimit64, .{ 0, limit_of_descriptors, &new, no_old }));
    }

    const limit_of_descriptors = 7;
};

/// The control flags of a terminal, by the call that is older than the library's (TCGETS).
pub fn controlFlags(descriptor: i32) !u32 {
    var native: extern struct { flags: [4]u32, rest: [20]u8 } = undefined;
    try support.expectResult(0, linux.call(.ioctl, .{ descriptor, 0x5401, &native }));
    return native.flags[2];
}

/// Makes a file.
pub fn openForAppending(path: [*:0]const u8) !i32 {
    const create = 0o100;
    const append = 0o2000;
    const read_write = 2;
    return support.check(linux.call(.openat, .{ working_folder, path, read_write | append | create | type_cloexec, 0o600 }));
}

pub fn removeFile(path: [*:0]const u8) i32 {
    return linux.call(.unlinkat, .{ working_folder, path, 0 });
}

/// A handler of a signal, without SA_RESTART, for as long as a test runs. It counts.
pub const Handler = struct {
    signal: names.SIG,
    old: names.Sigaction,

    var count: std.atomic.Value(u32) = .init(0);

    pub fn install(signal: Signal) Handler {
        count.store(0, .release);
        var handler: Handler = .{ .signal = numberOf(signal), .old = undefined };
        const action: names.Sigaction = .{ .handler = .{ .handler = countOne }, .mask = names.sigemptyset(), .flags = 0 };
        std.debug.assert(names.sigaction(handler.signal, &action, &handler.old) == 0);
        return handler;
    }

    /// How often the latest handler has run.
    pub fn seen() u32 {
        return count.load(.acquire);
    }

    pub fn remove(handler: *Handler) void {
        std.debug.assert(names.sigaction(handler.signal, &handler.old, null) == 0);
    }

    fn countOne(_: names.SIG) callconv(.c) void {
        _ = count.fetchAdd(1, .acq_rel);
    }
};

/// SIGUSR1 and SIGPIPE.
pub const Signal = enum { user, pipe };

/// Sends SIGUSR1 to a thread of this process; one that has ended gets none.
pub fn signalThread(thread: Thread) !void {
    const result = linux.call(.tgkill, .{ names.getpid(), thread, @intFromEnum(names.SIG.USR1) });
    if (result != -Errno.no_process) try support.expectResult(0, result);
}

/// Sends SIGUSR1 to the thread that started it, again and again (timer_create(2), SIGEV_THREAD_ID).
pub const SignalStorm = struct {
    identifier: i32,

    pub fn start(storm: *SignalStorm, interval_ns: i64) !void {
        const SignalEvent = extern struct { value: usize, signal: i32, notify: i32, thread_id: i32, reserved: [44]u8 };
        comptime std.debug.assert(@sizeOf(SignalEvent) == 64);
        const clock_monotonic = 1;
        const notify_thread = 4;
        const event: SignalEvent = .{
            .value = 0,
            .signal = @intFromEnum(names.SIG.USR1),
            .notify = notify_thread,
            .thread_id = names.gettid(),
            .reserved = @splat(0),
        };
        if (linux.call(.timer_create, .{ clock_monotonic, &event, &storm.identifier }) != 0) {
            return support.skip("this host has no timer that signals a thread");
        }
        storm.set(interval_ns);
    }

    /// No signal comes after it.
    pub fn pause(storm: *SignalStorm) void {
        storm.set(0);
    }

    pub fn stop(storm: *SignalStorm) void {
        std.debug.assert(linux.call(.timer_delete, .{storm.identifier}) == 0);
    }

    fn set(storm: *SignalStorm, interval_ns: i64) void {
        const setting: extern struct { interval: linux.Timespec, value: linux.Timespec } = .{
            .interval = .fromNanoseconds(interval_ns),
            .value = .fromNanoseconds(interval_ns),
        };
        const no_old: ?*anyopaque = null;
        std.debug.assert(linux.call(.timer_settime, .{ storm.identifier, 0, &setting, no_old }) == 0);
    }
};

fn numberOf(signal: Signal) names.SIG {
    return switch (signal) {
        .user => .USR1,
        .pipe => .PIPE,
    };
}

pub fn currentUser() library.unix.Credentials {
    return .{ .process_id = names.getpid(), .user_id = names.getuid(), .group_id = names.getgid() };
}

/// AT_FDCWD
const working_folder = -100;

const family_unix = 1;
const family_ipv6 = 10;
const type_stream = 1;
const type_nonblock = 0o4000;
const type_cloexec = 0o2000000;
