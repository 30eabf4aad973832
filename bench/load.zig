//! The load generator of the echo benchmark: one thread that keeps N connections busy and measures each echo.
//!
//!     load --port 40321 --connections 64 --message-bytes 64 --duration-ms 1000 --warmup-ms 300 --server-pid 4711
//!
//! Three modes:
//!
//! - closed loop (the default): every connection sends a message, waits for its whole echo, sends the next.
//! - `--rate-per-second N`: messages are sent on a fixed schedule, in turn on the connections, and a latency counts from
//!   the time at which the schedule wanted the message sent. So a server that stalls is charged for every message that
//!   it held up, not for one (no "coordinated omission").
//! - `--idle`: every connection has one message echoed, `connected` is printed, and all stay open until standard input
//!   ends.
//!
//! At the end it prints one line of JSON. With `--server-pid` the result has the server's CPU time, read here, at the same
//! instants as the message count, from the process's CPU clock: that counts user and system time of all threads, those
//! that have ended included, in nanoseconds. `/proc/PID/stat` would count in ticks of 10 ms, and a reader in another
//! process would be late by its own wake-up and take a core from the measured ones.
//!
//! A failure (bad arguments, connection refused, closed or echoing something else) is one line on standard error and exit
//! code 1.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const Histogram = @import("native/histogram.zig").Histogram;
const fail = system.fail;
const expect = system.expect;

const Arguments = struct {
    host: []const u8 = "127.0.0.1",
    port: u16 = 0,
    connections: u32 = 1,
    message_bytes: u32 = 64,
    duration_ms: u32 = 1000,
    warmup_ms: u32 = 200,
    rate_per_second: ?u32 = null,
    server_pid: ?u32 = null,
    idle: bool = false,
};

const connections_max = 100_000;
const message_bytes_max = 16 * 1024 * 1024;
const duration_ms_max = 600_000;
const rate_per_second_max = 1_000_000;

const batch_events = 512;
/// Larger than the usual message, so that a receive which brings a whole one is short and proves the socket drained.
const receive_bytes = 256 * 1024;
/// Connections opened at a time. Fewer than any server's backlog: a full one drops the handshake, and the kernel tries
/// again after a second only.
const opening_batch = 64;
/// Connections from one source address; the usual range of ephemeral ports holds 28,000.
const connections_per_source = 20_000;
const connect_timeout_seconds = 5;
/// How long an echo may take while opening, or after the last message was sent.
const answer_timeout_ns = 5 * std.time.ns_per_s;
/// The sleep before a scheduled message ends this much early, and the rest is spun away: the wake-up of this process is
/// not the server's latency.
const spin_ns = 150 * std.time.ns_per_us;
/// Messages start at one of this many places of the pattern, in turn, so that neighbours differ.
const pattern_offsets = 251;

const Connection = struct {
    descriptor: i32,
    /// Messages whose echo has come back; also chooses the next message's bytes.
    finished: u64 = 0,
    sent: u32 = 0,
    received: u32 = 0,
    waiting: bool = false,
    /// When the current message was sent, or should have been, by `system.monotonic_ns`.
    started_ns: u64 = 0,
    /// Times at which the schedule wanted messages that an unfinished one still holds up: how many, and the first.
    overdue: u64 = 0,
    overdue_since_ns: u64 = 0,
};

const Load = struct {
    options: Arguments,
    address: system.Ipv4Address,
    queue: i32,
    pattern: []const u8,
    buffer: []u8,
    connections: []Connection,
    histogram: *Histogram,
    /// Time between two scheduled messages of one connection; 0 in the closed loop.
    period_ns: u64 = 0,
    /// What a finished message leads to.
    repeat: bool = false,
    /// Messages are measured that finished (closed loop) or were due (schedule) at this time or later.
    measured_since_ns: u64 = std.math.maxInt(u64),
    waiting: u32 = 0,
    messages: u64 = 0,
    bytes: u64 = 0,

    /// Opens all connections and has one message echoed on each, which proves that the server has accepted it.
    fn open(load: *Load) void {
        const count = load.options.connections;
        var first: u32 = 0;
        while (first < count) : (first += opening_batch) {
            const batch = load.connections[first..@min(first + opening_batch, count)];
            for (batch, first..) |*connection, index| {
                connection.* = .{ .descriptor = connect(load.address, index) };
                const interest = system.EPOLLIN | system.EPOLLOUT | system.EPOLLRDHUP | system.EPOLLET;
                _ = expect(system.register(load.queue, connection.descriptor, interest, index), "register a connection");
                load.start(connection, system.monotonic_ns());
            }
            load.finishWaiting("after connecting");
        }
    }

    fn closedLoop(load: *Load) Result {
        load.repeat = true;
        const begin_ns = system.monotonic_ns();
        for (load.connections) |*connection| load.start(connection, begin_ns);
        const measured_since_ns = begin_ns + load.warmup_ns();
        load.serveUntil(measured_since_ns);

        load.measured_since_ns = measured_since_ns;
        load.bytes = 0;
        const before = load.snapshot();
        load.serveUntil(measured_since_ns + load.duration_ns());
        const after = load.snapshot();

        load.measured_since_ns = std.math.maxInt(u64);
        load.repeat = false;
        load.finishWaiting("after the last message");
        return .between(before, after);
    }

    fn onSchedule(load: *Load, rate_per_second: u32) Result {
        system.setExactTimers();
        const schedule: Schedule = .{ .begin_ns = system.monotonic_ns(), .rate_per_second = rate_per_second };
        load.period_ns = schedule.due_ns(load.connections.len) - schedule.due_ns(0);
        const unmeasured = @as(u64, rate_per_second) * load.options.warmup_ms / std.time.ms_per_s;
        const total = unmeasured + @as(u64, rate_per_second) * load.options.duration_ms / std.time.ms_per_s;
        load.measured_since_ns = schedule.due_ns(unmeasured);

        var before = load.snapshot();
        for (0..total) |number| {
            const due_ns = schedule.due_ns(number);
            load.serveUntilExactly(due_ns);
            if (number == unmeasured) {
                load.bytes = 0;
                before = load.snapshot();
            }
            load.startScheduled(&load.connections[number % load.connections.len], due_ns);
        }
        load.serveUntil(schedule.due_ns(total));
        load.finishWaiting("after the last message");
        return .between(before, load.snapshot());
    }

    fn serveUntil(load: *Load, until_ns: u64) void {
        while (true) {
            const now_ns = system.monotonic_ns();
            if (now_ns >= until_ns) return;
            load.serve(until_ns - now_ns);
        }
    }

    fn serveUntilExactly(load: *Load, until_ns: u64) void {
        load.serveUntil(until_ns - spin_ns);
        while (system.monotonic_ns() < until_ns) load.serve(0);
    }

    fn finishWaiting(load: *Load, comptime moment: []const u8) void {
        const limit_ns = system.monotonic_ns() + answer_timeout_ns;
        while (load.waiting > 0) {
            const now_ns = system.monotonic_ns();
            if (now_ns >= limit_ns) fail(
                "{d} of {d} connections had no whole echo within {d} s " ++ moment,
                .{ load.waiting, load.connections.len, answer_timeout_ns / std.time.ns_per_s },
            );
            load.serve(limit_ns - now_ns);
        }
    }

    fn serve(load: *Load, timeout_ns: u64) void {
        var events: [batch_events]system.EpollEvent = undefined;
        const result = system.waitFor(load.queue, &events, timeout_ns);
        if (result == -system.EINTR) return;
        for (events[0..expect(result, "wait for events")]) |event| {
            const connection = &load.connections[@intCast(event.data)];
            load.receive(connection, event.events & system.EPOLLRDHUP != 0);
            if (connection.waiting) load.send(connection);
        }
    }

    fn receive(load: *Load, connection: *Connection, ended: bool) void {
        while (true) {
            const result = system.receive(connection.descriptor, load.buffer);
            if (result == -system.EAGAIN) return;
            if (result == 0) fail("the server closed a connection after {d} echoes on it", .{connection.finished});
            if (result < 0) fail("cannot receive: {s}, after {d} echoes", .{ system.errorName(result), connection.finished });
            const bytes = load.buffer[0..@intCast(result)];
            load.check(connection, bytes);
            load.bytes += bytes.len;
            connection.received += @intCast(bytes.len);
            if (connection.received == load.options.message_bytes) load.finish(connection);
            if (bytes.len < load.buffer.len and !ended) return;
        }
    }

    /// The length always, and of the content the first and last byte of what each receive brings: that shows lost,
    /// doubled and exchanged bytes, and costs next to nothing.
    fn check(load: *Load, connection: *const Connection, bytes: []const u8) void {
        const message = load.messageOf(connection);
        if (connection.received + bytes.len > connection.sent) fail(
            "the server sent {d} bytes for a message of which {d} were sent",
            .{ connection.received + bytes.len, connection.sent },
        );
        const expected = message[connection.received..][0..bytes.len];
        if (bytes[0] != expected[0] or bytes[bytes.len - 1] != expected[bytes.len - 1]) fail(
            "echo {d} of a connection differs from its message, bytes {d} to {d}",
            .{ connection.finished, connection.received, connection.received + bytes.len - 1 },
        );
    }

    fn finish(load: *Load, connection: *Connection) void {
        const now_ns = system.monotonic_ns();
        const measured_by_ns = if (load.period_ns > 0) connection.started_ns else now_ns;
        if (measured_by_ns >= load.measured_since_ns) {
            load.messages += 1;
            load.histogram.record(now_ns - connection.started_ns);
        }
        connection.finished += 1;
        connection.waiting = false;
        load.waiting -= 1;
        if (load.repeat) return load.start(connection, now_ns);
        if (connection.overdue > 0) {
            const due_ns = connection.overdue_since_ns;
            connection.overdue -= 1;
            connection.overdue_since_ns += load.period_ns;
            load.start(connection, due_ns);
        }
    }

    fn startScheduled(load: *Load, connection: *Connection, due_ns: u64) void {
        if (!connection.waiting) return load.start(connection, due_ns);
        if (connection.overdue == 0) connection.overdue_since_ns = due_ns;
        connection.overdue += 1;
    }

    fn start(load: *Load, connection: *Connection, started_ns: u64) void {
        connection.started_ns = started_ns;
        connection.sent = 0;
        connection.received = 0;
        connection.waiting = true;
        load.waiting += 1;
        load.send(connection);
    }

    fn send(load: *Load, connection: *Connection) void {
        const whole = load.messageOf(connection);
        while (connection.sent < whole.len) {
            const result = system.send(connection.descriptor, whole[connection.sent..]);
            if (result == -system.EAGAIN) return;
            if (result < 0) fail("cannot send: {s}, after {d} echoes", .{ system.errorName(result), connection.finished });
            connection.sent += @intCast(result);
        }
    }

    fn messageOf(load: *Load, connection: *const Connection) []const u8 {
        return load.pattern[connection.finished % pattern_offsets ..][0..load.options.message_bytes];
    }

    fn snapshot(load: *Load) Snapshot {
        return .{
            .time_ns = system.monotonic_ns(),
            .server_cpu_ns = if (load.options.server_pid) |process_id|
                system.processCpu_ns(process_id) orelse fail("there is no process {d} (--server-pid)", .{process_id})
            else
                null,
            .load_cpu_ns = system.processCpu_ns(0).?,
            .messages = load.messages,
            .bytes = load.bytes,
        };
    }

    fn warmup_ns(load: *Load) u64 {
        return @as(u64, load.options.warmup_ms) * std.time.ns_per_ms;
    }

    fn duration_ns(load: *Load) u64 {
        return @as(u64, load.options.duration_ms) * std.time.ns_per_ms;
    }
};

const Schedule = struct {
    begin_ns: u64,
    rate_per_second: u64,

    /// The first message waits a millisecond, so that the spin before it has room.
    fn due_ns(schedule: Schedule, number: u64) u64 {
        return schedule.begin_ns + std.time.ns_per_ms + number * std.time.ns_per_s / schedule.rate_per_second;
    }
};

const Snapshot = struct {
    time_ns: u64,
    server_cpu_ns: ?u64,
    load_cpu_ns: u64,
    messages: u64,
    bytes: u64,
};

const Result = struct {
    seconds: f64,
    server_cpu_ns: ?u64,
    load_cpu_ns: u64,
    messages: u64,
    bytes: u64,

    fn between(before: Snapshot, after: Snapshot) Result {
        return .{
            .seconds = @as(f64, @floatFromInt(after.time_ns - before.time_ns)) / std.time.ns_per_s,
            .server_cpu_ns = if (after.server_cpu_ns) |server_cpu_ns| server_cpu_ns - before.server_cpu_ns.? else null,
            .load_cpu_ns = after.load_cpu_ns - before.load_cpu_ns,
            .messages = after.messages - before.messages,
            .bytes = after.bytes - before.bytes,
        };
    }
};

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    checkOptions(options);
    allowDescriptors(options.connections);

    var histogram: Histogram = .{};
    const connections = system.reserve(options.connections * @sizeOf(Connection));
    var load: Load = .{
        .options = options,
        .address = .init(parseHost(options.host), options.port),
        .queue = @intCast(expect(system.createQueue(), "create an epoll queue")),
        .pattern = createPattern(options.message_bytes),
        .buffer = system.reserve(receive_bytes),
        .connections = @as([*]Connection, @ptrCast(@alignCast(connections.ptr)))[0..options.connections],
        .histogram = &histogram,
    };
    load.open();
    if (options.idle) return holdUntilInputEnds();
    const result = if (options.rate_per_second) |rate_per_second| load.onSchedule(rate_per_second) else load.closedLoop();
    report(options, result, &histogram);
}

fn checkOptions(options: Arguments) void {
    if (options.port == 0) fail("--port is needed: the port that the server listens on", .{});
    checkRange("--connections", options.connections, connections_max);
    checkRange("--message-bytes", options.message_bytes, message_bytes_max);
    checkRange("--duration-ms", options.duration_ms, duration_ms_max);
    if (options.warmup_ms > duration_ms_max) fail("--warmup-ms must be at most {d}", .{duration_ms_max});
    if (options.rate_per_second) |rate_per_second| checkRange("--rate-per-second", rate_per_second, rate_per_second_max);
}

fn checkRange(comptime name: []const u8, value: u32, max: u32) void {
    if (value < 1 or value > max) fail(name ++ " must be from 1 to {d}, not {d}", .{ max, value });
}

fn allowDescriptors(connections: u32) void {
    // Beside the connections: the three standard ones and the queue.
    const result = system.allowDescriptors(connections + 16);
    if (result < 0) fail(
        "{d} connections need as many descriptors, and the limit cannot be raised ({s}); see `ulimit -Hn`",
        .{ connections, system.errorName(result) },
    );
}

/// Dotted IPv4 of the loopback network: load belongs on no other.
fn parseHost(text: []const u8) [4]u8 {
    var host: [4]u8 = undefined;
    var parts = std.mem.splitScalar(u8, text, '.');
    for (&host) |*byte| {
        const part = parts.next() orelse failHost(text);
        byte.* = std.fmt.parseInt(u8, part, 10) catch failHost(text);
    }
    if (parts.next() != null or host[0] != 127) failHost(text);
    return host;
}

fn failHost(text: []const u8) noreturn {
    fail("--host must be an IPv4 loopback address such as 127.0.0.1, not {s}", .{text});
}

/// A blocking connect, then non-blocking for the rest. The port range of one source address holds some 28,000
/// connections to a server, so every `connections_per_source` the next address of the loopback network is the source.
fn connect(address: system.Ipv4Address, index: usize) i32 {
    const descriptor: i32 = @intCast(expect(system.createSocket(0), "create a socket"));
    if (index >= connections_per_source) {
        const source: system.Ipv4Address = .init(.{ 127, 0, 0, @intCast(1 + index / connections_per_source) }, 0);
        _ = expect(system.setBindAddressNoPort(descriptor), "set IP_BIND_ADDRESS_NO_PORT");
        _ = expect(system.bind(descriptor, &source), "bind a source address");
    }
    _ = expect(system.setSendTimeout(descriptor, connect_timeout_seconds), "set a time-out");
    const connected = system.connect(descriptor, &address);
    if (connected < 0) fail(
        "cannot connect to {d}.{d}.{d}.{d}:{d} (connection {d}): {s}",
        .{ address.host[0], address.host[1], address.host[2], address.host[3], address.port(), index, system.errorName(connected) },
    );
    _ = expect(system.setNoDelay(descriptor), "set TCP_NODELAY");
    _ = expect(system.setNonBlocking(descriptor), "make a socket non-blocking");
    return descriptor;
}

/// Bytes that look random (the top byte of a multiplicative hash), so that a shifted echo is noticed.
fn createPattern(message_bytes: u32) []const u8 {
    const pattern = system.reserve(message_bytes + pattern_offsets);
    for (pattern, 0..) |*byte, index| byte.* = @truncate((@as(u32, @truncate(index)) *% 0x9E3779B1) >> 24);
    return pattern;
}

fn holdUntilInputEnds() void {
    system.print("connected\n", .{});
    var ignored: [256]u8 = undefined;
    while (true) {
        const result = system.read(0, &ignored);
        if (result == 0 or (result < 0 and result != -system.EINTR)) return;
    }
}

fn report(options: Arguments, result: Result, histogram: *const Histogram) void {
    if (result.messages == 0) fail("not one message was echoed within {d} ms", .{options.duration_ms});
    const messages: f64 = @floatFromInt(result.messages);
    const bytes: f64 = @floatFromInt(result.bytes);
    system.print("{{\"connections\":{d},\"messageBytes\":{d},\"messages\":{d},\"bytes\":{d},\"seconds\":{d:.6}," ++
        "\"messagesPerSecond\":{d:.1},\"bytesPerSecond\":{d:.0}," ++
        "\"p50Us\":{d:.2},\"p99Us\":{d:.2},\"p999Us\":{d:.2},\"maxUs\":{d:.2},\"loadCpuUs\":{d:.1},\"serverCpuUs\":", .{
        options.connections,
        options.message_bytes,
        result.messages,
        result.bytes,
        result.seconds,
        messages / result.seconds,
        bytes / result.seconds,
        microseconds(histogram.percentile(0.5)),
        microseconds(histogram.percentile(0.99)),
        microseconds(histogram.percentile(0.999)),
        microseconds(histogram.largest),
        microseconds(result.load_cpu_ns),
    });
    if (result.server_cpu_ns) |server_cpu_ns|
        system.print("{d:.1}}}\n", .{microseconds(server_cpu_ns)})
    else
        system.print("null}}\n", .{});
}

fn microseconds(nanoseconds: u64) f64 {
    return @as(f64, @floatFromInt(nanoseconds)) / std.time.ns_per_us;
}
