//! The load of the forward benchmark: both ends of one connection that leads through a forwarder, in one thread.
//!
//!     stream --block-bytes 65536
//!     listening on 127.0.0.1:40321
//!
//! A forwarder to that port is started by whoever reads the line. Then each line on standard input is a round: the forwarder's port,
//! its process id, and the warm-up and the duration in milliseconds. It connects to the forwarder, sends blocks for as long as that
//! takes, takes them in at the other end, closes both, and prints one line of JSON. It ends with its standard input.
//!
//! Facts. A sender, a forwarder and a receiver are three processes that want a core each, and small machines have two. So
//! sender and receiver are one, and must cost less than the forwarder, or they would be what is measured: the receiver counts
//! the bytes and has the kernel drop them, which saves their copy. The first bytes of each round are received and compared with
//! what was sent, so that a forwarder that loses, doubles or exchanges bytes is noticed; and at the end as many must have come
//! as were sent.
//!
//! The forwarder's CPU time is read here, at the same instants as the byte count, as bench/load.zig does.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const fail = system.fail;
const expect = system.expect;

const Arguments = struct { block_bytes: u32 = 64 * 1024 };

const block_bytes_max = 16 * 1024 * 1024;
const round_ms_max = 600_000;
/// What the receiver takes at once.
const receive_bytes = 256 * 1024;
/// How much of each round is compared with what was sent.
const compared_bytes = 8 * 1024 * 1024;
/// How long the forwarder may take to connect, and to pass on what is under way at the end.
const answer_timeout_ns = 5 * std.time.ns_per_s;
const connect_timeout_seconds = 5;
/// The bytes of the stream repeat after so many, which is no multiple of a block, so that exchanged blocks are noticed.
const pattern_bytes = 1021;
const input_line_bytes = 128;

const Round = struct { port: u16, process_id: u32, warmup_ms: u32, duration_ms: u32 };

const Snapshot = struct { time_ns: u64, forwarder_cpu_ns: u64, own_cpu_ns: u64, bytes: u64 };

const Stream = struct {
    block_bytes: u32,
    queue: i32,
    source: i32,
    sink: i32,
    /// The pattern, long enough for a block that begins at any of its bytes.
    pattern: []const u8,
    buffer: []u8,
    sent: u64 = 0,
    received: u64 = 0,
    is_ended: bool = false,

    /// Sends and receives until the time, or until neither can go on any more.
    fn moveUntil(stream: *Stream, until_ns: u64, is_sending: bool) void {
        var events: [2]system.EpollEvent = undefined;
        while (!stream.is_ended) {
            const has_sent = is_sending and stream.sendBlock();
            const has_received = stream.receive();
            const now_ns = system.monotonic_ns();
            if (now_ns >= until_ns) return;
            if (has_sent or has_received) continue;
            const result = system.waitFor(stream.queue, &events, until_ns - now_ns);
            if (result != -system.EINTR) _ = expect(result, "wait for events");
        }
    }

    /// Whether something was sent. A block that went in part goes on where it stopped.
    fn sendBlock(stream: *Stream) bool {
        const left = stream.block_bytes - stream.sent % stream.block_bytes;
        const result = system.send(stream.source, stream.patternAt(stream.sent)[0..left]);
        if (result == -system.EAGAIN) return false;
        stream.sent += expect(result, "send to the forwarder");
        return true;
    }

    /// Whether something was received.
    fn receive(stream: *Stream) bool {
        const is_compared = stream.received < compared_bytes;
        const result = if (is_compared)
            system.receive(stream.sink, stream.buffer)
        else
            system.discard(stream.sink, receive_bytes);
        if (result == -system.EAGAIN) return false;
        const length = expect(result, "receive from the forwarder");
        stream.is_ended = length == 0;
        if (is_compared) stream.compare(stream.buffer[0..length]);
        stream.received += length;
        return true;
    }

    fn compare(stream: *const Stream, bytes: []const u8) void {
        var done: usize = 0;
        while (done < bytes.len) {
            const length = @min(bytes.len - done, stream.block_bytes);
            const expected = stream.patternAt(stream.received + done)[0..length];
            if (!std.mem.eql(u8, bytes[done..][0..length], expected)) fail(
                "what came through the forwarder differs from what was sent, in the {d} bytes from byte {d} on",
                .{ length, stream.received + done },
            );
            done += length;
        }
    }

    fn patternAt(stream: *const Stream, place: u64) []const u8 {
        return stream.pattern[place % pattern_bytes ..];
    }

    fn snapshot(stream: *const Stream, process_id: u32) Snapshot {
        return .{
            .time_ns = system.monotonic_ns(),
            .forwarder_cpu_ns = system.processCpu_ns(process_id) orelse fail("there is no process {d}", .{process_id}),
            .own_cpu_ns = system.processCpu_ns(0).?,
            .bytes = stream.received,
        };
    }
};

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    if (options.block_bytes < 1 or options.block_bytes > block_bytes_max)
        fail("--block-bytes must be from 1 to {d}, not {d}", .{ block_bytes_max, options.block_bytes });
    const listener = listen();
    const pattern = createPattern(options.block_bytes);
    const buffer = system.reserve(receive_bytes);
    var line: [input_line_bytes]u8 = undefined;
    while (readLine(&line)) |text| {
        const round = parseRound(text);
        const source = connect(round.port);
        // The forwarder connects here when it has accepted the connection.
        const sink: i32 = @intCast(expect(system.accept(listener), "accept the forwarder's connection"));
        var stream: Stream = .{
            .block_bytes = options.block_bytes,
            .queue = createQueue(&.{ source, sink }),
            .source = source,
            .sink = sink,
            .pattern = pattern,
            .buffer = buffer,
        };
        measure(&stream, round);
        for ([_]i32{ source, sink, stream.queue }) |descriptor| system.close(descriptor);
    }
}

fn measure(stream: *Stream, round: Round) void {
    stream.moveUntil(system.monotonic_ns() + @as(u64, round.warmup_ms) * std.time.ns_per_ms, true);
    const before = stream.snapshot(round.process_id);
    stream.moveUntil(before.time_ns + @as(u64, round.duration_ms) * std.time.ns_per_ms, true);
    const after = stream.snapshot(round.process_id);
    if (after.bytes == before.bytes) fail("nothing came through the forwarder in {d} ms", .{round.duration_ms});

    _ = expect(system.shutdownWriting(stream.source), "shut down the connection to the forwarder");
    stream.moveUntil(system.monotonic_ns() + answer_timeout_ns, false);
    if (!stream.is_ended) fail("the forwarder did not pass on the end of the stream", .{});
    if (stream.received != stream.sent)
        fail("{d} bytes were sent to the forwarder, and {d} came", .{ stream.sent, stream.received });
    report(before, after);
}

fn report(before: Snapshot, after: Snapshot) void {
    const bytes: f64 = @floatFromInt(after.bytes - before.bytes);
    const seconds = @as(f64, @floatFromInt(after.time_ns - before.time_ns)) / std.time.ns_per_s;
    system.print("{{\"bytes\":{d:.0},\"seconds\":{d:.6},\"bytesPerSecond\":{d:.0},\"loadCpuUs\":{d:.1},\"serverCpuUs\":{d:.1}}}\n", .{
        bytes,
        seconds,
        bytes / seconds,
        microseconds(after.own_cpu_ns - before.own_cpu_ns),
        microseconds(after.forwarder_cpu_ns - before.forwarder_cpu_ns),
    });
}

fn microseconds(nanoseconds: u64) f64 {
    return @as(f64, @floatFromInt(nanoseconds)) / std.time.ns_per_us;
}

fn listen() i32 {
    // It blocks: the one who connects was started by the same hand, and has been connected to.
    const listener: i32 = @intCast(expect(system.createSocket(0), "create a socket"));
    var address = system.Ipv4Address.init(.{ 127, 0, 0, 1 }, 0);
    _ = expect(system.bind(listener, &address), "bind a socket");
    _ = expect(system.setReceiveTimeout(listener, connect_timeout_seconds), "set a time-out");
    _ = expect(system.listen(listener, 1), "listen");
    _ = expect(system.localAddress(listener, &address), "read the listener's address");
    system.print("listening on 127.0.0.1:{d}\n", .{address.port()});
    return listener;
}

fn connect(port: u16) i32 {
    const descriptor: i32 = @intCast(expect(system.createSocket(0), "create a socket"));
    const address = system.Ipv4Address.init(.{ 127, 0, 0, 1 }, port);
    _ = expect(system.setSendTimeout(descriptor, connect_timeout_seconds), "set a time-out");
    const connected = system.connect(descriptor, &address);
    if (connected < 0) fail("cannot connect to the forwarder at 127.0.0.1:{d}: {s}", .{ port, system.errorName(connected) });
    _ = expect(system.setNoDelay(descriptor), "set TCP_NODELAY");
    _ = expect(system.setNonBlocking(descriptor), "make a socket non-blocking");
    return descriptor;
}

fn createQueue(descriptors: []const i32) i32 {
    const queue: i32 = @intCast(expect(system.createQueue(), "create an epoll queue"));
    for (descriptors) |descriptor| {
        const interest = system.EPOLLIN | system.EPOLLOUT | system.EPOLLRDHUP | system.EPOLLET;
        _ = expect(system.register(queue, descriptor, interest, 0), "register a connection");
    }
    return queue;
}

/// Bytes that look random (the top byte of a multiplicative hash), again and again.
fn createPattern(block_bytes: u32) []const u8 {
    const pattern = system.reserve(block_bytes + pattern_bytes);
    for (pattern, 0..) |*byte, index|
        byte.* = @truncate((@as(u32, @truncate(index % pattern_bytes)) *% 0x9E3779B1) >> 24);
    return pattern;
}

/// Byte by byte: it is short, and comes once a round. Null at the end of the input.
fn readLine(line: []u8) ?[]const u8 {
    for (0..line.len) |length| {
        const result = system.read(0, line[length..][0..1]);
        if (expect(result, "read the standard input") == 0) return null;
        if (line[length] == '\n') return line[0..length];
    }
    fail("a line of the standard input is longer than {d} bytes", .{line.len});
}

fn parseRound(text: []const u8) Round {
    var words = std.mem.tokenizeScalar(u8, text, ' ');
    const round: Round = .{
        .port = parseNumber(u16, words.next(), text),
        .process_id = parseNumber(u32, words.next(), text),
        .warmup_ms = parseNumber(u32, words.next(), text),
        .duration_ms = parseNumber(u32, words.next(), text),
    };
    if (@max(round.warmup_ms, round.duration_ms) > round_ms_max) fail("a round lasts at most {d} ms", .{round_ms_max});
    return round;
}

fn parseNumber(comptime Number: type, word: ?[]const u8, line: []const u8) Number {
    return std.fmt.parseInt(Number, word orelse "", 10) catch
        fail("a round is PORT PROCESS WARMUP_MS DURATION_MS, not {s}", .{line});
}
