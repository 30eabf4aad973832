//! The event queue of Linux: epoll, with an eventfd to wake it.
//!
//! Facts. epoll_ctl(2) may be called while another thread is in epoll_wait, and takes effect at once, so there is
//! nothing to hand over for a registration. EPOLL_CTL_MOD re-arms: it reports a descriptor that is ready now, also an
//! edge-triggered one. epoll watches the open file description, not the number: after dup(2) or fork(2) closing the
//! number leaves a registration that no number can remove. EPOLLERR and EPOLLHUP are always reported, asked for or not.
//! A level-triggered EPOLLRDHUP stays true for as long as the peer is half-closed, so it turns every poll into a spin
//! for a task that only wants to write. epoll_wait counts in milliseconds; epoll_pwait2(2) (Linux 5.11) in nanoseconds.
//! The packed `epoll_event` of x86-64 is 12 bytes, that of other architectures 16. A write to an eventfd is a new edge
//! each time, read or not; its counter would need 2^64 writes to be full.
//!
//! Decision. The token is the event's data, whole. EPOLLRDHUP is asked for only with interest in reading, where
//! end-of-file is an answer and not a spin. The eventfd is registered edge-triggered and never read: one system call
//! fewer for each wake, and `wake_pending` lets one write stand for all wakes until a poll has seen it. A kernel (or a
//! sandbox) without epoll_pwait2 is found out once and remembered in the queue; milliseconds are then rounded up,
//! because a wait that ends early would make its caller spin through the last fraction.

const std = @import("std");
const builtin = @import("builtin");
const linux = @import("../linux.zig");
const queue = @import("../queue.zig");
const ring_file = @import("../ring.zig");

const Errno = linux.Errno;
const Readiness = ring_file.Readiness;
const Ring = ring_file.Ring;
const Token = ring_file.Token;

pub const Queue = extern struct {
    epoll_descriptor: i32,
    wake_descriptor: i32,
    /// 1 while a wake was asked for that no poll has seen yet. Any thread writes it.
    wake_pending: u32,
    /// 0 once the kernel has said that it has no epoll_pwait2.
    has_nanosecond_wait: u32,
    reserved: [48]u8,
};

/// A poll fetches at most this many events: enough for every ready connection of a busy server in one system call, and
/// 12 to 16 KiB of stack.
const max_events_per_poll = 1024;

pub fn open(q: *Queue) i32 {
    const epoll_descriptor = linux.call(.epoll_create1, .{epoll_cloexec});
    if (epoll_descriptor < 0) return epoll_descriptor;
    const wake_descriptor = linux.call(.eventfd2, .{ 0, eventfd_cloexec | eventfd_nonblock });
    if (wake_descriptor < 0) {
        _ = linux.call(.close, .{epoll_descriptor});
        return wake_descriptor;
    }
    q.* = .{
        .epoll_descriptor = epoll_descriptor,
        .wake_descriptor = wake_descriptor,
        .wake_pending = 0,
        .has_nanosecond_wait = 1,
        .reserved = @splat(0),
    };
    var event: EpollEvent = .{ .events = Epoll.in | Epoll.edge_triggered, .data = wake_token };
    const result = linux.call(.epoll_ctl, .{ epoll_descriptor, Control.add, wake_descriptor, &event });
    if (result < 0) _ = close(q);
    return result;
}

pub fn close(q: *Queue) i32 {
    const wake_result = linux.call(.close, .{q.wake_descriptor});
    const epoll_result = linux.call(.close, .{q.epoll_descriptor});
    q.wake_descriptor = -1;
    q.epoll_descriptor = -1;
    return @min(wake_result, epoll_result);
}

pub fn register(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    return control(q, Control.add, descriptor, token, interest, delivery);
}

pub fn reregister(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    return control(q, Control.modify, descriptor, token, interest, delivery);
}

pub fn deregister(q: *Queue, descriptor: i32) i32 {
    return linux.call(.epoll_ctl, .{ q.epoll_descriptor, Control.delete, descriptor, @as(?*EpollEvent, null) });
}

pub fn poll(q: *Queue, ring: *Ring, timeout_ns: i64) i32 {
    const room = @min(ring.free(), max_events_per_poll);
    if (room == 0) return -Errno.no_space;
    var events: [max_events_per_poll]EpollEvent = undefined;
    const count = wait(q, events[0..room], timeout_ns);
    if (count <= 0) return count;
    return pushAll(q, ring, events[0..@intCast(count)]);
}

pub fn wake(q: *Queue) i32 {
    if (@atomicRmw(u32, &q.wake_pending, .Xchg, 1, .acq_rel) == 1) return 0;
    const one: u64 = 1;
    const result = linux.callUninterrupted(.write, .{ q.wake_descriptor, &one, @sizeOf(u64) });
    // A full counter is a wake that is pending already.
    if (result == -Errno.again) return 0;
    return @min(result, 0);
}

fn pushAll(q: *Queue, ring: *Ring, events: []const EpollEvent) i32 {
    var position = ring.tail;
    for (events) |event| {
        if (event.data == wake_token) {
            _ = @atomicRmw(u32, &q.wake_pending, .Xchg, 0, .acq_rel);
            continue;
        }
        ring.stage(position, .fromInt(event.data), toReadiness(event.events));
        position +%= 1;
    }
    const pushed = position -% ring.tail;
    ring.publish(position);
    return @intCast(pushed);
}

fn wait(q: *Queue, events: []EpollEvent, timeout_ns: i64) i32 {
    if (timeout_ns > 0 and q.has_nanosecond_wait == 1) {
        const timeout: linux.Timespec = .fromNanoseconds(timeout_ns);
        const no_mask: ?*const anyopaque = null;
        const result = linux.call(.epoll_pwait2, .{ q.epoll_descriptor, events.ptr, events.len, &timeout, no_mask, 0 });
        // EPERM is no error of this call: it comes from sandboxes whose list of system calls is older than it.
        if (result != -Errno.not_implemented and result != -Errno.not_permitted) return result;
        q.has_nanosecond_wait = 0;
    }
    return waitMilliseconds(q, events, timeout_ns);
}

/// For waits of zero and for ever as well: there nothing has to be converted, and it is the older and cheaper call.
fn waitMilliseconds(q: *Queue, events: []EpollEvent, timeout_ns: i64) i32 {
    const timeout_ms: i32 = if (timeout_ns < 0) -1 else toMilliseconds(timeout_ns);
    const no_mask: ?*const anyopaque = null;
    return linux.call(.epoll_pwait, .{ q.epoll_descriptor, events.ptr, events.len, timeout_ms, no_mask, 0 });
}

/// Rounds up, and shortens what does not fit (24.8 days) so that the caller asks again.
fn toMilliseconds(timeout_ns: i64) i32 {
    const rounded = @divTrunc(timeout_ns, std.time.ns_per_ms) + @intFromBool(@rem(timeout_ns, std.time.ns_per_ms) != 0);
    return @intCast(@min(rounded, std.math.maxInt(i32)));
}

fn control(q: *Queue, operation: u32, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    std.debug.assert(token.toInt() != wake_token);
    var event: EpollEvent = .{ .events = toEpoll(interest, delivery), .data = token.toInt() };
    return linux.call(.epoll_ctl, .{ q.epoll_descriptor, operation, descriptor, &event });
}

fn toEpoll(interest: u32, delivery: queue.Delivery) u32 {
    var events: u32 = switch (delivery) {
        .edge => Epoll.edge_triggered,
        .level => 0,
        .one_shot => Epoll.one_shot,
    };
    if (interest & Readiness.readable != 0) events |= Epoll.in | Epoll.peer_closed;
    if (interest & Readiness.writable != 0) events |= Epoll.out;
    if (interest & Readiness.priority != 0) events |= Epoll.priority;
    return events;
}

/// EPOLLHUP means that both halves are closed; EPOLLRDHUP that the peer shut down its sending half. EPOLLERR alone means
/// that the reader of a pipe is gone, or that an error waits to be fetched, after which a datagram socket goes on: so it
/// closes nothing, and the next write tells. On an error and on a hang-up whoever waits must look, whatever it waits for.
fn toReadiness(events: u32) u32 {
    var readiness: u32 = 0;
    const hung_up = events & Epoll.hang_up != 0;
    const has_failed = events & Epoll.failed != 0;
    if (events & Epoll.in != 0) readiness |= Readiness.readable;
    if (events & Epoll.out != 0) readiness |= Readiness.writable;
    if (events & Epoll.priority != 0) readiness |= Readiness.priority;
    if (hung_up or events & Epoll.peer_closed != 0) readiness |= Readiness.read_closed;
    if (hung_up) readiness |= Readiness.write_closed | Readiness.hung_up;
    if (has_failed) readiness |= Readiness.failed;
    return readiness;
}

/// No registration has this token: the registrator's table is far smaller than 2^32 - 1 slots.
const wake_token: u64 = std.math.maxInt(u64);

const EpollEvent = if (builtin.cpu.arch == .x86_64) extern struct {
    events: u32,
    data: u64 align(4),
} else extern struct {
    events: u32,
    data: u64,
};

const Epoll = struct {
    const in: u32 = 0x001;
    const priority: u32 = 0x002;
    const out: u32 = 0x004;
    const failed: u32 = 0x008;
    const hang_up: u32 = 0x010;
    const peer_closed: u32 = 0x2000;
    const one_shot: u32 = 1 << 30;
    const edge_triggered: u32 = 1 << 31;
};

const Control = struct {
    const add: u32 = 1;
    const delete: u32 = 2;
    const modify: u32 = 3;
};

const epoll_cloexec: u32 = 0o2000000;
const eventfd_cloexec: u32 = 0o2000000;
const eventfd_nonblock: u32 = 0o4000;

comptime {
    std.debug.assert(@sizeOf(EpollEvent) == if (builtin.cpu.arch == .x86_64) 12 else 16);
    std.debug.assert(@offsetOf(EpollEvent, "data") == if (builtin.cpu.arch == .x86_64) 4 else 8);
}
