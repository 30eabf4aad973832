//! What only Windows can do to its event queue: sockets closed under their polls, numbers in use again, layers on top of
//! sockets, and memory that the kernel still writes to.

const std = @import("std");
const library = @import("library");
const support = @import("support.zig");

const Connection = support.Connection;
const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const queue = support.queue;
const readable = support.readable;
const read_closed = support.read_closed;
const socket = support.socket;
const system = support.system;
const writable = support.writable;
const ipv4 = socket.Address.ipv4;

const afd = library.windows.afd;
const calls = library.windows.calls;

const token = support.tokenOf(1);

test "a socket that is closed while its poll is pending is forgotten, and nothing is told of it" {
    for ([_]queue.Delivery{ .edge, .level, .one_shot }) |delivery| {
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        const pair: Pair = try .open();
        defer support.closeDescriptor(pair.peer);

        try poller.register(pair.own, token, readable, delivery);
        try poller.expectNothing();
        support.closeDescriptor(pair.own);
        try expectRegistrations(&poller, 0);
        try poller.expectNothing();
        try support.expectResult(-Errno.bad_descriptor, queue.rearm(&poller.queue, pair.own, readable));
        try support.expectResult(-Errno.bad_descriptor, queue.deregister(&poller.queue, pair.own));
    }
}

test "a one-shot source that was told of is forgotten as well, once its socket is closed" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);

    try poller.register(pair.own, token, writable, .one_shot);
    try poller.expectOnly(token, writable);
    try poller.expectNothing();
    support.closeDescriptor(pair.own);
    try expectRegistrations(&poller, 0);
}

test "a number that is in use again while the old poll's packet is on its way is a new source" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    for (0..20) |round| {
        const delivery: queue.Delivery = if (round % 2 == 0) .level else .one_shot;
        const old: support.Token = .{ .slot = 3, .generation = @intCast(2 * round) };
        const new: support.Token = .{ .slot = 3, .generation = @intCast(2 * round + 1) };
        const first: Pair = try .open();
        try poller.register(first.own, old, readable, delivery);
        // The poll has an answer, which nobody has fetched.
        try first.peerWrites("for the old owner");
        support.closeDescriptor(first.own);
        defer support.closeDescriptor(first.peer);
        const second: Pair = try .openWithNumber(first.own);
        defer second.close();
        try poller.register(second.own, new, readable | writable, .edge);
        try poller.expectOnly(new, writable);
        try second.peerWrites("for the new owner");
        try poller.expectOnly(new, readable);
        try poller.deregister(second.own);
    }
}

test "a number that is in use again is no other socket's, after deregister during a pending poll" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const first: Pair = try .open();
    defer support.closeDescriptor(first.peer);

    try poller.register(first.own, support.tokenOf(1), readable, .level);
    try poller.expectNothing();
    try poller.deregister(first.own);
    support.closeDescriptor(first.own);
    const second: Pair = try .openWithNumber(first.own);
    defer second.close();
    try poller.register(second.own, support.tokenOf(2), readable, .level);
    try second.peerWrites("a");
    try poller.expectOnly(support.tokenOf(2), readable);
}

test "a cancelled poll's memory is kept until its packet came, and then given back" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.expectNothing();
    const idle = outstanding(&poller);
    try poller.register(pair.own, token, readable, .edge);
    try std.testing.expectEqual(idle + 1, outstanding(&poller));
    const memory = poller.queue.registry.?.table.find(pair.own).?;
    try poller.deregister(pair.own);
    // Nobody has fetched the packet: the kernel may still write.
    try std.testing.expectEqual(idle + 1, outstanding(&poller));
    try std.testing.expect(isAllocated(memory));
    try poller.wake();
    while (outstanding(&poller) > idle) _ = try poller.wait();
    try std.testing.expect(!isAllocated(memory));
}

test "polls that are cancelled while they are answered write to nobody else's memory" {
    var poller: Poller = undefined;
    try poller.open(64);
    defer poller.close();
    var connections: [16]Connection = undefined;
    for (&connections) |*connection| connection.* = try .open(ipv4);
    defer for (connections) |connection| connection.close();
    for (0..50) |round| {
        const generation: u32 = @intCast(round);
        for (connections, 0..) |connection, slot| {
            try poller.register(connection.own, .{ .slot = @intCast(slot), .generation = generation }, readable, .edge);
        }
        for (connections) |connection| try support.write(connection.peer, "a");
        for (connections) |connection| try poller.deregister(connection.own);
        try poller.expectNothing();
        for (connections) |connection| {
            try support.untilReady(connection.own, .readable);
            try support.expectRead(connection.own, "a");
        }
    }
}

test "ten thousand registrations that come and go leave no handle" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try poller.deregister(pair.own);
    const before = system.countDescriptors();
    for (0..10_000) |round| {
        try poller.register(pair.own, token, readable, .edge);
        if (round % 3 == 0) try poller.expectNothing();
        try poller.deregister(pair.own);
    }
    try std.testing.expectEqual(before, system.countDescriptors());
}

test "a handle of the driver serves 32 sockets, and goes with the last of them" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    // The guard's socket is one.
    const others = 3 * 32;
    var descriptors: [others]i32 = undefined;
    for (&descriptors) |*descriptor| descriptor.* = try support.bound(ipv4);
    defer for (descriptors) |descriptor| support.closeDescriptor(descriptor);
    const before = system.countDescriptors();
    for (0..3) |_| {
        for (descriptors) |descriptor| try poller.register(descriptor, token, 0, .edge);
        try std.testing.expectEqual(before + 3, system.countDescriptors());
        for (descriptors) |descriptor| try poller.deregister(descriptor);
        while (system.countDescriptors() > before) {
            try poller.wake();
            _ = try poller.wait();
        }
    }
}

test "a queue that is closed with polls pending, answered and cancelled leaves nothing" {
    var connections: [40]Connection = undefined;
    for (&connections) |*connection| connection.* = try .open(ipv4);
    defer for (connections) |connection| connection.close();
    const before = system.countDescriptors();
    for (0..20) |_| {
        var q: support.Queue = undefined;
        try support.expectResult(0, queue.open(&q));
        for (connections, 0..) |connection, slot| {
            const interest: u32 = if (slot % 2 == 0) readable else writable;
            try support.expectResult(0, queue.register(&q, connection.own, support.tokenOf(@intCast(slot)), interest, .edge));
            if (slot % 3 == 0) try support.expectResult(0, queue.deregister(&q, connection.own));
        }
        try support.expectResult(0, queue.close(&q));
    }
    try std.testing.expectEqual(before, system.countDescriptors());
}

test "bytes that somebody has read before the poll are not told, though the driver has answered" {
    for ([_]queue.Delivery{ .level, .one_shot }) |delivery| {
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        const pair: Pair = try .open();
        defer pair.close();

        try poller.register(pair.own, token, readable, delivery);
        try poller.expectNothing();
        try pair.peerWrites("a");
        try support.expectRead(pair.own, "a");
        try poller.expectNothing();
        try pair.peerWrites("b");
        try poller.expectOnly(token, readable);
    }
}

test "a poll outlives the thread that has submitted it" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    const Registrar = struct {
        fn run(subject: *Poller, descriptor: i32, result: *i32) void {
            result.* = queue.register(&subject.queue, descriptor, token, readable, .edge);
        }
    };
    var result: i32 = -1;
    const thread = try std.Thread.spawn(.{}, Registrar.run, .{ &poller, pair.own, &result });
    thread.join();
    try support.expectResult(0, result);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
}

test "what was told is told again after rearm, and not before" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable | writable, .edge);
    try poller.expectOnly(token, writable);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    try poller.expectNothing();
    try support.expectResult(0, queue.rearm(&poller.queue, pair.own, readable));
    // Nobody has read: what is ready is told, and only what was asked for.
    try poller.expectOnly(token, readable);
    try poller.expectNothing();
    try support.expectRead(pair.own, "a");
    try support.expectResult(0, queue.rearm(&poller.queue, pair.own, readable));
    try poller.expectNothing();
    try pair.peerWrites("b");
    try poller.expectOnly(token, readable);
}

test "rearm adds to the interest" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try poller.expectNothing();
    try support.expectResult(0, queue.rearm(&poller.queue, pair.own, writable));
    try poller.expectOnly(token, writable);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
}

test "rearm during a blocked poll of another thread takes effect at once" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    // So that the poll that is pending asks for less than what comes now, and has to be cancelled.
    try poller.expectNothing();
    var blocked: support.BlockedPoll = undefined;
    try blocked.start(&poller);
    try support.expectResult(0, queue.rearm(&poller.queue, pair.own, readable));
    try support.expectResult(1, try blocked.join());
    try support.expectEntry(token, readable, poller.take().?);
}

test "rearms of one thread and polls of another lose nothing" {
    var poller: Poller = undefined;
    try poller.open(64);
    defer poller.close();
    var pairs: [4]Pair = undefined;
    for (&pairs) |*pair| pair.* = try .open();
    defer for (pairs) |pair| pair.close();
    for (pairs, 0..) |pair, slot| try poller.register(pair.own, support.tokenOf(@intCast(slot)), readable, .edge);

    var server: Server = .{ .poller = &poller };
    const thread = try std.Thread.spawn(.{}, Server.run, .{&server});
    const outcome = server.feed(&pairs);
    server.is_stopped.store(true, .release);
    const wake_result = queue.wake(&poller.queue);
    thread.join();
    try outcome;
    try support.expectResult(0, wake_result);
    try support.expectResult(0, server.failure.load(.acquire));
}

/// One thread polls and counts what is told of each source; the test's own writes, waits until that was told, reads all
/// there is, and asks for more.
const Server = struct {
    poller: *Poller,
    told: [4]std.atomic.Value(u32) = @splat(.init(0)),
    failure: std.atomic.Value(i32) = .init(0),
    is_stopped: std.atomic.Value(bool) = .init(false),

    const rounds = 300;

    fn run(server: *Server) void {
        while (!server.is_stopped.load(.acquire)) {
            const result = server.poller.poll(queue.forever);
            if (result < 0) return server.failure.store(result, .release);
            while (server.poller.take()) |entry| _ = server.told[entry.token.slot].fetchAdd(1, .acq_rel);
        }
    }

    fn feed(server: *Server, pairs: *const [4]Pair) !void {
        for (0..rounds) |round| {
            const slot = round % pairs.len;
            const before = server.told[slot].load(.acquire);
            try support.write(pairs[slot].peer, "a");
            try server.untilTold(slot, before);
            // An edge may have been told of bytes that are read already.
            while (try support.drain(pairs[slot].own) == 0) {
                const seen = server.told[slot].load(.acquire);
                try support.expectResult(0, queue.rearm(&server.poller.queue, pairs[slot].own, readable));
                try server.untilTold(slot, seen);
            }
            try support.expectResult(0, queue.rearm(&server.poller.queue, pairs[slot].own, readable));
        }
    }

    fn untilTold(server: *Server, slot: usize, before: u32) !void {
        const deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
        while (server.told[slot].load(.acquire) == before) {
            if (server.failure.load(.acquire) != 0) return error.PollFailed;
            if (support.clock.monotonicNow_ns() > deadline_ns) return error.NothingHappened;
            support.yield();
        }
    }
};

test "rearm of what is not registered is refused" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();
    try support.expectResult(-Errno.no_entry, queue.rearm(&poller.queue, pair.own, readable));
    try support.expectResult(-Errno.bad_descriptor, queue.rearm(&poller.queue, -1, readable));
}

test "that a peer sends no more is told also while bytes are unread and nobody has asked again" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try poller.register(pair.own, token, readable, .edge);
    try pair.peerWrites("a");
    try poller.expectOnly(token, readable);
    // Wine knows of the end only once the bytes are read.
    if (system.isWine()) try support.expectRead(pair.own, "a");
    try support.expectResult(0, socket.shutdown(pair.peer, .write));
    try std.testing.expectEqual(readable | read_closed, try poller.gather(token, readable | read_closed));
}

test "the socket below a layer is found by what the layer answers" {
    // The usual answer, also where it is the socket itself.
    try std.testing.expectEqual(100, afd.baseOf(100, Layer.answering(.{ .base = 100 })));
    try std.testing.expectEqual(60, afd.baseOf(100, Layer.answering(.{ .base = 60, .poll = 61 })));
    // Layers that keep the usual answer from their users.
    try std.testing.expectEqual(61, afd.baseOf(100, Layer.answering(.{ .poll = 61, .select = 62 })));
    try std.testing.expectEqual(62, afd.baseOf(100, Layer.answering(.{ .select = 62 })));
    try std.testing.expectEqual(62, afd.baseOf(100, Layer.answering(.{ .poll = 100, .select = 62 })));
    try std.testing.expectEqual(63, afd.baseOf(100, Layer.answering(.{ .provider = 63 })));
    // A layer that names itself says nothing; the failure is that of the first question.
    try std.testing.expectEqual(null, afd.baseOf(100, Layer.answering(.{ .poll = 100, .select = 100, .provider = 100 })));
    try std.testing.expectEqual(Layer.first_failure, calls.WSAGetLastError());
    try std.testing.expectEqual(null, afd.baseOf(100, Layer.answering(.{})));
    try std.testing.expectEqual(Layer.first_failure, calls.WSAGetLastError());
}

test "the driver is asked about the base socket, and the source keeps its own number" {
    const pair: Pair = try .open();
    defer pair.close();
    const own: usize = @intCast(pair.own);
    try std.testing.expectEqual(own, afd.baseOf(own, afd.askProvider));
    try std.testing.expectEqual(null, afd.baseOf(std.math.maxInt(usize), afd.askProvider));
}

test "the table of registrations finds each descriptor, whatever came and went" {
    var registrations: [512]library.windows.Registration = undefined;
    for (&registrations, 0..) |*registration, index| registration.descriptor = @intCast(4 * index);
    var table: library.windows.Table = .{};
    defer table.deinit();
    var model: std.StaticBitSet(registrations.len) = .initEmpty();
    var generator: std.Random.DefaultPrng = .init(0x7ab1e);
    const random = generator.random();
    for (0..20_000) |_| {
        const index = random.uintLessThan(usize, registrations.len);
        const registration = &registrations[index];
        const found = table.find(registration.descriptor);
        try std.testing.expectEqual(if (model.isSet(index)) registration else null, found);
        if (model.isSet(index)) table.remove(registration) else try table.add(registration);
        model.toggle(index);
        try std.testing.expectEqual(model.count(), table.count);
    }
    // As a queue does that is closed.
    for (0..table.places.len) |place| {
        while (table.places[place]) |registration| table.remove(registration);
    }
    try std.testing.expectEqual(0, table.count);
}

/// A layer on top of sockets, which answers some of the questions.
const Layer = struct {
    const Answers = struct { base: ?usize = null, poll: ?usize = null, select: ?usize = null, provider: ?usize = null };

    const first_failure = 10045; // WSAEOPNOTSUPP
    const later_failure = 10022; // WSAEINVAL

    fn answering(comptime answers: Answers) *const fn (usize, u32) ?usize {
        return &struct {
            fn ask(_: usize, code: u32) ?usize {
                const answer = switch (code) {
                    0x4800_0022 => answers.base, // SIO_BASE_HANDLE
                    0x4800_001d => answers.poll, // SIO_BSP_HANDLE_POLL
                    0x4800_001c => answers.select, // SIO_BSP_HANDLE_SELECT
                    0x4800_001b => answers.provider, // SIO_BSP_HANDLE
                    else => null,
                };
                if (answer == null) calls.WSASetLastError(if (code == 0x4800_0022) first_failure else later_failure);
                return answer;
            }
        }.ask;
    }
};

/// Whether the process's heap has such a block.
fn isAllocated(memory: *anyopaque) bool {
    return HeapValidate(calls.GetProcessHeap().?, 0, memory) != 0;
}

extern "kernel32" fn HeapValidate(heap: *anyopaque, flags: u32, memory: *anyopaque) callconv(.winapi) i32;

/// Looks into the backend: polls whose packets nobody has fetched.
fn outstanding(poller: *Poller) usize {
    return poller.queue.registry.?.outstanding;
}

/// Besides the guard's. Waits, because the packet that says so may take a moment.
fn expectRegistrations(poller: *Poller, count: usize) !void {
    const deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
    while (poller.queue.registry.?.table.count != count + 1) {
        if (support.clock.monotonicNow_ns() > deadline_ns) return error.NothingHappened;
        try poller.expectNothing();
        support.yield();
    }
}
