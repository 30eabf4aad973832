//! What the suite asks of Linux itself, past the library: raw system calls, so that no fault of ours passes for a fault of
//! the host.

const std = @import("std");
const library = @import("library");
const support = @import("../support.zig");

const ipv4 = library.socket.Address.ipv4;
const ipv6 = library.socket.Address.ipv6;
const linux = library.linux;
const names = std.os.linux;

const signals = @import("linux/signals.zig");

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
    return linux.call(.unlinkat, .{ working_folder, path, 0 });
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
