//! The load generator of the UDP benchmark: one thread that keeps a window of datagrams outstanding on each of N
//! sockets and measures each echo.
//!
//!     udp-load --port 40321 --peers 16 --window 4 --message-bytes 64 --duration-ms 1000 --warmup-ms 300 --server-pid 4711
//!
//! Each peer is a connected socket with `window` places. A datagram carries its place and how often that was used, so
//! an echo finds what it answers, and a place is used again as soon as its echo is there. Datagrams go and come in
//! batches (sendmmsg, recvmmsg), as large as what is ready.
//!
//! UDP may lose datagrams. A peer that has heard nothing for `loss_timeout_ns` counts all of its places as lost and
//! begins anew; the result says how many were, and a server that loses all of them is a failure.
//!
//! At the end it prints one line of JSON, with the same figures as `load.zig` and read in the same way; a failure is
//! one line on standard error and exit code 1.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const Histogram = @import("native/histogram.zig").Histogram;
const fail = system.fail;
const expect = system.expect;

const Arguments = struct {
    port: u16 = 0,
    peers: u32 = 1,
    window: u32 = 64,
    message_bytes: u32 = 64,
    duration_ms: u32 = 1000,
    warmup_ms: u32 = 200,
    server_pid: ?u32 = null,
};

const peers_max = 1024;
/// As many of the smallest datagrams as the usual receive buffer of a socket holds, and no more.
const window_max = 128;
/// A datagram that needs no fragments on the loopback interface.
const message_bytes_max = 60_000;
const duration_ms_max = 600_000;

const batch_events = 256;
const loss_timeout_ns = 200 * std.time.ns_per_ms;
const answer_timeout_ns = 5 * std.time.ns_per_s;

/// What a datagram begins with; pattern bytes follow.
const Header = extern struct { place: u32, use: u32 };

const Place = struct {
    use: u32 = 0,
    waiting: bool = false,
    started_ns: u64 = 0,
};

const Peer = struct {
    descriptor: i32,
    places: []Place,
    /// The places that are to be sent next, in order.
    free: [window_max]u32 = undefined,
    free_count: u32 = 0,
    heard_ns: u64 = 0,
};

const Load = struct {
    options: Arguments,
    queue: i32,
    peers: []Peer,
    /// A message for each slot of a batch, and room for each echo.
    outgoing: []u8,
    incoming: []u8,
    histogram: *Histogram,
    is_measured: bool = false,
    messages: u64 = 0,
    lost: u64 = 0,
    begin_ns: u64,
    /// When the loop last looked for losses.
    looked_ns: u64 = 0,

    fn run(load: *Load) Result {
        const begin_ns = system.monotonic_ns();
        for (load.peers) |*peer| load.startAll(peer, begin_ns);
        const measured_since_ns = begin_ns + @as(u64, load.options.warmup_ms) * std.time.ns_per_ms;
        load.serveUntil(measured_since_ns);
        load.is_measured = true;
        load.messages = 0;
        load.lost = 0;
        const before = load.snapshot();
        load.serveUntil(measured_since_ns + @as(u64, load.options.duration_ms) * std.time.ns_per_ms);
        return .between(before, load.snapshot());
    }

    fn serveUntil(load: *Load, until_ns: u64) void {
        var events: [batch_events]system.EpollEvent = undefined;
        while (true) {
            const now_ns = system.monotonic_ns();
            if (now_ns >= until_ns) return;
            const result = system.waitFor(load.queue, &events, @min(until_ns - now_ns, loss_timeout_ns));
            if (result == -system.EINTR) continue;
            for (events[0..expect(result, "wait for events")]) |event| load.serve(&load.peers[@intCast(event.data)]);
            load.lookForLosses();
        }
    }

    fn serve(load: *Load, peer: *Peer) void {
        var batch: system.Batch(window_max) = undefined;
        const count = load.options.window;
        const room = load.options.message_bytes + 1;
        batch.prepare(load.incoming, room, room, count);
        const result = system.receiveBatch(peer.descriptor, &batch, count);
        if (result == -system.EAGAIN) return;
        const received = expect(result, "receive");
        const now_ns = system.monotonic_ns();
        peer.heard_ns = now_ns;
        for (0..received) |index| load.finish(peer, load.incoming[index * room ..][0..batch.lengthOf(index)], now_ns);
        load.send(peer, now_ns);
    }

    fn finish(load: *Load, peer: *Peer, bytes: []const u8, now_ns: u64) void {
        if (bytes.len != load.options.message_bytes) fail(
            "an echo has {d} bytes, its message had {d}",
            .{ bytes.len, load.options.message_bytes },
        );
        const header = std.mem.bytesToValue(Header, bytes[0..@sizeOf(Header)]);
        if (header.place >= peer.places.len or bytes[bytes.len - 1] != load.outgoing[bytes.len - 1])
            fail("an echo differs from its message", .{});
        const place = &peer.places[header.place];
        // One that was counted as lost, and was late.
        if (!place.waiting or header.use != place.use) return;
        place.waiting = false;
        peer.free[peer.free_count] = header.place;
        peer.free_count += 1;
        load.messages += 1;
        if (load.is_measured) load.histogram.record(now_ns - place.started_ns);
    }

    fn send(load: *Load, peer: *Peer, now_ns: u64) void {
        const count = peer.free_count;
        if (count == 0) return;
        const length = load.options.message_bytes;
        for (peer.free[0..count], 0..) |index, slot| {
            const place = &peer.places[index];
            place.* = .{ .use = place.use +% 1, .waiting = true, .started_ns = now_ns };
            const header: Header = .{ .place = index, .use = place.use };
            @memcpy(load.outgoing[slot * length ..][0..@sizeOf(Header)], std.mem.asBytes(&header));
        }
        var batch: system.Batch(window_max) = undefined;
        batch.prepare(load.outgoing, length, length, count);
        const sent = expect(system.sendBatch(peer.descriptor, &batch, count), "send");
        if (sent < count) fail("the system took {d} of {d} datagrams", .{ sent, count });
        peer.free_count = 0;
    }

    fn lookForLosses(load: *Load) void {
        const now_ns = system.monotonic_ns();
        if (now_ns - load.looked_ns < loss_timeout_ns) return;
        load.looked_ns = now_ns;
        for (load.peers) |*peer| {
            if (now_ns - peer.heard_ns < loss_timeout_ns) continue;
            load.lost += load.options.window;
            load.startAll(peer, now_ns);
        }
        if (load.lost > 0 and load.messages == 0 and now_ns - load.begin_ns > answer_timeout_ns)
            fail("no echo within {d} s", .{answer_timeout_ns / std.time.ns_per_s});
    }

    fn startAll(load: *Load, peer: *Peer, now_ns: u64) void {
        peer.heard_ns = now_ns;
        peer.free_count = load.options.window;
        for (peer.free[0..peer.free_count], 0..) |*index, number| index.* = @intCast(number);
        load.send(peer, now_ns);
    }

    fn snapshot(load: *Load) Snapshot {
        return .{
            .time_ns = system.monotonic_ns(),
            .server_cpu_ns = if (load.options.server_pid) |process_id|
                system.processCpu_ns(process_id) orelse fail("there is no process {d} (--server-pid)", .{process_id})
            else
                0,
            .load_cpu_ns = system.processCpu_ns(0).?,
            .messages = load.messages,
        };
    }
};

const Snapshot = struct { time_ns: u64, server_cpu_ns: u64, load_cpu_ns: u64, messages: u64 };

const Result = struct {
    seconds: f64,
    server_cpu_ns: u64,
    load_cpu_ns: u64,
    messages: u64,

    fn between(before: Snapshot, after: Snapshot) Result {
        return .{
            .seconds = @as(f64, @floatFromInt(after.time_ns - before.time_ns)) / std.time.ns_per_s,
            .server_cpu_ns = after.server_cpu_ns - before.server_cpu_ns,
            .load_cpu_ns = after.load_cpu_ns - before.load_cpu_ns,
            .messages = after.messages - before.messages,
        };
    }
};

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    checkOptions(options);
    const limited = system.allowDescriptors(options.peers + 16);
    if (limited < 0) fail("{d} peers need as many descriptors: {s}", .{ options.peers, system.errorName(limited) });

    var histogram: Histogram = .{};
    var load: Load = .{
        .options = options,
        .queue = @intCast(expect(system.createQueue(), "create an epoll queue")),
        .peers = reserveMany(Peer, options.peers),
        .outgoing = createMessages(options),
        .incoming = system.reserve(options.window * (options.message_bytes + 1)),
        .histogram = &histogram,
        .begin_ns = system.monotonic_ns(),
    };
    for (load.peers, 0..) |*peer, index| {
        peer.* = .{ .descriptor = connect(options.port), .places = reserveMany(Place, options.window) };
        _ = expect(system.register(load.queue, peer.descriptor, system.EPOLLIN, index), "register a socket");
    }
    report(options, load.run(), load.lost, &histogram);
}

fn checkOptions(options: Arguments) void {
    if (options.port == 0) fail("--port is needed: the port that the server is bound to", .{});
    checkRange("--peers", options.peers, 1, peers_max);
    checkRange("--window", options.window, 1, window_max);
    checkRange("--message-bytes", options.message_bytes, @sizeOf(Header) + 1, message_bytes_max);
    checkRange("--duration-ms", options.duration_ms, 1, duration_ms_max);
    checkRange("--warmup-ms", options.warmup_ms, 0, duration_ms_max);
}

fn checkRange(comptime name: []const u8, value: u32, min: u32, max: u32) void {
    if (value < min or value > max) fail(name ++ " must be from {d} to {d}, not {d}", .{ min, max, value });
}

/// Load belongs on no other network than the loopback one.
fn connect(port: u16) i32 {
    const descriptor: i32 = @intCast(expect(system.createDatagramSocket(), "create a socket"));
    const address: system.Ipv4Address = .init(.{ 127, 0, 0, 1 }, port);
    _ = expect(system.connect(descriptor, &address), "connect a socket");
    return descriptor;
}

/// Bytes that look random, the same in each slot.
fn createMessages(options: Arguments) []u8 {
    const messages = system.reserve(options.window * options.message_bytes);
    for (messages, 0..) |*byte, index| {
        const position: u32 = @intCast(index % options.message_bytes);
        byte.* = @truncate((position *% 0x9E3779B1) >> 24);
    }
    return messages;
}

fn reserveMany(comptime T: type, count: u32) []T {
    return @as([*]T, @ptrCast(@alignCast(system.reserve(count * @sizeOf(T)).ptr)))[0..count];
}

fn report(options: Arguments, result: Result, lost: u64, histogram: *const Histogram) void {
    if (result.messages == 0) fail("not one datagram was echoed within {d} ms", .{options.duration_ms});
    const messages: f64 = @floatFromInt(result.messages);
    system.print("{{\"messages\":{d},\"lost\":{d},\"messagesPerSecond\":{d:.1},\"bytesPerSecond\":{d:.0}," ++
        "\"p50Us\":{d:.2},\"p99Us\":{d:.2},\"p999Us\":{d:.2},\"serverCpuUs\":{d:.1},\"loadCpuUs\":{d:.1}}}\n", .{
        result.messages,
        lost,
        messages / result.seconds,
        messages * @as(f64, @floatFromInt(options.message_bytes)) / result.seconds,
        microseconds(histogram.percentile(0.5)),
        microseconds(histogram.percentile(0.99)),
        microseconds(histogram.percentile(0.999)),
        microseconds(result.server_cpu_ns),
        microseconds(result.load_cpu_ns),
    });
}

fn microseconds(nanoseconds: u64) f64 {
    return @as(f64, @floatFromInt(nanoseconds)) / std.time.ns_per_us;
}
