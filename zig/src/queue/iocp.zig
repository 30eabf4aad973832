//! The event queue of Windows: polls of sockets by the driver behind Winsock, whose completions come through a completion
//! port.
//!
//! Facts. A completion port brings packets: completions of operations, and what is posted to it by hand. It knows no
//! readiness; the driver does (`iocp/afd.zig`), one answer for one question. The answer to a question that can be answered
//! at once is a packet as well. A packet says what was so when the poll completed: somebody may have read the bytes since.
//! A poll that a thread has submitted may be cancelled by the system when the thread ends (before Windows Vista it always
//! was; Wine does it for some). Several threads may take packets from one port. GetQueuedCompletionStatusEx counts in
//! milliseconds, and the clock that it counts with moves in steps of 0.5 to 15.6 ms, so that it may return before the time
//! has passed by the performance counter. No packet that was posted can be given back.
//!
//! Decision. Each registered socket has one poll for what there is interest in. When it has answered, another is
//! submitted, at the queue's next poll and not before:
//!
//! * `level` asks for the same again, `one_shot` for nothing more.
//! * `edge` asks for what was not told yet. The driver has no edges: asked again while bytes are there it would answer at
//!   once, at each poll, until somebody reads. So what was told is asked for again when whoever reads says that there was
//!   nothing left: `rearm`. Until the next poll the request is only noted: a connection that is read until nothing is left
//!   and then waits costs one system call more than on a system that has edges.
//! * An answer for `level` and `one_shot` counts if its question was put in the same poll of the queue; otherwise it is put
//!   again, as the owners of those sockets do not tell when they read.
//! * A change of interest while a poll is pending cancels it, if it does not ask for enough; its packet, which comes in any
//!   case, has it submitted anew. So has a cancellation that nobody asked for.
//!
//! What was found waits in a list if the ring has no room. A wake is a packet with a key of its own; `wake_pending` lets one
//! stand for all until a poll has seen it. `register`, `reregister` and `deregister` may come from any thread, so the
//! registrations are under a lock that nobody holds while waiting; a thread that waits on the port gets the packets of polls
//! that others submit. A poll that ends early waits for the rest.

const std = @import("std");
const afd = @import("iocp/afd.zig");
const queue = @import("../queue.zig");
const registration_file = @import("iocp/registration.zig");
const registry_file = @import("iocp/registry.zig");
const ring_file = @import("../ring.zig");
const sockets = @import("../socket/windows.zig");
const windows = @import("../windows.zig");

const Errno = windows.Errno;
const Key = registry_file.Key;
const Registry = registry_file.Registry;
const Ring = ring_file.Ring;
const Token = ring_file.Token;

pub const Queue = extern struct {
    /// Null if the queue is closed.
    registry: ?*Registry,
    /// The completion port.
    port: ?windows.Handle,
    /// 1 while a wake was asked for that no poll has seen yet. Any thread writes it.
    wake_pending: u32,
    reserved: [44]u8,
};

pub fn open(q: *Queue) i32 {
    const port = windows.CreateIoCompletionPort(windows.invalid_handle, null, 0, 0) orelse return lastFailure();
    const registry = Registry.create(port) orelse {
        _ = windows.CloseHandle(port);
        return -Errno.no_memory;
    };
    q.* = .{ .registry = registry, .port = port, .wake_pending = 0, .reserved = @splat(0) };
    return 0;
}

pub fn close(q: *Queue) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    registry.destroy();
    const result = if (windows.CloseHandle(q.port.?) == 0) lastFailure() else 0;
    q.registry = null;
    q.port = null;
    return result;
}

pub fn register(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    const base = afd.baseOf(windows.toSocket(descriptor), afd.askProvider) orelse return unfit(descriptor);
    const kind: registry_file.SocketKind = .{ .base = base, .is_datagram = sockets.isDatagram(descriptor) };
    registry.lock();
    defer registry.unlock();
    if (registry.findOpen(descriptor) != null) return -Errno.exists;
    return registry.add(descriptor, kind, token, interest, delivery);
}

pub fn reregister(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    registry.lock();
    defer registry.unlock();
    const registration = registry.findOpen(descriptor) orelse return unknown(descriptor);
    registry.forget(registration);
    registration.token = token;
    registration.interest = interest;
    registration.delivery = delivery;
    registration.wanted = registration_file.toEvents(interest);
    return registry.renew(registration);
}

pub fn deregister(q: *Queue, descriptor: i32) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    registry.lock();
    defer registry.unlock();
    const registration = registry.table.find(descriptor) orelse return unknown(descriptor);
    registry.remove(registration);
    return 0;
}

pub fn rearm(q: *Queue, descriptor: i32, interest: u32) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    registry.lock();
    defer registry.unlock();
    const registration = registry.table.find(descriptor) orelse return unknown(descriptor);
    registration.interest |= interest;
    registration.wanted |= registration_file.toEvents(interest);
    registry.change(registration);
    return 0;
}

pub fn poll(q: *Queue, ring: *Ring, timeout_ns: i64) i32 {
    const registry = q.registry orelse return -Errno.bad_descriptor;
    const room = ring.free();
    if (room == 0) return -Errno.no_space;
    const deadline: Deadline = .after(timeout_ns);
    registry.lock();
    defer registry.unlock();
    registry.beginPoll();
    while (true) {
        registry.submitDue();
        const timeout_ms = if (registry.ready.first == null) deadline.left_ms() else 0;
        const is_woken = registry.takePackets(timeout_ms) catch return lastFailure();
        if (is_woken) _ = @atomicRmw(u32, &q.wake_pending, .Xchg, 0, .acq_rel);
        const pushed = registry.report(ring, room);
        if (pushed > 0 or is_woken) return @intCast(pushed);
        // Polls that are due may be answered at once, so the time is looked at when there are none.
        if (registry.due.first == null and deadline.left_ms() == 0) return 0;
    }
}

pub fn wake(q: *Queue) i32 {
    const port = q.port orelse return -Errno.bad_descriptor;
    if (@atomicRmw(u32, &q.wake_pending, .Xchg, 1, .acq_rel) == 1) return 0;
    if (windows.PostQueuedCompletionStatus(port, 0, Key.wake, null) != 0) return 0;
    const result = lastFailure();
    @atomicStore(u32, &q.wake_pending, 0, .release);
    return result;
}

/// Until when a poll waits.
const Deadline = struct {
    /// Null is for ever.
    time_ns: ?i64,

    fn after(timeout_ns: i64) Deadline {
        if (timeout_ns < 0) return .{ .time_ns = null };
        // Without a look at the clock: it has passed.
        if (timeout_ns == 0) return .{ .time_ns = std.math.minInt(i64) };
        return .{ .time_ns = windows.monotonicNow_ns() +| timeout_ns };
    }

    /// Rounded up, and shortened to what fits.
    fn left_ms(deadline: Deadline) u32 {
        const time_ns = deadline.time_ns orelse return infinite;
        if (time_ns == std.math.minInt(i64)) return 0;
        const left_ns = time_ns - windows.monotonicNow_ns();
        if (left_ns <= 0) return 0;
        const rounded = @divTrunc(left_ns + std.time.ns_per_ms - 1, std.time.ns_per_ms);
        return @intCast(@min(rounded, infinite - 1));
    }
};

/// A descriptor that no base socket was found for: closed, or none that can be waited for.
fn unfit(descriptor: i32) i32 {
    const result = windows.lastFailureOf(descriptor);
    return if (result == -Errno.not_a_socket) -Errno.not_permitted else result;
}

fn unknown(descriptor: i32) i32 {
    return if (windows.isOpen(descriptor)) -Errno.no_entry else -Errno.bad_descriptor;
}

fn lastFailure() i32 {
    return windows.fromCode(windows.GetLastError());
}

/// INFINITE
const infinite: u32 = std.math.maxInt(u32);
