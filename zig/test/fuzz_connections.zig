//! Random registrations, reads, writes, shutdowns, closes, wakes and polls over connections of the network, where an effect
//! may be told a moment after its cause, against a model of what may and what must be told.
//!
//! It holds every platform to the same: an event carries a token that is registered at the moment of the poll and tells
//! nothing that cannot be so, one-shot registrations report once, and whatever a registration is owed comes in the end. The
//! seed is that of `fuzz.zig`, where local streams allow a model that is exact.

const std = @import("std");
const support = @import("support.zig");
const chosenSeed = @import("fuzz.zig").chosenSeed;

const Connection = support.Connection;
const Entry = support.Entry;
const Errno = support.Errno;
const Poller = support.Poller;
const Token = support.Token;
const queue = support.queue;
const readable = support.readable;
const socket = support.socket;
const writable = support.writable;

const source_count = 50;
const step_count = support.features.shortened(6_000);
/// So often what is owed is waited for.
const steps_between_settlements = 300;
const ring_capacity = 32;

test "random operations on connections: no event for a dead token, none lost, none that cannot be" {
    const seed = try chosenSeed();
    var fuzz: Fuzz = undefined;
    try fuzz.open(seed);
    defer fuzz.close();
    for (0..step_count) |step| {
        errdefer std.debug.print("seed {d}, step {d}: {t} failed on slot {d}\n", .{ seed, step, fuzz.operation, fuzz.slot });
        try fuzz.doStep();
        if (step % steps_between_settlements == 0) try fuzz.settle();
    }
    try fuzz.settle();
}

const Operation = enum { register, reregister, deregister, peer_writes, read, fill, peer_reads, peer_shuts_down, peer_closes, replace, wake, poll, consume };

const Fuzz = struct {
    poller: Poller,
    generator: std.Random.DefaultPrng,
    sources: [source_count]Source,
    does_always_deregister: bool,
    /// What the current step does, and to whom: for the message of a failure.
    operation: Operation,
    slot: u32,

    fn open(fuzz: *Fuzz, seed: u64) !void {
        fuzz.generator = .init(seed);
        // The contract asks for it. Where the system itself forgets a number that is closed, it is tried without as well.
        fuzz.does_always_deregister = !support.features.forgets_closed_numbers or try support.external.remembersNumbers();
        // A library that forgets what it had no room for gets room.
        const capacity: u32 = if (try support.external.forgetsWaitingEvents()) 1024 else ring_capacity;
        try fuzz.poller.openAt(capacity, std.math.maxInt(u32) - 100);
        for (&fuzz.sources) |*source| source.* = try .open(fuzz.random().int(u32));
    }

    fn close(fuzz: *Fuzz) void {
        for (&fuzz.sources) |*source| source.close();
        fuzz.poller.close();
    }

    fn random(fuzz: *Fuzz) std.Random {
        return fuzz.generator.random();
    }

    fn isRare(fuzz: *Fuzz) bool {
        return fuzz.random().uintLessThan(u32, 4) == 0;
    }

    fn doStep(fuzz: *Fuzz) !void {
        fuzz.operation = fuzz.random().enumValue(Operation);
        fuzz.slot = fuzz.random().uintLessThan(u32, source_count);
        const source = &fuzz.sources[fuzz.slot];
        switch (fuzz.operation) {
            .register => try fuzz.register(source),
            .reregister => try fuzz.reregister(source),
            .deregister => try fuzz.deregister(source),
            .peer_writes => try source.peerWrites(),
            .read => try source.read(&fuzz.poller),
            .fill => try source.fill(&fuzz.poller),
            .peer_reads => try source.peerReads(),
            // What ends a source or its peer is rarer than the rest, so that much can happen to each before.
            .peer_shuts_down => if (fuzz.isRare()) try source.peerShutsDown(),
            .peer_closes => if (fuzz.isRare()) source.peerCloses(),
            .replace => if (fuzz.isRare()) try fuzz.replace(source),
            .wake => try fuzz.poller.wake(),
            .poll => try fuzz.poll(fuzz.poller.poll(0)),
            .consume => try fuzz.consume(fuzz.random().uintAtMost(u32, ring_capacity)),
        }
    }

    fn register(fuzz: *Fuzz, source: *Source) !void {
        const wanted = fuzz.nextRegistration();
        const result = queue.register(&fuzz.poller.queue, source.own, fuzz.nextToken(source), wanted.interest, wanted.delivery);
        if (source.registration != null) return support.expectResult(-Errno.exists, result);
        try support.expectResult(0, result);
        source.adopt(fuzz.nextToken(source), wanted);
    }

    fn reregister(fuzz: *Fuzz, source: *Source) !void {
        const wanted = fuzz.nextRegistration();
        const result = queue.reregister(&fuzz.poller.queue, source.own, fuzz.nextToken(source), wanted.interest, wanted.delivery);
        if (source.registration == null) return support.expectResult(-Errno.no_entry, result);
        try support.expectResult(0, result);
        source.adopt(fuzz.nextToken(source), wanted);
    }

    fn deregister(fuzz: *Fuzz, source: *Source) !void {
        const result = queue.deregister(&fuzz.poller.queue, source.own);
        try support.expectResult(if (source.registration == null) -Errno.no_entry else 0, result);
        source.registration = null;
    }

    /// Closes the source, with or without deregister, and opens a new one in its slot.
    fn replace(fuzz: *Fuzz, source: *Source) !void {
        const does_deregister = fuzz.does_always_deregister or fuzz.random().boolean();
        if (source.registration != null and does_deregister) try fuzz.deregister(source);
        source.close();
        source.* = try .open(source.generation +% 1);
    }

    /// Looks at what a poll has pushed.
    fn poll(fuzz: *Fuzz, result: i32) !void {
        if (result == -Errno.no_space) return try std.testing.expectEqual(0, fuzz.poller.memory.ring.free());
        const pushed: u32 = @intCast(try support.check(result));
        const ring = &fuzz.poller.memory.ring;
        for (0..pushed) |offset| {
            const position = ring.tail -% pushed +% @as(u32, @intCast(offset));
            try fuzz.told(fuzz.poller.memory.entries[position & (ring.capacity - 1)]);
        }
    }

    fn told(fuzz: *Fuzz, entry: Entry) !void {
        if (entry.token.slot >= source_count) return error.UnknownToken;
        fuzz.slot = entry.token.slot;
        try fuzz.sources[entry.token.slot].told(entry);
    }

    fn consume(fuzz: *Fuzz, count: u32) !void {
        for (0..count) |_| {
            const entry = fuzz.poller.take() orelse return;
            // It may be of an earlier owner by now, and then the token tells: no owner has two generations.
            const age = fuzz.sources[entry.token.slot].generation -% entry.token.generation;
            try std.testing.expect(age < step_count);
        }
    }

    /// Polls until nobody is owed anything.
    fn settle(fuzz: *Fuzz) !void {
        for (&fuzz.sources) |*source| source.expectLevelAgain();
        const deadline_ns = support.clock.monotonicNow_ns() + support.patience_ns;
        while (fuzz.firstOwed()) |slot| {
            fuzz.slot = slot;
            if (support.clock.monotonicNow_ns() > deadline_ns) return error.EventLost;
            try fuzz.consume(fuzz.poller.memory.ring.capacity);
            try fuzz.poll(try fuzz.poller.wait());
        }
    }

    fn firstOwed(fuzz: *const Fuzz) ?u32 {
        for (&fuzz.sources, 0..) |*source, slot| {
            if (source.isOwed()) return @intCast(slot);
        }
        return null;
    }

    fn nextToken(fuzz: *Fuzz, source: *const Source) Token {
        const offset = @intFromPtr(source) - @intFromPtr(&fuzz.sources);
        return .{ .slot = @intCast(offset / @sizeOf(Source)), .generation = source.generation +% 1 };
    }

    fn nextRegistration(fuzz: *Fuzz) Registration {
        return .{
            .interest = fuzz.random().uintAtMost(u32, readable | writable),
            .delivery = fuzz.random().enumValue(queue.Delivery),
        };
    }
};

const Registration = struct {
    interest: u32,
    delivery: queue.Delivery,
    /// What events have told since it was made, but for what a read or a write has then used up.
    told: u32 = 0,
    /// One-shot: no event has come since it was armed.
    is_armed: bool = true,
};

/// A connection, and what is true of it.
const Source = struct {
    own: i32,
    /// Null once it is closed.
    peer: ?i32,
    generation: u32,
    registration: ?Registration,
    /// Bytes are there, or the end.
    has_something_to_read: bool,
    /// The peer has written at all: an event about bytes that were read meanwhile may be on its way.
    has_peer_written: bool,
    has_peer_shut_down: bool,
    /// What the peer has not read.
    unread_bytes: usize,
    is_full: bool,

    fn open(generation: u32) !Source {
        const connection: Connection = try .openSmall(socket.Address.ipv4);
        return .{
            .own = connection.own,
            .peer = connection.peer,
            .generation = generation,
            .registration = null,
            .has_something_to_read = false,
            .has_peer_written = false,
            .has_peer_shut_down = false,
            .unread_bytes = 0,
            .is_full = false,
        };
    }

    fn close(source: *Source) void {
        support.closeDescriptor(source.own);
        if (source.peer) |peer| support.closeDescriptor(peer);
    }

    fn adopt(source: *Source, token: Token, registration: Registration) void {
        source.generation = token.generation;
        source.registration = registration;
    }

    fn peerWrites(source: *Source) !void {
        if (source.has_peer_shut_down) return;
        const result = socket.send(source.peer.?, "a", 1);
        // Nobody may have read for a long time.
        if (result == -Errno.again) return;
        try support.expectResult(1, result);
        source.has_peer_written = true;
        source.has_something_to_read = true;
        // Nothing is owed for bytes that may yet come, so they are waited for.
        try support.untilReady(source.own, .readable);
    }

    /// Until there is no more.
    fn read(source: *Source, poller: *Poller) !void {
        var chunk: [4096]u8 = undefined;
        while (true) {
            const result = socket.receive(source.own, &chunk, chunk.len);
            if (result > 0) continue;
            if (result == -Errno.again) return source.usedUp(poller, readable);
            // The end, or a connection that the peer has reset.
            try std.testing.expect(result == 0 or result == -Errno.connection_reset);
            return std.testing.expect(source.has_peer_shut_down);
        }
    }

    fn fill(source: *Source, poller: *Poller) !void {
        if (source.peer == null) return;
        source.unread_bytes += try support.fill(source.own);
        try source.usedUp(poller, writable);
        source.is_full = true;
    }

    fn usedUp(source: *Source, poller: *Poller, interest: u32) !void {
        if (interest == readable and !source.has_peer_shut_down) source.has_something_to_read = false;
        const registration = if (source.registration) |*registration| registration else return;
        if (registration.interest & interest == 0) return;
        registration.told &= ~interest;
        if (registration.delivery == .edge) try poller.rearm(source.own, interest);
    }

    fn peerReads(source: *Source) !void {
        const peer = source.peer orelse return;
        while (source.unread_bytes > 0) {
            try support.untilReady(peer, .readable);
            source.unread_bytes -= try support.drain(peer);
        }
        source.is_full = false;
    }

    fn peerShutsDown(source: *Source) !void {
        if (source.has_peer_shut_down) return;
        try support.expectResult(0, socket.shutdown(source.peer.?, .write));
        source.end();
    }

    /// Over bytes that the peer has not read it is a reset.
    fn peerCloses(source: *Source) void {
        support.closeDescriptor(source.peer orelse return);
        source.peer = null;
        source.end();
    }

    fn end(source: *Source) void {
        source.has_peer_shut_down = true;
        source.has_something_to_read = true;
    }

    fn told(source: *Source, entry: Entry) !void {
        const registration = if (source.registration) |*registration| registration else return error.EventAfterDeregister;
        try std.testing.expectEqual(source.generation, entry.token.generation);
        try std.testing.expect(entry.readiness != 0);
        errdefer std.debug.print("told {d}, and only {d} may be\n", .{ entry.readiness, source.mayBeTold() });
        try std.testing.expectEqual(0, entry.readiness & ~source.mayBeTold());
        try std.testing.expect(registration.is_armed);
        registration.told |= entry.readiness;
        registration.is_armed = registration.delivery != .one_shot;
    }

    fn mayBeTold(source: *const Source) u32 {
        var bits = source.registration.?.interest;
        if (!source.has_peer_written and !source.has_peer_shut_down) bits &= ~readable;
        if (source.has_peer_shut_down) bits |= support.read_closed;
        if (source.peer == null) bits |= support.write_closed | support.hung_up | support.failed;
        return bits;
    }

    fn mustBeTold(source: *const Source) u32 {
        var bits: u32 = 0;
        if (source.has_something_to_read) bits |= readable;
        if (!source.is_full and source.peer != null) bits |= writable;
        return bits & source.registration.?.interest;
    }

    fn isOwed(source: *const Source) bool {
        const registration = source.registration orelse return false;
        const must = source.mustBeTold();
        if (registration.delivery == .one_shot) return must != 0 and registration.is_armed;
        return must & ~registration.told != 0;
    }

    /// At each poll it is told again.
    fn expectLevelAgain(source: *Source) void {
        const registration = if (source.registration) |*registration| registration else return;
        if (registration.delivery == .level) registration.told = 0;
    }
};
