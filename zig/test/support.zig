//! What the parts of the contract suite share: a queue with its ring, pairs of connected descriptors, and hand-shakes
//! with threads.
//!
//! No test sleeps and none asserts that something was fast. A wait that a correct queue ends would last for ever with a
//! broken one, so each such wait is guarded: a timer descriptor in the same queue becomes ready after `patience_ns` and
//! turns the hang into `error.NothingHappened`. That a thread is blocked is read from the kernel, not guessed from a
//! pause.

const std = @import("std");
const library = @import("library");

pub const datagram = library.datagram;
pub const linux = library.linux;
pub const process = library.process;
pub const queue = library.queue;
pub const ring = library.ring;
pub const socket = library.socket;
pub const unix = library.unix;
pub const watch = library.watch;

pub const Entry = ring.Entry;
pub const Queue = queue.Queue;
pub const Readiness = ring.Readiness;
pub const Ring = ring.Ring;
pub const Token = ring.Token;

pub const readable = Readiness.readable;
pub const writable = Readiness.writable;
pub const priority = Readiness.priority;
pub const read_closed = Readiness.read_closed;
pub const write_closed = Readiness.write_closed;
pub const hung_up = Readiness.hung_up;
pub const failed = Readiness.failed;

/// How long a test waits for what must happen before it fails. Only a broken queue ever waits that long.
pub const patience_ns = 10 * std.time.ns_per_s;

/// The errno values that the contract names, and those that the tests provoke.
pub const Errno = struct {
    pub const not_permitted = 1; // EPERM
    pub const no_entry = 2; // ENOENT
    pub const no_process = 3; // ESRCH
    pub const interrupted = 4; // EINTR
    pub const bad_descriptor = 9; // EBADF
    pub const no_child = 10; // ECHILD
    pub const again = 11; // EAGAIN
    pub const exists = 17; // EEXIST
    pub const not_a_folder = 20; // ENOTDIR
    pub const invalid_argument = 22; // EINVAL
    pub const too_many_descriptors = 24; // EMFILE
    pub const no_space = 28; // ENOSPC
    pub const broken_pipe = 32; // EPIPE
    pub const not_implemented = 38; // ENOSYS
    pub const destination_required = 89; // EDESTADDRREQ
    pub const message_size = 90; // EMSGSIZE
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

/// A ring with room for as many entries as any test wants; `Poller.open` says how many it uses.
pub const RingMemory = extern struct {
    ring: Ring,
    entries: [max_entries]Entry,

    pub const max_entries = 2048;

    pub fn init(memory: *RingMemory, capacity: u32, position: u32) void {
        std.debug.assert(capacity <= max_entries);
        memory.ring = .{ .tail = position, .capacity = capacity, .head = position };
    }

    /// The consumer's side: what `src/reactor/ready-channel.ts` does.
    pub fn take(memory: *RingMemory) ?Entry {
        const head = memory.ring.head;
        if (head == @atomicLoad(u32, &memory.ring.tail, .acquire)) return null;
        const entry = memory.entries[head & (memory.ring.capacity - 1)];
        @atomicStore(u32, &memory.ring.head, head +% 1, .release);
        return entry;
    }
};

/// An event queue with its ring and the guard of its waits. It stays where it was opened.
pub const Poller = struct {
    queue: Queue,
    memory: RingMemory,
    guard_descriptor: i32,

    pub fn open(poller: *Poller, capacity: u32) !void {
        try poller.openAt(capacity, 0);
    }

    /// `position` is where the ring's free-running positions begin.
    pub fn openAt(poller: *Poller, capacity: u32, position: u32) !void {
        poller.memory.init(capacity, position);
        try expectResult(0, queue.open(&poller.queue));
        poller.guard_descriptor = try check(linux.call(.timerfd_create, .{ clock_monotonic, timer_nonblock | timer_cloexec }));
        try poller.register(poller.guard_descriptor, guard_token, readable, .level);
    }

    pub fn close(poller: *Poller) void {
        std.debug.assert(queue.close(&poller.queue) == 0);
        closeDescriptor(poller.guard_descriptor);
    }

    pub fn register(poller: *Poller, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) !void {
        try expectResult(0, queue.register(&poller.queue, descriptor, token, interest, delivery));
    }

    pub fn reregister(poller: *Poller, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) !void {
        try expectResult(0, queue.reregister(&poller.queue, descriptor, token, interest, delivery));
    }

    pub fn deregister(poller: *Poller, descriptor: i32) !void {
        try expectResult(0, queue.deregister(&poller.queue, descriptor));
    }

    pub fn wake(poller: *Poller) !void {
        try expectResult(0, queue.wake(&poller.queue));
    }

    pub fn poll(poller: *Poller, timeout_ns: i64) i32 {
        return queue.poll(&poller.queue, &poller.memory.ring, timeout_ns);
    }

    /// Polls for ever, guarded.
    pub fn wait(poller: *Poller) !i32 {
        return poller.waitAtMost(queue.forever);
    }

    /// Polls with a timeout that is not expected to pass, guarded.
    pub fn waitAtMost(poller: *Poller, timeout_ns: i64) !i32 {
        try poller.armGuard();
        const result = poller.poll(timeout_ns);
        try poller.disarmGuard();
        return result;
    }

    pub fn armGuard(poller: *Poller) !void {
        try setTimer(poller.guard_descriptor, patience_ns);
    }

    /// Fails when the guard was what ended the wait.
    pub fn disarmGuard(poller: *Poller) !void {
        try setTimer(poller.guard_descriptor, 0);
        var position = poller.memory.ring.head;
        while (position != poller.memory.ring.tail) : (position +%= 1) {
            const entry = poller.memory.entries[position & (poller.memory.ring.capacity - 1)];
            if (std.meta.eql(entry.token, guard_token)) return error.NothingHappened;
        }
    }

    pub fn take(poller: *Poller) ?Entry {
        return poller.memory.take();
    }

    /// Waits; the next poll must push this one event and no other.
    pub fn expectOnly(poller: *Poller, token: Token, readiness: u32) !void {
        try expectResult(1, try poller.wait());
        try expectEntry(token, readiness, poller.take().?);
        try std.testing.expectEqual(null, poller.take());
    }

    /// Waits until the events of this one source have told all of `readiness`, however many polls that takes: the
    /// kernel may report a change over the network in steps. Returns all that they told.
    pub fn gather(poller: *Poller, token: Token, readiness: u32) !u32 {
        var told: u32 = 0;
        while (told & readiness != readiness) {
            if (try poller.wait() < 0) return error.PollFailed;
            while (poller.take()) |entry| {
                try std.testing.expectEqual(token, entry.token);
                told |= entry.readiness;
            }
        }
        return told;
    }

    /// Nothing is ready now.
    pub fn expectNothing(poller: *Poller) !void {
        try expectResult(0, poller.poll(0));
    }

    /// A wake is pending: the next wait ends, and brings nothing.
    pub fn expectWoken(poller: *Poller) !void {
        try expectResult(0, try poller.wait());
    }
};

/// A poll without a timeout in a thread of its own. The test goes on only when the thread is blocked in it.
pub const BlockedPoll = struct {
    poller: *Poller,
    timeout_ns: i64,
    thread: std.Thread,
    thread_id: std.atomic.Value(i32),
    result: i32,
    is_done: std.atomic.Value(bool),

    pub fn start(blocked: *BlockedPoll, poller: *Poller) !void {
        try blocked.startFor(poller, queue.forever);
    }

    pub fn startFor(blocked: *BlockedPoll, poller: *Poller, timeout_ns: i64) !void {
        try poller.armGuard();
        blocked.poller = poller;
        blocked.timeout_ns = timeout_ns;
        blocked.thread_id = .init(0);
        blocked.is_done = .init(false);
        blocked.thread = try std.Thread.spawn(.{}, run, .{blocked});
        blocked.untilAsleep() catch |failure| {
            blocked.thread.join();
            return failure;
        };
    }

    /// The poll's result. Fails when only the guard ended it.
    pub fn join(blocked: *BlockedPoll) !i32 {
        blocked.thread.join();
        try blocked.poller.disarmGuard();
        return blocked.result;
    }

    fn untilAsleep(blocked: *BlockedPoll) !void {
        while (blocked.thread_id.load(.acquire) == 0) yield();
        while (!try isAsleep(blocked.thread_id.load(.acquire))) {
            if (blocked.is_done.load(.acquire)) return error.PollDidNotBlock;
            yield();
        }
    }

    fn run(blocked: *BlockedPoll) void {
        blocked.thread_id.store(std.os.linux.gettid(), .release);
        blocked.result = blocked.poller.poll(blocked.timeout_ns);
        blocked.is_done.store(true, .release);
    }
};

/// Two ends of a stream without a network between them: what one end does, the other end's readiness shows at once.
pub const Pair = struct {
    own: i32,
    peer: i32,

    pub fn open() !Pair {
        var ends: [2]i32 = undefined;
        _ = try check(linux.call(.socketpair, .{ family_unix, type_stream | type_nonblock | type_cloexec, 0, &ends }));
        return .{ .own = ends[0], .peer = ends[1] };
    }

    pub fn close(pair: Pair) void {
        closeDescriptor(pair.own);
        closeDescriptor(pair.peer);
    }
};

pub const Pipe = struct {
    reader: i32,
    writer: i32,

    pub fn open() !Pipe {
        var ends: [2]i32 = undefined;
        _ = try check(linux.call(.pipe2, .{ &ends, type_nonblock | type_cloexec }));
        return .{ .reader = ends[0], .writer = ends[1] };
    }

    pub fn close(pipe: Pipe) void {
        closeDescriptor(pipe.reader);
        closeDescriptor(pipe.writer);
    }
};

/// A TCP connection over the loopback interface.
pub const Connection = struct {
    own: i32,
    peer: i32,

    pub fn open(family: u32) !Connection {
        const listener = try listen(family);
        defer closeDescriptor(listener);
        var address: socket.Address = undefined;
        try expectResult(0, socket.localAddress(listener, &address));
        const own = try check(socket.create(family));
        errdefer closeDescriptor(own);
        const result = socket.connect(own, &address);
        if (result != 0) try expectResult(-Errno.in_progress, result);
        try untilReady(listener, native_readable);
        const peer = try check(socket.accept(listener));
        errdefer closeDescriptor(peer);
        try untilReady(own, native_writable);
        try expectResult(0, socket.takeError(own));
        return .{ .own = own, .peer = peer };
    }

    pub fn close(connection: Connection) void {
        closeDescriptor(connection.own);
        closeDescriptor(connection.peer);
    }
};

/// A listening socket on the loopback address, on a port that the kernel chose.
pub fn listen(family: u32) !i32 {
    const listener = try bound(family);
    errdefer closeDescriptor(listener);
    try expectResult(0, socket.listen(listener, 16));
    return listener;
}

/// A socket that has a port of the loopback address, and does not listen.
pub fn bound(family: u32) !i32 {
    if (family == socket.Address.ipv6 and !hasIpv6Loopback()) return skip("this host has no ::1");
    const descriptor = try check(socket.create(family));
    errdefer closeDescriptor(descriptor);
    const address = loopback(family, 0);
    try expectResult(0, socket.bind(descriptor, &address));
    return descriptor;
}

/// Asks the kernel with nothing that is under test, so that no fault of ours passes for a fault of the host.
pub fn hasIpv6Loopback() bool {
    const address: extern struct { family: u16, port: u16, flow: u32, bytes: [16]u8, scope: u32 } = .{
        .family = family_ipv6,
        .port = 0,
        .flow = 0,
        .bytes = loopback(socket.Address.ipv6, 0).bytes,
        .scope = 0,
    };
    const descriptor = linux.call(.socket, .{ family_ipv6, type_stream | type_cloexec, 0 });
    if (descriptor < 0) return false;
    defer closeDescriptor(descriptor);
    return linux.call(.bind, .{ descriptor, &address, @sizeOf(@TypeOf(address)) }) == 0;
}

pub fn loopback(family: u32, port: u32) socket.Address {
    var address: socket.Address = .{ .family = family, .port = port, .scope = 0, .bytes = @splat(0) };
    if (family == socket.Address.ipv4) {
        address.bytes[0] = 127;
        address.bytes[3] = 1;
    } else {
        address.bytes[15] = 1;
    }
    return address;
}

/// An eventfd(2): one descriptor that is readable when `signal` was called, and writable always.
pub fn openCounter() !i32 {
    return check(linux.call(.eventfd2, .{ 0, type_nonblock | type_cloexec }));
}

pub fn signal(counter: i32) !void {
    const one: u64 = 1;
    try expectResult(8, linux.call(.write, .{ counter, &one, 8 }));
}

/// Takes what `signal` has added up.
pub fn drainCounter(counter: i32) !u64 {
    var value: u64 = 0;
    try expectResult(8, linux.call(.read, .{ counter, &value, 8 }));
    return value;
}

pub fn write(descriptor: i32, bytes: []const u8) !void {
    try expectResult(@intCast(bytes.len), linux.call(.write, .{ descriptor, bytes.ptr, bytes.len }));
}

pub fn expectRead(descriptor: i32, expected: []const u8) !void {
    var buffer: [256]u8 = undefined;
    const count = try check(linux.call(.read, .{ descriptor, &buffer, buffer.len }));
    try std.testing.expectEqualStrings(expected, buffer[0..@intCast(count)]);
}

/// Writes until the kernel takes no more; returns how many bytes it took.
pub fn fill(descriptor: i32) !usize {
    const chunk: [4096]u8 = @splat('x');
    var total: usize = 0;
    while (true) {
        const result = socket.send(descriptor, &chunk, chunk.len);
        if (result == -Errno.again) return total;
        total += @intCast(try check(result));
    }
}

/// Reads until there is no more; returns how many bytes there were.
pub fn drain(descriptor: i32) !usize {
    var chunk: [65536]u8 = undefined;
    var total: usize = 0;
    while (true) {
        const result = linux.call(.read, .{ descriptor, &chunk, chunk.len });
        if (result == -Errno.again or result == 0) return total;
        total += @intCast(try check(result));
    }
}

pub fn duplicate(descriptor: i32) !i32 {
    return check(linux.call(.dup, .{descriptor}));
}

/// Makes `number` refer to what `descriptor` refers to, whatever it was before.
pub fn duplicateTo(descriptor: i32, number: i32) !void {
    try expectResult(number, linux.call(.dup3, .{ descriptor, number, type_cloexec }));
}

pub fn closeDescriptor(descriptor: i32) void {
    const result = linux.call(.close, .{descriptor});
    std.debug.assert(result == 0);
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

/// The number that the next new descriptor gets: POSIX promises the lowest free one.
pub fn nextDescriptor() !i32 {
    const counter = try openCounter();
    closeDescriptor(counter);
    return counter;
}

/// The limit of open descriptors (RLIMIT_NOFILE), read and set.
pub fn descriptorLimit(new: ?*const std.os.linux.rlimit, old: ?*std.os.linux.rlimit) i32 {
    const limit_of_descriptors = 7;
    return linux.call(.prlimit64, .{ 0, limit_of_descriptors, new, old });
}

/// Waits with ppoll(2), so with nothing that is under test.
pub fn untilReady(descriptor: i32, events: i16) !void {
    var wanted: extern struct { descriptor: i32, events: i16, returned: i16 } = .{
        .descriptor = descriptor,
        .events = events,
        .returned = 0,
    };
    const timeout: linux.Timespec = .fromNanoseconds(patience_ns);
    const no_mask: ?*const anyopaque = null;
    const count = try check(linux.callUninterrupted(.ppoll, .{ &wanted, 1, &timeout, no_mask, 0 }));
    if (count == 0) return error.NothingHappened;
}

/// Whether the kernel shows a thread of this process as sleeping: the first field after the name in parentheses
/// (proc_pid_stat(5)). A thread that has ended does not sleep.
fn isAsleep(thread_id: i32) !bool {
    var path_buffer: [64]u8 = undefined;
    const path = try std.fmt.bufPrintZ(&path_buffer, "/proc/self/task/{d}/stat", .{thread_id});
    const file = linux.call(.openat, .{ working_directory, path.ptr, 0, 0 });
    if (file == -Errno.no_entry) return false;
    if (file < 0) return skip("/proc does not tell the state of threads here");
    defer closeDescriptor(file);
    var buffer: [512]u8 = undefined;
    const count = linux.call(.read, .{ file, &buffer, buffer.len });
    if (count == -Errno.no_process) return false;
    const text = buffer[0..@intCast(try check(count))];
    const name_end = std.mem.lastIndexOfScalar(u8, text, ')') orelse return error.UnknownFormat;
    return text[name_end + 2] == 'S';
}

pub fn yield() void {
    std.Thread.yield() catch |failure| std.debug.panic("sched_yield(2) failed: {t}", .{failure});
}

pub fn skip(comptime reason: []const u8) error{SkipZigTest} {
    std.debug.print("skipped, because {s}\n", .{reason});
    return error.SkipZigTest;
}

/// Passes on a result, and turns a negated errno into a failure of the test.
pub fn check(result: i32) !i32 {
    if (result >= 0) return result;
    std.debug.print("a system call failed with errno {d}\n", .{-result});
    return error.SystemCallFailed;
}

pub fn expectResult(expected: i32, result: i32) !void {
    try std.testing.expectEqual(expected, result);
}

pub fn expectEntry(token: Token, readiness: u32, entry: Entry) !void {
    try std.testing.expectEqual(token, entry.token);
    try std.testing.expectEqual(readiness, entry.readiness);
}

/// A token for tests that need no particular one.
pub fn tokenOf(slot: u32) Token {
    return .{ .slot = slot, .generation = 1 };
}

fn setTimer(descriptor: i32, after_ns: i64) !void {
    const setting: TimerSetting = .{ .interval = .fromNanoseconds(0), .value = .fromNanoseconds(after_ns) };
    const no_old: ?*TimerSetting = null;
    try expectResult(0, linux.call(.timerfd_settime, .{ descriptor, 0, &setting, no_old }));
}

pub const TimerSetting = extern struct { interval: linux.Timespec, value: linux.Timespec };

/// A slot that no test uses.
const guard_token: Token = .{ .slot = 0xfffffff0, .generation = 0xfffffff0 };

pub const native_readable: i16 = 0x001;
pub const native_writable: i16 = 0x004;

const clock_monotonic = 1;
const timer_nonblock = 0o4000;
const timer_cloexec = 0o2000000;
const type_stream = 1;
const type_nonblock = 0o4000;
const type_cloexec = 0o2000000;
const family_unix = 1;
const family_ipv6 = 10;
const working_directory = -100;

pub fn expectCloseOnExec(descriptor: i32) !void {
    const get_descriptor_flags = 1;
    try expectResult(1, linux.call(.fcntl, .{ descriptor, get_descriptor_flags, 0 }));
}
