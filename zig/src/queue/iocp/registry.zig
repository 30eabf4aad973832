//! The registrations of a queue, and what has to be done about them.
//!
//! Everything here happens under the lock. Nobody holds it while waiting, but for the one who ends the queue.

const std = @import("std");
const afd = @import("afd.zig");
const queue = @import("../../queue.zig");
const registration_file = @import("registration.zig");
const ring_file = @import("../../ring.zig");
const windows = @import("../../windows.zig");
const Drivers = @import("drivers.zig");
const Table = @import("table.zig").Table;

const Errno = windows.Errno;
const Handle = windows.Handle;
const List = std.DoublyLinkedList;
const Packet = windows.Packet;
const Poll = registration_file.Poll;
const Registration = registration_file.Registration;
const Ring = ring_file.Ring;
const Token = ring_file.Token;
const toEvents = registration_file.toEvents;

pub const Registry = struct {
    guard: windows.Lock,
    port: Handle,
    drivers: Drivers,
    table: Table,
    /// Those that are to be polled, or polled for something else, as soon as the queue is polled.
    due: List,
    /// Those that were told of: they are due when the queue is polled the next time.
    later: List,
    /// Those of which something was found, oldest first.
    ready: List,
    /// Polls whose packets have not come.
    outstanding: usize,
    /// Counts the polls of the queue.
    poll_number: u64,
    /// Whether a thread waits for packets at this moment.
    is_polling: bool,
    /// What the queue's own poll fetches.
    packets: [most_packets]Packet,

    pub fn create(port: Handle) ?*Registry {
        const registry: *Registry = @ptrCast(@alignCast(windows.allocate(@sizeOf(Registry)) orelse return null));
        registry.* = .{
            .guard = .{},
            .port = port,
            .drivers = .{ .port = port, .key = Key.poll },
            .table = .{},
            .due = .{},
            .later = .{},
            .ready = .{},
            .outstanding = 0,
            .poll_number = 0,
            .is_polling = false,
            .packets = undefined,
        };
        return registry;
    }

    /// Cancels what is pending and waits for its packets, which come at once. If one does not, the memory that the kernel
    /// may still write to is given up, and with it all that leads to it.
    pub fn destroy(registry: *Registry) void {
        registry.lock();
        registry.removeAll();
        var waits: u32 = 0;
        while (registry.outstanding > 0 and waits < most_waits) {
            var packets: [settle_packets]Packet = undefined;
            const fetched = fetch(registry.port, &packets, wait_ms) catch break;
            if (fetched.len == 0) waits += 1;
            _ = registry.process(fetched);
        }
        registry.table.deinit();
        registry.unlock();
        if (registry.outstanding > 0) return;
        registry.drivers.deinit();
        windows.free(registry);
    }

    pub fn lock(registry: *Registry) void {
        windows.AcquireSRWLockExclusive(&registry.guard);
    }

    pub fn unlock(registry: *Registry) void {
        windows.ReleaseSRWLockExclusive(&registry.guard);
    }

    /// The registration of a socket that is still open, as far as a pending poll can tell.
    ///
    /// A packet that says that the socket was closed may lie in the port, or be in the hands of a thread that waits for
    /// the lock: the former is fetched here, and the latter is let in. A poll that can be cancelled had no answer.
    pub fn findOpen(registry: *Registry, descriptor: i32) ?*Registration {
        while (registry.table.find(descriptor) != null) {
            registry.settle();
            const registration = registry.table.find(descriptor) orelse return null;
            const guarding = registration.guardingPoll() orelse return registration;
            if (guarding.cancel(registration)) return registration;
            guarding.state = .pending;
            registry.unlock();
            _ = windows.SwitchToThread();
            registry.lock();
        }
        return null;
    }

    pub fn add(
        registry: *Registry,
        descriptor: i32,
        kind: SocketKind,
        token: Token,
        interest: u32,
        delivery: queue.Delivery,
    ) i32 {
        const memory = windows.allocate(@sizeOf(Registration)) orelse return -Errno.no_memory;
        const registration: *Registration = @ptrCast(@alignCast(memory));
        const driver = registry.drivers.acquire() catch {
            windows.free(registration);
            return windows.fromCode(windows.GetLastError());
        };
        registration.* = .{
            .readiness_poll = .{},
            .close_poll = .{},
            .descriptor = descriptor,
            .base = kind.base,
            .is_datagram = kind.is_datagram,
            .token = token,
            .interest = interest,
            .delivery = delivery,
            .driver = driver,
            .wanted = toEvents(interest),
        };
        registry.table.add(registration) catch {
            registry.free(registration);
            return -Errno.no_memory;
        };
        return registry.renew(registration);
    }

    /// Asks for what the registration wants now. If that cannot be, it is removed and the failure returned.
    pub fn renew(registry: *Registry, registration: *Registration) i32 {
        var status: u32 = 0;
        if (registration.delivery != .edge and registration.close_poll.state == .none) {
            status = registry.submitClosePoll(registration);
        }
        if (status == 0) status = registry.askAnew(registration);
        if (status == 0) return 0;
        registry.remove(registration);
        return if (afd.isClosed(status)) -Errno.bad_descriptor else windows.fromStatus(status);
    }

    /// Has the registration polled at the next poll, or now, if a thread is in one.
    pub fn change(registry: *Registry, registration: *Registration) void {
        registry.putOff(registration, .due);
        if (registry.is_polling) registry.submitDue();
    }

    /// Forgets what was found and not told.
    pub fn forget(registry: *Registry, registration: *Registration) void {
        registration.found = 0;
        if (!registration.is_ready) return;
        registration.is_ready = false;
        registry.ready.remove(&registration.ready_node);
    }

    /// Ends a registration. Its memory is kept until its poll's packet came.
    pub fn remove(registry: *Registry, registration: *Registration) void {
        registry.table.remove(registration);
        registration.is_registered = false;
        registry.forget(registration);
        switch (registration.poll_list) {
            .none => {},
            .due => registry.due.remove(&registration.poll_node),
            .later => registry.later.remove(&registration.poll_node),
        }
        registration.poll_list = .none;
        for ([_]*Poll{ &registration.readiness_poll, &registration.close_poll }) |poll| {
            if (poll.state == .pending) _ = poll.cancel(registration);
        }
        if (registration.isIdle()) registry.free(registration);
    }

    /// What is removed from a place may be followed there by an entry behind it, and by none before it.
    fn removeAll(registry: *Registry) void {
        for (0..registry.table.places.len) |place| {
            while (registry.table.places[place]) |registration| registry.remove(registration);
        }
    }

    /// A poll of the queue begins. What was found for others than edges, and did not fit into the ring, is found again in this
    /// poll or is not so any more; those sources keep their places, so that each has its turn.
    pub fn beginPoll(registry: *Registry) void {
        registry.poll_number += 1;
        while (registry.later.popFirst()) |node| {
            Registration.fromPollNode(node).poll_list = .due;
            registry.due.append(node);
        }
        var each = registry.ready.first;
        while (each) |node| : (each = node.next) {
            const registration = Registration.fromReadyNode(node);
            const is_asked_again = registration.delivery != .edge and registration.poll_list == .due;
            if (is_asked_again) registration.found = 0;
        }
    }

    pub fn submitDue(registry: *Registry) void {
        while (registry.due.popFirst()) |node| {
            const registration = Registration.fromPollNode(node);
            registration.poll_list = .none;
            const status = registry.askAnew(registration);
            if (status == 0) continue;
            if (afd.isClosed(status)) registry.remove(registration) else registry.fail(registration);
        }
    }

    /// Waits for packets, without the lock, and takes what they say. Returns whether one of them was a wake. On failure the
    /// thread's last error says why.
    pub fn takePackets(registry: *Registry, timeout_ms: u32) error{Refused}!bool {
        registry.is_polling = true;
        registry.unlock();
        const fetched = fetch(registry.port, &registry.packets, timeout_ms);
        registry.lock();
        registry.is_polling = false;
        return registry.process(try fetched);
    }

    /// Takes what packets say. Returns whether one of them was a wake.
    fn process(registry: *Registry, packets: []const Packet) bool {
        var is_woken = false;
        for (packets) |packet| switch (packet.key) {
            Key.poll => registry.complete(packet.context),
            Key.wake => is_woken = true,
            else => {},
        };
        return is_woken;
    }

    /// Pushes what was found into the ring, as far as there is room.
    pub fn report(registry: *Registry, ring: *Ring, room: u32) u32 {
        const first = ring.tail;
        var position = first;
        while (position -% first < room) {
            const node = registry.ready.popFirst() orelse break;
            const registration = Registration.fromReadyNode(node);
            registration.is_ready = false;
            const found = registration.take();
            if (found == 0) continue;
            ring.stage(position, registration.token, found);
            position +%= 1;
        }
        ring.publish(position);
        return position -% first;
    }

    /// Fetches and takes what packets there are now. A thread that waits for them is told of what they brought.
    fn settle(registry: *Registry) void {
        var is_woken = false;
        while (true) {
            var packets: [settle_packets]Packet = undefined;
            // What the queue's own poll meets as well, and tells.
            const fetched = fetch(registry.port, &packets, 0) catch break;
            if (registry.process(fetched)) is_woken = true;
            if (fetched.len < packets.len) break;
        }
        if (is_woken) _ = windows.PostQueuedCompletionStatus(registry.port, 0, Key.wake, null);
        if (!registry.is_polling) return;
        registry.submitDue();
        if (registry.ready.first != null) _ = windows.PostQueuedCompletionStatus(registry.port, 0, Key.look, null);
    }

    fn complete(registry: *Registry, context: usize) void {
        const registration, const poll = Registration.fromContext(context);
        const status = poll.operation.block.status;
        registry.outstanding -= 1;
        poll.state = .none;
        if (!registration.is_registered) {
            if (registration.isIdle()) registry.free(registration);
            return;
        }
        if (afd.isFailure(status)) return registry.fail(registration);
        const events = poll.operation.answer();
        if (events & afd.Event.local_close != 0) return registry.remove(registration);
        if (poll == &registration.close_poll) return registry.watchClose(registration);
        if (!registry.isCurrent(registration) or !registration.note(events)) return registry.putOff(registration, .due);
        registry.makeReady(registration);
        registry.putOff(registration, .later);
    }

    /// It was cancelled, to find out whether it was pending.
    fn watchClose(registry: *Registry, registration: *Registration) void {
        const status = registry.submitClosePoll(registration);
        if (status == 0) return;
        if (afd.isClosed(status)) registry.remove(registration) else registry.fail(registration);
    }

    fn putOff(registry: *Registry, registration: *Registration, list: Registration.PollList) void {
        if (registration.poll_list != .none) return;
        registration.poll_list = list;
        const chosen = if (list == .due) &registry.due else &registry.later;
        chosen.append(&registration.poll_node);
    }

    /// Whether the answer of a poll still holds. What an edge has told once is true for its reader until it has found the
    /// opposite. For others the answer must be of the queue's own poll: before it, somebody may have read the bytes.
    fn isCurrent(registry: *const Registry, registration: *const Registration) bool {
        return registration.delivery == .edge or registration.submitted_at == registry.poll_number;
    }

    fn makeReady(registry: *Registry, registration: *Registration) void {
        if (registration.is_ready) return;
        registration.is_ready = true;
        registry.ready.append(&registration.ready_node);
    }

    /// It is not polled again by itself, as that would only fail again.
    fn fail(registry: *Registry, registration: *Registration) void {
        if (registration.note(afd.Event.abort)) registry.makeReady(registration);
    }

    /// Has what is wanted asked for, by a poll that is pending, a new one, or one that follows when the packet of the present
    /// one came. Returns the status of a failure.
    fn askAnew(registry: *Registry, registration: *Registration) u32 {
        switch (registration.readiness_poll.state) {
            .none => {
                // A one-shot source that was told of: its close is asked for.
                if (registration.wanted == 0 and registration.close_poll.state != .none) return 0;
                const status = registration.submitReadinessPoll(registry.poll_number);
                if (status == 0) registry.outstanding += 1;
                return status;
            },
            .pending => if (!registration.isCovered()) {
                _ = registration.readiness_poll.cancel(registration);
            },
            .cancelled => {},
        }
        return 0;
    }

    fn submitClosePoll(registry: *Registry, registration: *Registration) u32 {
        const status = registration.submitClosePoll();
        if (status == 0) registry.outstanding += 1;
        return status;
    }

    fn free(registry: *Registry, registration: *Registration) void {
        registry.drivers.release(registration.driver);
        windows.free(registration);
    }
};

/// What is asked of a socket when it is registered.
pub const SocketKind = struct { base: windows.Socket, is_datagram: bool };

/// What packets are known by.
pub const Key = struct {
    pub const poll: usize = 1;
    pub const wake: usize = 2;
    /// Something was found by another thread than the one that waits.
    pub const look: usize = 3;
};

/// Fetches what packets there are, waiting for the first.
fn fetch(port: Handle, packets: []Packet, timeout_ms: u32) error{Refused}![]Packet {
    var fetched: u32 = 0;
    const count: u32 = @intCast(packets.len);
    if (windows.GetQueuedCompletionStatusEx(port, packets.ptr, count, &fetched, timeout_ms, 0) != 0) return packets[0..fetched];
    return if (windows.GetLastError() == windows.Code.wait_timed_out) packets[0..0] else error.Refused;
}

/// A poll fetches no more at once: enough for every ready connection of a busy server in one system call.
const most_packets = 512;

/// 2 KiB of stack.
const settle_packets = 64;

/// How long `destroy` waits for packets that must come: a second of a system that is not well, as a thread waits that ends.
const most_waits = 10;
const wait_ms = 100;
