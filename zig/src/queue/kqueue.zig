//! The event queue of macOS and FreeBSD: kqueue(2).
//!
//! Facts. kevent(2) may be called while another thread waits in it, and takes effect at once. Reading and writing are
//! two filters of a descriptor, each reported by itself. EV_ADD on a filter that is there changes its 64 bits for the
//! user, and on some systems not its flags; EV_ADD on one that is not there looks at the descriptor and reports it if
//! it is ready, and so does one after EV_DELETE. EV_CLEAR reports a change once, EV_DISPATCH disables a filter that has
//! reported and keeps it, EV_ONESHOT removes it. With EV_RECEIPT each change answers with its own error, and no event
//! is fetched. EVFILT_USER must be there before it is triggered, and a call that triggers it and fetches as well may
//! take the event that it made. EV_EOF is the end of one half, and that of sending is set by our own shutdown as well.
//! A pipe without a reader may refuse the filter for writing with EPIPE, or never report it, and report the one for
//! reading instead, with EV_EOF. Regular files can be registered, and are then ready until their end. Time-outs are
//! nanoseconds; Darwin refuses those of some years.
//!
//! Decision. Each arming removes the filters that were there and adds those it needs, in one call: so flags, interest
//! and serial number are all new, and what is ready is reported again. The answer to the removal tells whether the
//! registration was still there: that is the contract's ENOENT. A second `register` asks the kernel with EV_ENABLE,
//! which leaves the filter as it is: the contract's EEXIST. That is why one-shot is EV_DISPATCH: with EV_ONESHOT a
//! registration that has reported could not be told from one whose number was closed, and used again for another file.
//!
//! What the kernel does not keep together, `kqueue/registry.zig` does. When one filter of a one-shot registration has
//! reported, the other is not disabled by a call, which could undo what another thread arms in that moment; its event
//! is dropped when it comes, and with it EV_DISPATCH has disabled it. Interest in nothing is both filters, of which
//! only the ends are told; and interest in writing to a pipe is the filter for reading too, for the same reason. These
//! report once for each change, or bytes that nobody asked for would turn every poll into a spin; after an end they are
//! made to last, if the registration does. A poll whose events were all dropped waits on for what is left of its time.

const std = @import("std");
const kernel = @import("kqueue/kernel.zig");
const queue = @import("../queue.zig");
const registry_file = @import("kqueue/registry.zig");
const ring_file = @import("../ring.zig");

const Errno = @import("../errno.zig").Errno;
const Event = kernel.Event;
const Filter = kernel.Filter;
const FilterSet = registry_file.FilterSet;
const Flag = kernel.Flag;
const Readiness = ring_file.Readiness;
const Registration = registry_file.Registration;
const Registry = registry_file.Registry;
const Ring = ring_file.Ring;
const Token = ring_file.Token;

pub const Queue = extern struct {
    descriptor: i32,
    /// 1 while a wake was asked for that no poll has seen yet. Any thread writes it.
    wake_pending: u32,
    registry: ?*Registry,
    /// EVFILT_USER
    user_filter: i16,
    reserved: [46]u8,
};

/// A poll fetches at most this many events: enough for the ready connections of a busy server in one system call, and
/// 16 to 32 KiB of stack.
const max_events_per_poll = 512;

pub fn open(q: *Queue) i32 {
    const descriptor = kernel.result(kernel.kqueue());
    if (descriptor < 0) return descriptor;
    q.* = .{
        .descriptor = descriptor,
        .wake_pending = 0,
        .registry = Registry.create(),
        .user_filter = 0,
        .reserved = @splat(0),
    };
    if (q.registry == null) return closeWith(q, -Errno.out_of_memory);
    const result = kernel.closeOnExec(descriptor);
    if (result < 0) return closeWith(q, result);
    const wake_result = addWake(q);
    return if (wake_result < 0) closeWith(q, wake_result) else 0;
}

pub fn close(q: *Queue) i32 {
    if (q.descriptor < 0) return -Errno.bad_descriptor;
    const result = kernel.result(kernel.close(q.descriptor));
    if (q.registry) |registry| registry.destroy();
    q.registry = null;
    q.descriptor = -1;
    return result;
}

pub fn register(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    const registry = lock(q) orelse return -Errno.bad_descriptor;
    defer registry.mutex.unlock();
    const file_type = kernel.fileType(descriptor);
    if (file_type < 0) return file_type;
    const kind = kindOf(file_type) orelse return -Errno.not_permitted;
    const registration = registry.placeOf(descriptor) orelse return -Errno.out_of_memory;
    if (registration.isThere() and isStillThere(q, descriptor, registration)) return -Errno.exists;
    registration.arm(registry.nextSerial(), kind, token, interest, delivery);
    var changes: Changes = .{};
    changes.addAll(descriptor, registration);
    return apply(q, &changes, descriptor, registration);
}

pub fn reregister(q: *Queue, descriptor: i32, token: Token, interest: u32, delivery: queue.Delivery) i32 {
    const registry = lock(q) orelse return -Errno.bad_descriptor;
    defer registry.mutex.unlock();
    const registration = registry.find(descriptor) orelse return notThere(descriptor);
    var changes: Changes = .{};
    changes.deleteAll(descriptor, registration);
    const deletions = changes.count;
    registration.arm(registry.nextSerial(), registration.kind, token, interest, delivery);
    changes.addAll(descriptor, registration);
    const result = apply(q, &changes, descriptor, registration);
    if (result < 0 or changes.hasAnySucceeded(0, deletions)) return result;
    // The number was closed since, and is another file's: that one was not to be registered.
    remove(q, descriptor, registration);
    return -Errno.no_entry;
}

pub fn deregister(q: *Queue, descriptor: i32) i32 {
    const registry = lock(q) orelse return -Errno.bad_descriptor;
    defer registry.mutex.unlock();
    const registration = registry.find(descriptor) orelse return notThere(descriptor);
    return if (removeAll(q, descriptor, registration)) 0 else notThere(descriptor);
}

pub fn poll(q: *Queue, ring: *Ring, timeout_ns: i64) i32 {
    if (q.descriptor < 0) return -Errno.bad_descriptor;
    const room = @min(ring.free(), max_events_per_poll);
    if (room == 0) return -Errno.no_space;
    var events: [max_events_per_poll]Event = undefined;
    var wait: Wait = .{ .rest_ns = timeout_ns };
    wait.start();
    while (true) {
        const count = fetch(q, events[0..room], wait.rest_ns);
        if (count < 0) return count;
        const outcome = tell(q, ring, events[0..@intCast(count)]);
        if (outcome.told > 0 or outcome.was_woken) return outcome.told;
        if (wait.isOver() and count == 0) return 0;
    }
}

pub fn wake(q: *Queue) i32 {
    if (q.descriptor < 0) return -Errno.bad_descriptor;
    if (@atomicRmw(u32, &q.wake_pending, .Xchg, 1, .acq_rel) == 1) return 0;
    const result = change(q, .{
        .identifier = wake_identifier,
        .filter = q.user_filter,
        .flags = 0,
        .filter_flags = kernel.note_trigger,
    });
    // Or no later wake would reach the kernel.
    if (result < 0) @atomicStore(u32, &q.wake_pending, 0, .release);
    return result;
}

const Outcome = struct { told: i32, was_woken: bool };

/// Puts what the events say into the ring, one entry for each registration.
fn tell(q: *Queue, ring: *Ring, events: []const Event) Outcome {
    if (events.len == 0) return .{ .told = 0, .was_woken = false };
    const registry = q.registry.?;
    registry.mutex.lock();
    defer registry.mutex.unlock();
    registry.poll_number += 1;
    var was_woken = false;
    var position = ring.tail;
    for (events) |*event| {
        if (event.filter == q.user_filter) {
            _ = @atomicRmw(u32, &q.wake_pending, .Xchg, 0, .acq_rel);
            was_woken = true;
            continue;
        }
        const registration = registry.ownerOf(event) orelse continue;
        const readiness = registration.take(event);
        if (readiness == 0) continue;
        if (registration.told_in_poll == registry.poll_number) {
            ring.join(registration.told_at, readiness);
            continue;
        }
        if (!registration.is_armed) continue;
        registration.is_armed = !registration.is_one_shot;
        registration.told_in_poll = registry.poll_number;
        registration.told_at = position;
        ring.stage(position, registration.token, readiness);
        position +%= 1;
        if (registration.isAuxiliary(event.filter) and registration.is_level) makeLast(q, registration, event);
    }
    const told = position -% ring.tail;
    ring.publish(position);
    return .{ .told = @intCast(told), .was_woken = was_woken };
}

/// An end lasts, so a filter that has told one for a level-triggered registration is to tell it at every poll.
fn makeLast(q: *Queue, registration: *Registration, event: *const Event) void {
    if (registration.does_last) return;
    registration.does_last = true;
    var changes: Changes = .{};
    changes.push(event.identifier, event.filter, Flag.delete, 0, 0);
    changes.push(event.identifier, event.filter, Flag.add, 0, registration.serial);
    // If the kernel has no memory for it, it was told once at least.
    _ = changes.make(q);
}

fn fetch(q: *Queue, events: []Event, rest_ns: i64) i32 {
    const count: c_int = @intCast(events.len);
    if (rest_ns < 0) return kernel.result(kernel.kevent(q.descriptor, null, 0, events.ptr, count, null));
    const timeout: kernel.Timespec = .fromNanoseconds(@min(rest_ns, longest_wait_ns));
    return kernel.result(kernel.kevent(q.descriptor, null, 0, events.ptr, count, &timeout));
}

/// Darwin refuses time-outs of more than 100,000,000 s. A wait that is longer is made of several.
const longest_wait_ns = 24 * std.time.ns_per_hour;

/// How much of a time-out is left.
const Wait = struct {
    rest_ns: i64,
    deadline_ns: i64 = 0,

    /// A clock is read only for a wait that has an end.
    fn start(wait: *Wait) void {
        if (wait.rest_ns > 0) wait.deadline_ns = kernel.monotonicNow_ns() +| wait.rest_ns;
    }

    fn isOver(wait: *Wait) bool {
        if (wait.rest_ns > 0) wait.rest_ns = @max(wait.deadline_ns - kernel.monotonicNow_ns(), 0);
        return wait.rest_ns == 0;
    }
};

/// Adds what a registration needs, and remembers what the kernel has taken. What the descriptor lacks is left out, as
/// epoll does with what never happens to it; without anything to wait for, the registration has failed.
fn apply(q: *Queue, changes: *Changes, descriptor: i32, registration: *Registration) i32 {
    const result = changes.make(q);
    if (result < 0) {
        remove(q, descriptor, registration);
        return result;
    }
    var failure: i32 = 0;
    for (changes.asked[0..changes.count], 0..) |*asked, index| {
        if (asked.flags & Flag.add == 0) continue;
        const answer = changes.failureOf(index);
        if (answer == 0) registration.filters |= FilterSet.bitOf(asked.filter) else failure = answer;
    }
    if (registration.filters != 0 and failure != -Errno.out_of_memory) return 0;
    remove(q, descriptor, registration);
    return failure;
}

/// Whether the kernel still has what the table has. The filter is left as it is.
fn isStillThere(q: *Queue, descriptor: i32, registration: *const Registration) bool {
    const filter = for (filters) |filter| {
        if (registration.filters & FilterSet.bitOf(filter) != 0) break filter;
    } else unreachable;
    return change(q, .{
        .identifier = @intCast(descriptor),
        .filter = filter,
        .flags = if (registration.is_armed) Flag.enable else Flag.disable,
        .filter_flags = filterFlags(filter),
        .user_data = registration.serial,
    }) == 0;
}

/// Removes it from the table and from the kernel; whether the kernel had any of it.
fn removeAll(q: *Queue, descriptor: i32, registration: *Registration) bool {
    var changes: Changes = .{};
    changes.deleteAll(descriptor, registration);
    registration.* = .absent;
    return changes.make(q) == 0 and changes.hasAnySucceeded(0, changes.count);
}

fn remove(q: *Queue, descriptor: i32, registration: *Registration) void {
    _ = removeAll(q, descriptor, registration);
}

fn notThere(descriptor: i32) i32 {
    return if (kernel.isOpen(descriptor)) -Errno.no_entry else -Errno.bad_descriptor;
}

fn lock(q: *Queue) ?*Registry {
    const registry = q.registry orelse return null;
    registry.mutex.lock();
    return registry;
}

fn addWake(q: *Queue) i32 {
    var failure: i32 = 0;
    for (Filter.user) |filter| {
        failure = change(q, .{ .identifier = wake_identifier, .filter = filter, .flags = Flag.add | Flag.edge });
        q.user_filter = filter;
        if (failure == 0) return 0;
    }
    return failure;
}

fn closeWith(q: *Queue, failure: i32) i32 {
    _ = close(q);
    return failure;
}

/// Null for what is always ready, and for folders: epoll refuses the same.
fn kindOf(file_type: i32) ?registry_file.Kind {
    return switch (file_type) {
        kernel.FileType.regular, kernel.FileType.folder, kernel.FileType.block_device => null,
        kernel.FileType.socket => .socket,
        kernel.FileType.pipe => .pipe,
        else => .other,
    };
}

fn deliveryFlag(registration: *const Registration) u16 {
    if (registration.is_level) return 0;
    return if (registration.is_one_shot) Flag.disable_once_told else Flag.edge;
}

fn filterFlags(filter: i16) u32 {
    return if (filter == Filter.out_of_band) kernel.note_out_of_band else 0;
}

/// Makes one change, in a call that fetches nothing.
fn change(q: *Queue, event: Event) i32 {
    const no_room: [*]Event = undefined;
    while (true) {
        const result = kernel.result(kernel.kevent(q.descriptor, @ptrCast(&event), 1, no_room, 0, null));
        if (result != -Errno.interrupted) return result;
    }
}

/// A list of changes, each of which answers for itself.
const Changes = struct {
    asked: [most_changes]Event = undefined,
    answers: [most_changes]Event = undefined,
    count: usize = 0,

    fn push(changes: *Changes, identifier: usize, filter: i16, flags: u16, filter_flags: u32, serial: u64) void {
        changes.asked[changes.count] = .{
            .identifier = identifier,
            .filter = filter,
            .flags = flags | Flag.receipt,
            .filter_flags = filter_flags,
            .user_data = serial,
        };
        changes.count += 1;
    }

    fn addAll(changes: *Changes, descriptor: i32, registration: *const Registration) void {
        for (filters) |filter| {
            if (!isNeeded(registration, filter)) continue;
            const flag = if (registration.isAuxiliary(filter)) Flag.edge else deliveryFlag(registration);
            changes.push(@intCast(descriptor), filter, Flag.add | flag, filterFlags(filter), registration.serial);
        }
    }

    fn deleteAll(changes: *Changes, descriptor: i32, registration: *const Registration) void {
        for (filters) |filter| {
            if (registration.filters & FilterSet.bitOf(filter) == 0) continue;
            changes.push(@intCast(descriptor), filter, Flag.delete, 0, 0);
        }
    }

    /// The answers leave no room for events, so nothing is waited for. A signal interrupts only a wait, and all changes
    /// have been made by then (kevent(2) of FreeBSD): where one comes all the same, they may be made again.
    fn make(changes: *Changes, q: *Queue) i32 {
        const count: c_int = @intCast(changes.count);
        const at_once: kernel.Timespec = .fromNanoseconds(0);
        while (true) {
            const result = kernel.result(kernel.kevent(q.descriptor, &changes.asked, count, &changes.answers, count, &at_once));
            if (result != -Errno.interrupted) return @min(result, 0);
        }
    }

    fn failureOf(changes: *const Changes, index: usize) i32 {
        return -@as(i32, @intCast(changes.answers[index].data));
    }

    fn hasAnySucceeded(changes: *const Changes, start: usize, end: usize) bool {
        for (start..end) |index| {
            if (changes.failureOf(index) == 0) return true;
        }
        return false;
    }
};

/// Whether it is of interest, or the only one that tells an end.
fn isNeeded(registration: *const Registration, filter: i16) bool {
    if (filter == Filter.out_of_band) return registration.kind == .socket and registration.wants(Readiness.priority);
    if (!registration.isAuxiliary(filter)) return true;
    if (!registration.wants(Readiness.readable | Readiness.writable)) return true;
    return filter == Filter.read and registration.kind == .pipe;
}

/// Those that a descriptor may have.
const filters: []const i16 = if (kernel.has_out_of_band)
    &.{ Filter.write, Filter.read, Filter.out_of_band }
else
    &.{ Filter.write, Filter.read };

/// Each may be removed and added.
const most_changes = 2 * filters.len;

/// Of the one event of EVFILT_USER.
const wake_identifier: usize = 0;
