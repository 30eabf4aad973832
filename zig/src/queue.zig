//! The event queue: one contract, a backend for each operating system.
//!
//! A queue tells which of its registered descriptors became ready. Every backend keeps these promises, and the suite in
//! `test/contract.zig` holds them to it:
//!
//! * `open` makes a queue in memory that the caller owns and keeps in place until `close`. There is no other state
//!   than what a backend allocates for this queue, and frees in `close`.
//! * `register` adds a descriptor with a token, the interest (`Readiness.readable`, `.writable`, `.priority`) and a
//!   `Delivery`. A descriptor that is there already is refused (`EEXIST`). If it is ready at that moment, the next poll
//!   says so.
//! * `reregister` replaces token, interest and delivery, and re-arms: what is ready now is reported again, whatever was
//!   reported before. A descriptor that is not there is refused (`ENOENT`).
//! * `deregister` removes it. No later poll reports it; an event that a poll has fetched already may still be in the ring,
//!   where its token tells. It must be called before the descriptor is closed: a duplicate of the descriptor would keep the
//!   registration alive in the kernel, where nobody could remove it any more.
//! * `rearm` says that whoever reads or writes an `edge` source has found that there is nothing left, or no room, in these
//!   directions, and wants to be told of the next change. It adds to the interest, and costs nothing where the kernel has
//!   edges of its own: there it does nothing. Elsewhere (Windows) a direction that was reported stays silent until then.
//! * `poll` pushes what is ready into the ring, never more than it has room for, waits at most `timeout_ns` for the
//!   first event (0: does not wait, `forever`: as long as it takes), and returns how many it pushed. Zero means a
//!   timeout or a wake. The wait is never shorter than asked for. A signal ends it with `-EINTR`, and a ring without
//!   room with `-ENOSPC`: both are the caller's to handle, because only the caller knows its deadline. One thread at a
//!   time polls.
//! * `wake` ends a poll that another thread is in, or else the next one. Any thread may call it; any number of wakes
//!   before a poll returns count as one.
//! * `register`, `reregister` and `deregister` may be called while another thread polls, and take effect at once.
//!
//! Results below zero are negated errno values.

const std = @import("std");
const builtin = @import("builtin");
const ring = @import("ring.zig");

const backend = if (@import("options").has_kqueue_library) @import("queue/kqueue.zig") else switch (builtin.os.tag) {
    .linux => @import("queue/epoll.zig"),
    .macos, .freebsd => @import("queue/kqueue.zig"),
    .windows => @import("queue/iocp.zig"),
    else => @compileError("there is no event queue for this operating system yet"),
};

/// Opaque to the caller, who only provides its memory.
pub const Queue = backend.Queue;

/// The memory that the caller provides for a queue, in bytes: the same on every platform.
pub const queue_bytes = 64;

/// A timeout of `poll` that never ends.
pub const forever: i64 = -1;

/// How often a registration reports.
pub const Delivery = enum(u32) {
    /// Once for each change: for streams that read and write until the kernel says "would block".
    edge = 0,
    /// At every poll, as long as it lasts.
    level = 1,
    /// Once, as `level` does; then silent until `reregister`.
    one_shot = 2,
};

pub const open = backend.open;
pub const close = backend.close;
pub const register = backend.register;
pub const reregister = backend.reregister;
pub const deregister = backend.deregister;
pub const rearm = if (@hasDecl(backend, "rearm")) backend.rearm else leaveToKernel;
pub const poll = backend.poll;
pub const wake = backend.wake;

comptime {
    expect(@TypeOf(open) == fn (*Queue) i32);
    expect(@TypeOf(close) == fn (*Queue) i32);
    expect(@TypeOf(register) == fn (*Queue, i32, ring.Token, u32, Delivery) i32);
    expect(@TypeOf(reregister) == fn (*Queue, i32, ring.Token, u32, Delivery) i32);
    expect(@TypeOf(deregister) == fn (*Queue, i32) i32);
    expect(@TypeOf(rearm) == fn (*Queue, i32, u32) i32);
    expect(@TypeOf(poll) == fn (*Queue, *ring.Ring, i64) i32);
    expect(@TypeOf(wake) == fn (*Queue) i32);
    expect(@sizeOf(Queue) == queue_bytes);
}

fn leaveToKernel(_: *Queue, _: i32, _: u32) i32 {
    return 0;
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the event queue's backend does not meet the contract in queue.zig");
}
