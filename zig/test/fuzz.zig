//! Random registrations, writes, reads, shutdowns, closes, wakes and polls over some hundred streams, against a model
//! of what must be told.
//!
//! The streams are local ones: what one end does, the other end's readiness shows at once, so that the model is exact.
//! Each event must carry a token that is registered at the moment of the poll, exactly the bits that are true, and come
//! no more often than its delivery allows. A poll that did not use up the ring's room has told all that was owed.
//!
//! The seed is fixed, so that a failure stays one; `BUN_REACTOR_FUZZ_SEED=N` chooses another. A failure prints seed and
//! step.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Entry = support.Entry;
const Pair = support.Pair;
const Poller = support.Poller;
const Token = support.Token;
const queue = support.queue;
const socket = support.socket;

const default_seed = 0x5eed;
const source_count = 200;
const step_count = 60_000;
/// About as many as there are sources ready at once: many polls tell all there is, and as many find too little room.
const usual_capacity = 64;
/// Room for the events of all.
const ample_capacity = 1024;

test "random operations: no event for a dead token, none lost, none wrong" {
    if (!support.features.has_local_pairs) return support.skip("this system has no local streams, for which alone the model is exact");
    const seed = try chosenSeed();
    var fuzz: Fuzz = undefined;
    try fuzz.open(seed);
    defer fuzz.close();
    for (0..step_count) |step| {
        fuzz.doStep() catch |failure| {
            std.debug.print("seed {d}, step {d}: {t} failed on slot {d}\n", .{ seed, step, fuzz.operation, fuzz.slot });
            return failure;
        };
    }
}

pub fn chosenSeed() !u64 {
    const text = std.testing.environ.getAlloc(std.testing.allocator, "BUN_REACTOR_FUZZ_SEED") catch |failure| switch (failure) {
        error.EnvironmentVariableMissing => return default_seed,
        else => return failure,
    };
    defer std.testing.allocator.free(text);
    return std.fmt.parseInt(u64, text, 0) catch {
        std.debug.print("BUN_REACTOR_FUZZ_SEED must be an integer from 0 to 2^64 - 1, and is \"{s}\"\n", .{text});
        return error.InvalidSeed;
    };
}

const Operation = enum { register, reregister, deregister, peer_writes, read, fill, peer_reads, peer_shuts_down, peer_closes, replace, wake, poll, consume };

const Fuzz = struct {
    poller: Poller,
    generator: std.Random.DefaultPrng,
    sources: [source_count]Source,
    is_wake_pending: bool,
    capacity: u32,
    does_always_deregister: bool,
    /// What the current step does, and to whom: for the message of a failure.
    operation: Operation,
    slot: u32,

    fn open(fuzz: *Fuzz, seed: u64) !void {
        fuzz.generator = .init(seed);
        fuzz.is_wake_pending = false;
        fuzz.capacity = if (try support.external.forgetsWaitingEvents()) ample_capacity else usual_capacity;
        fuzz.does_always_deregister = try support.external.remembersNumbers();
        try fuzz.poller.openAt(fuzz.capacity, std.math.maxInt(u32) - 1000);
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
            .read => try source.read(),
            .fill => try source.fill(),
            .peer_reads => try source.peerReads(),
            // What ends a source or its peer is rarer than the rest, so that much can happen to each before.
            .peer_shuts_down => if (fuzz.isRare()) try source.peerShutsDown(),
            .peer_closes => if (fuzz.isRare()) source.peerCloses(),
            .replace => if (fuzz.isRare()) try fuzz.replace(source),
            .wake => try fuzz.wake(),
            .poll => try fuzz.poll(),
            .consume => try fuzz.consume(fuzz.random().uintAtMost(u32, usual_capacity)),
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

    /// Closes the source, with or without deregister, and opens a new one in its slot, often with the same number.
    /// Sometimes a duplicate of the old descriptor stays open, and bytes arrive at it.
    fn replace(fuzz: *Fuzz, source: *Source) !void {
        const keeps_duplicate = support.features.has_duplicates and fuzz.random().boolean();
        if (source.registration != null and (keeps_duplicate or fuzz.does_always_deregister or fuzz.random().boolean())) {
            try fuzz.deregister(source);
        }
        const duplicate: ?i32 = if (support.features.has_duplicates and keeps_duplicate) try support.system.duplicate(source.own) else null;
        if (!source.has_peer_shut_down) try source.peerWrites();
        source.close();
        source.* = try .open(source.generation +% 1);
        source.duplicate = duplicate;
    }

    fn wake(fuzz: *Fuzz) !void {
        try fuzz.poller.wake();
        fuzz.is_wake_pending = true;
    }

    fn poll(fuzz: *Fuzz) !void {
        if (fuzz.capacity == ample_capacity) try fuzz.consume(ample_capacity);
        const ring = &fuzz.poller.memory.ring;
        const room = ring.free();
        const before = ring.tail;
        const result = fuzz.poller.poll(0);
        if (room == 0) return support.expectResult(-Errno.no_space, result);
        const pushed: u32 = @intCast(try support.check(result));
        try std.testing.expectEqual(before +% pushed, ring.tail);
        for (&fuzz.sources) |*source| source.startPoll();
        for (0..pushed) |offset| {
            const position = before +% @as(u32, @intCast(offset));
            try fuzz.told(fuzz.poller.memory.entries[position & (fuzz.capacity - 1)]);
        }
        // A wake takes a place in what the kernel returns, and so does each filter of kqueue(2).
        const most_fetched = if (support.features.has_kqueue) 2 * pushed else pushed;
        if (most_fetched + @intFromBool(fuzz.is_wake_pending) >= room) return;
        fuzz.is_wake_pending = false;
        for (&fuzz.sources, 0..) |*source, slot| {
            fuzz.slot = @intCast(slot);
            if (source.isOwed()) return error.EventLost;
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

    fn nextToken(fuzz: *Fuzz, source: *const Source) Token {
        const offset = @intFromPtr(source) - @intFromPtr(&fuzz.sources);
        return .{ .slot = @intCast(offset / @sizeOf(Source)), .generation = source.generation +% 1 };
    }

    fn nextRegistration(fuzz: *Fuzz) Registration {
        return .{
            .interest = fuzz.random().uintAtMost(u32, support.readable | support.writable | support.priority),
            .delivery = fuzz.random().enumValue(queue.Delivery),
        };
    }
};

const Registration = struct {
    interest: u32,
    delivery: queue.Delivery,
    /// Edge-triggered: something changed that this interest is told of, and no event has come since.
    is_owed: bool = false,
    /// Edge-triggered: something changed at all; without that an event would be one too many.
    is_allowed: bool = false,
    /// One-shot: no event has come since it was armed.
    is_armed: bool = true,
    /// By the latest poll.
    was_told: bool = false,
};

/// A stream, and what is true of it.
const Source = struct {
    own: i32,
    /// Null once it is closed.
    peer: ?i32,
    duplicate: ?i32,
    generation: u32,
    registration: ?Registration,
    has_bytes: bool,
    is_full: bool,
    has_peer_shut_down: bool,
    has_failed: bool,

    fn open(generation: u32) !Source {
        const pair: Pair = try .open();
        return .{
            .own = pair.own,
            .peer = pair.peer,
            .duplicate = null,
            .generation = generation,
            .registration = null,
            .has_bytes = false,
            .is_full = false,
            .has_peer_shut_down = false,
            .has_failed = false,
        };
    }

    fn close(source: *Source) void {
        support.closeDescriptor(source.own);
        if (source.peer) |peer| support.closeDescriptor(peer);
        if (source.duplicate) |duplicate| support.closeDescriptor(duplicate);
    }

    fn adopt(source: *Source, token: Token, registration: Registration) void {
        source.generation = token.generation;
        source.registration = registration;
        source.changed(support.readable | support.writable);
    }

    fn peerWrites(source: *Source) !void {
        if (source.has_peer_shut_down) return;
        const result = socket.send(source.peer.?, "a", 1);
        // Nobody may have read for a long time.
        if (result == -Errno.again) return;
        try support.expectResult(1, result);
        source.has_bytes = true;
        source.changed(support.readable);
    }

    fn read(source: *Source) !void {
        var chunk: [4096]u8 = undefined;
        while (true) {
            const result = socket.receive(source.own, &chunk, chunk.len);
            if (result == -Errno.connection_reset) {
                try std.testing.expect(source.has_failed);
                source.has_failed = false;
                continue;
            }
            if (result == -Errno.again or result == 0) break;
            _ = try support.check(result);
        }
        source.has_bytes = false;
        source.changed(0);
    }

    fn fill(source: *Source) !void {
        if (source.peer == null) return;
        _ = try support.fill(source.own);
        source.is_full = true;
        source.changed(0);
    }

    fn peerReads(source: *Source) !void {
        const peer = source.peer orelse return;
        _ = try support.drain(peer);
        const was_full = source.is_full;
        source.is_full = false;
        source.changed(if (was_full) support.writable else 0);
    }

    fn peerShutsDown(source: *Source) !void {
        if (source.has_peer_shut_down) return;
        try support.expectResult(0, socket.shutdown(source.peer.?, .write));
        source.has_peer_shut_down = true;
        source.changed(if (support.features.has_kqueue) support.readable else support.readable | support.writable);
    }

    fn peerCloses(source: *Source) void {
        support.closeDescriptor(source.peer orelse return);
        source.peer = null;
        source.has_peer_shut_down = true;
        // A local stream that is closed over unread bytes resets the other end.
        source.has_failed = source.is_full;
        source.is_full = false;
        source.changed(support.readable | support.writable);
    }

    /// `edges` are the directions in which the kernel tells a change.
    fn changed(source: *Source, edges: u32) void {
        const registration = if (source.registration) |*registration| registration else return;
        registration.is_allowed = true;
        const is_final = source.peer == null;
        if (edges & registration.interest != 0 or (edges != 0 and is_final)) registration.is_owed = true;
        if (source.readiness() == 0) registration.is_owed = false;
    }

    /// What an event must say now; 0 when there must be none.
    fn readiness(source: *const Source) u32 {
        const interest = source.registration.?.interest;
        const is_closed = source.peer == null;
        var bits: u32 = 0;
        if (source.has_bytes or source.has_peer_shut_down) bits |= interest & support.readable;
        if (!source.is_full) bits |= interest & support.writable;
        if (source.has_peer_shut_down and interest & support.readable != 0) bits |= support.read_closed;
        if (is_closed) bits |= support.read_closed | support.write_closed | support.hung_up;
        if (source.has_failed) bits |= support.failed;
        return bits;
    }

    fn isOwed(source: *const Source) bool {
        const registration = source.registration orelse return false;
        return switch (registration.delivery) {
            .edge => registration.is_owed,
            .level => source.readiness() != 0 and !registration.was_told,
            .one_shot => source.readiness() != 0 and registration.is_armed,
        };
    }

    fn told(source: *Source, entry: Entry) !void {
        const registration = if (source.registration) |*registration| registration else return error.EventAfterDeregister;
        try std.testing.expectEqual(source.generation, entry.token.generation);
        try std.testing.expect(entry.readiness != 0);
        // One filter of kqueue(2) tells its own direction, and knows of a hang-up only the half that it is for. That for reading may
        // have to stand for out-of-band data as well.
        const expected = source.readiness();
        const most = expected | (registration.interest & support.priority);
        if (!support.features.has_kqueue or entry.readiness & ~most != 0) try std.testing.expectEqual(expected, entry.readiness);
        switch (registration.delivery) {
            .edge => try std.testing.expect(registration.is_allowed),
            .level => {},
            .one_shot => try std.testing.expect(registration.is_armed),
        }
        registration.is_owed = false;
        registration.is_allowed = false;
        registration.is_armed = false;
        registration.was_told = true;
    }

    fn startPoll(source: *Source) void {
        if (source.registration) |*registration| registration.was_told = false;
    }
};
