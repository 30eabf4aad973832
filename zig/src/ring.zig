//! The producer's side of the ReadyChannel: a ring of ready events in memory that the caller owns.
//!
//! Facts. The ring has one producer at any moment (whoever holds the baton polls, and only a poll pushes) and one consumer
//! (the JavaScript thread of the executor). Both sides may run at once. An event that was fetched from the kernel cannot be
//! given back to it, and an edge-triggered event is reported once.
//!
//! Decision. A single-producer, single-consumer ring with free-running 32-bit positions: `tail` is written by the producer
//! alone, `head` by the consumer alone, and `tail - head` (wrapping) is the number of events in flight. A poll asks the
//! kernel for no more events than there are free entries, so nothing can be dropped: what does not fit stays in the kernel.
//! `push` therefore asserts that there is room. The consumer's side is `src/reactor/ready-channel.ts`.

const std = @import("std");

/// The token that the queue hands back, split in two because JavaScript reads 32-bit words without allocating.
pub const Token = extern struct {
    /// Index of the source in the registrator's table.
    slot: u32,
    /// Which owner of that slot the event is for; a late event of an earlier owner is dropped by the consumer.
    generation: u32,

    pub fn toInt(token: Token) u64 {
        return @as(u64, token.generation) << 32 | token.slot;
    }

    pub fn fromInt(int: u64) Token {
        return .{ .slot = @truncate(int), .generation = @truncate(int >> 32) };
    }
};

/// What became ready, as bits: the same on every platform.
pub const Readiness = struct {
    pub const readable: u32 = 1;
    pub const writable: u32 = 2;
    /// Out-of-band data (TCP), or a state change of a device.
    pub const priority: u32 = 4;
    /// The peer will send no more: final.
    pub const read_closed: u32 = 8;
    /// The peer will take no more: final.
    pub const write_closed: u32 = 16;
    /// An error is pending on the descriptor.
    pub const failed: u32 = 32;
    /// Both halves are closed, or the other end of a terminal or a pipe is gone.
    pub const hung_up: u32 = 64;
};

pub const Entry = extern struct {
    token: Token,
    readiness: u32,
    reserved: u32 = 0,
};

/// The header of a ring. Its entries follow it at once. Positions stand on cache lines of their own, because two threads
/// write them.
pub const Ring = extern struct {
    /// Position after the newest event; written by the producer.
    tail: u32 align(cache_line_bytes),
    /// Number of entries, a power of two; written once by the owner of the memory.
    capacity: u32,
    /// Position of the oldest event; written by the consumer.
    head: u32 align(cache_line_bytes),

    pub fn free(ring: *const Ring) u32 {
        std.debug.assert(std.math.isPowerOfTwo(ring.capacity));
        const used = ring.tail -% @atomicLoad(u32, &ring.head, .acquire);
        std.debug.assert(used <= ring.capacity);
        return ring.capacity - used;
    }

    /// Writes one event. It becomes visible to the consumer at the next `publish`.
    pub fn stage(ring: *Ring, position: u32, token: Token, readiness: u32) void {
        const index = position & (ring.capacity - 1);
        ring.entries()[index] = .{ .token = token, .readiness = readiness };
    }

    /// Adds to an event that is staged and not published yet.
    pub fn join(ring: *Ring, position: u32, readiness: u32) void {
        ring.entries()[position & (ring.capacity - 1)].readiness |= readiness;
    }

    /// Makes every staged event before `position` visible to the consumer.
    pub fn publish(ring: *Ring, position: u32) void {
        std.debug.assert(position -% @atomicLoad(u32, &ring.head, .acquire) <= ring.capacity);
        @atomicStore(u32, &ring.tail, position, .release);
    }

    fn entries(ring: *Ring) [*]Entry {
        const first: [*]u8 = @ptrCast(ring);
        return @ptrCast(@alignCast(first + @sizeOf(Ring)));
    }
};

const cache_line_bytes = 64;

comptime {
    // src/native/library.ts checks the same numbers when it loads the library.
    std.debug.assert(@sizeOf(Token) == 8);
    std.debug.assert(@sizeOf(Entry) == 16);
    std.debug.assert(@sizeOf(Ring) == 128);
    std.debug.assert(@offsetOf(Ring, "tail") == 0);
    std.debug.assert(@offsetOf(Ring, "capacity") == 4);
    std.debug.assert(@offsetOf(Ring, "head") == 64);
}
