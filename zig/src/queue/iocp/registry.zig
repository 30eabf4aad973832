//! The registrations of a queue, and what has to be done about them.
//!
//! Everything here happens under the lock, which is never held while a thread waits.

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
const Registration = registration_file.Registration;
const Ring = ring_file.Ring;
const Token = ring_file.Token;
const toEvents = registration_file.toEvents;

pub const Registry = struct {
    guard: windows.Lock,
    port: Handle,
    drivers: Drivers,
    table: Table,
    /// Those that are to be polled, or polled for something else.
    changed: List,
    /// Those of which something was found, oldest first.
    ready: List,
    /// Polls whose packets have not come.
    outstanding: usize,
    /// Counts the polls of the queue.
    poll_number: u64,
    /// Whether a thread waits for packets at this moment.
    is_polling: bool,

    pub fn create(port: Handle) ?*Registry {
        const registry: *Registry = @ptrCast(@alignCast(windows.allocate(@sizeOf(Registry)) orelse return null));
        registry.* = .{
            .guard = .{},
            .port = port,
            .drivers = .{ .port = port, .key = Key.poll },
            .table = .{},
            .changed = .{},
            .ready = .{},
            .outstanding = 0,
            .poll_number = 0,
            .is_polling = false,
        };
        return registry;
    }

    /// Cancels what is pending and waits for its packets, which come at once. If one does not, the memory that the kernel
    /// may still write to is given up, and with it all that leads to it.
    pub fn destroy(registry: *Registry) void {
        registry.lock();
        while (registry.table.first()) |registration| registry.remove(registration);
        var waits: u32 = 0;
        while (registry.outstanding > 0 and waits < most_waits) {
            var packets: [settle_packets]Packet = undefined;
            const fetched = fetch(registry.port, &packets, wait_ms);
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

    /// The registration of a socket that is still open, as far as is known to the kernel at this moment.
    ///
    /// A packet that says that the socket was closed may lie in the port, or be in the hands of a thread that waits for
    /// the lock: the former is fetched here, and the latter is let in.
    pub fn findOpen(registry: *Registry, descriptor: i32) ?*Registration {
        while (true) {
            const registration = registry.table.find(descriptor) orelse return null;
            if (registration.poll != .pending) return registration;
            registry.settle();
            if (registry.table.find(descriptor) != registration) continue;
            if (registration.poll != .pending or registration.cancel()) return registration;
            registration.poll = .pending;
            registry.unlock();
            _ = windows.SwitchToThread();
            registry.lock();
        }
    }

    pub fn add(
        registry: *Registry,
        descriptor: i32,
        base: windows.Socket,
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
            .operation = .{},
            .descriptor = descriptor,
            .base = base,
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
        const status = registry.submit(registration);
        if (status == 0) return 0;
        registry.remove(registration);
        return failureOf(status);
    }

    /// Asks for what the registration wants now. Returns a failure if it cannot be asked.
    pub fn renew(registry: *Registry, registration: *Registration) i32 {
        switch (registration.poll) {
            .cancelled => return 0,
            .pending => {
                if (!registration.isCovered()) _ = registration.cancel();
                return 0;
            },
            .none => {},
        }
        const status = registry.submit(registration);
        if (status == 0) return 0;
        registry.remove(registration);
        return failureOf(status);
    }

    /// Has the registration polled at the next poll, or now, if a thread is in one.
    pub fn change(registry: *Registry, registration: *Registration) void {
        if (!registration.is_changed) {
            registration.is_changed = true;
            registry.changed.append(&registration.changed);
        }
        if (registry.is_polling) registry.submitChanges();
    }

    /// Forgets what was found and not told.
    pub fn forget(registry: *Registry, registration: *Registration) void {
        registration.found = 0;
        if (!registration.is_ready) return;
        registration.is_ready = false;
        registry.ready.remove(&registration.ready);
    }

    /// Ends a registration. Its memory is kept until its poll's packet came.
    pub fn remove(registry: *Registry, registration: *Registration) void {
        registry.table.remove(registration);
        registration.is_registered = false;
        registry.forget(registration);
        if (registration.is_changed) registry.changed.remove(&registration.changed);
        registration.is_changed = false;
        if (registration.poll == .pending) _ = registration.cancel();
        if (registration.poll == .none) registry.free(registration);
    }

    pub fn submitChanges(registry: *Registry) void {
        while (registry.changed.popFirst()) |node| {
            const registration = Registration.fromChanged(node);
            registration.is_changed = false;
            switch (registration.poll) {
                .none => registry.submitOrTell(registration),
                .pending => if (!registration.isCovered()) {
                    _ = registration.cancel();
                },
                // Its packet brings it back here.
                .cancelled => {},
            }
        }
    }

    /// Takes what packets say. Returns whether one of them was a wake.
    pub fn process(registry: *Registry, packets: []const Packet) bool {
        var is_woken = false;
        for (packets) |packet| switch (packet.key) {
            Key.poll => registry.complete(Registration.fromOperation(packet.context.?), @truncate(packet.status)),
            Key.wake => is_woken = true,
            else => {},
        };
        return is_woken;
    }

    /// Pushes what was found into the ring, as far as there is room.
    pub fn report(registry: *Registry, ring: *Ring, room: u32) u32 {
        var position = ring.tail;
        for (0..room) |_| {
            const node = registry.ready.popFirst() orelse break;
            const registration = Registration.fromReady(node);
            registration.is_ready = false;
            ring.stage(position, registration.token, registration.found);
            registration.found = 0;
            position +%= 1;
        }
        const pushed = position -% ring.tail;
        ring.publish(position);
        return pushed;
    }

    /// Fetches and takes what packets there are now. A thread that waits for them is told of what they brought.
    fn settle(registry: *Registry) void {
        var is_woken = false;
        while (true) {
            var packets: [settle_packets]Packet = undefined;
            const fetched = fetch(registry.port, &packets, 0);
            if (registry.process(fetched)) is_woken = true;
            if (fetched.len < packets.len) break;
        }
        if (is_woken) _ = windows.PostQueuedCompletionStatus(registry.port, 0, Key.wake, null);
        if (!registry.is_polling) return;
        registry.submitChanges();
        if (registry.ready.first != null) _ = windows.PostQueuedCompletionStatus(registry.port, 0, Key.look, null);
    }

    fn complete(registry: *Registry, registration: *Registration, status: u32) void {
        registry.outstanding -= 1;
        registration.poll = .none;
        if (!registration.is_registered) return registry.free(registration);
        if (afd.isFailure(status)) return registry.fail(registration);
        const events = registration.operation.answer(status);
        if (events & afd.Event.local_close != 0) return registry.remove(registration);
        if (registry.isCurrent(registration) and registration.note(events)) registry.found(registration);
        if (!registration.is_changed) {
            registration.is_changed = true;
            registry.changed.append(&registration.changed);
        }
    }

    /// Whether the answer of a poll still holds. What an edge has told once is true for its reader until it has found the
    /// opposite. For others the answer must be of the queue's own poll: before it, somebody may have read the bytes.
    fn isCurrent(registry: *const Registry, registration: *const Registration) bool {
        return registration.delivery == .edge or registration.submitted_at == registry.poll_number;
    }

    fn found(registry: *Registry, registration: *Registration) void {
        if (registration.is_ready or registration.found == 0) return;
        registration.is_ready = true;
        registry.ready.append(&registration.ready);
    }

    /// What cannot be polled any more tells its owner so, if it is not just closed.
    fn submitOrTell(registry: *Registry, registration: *Registration) void {
        const status = registry.submit(registration);
        if (status == 0) return;
        if (afd.isClosed(status)) return registry.remove(registration);
        registry.fail(registration);
    }

    /// It is not polled again by itself, as that would only fail again.
    fn fail(registry: *Registry, registration: *Registration) void {
        if (registration.note(afd.Event.abort)) registry.found(registration);
    }

    fn submit(registry: *Registry, registration: *Registration) u32 {
        const status = registration.submit(registry.poll_number);
        if (status == 0) registry.outstanding += 1;
        return status;
    }

    fn free(registry: *Registry, registration: *Registration) void {
        registry.drivers.release(registration.driver);
        windows.free(registration);
    }
};

/// What packets are known by.
pub const Key = struct {
    pub const poll: usize = 1;
    pub const wake: usize = 2;
    /// Something was found by another thread than the one that waits.
    pub const look: usize = 3;
};

/// Fetches what packets there are, waiting for the first.
pub fn fetch(port: Handle, packets: []Packet, timeout_ms: u32) []Packet {
    var fetched: u32 = 0;
    const count: u32 = @intCast(packets.len);
    if (windows.GetQueuedCompletionStatusEx(port, packets.ptr, count, &fetched, timeout_ms, 0) == 0) return packets[0..0];
    return packets[0..fetched];
}

/// A socket that was closed meanwhile is no descriptor.
fn failureOf(status: u32) i32 {
    return if (afd.isClosed(status)) -Errno.bad_descriptor else windows.fromStatus(status);
}

/// 2 KiB of stack.
const settle_packets = 64;

/// How long `destroy` waits for packets that must come: half a minute of a system that is not well.
const most_waits = 300;
const wait_ms = 100;
