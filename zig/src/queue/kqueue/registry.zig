//! What the backend for kqueue(2) remembers of each registered descriptor, in a table by number.
//!
//! Facts. The kernel knows filters, not registrations: a descriptor has up to three of them, each with its own 64 bits
//! for the user, and an event is one of a filter. It has no notion of "there already" or "not there": EV_ADD replaces
//! what is there, and whatever asks for a filter without EV_ADD overwrites its 64 bits. When a number is closed, its
//! filters are gone at once, also while a duplicate is open, and nobody is told.
//!
//! Decision. The queue owns a table, so that what the contract promises for a descriptor can hold over its filters: the
//! token, that a one-shot registration reports once though two filters can, that the ends of both halves together are a
//! hang-up, and where its event of the current poll is, to be joined. The 64 bits of a filter are a serial number that
//! each arming gets anew: an event that another thread fetched before it does not match, and is dropped. The kernel
//! stays the judge of what is there: who finds a descriptor in the table asks it (`kqueue.zig`), because the number may
//! have been closed meanwhile.
//!
//! A mutex guards the table. It is held for the changes of one registration, or to translate one batch of events, and
//! never while a poll waits.

const std = @import("std");
const kernel = @import("kernel.zig");
const queue = @import("../../queue.zig");
const ring_file = @import("../../ring.zig");

const Event = kernel.Event;
const Filter = kernel.Filter;
const Readiness = ring_file.Readiness;
const Token = ring_file.Token;

pub const Registry = extern struct {
    mutex: kernel.Mutex,
    registrations: ?[*]Registration,
    capacity: u32,
    /// Of the latest arming; 64 bits of them do not run out.
    serial: u64,
    poll_number: u64,

    /// Null if there is no memory.
    pub fn create() ?*Registry {
        const registry: *Registry = @ptrCast(@alignCast(kernel.calloc(1, @sizeOf(Registry)) orelse return null));
        if (registry.mutex.init() == 0) return registry;
        kernel.free(registry);
        return null;
    }

    pub fn destroy(registry: *Registry) void {
        registry.mutex.deinit();
        kernel.free(registry.registrations);
        kernel.free(registry);
    }

    /// The place of a descriptor, whether it is registered or not. Null if there is no memory for it.
    pub fn placeOf(registry: *Registry, descriptor: i32) ?*Registration {
        const index: u32 = @intCast(descriptor);
        if (index >= registry.capacity and !registry.grow(index + 1)) return null;
        return &registry.registrations.?[index];
    }

    /// Null if it is not registered.
    pub fn find(registry: *Registry, descriptor: i32) ?*Registration {
        if (descriptor < 0 or descriptor >= registry.capacity) return null;
        const registration = &registry.registrations.?[@intCast(descriptor)];
        return if (registration.isThere()) registration else null;
    }

    /// Whose event it is; null if that was deregistered or armed anew since.
    pub fn ownerOf(registry: *Registry, event: *const Event) ?*Registration {
        const registration = registry.find(@intCast(event.identifier)) orelse return null;
        return if (registration.serial == event.user_data) registration else null;
    }

    pub fn nextSerial(registry: *Registry) u64 {
        registry.serial += 1;
        return registry.serial;
    }

    fn grow(registry: *Registry, needed: u32) bool {
        const capacity = @max(std.math.ceilPowerOfTwo(u32, needed) catch return false, fewest_registrations);
        const memory = kernel.realloc(registry.registrations, capacity * @sizeOf(Registration)) orelse return false;
        const registrations: [*]Registration = @ptrCast(@alignCast(memory));
        @memset(registrations[registry.capacity..capacity], .absent);
        registry.registrations = registrations;
        registry.capacity = capacity;
        return true;
    }
};

/// What a descriptor is, as far as its events differ.
pub const Kind = enum(u8) { socket, pipe, other };

pub const Registration = extern struct {
    /// What its filters carry; 0 if there is no registration.
    serial: u64,
    token: Token,
    /// The poll that has told it last, and where in the ring.
    told_in_poll: u64,
    told_at: u32,
    interest: u32,
    /// Those that the kernel has, as bits of `FilterSet`.
    filters: u8,
    kind: Kind,
    is_one_shot: bool,
    is_level: bool,
    /// One-shot: no event has come since it was armed. Always true otherwise.
    is_armed: bool,
    /// Both together are a hang-up; the kernel tells each alone.
    has_read_ended: bool,
    has_write_ended: bool,
    /// Level-triggered: a filter that reports changes has told an end, and was made to report it for as long as it
    /// lasts.
    does_last: bool,

    pub const absent: Registration = std.mem.zeroes(Registration);

    pub fn isThere(registration: *const Registration) bool {
        return registration.serial != 0;
    }

    pub fn arm(
        registration: *Registration,
        serial: u64,
        kind: Kind,
        token: Token,
        interest: u32,
        delivery: queue.Delivery,
    ) void {
        registration.* = .{
            .serial = serial,
            .token = token,
            .told_in_poll = 0,
            .told_at = 0,
            .interest = interest,
            .filters = 0,
            .kind = kind,
            .is_one_shot = delivery == .one_shot,
            .is_level = delivery == .level,
            .is_armed = true,
            .has_read_ended = false,
            .has_write_ended = false,
            .does_last = false,
        };
    }

    pub fn wants(registration: *const Registration, readiness: u32) bool {
        return registration.interest & readiness != 0;
    }

    /// Whether a filter is there only to tell an end. Its other events are nobody's.
    pub fn isAuxiliary(registration: *const Registration, filter: i16) bool {
        return switch (filter) {
            Filter.read => !registration.wants(Readiness.readable),
            Filter.write => !registration.wants(Readiness.writable),
            else => false,
        };
    }

    /// What an event of one of its filters tells, after the earlier ones; 0 if that is nothing it is registered for.
    pub fn take(registration: *Registration, event: *const Event) u32 {
        const has_ended = event.flags & kernel.Flag.end_of_file != 0;
        switch (event.filter) {
            Filter.read => {
                registration.has_read_ended = registration.has_read_ended or has_ended;
                // The end of a socket's half is read as well; of the rest only bytes are.
                const is_readable = !has_ended or registration.kind == .socket or event.data > 0;
                const readiness = if (is_readable) registration.interest & registration.toldWithBytes() else 0;
                return if (has_ended) readiness | registration.endOf(event) else readiness;
            },
            Filter.write => {
                registration.has_write_ended = registration.has_write_ended or has_ended;
                const readiness = registration.interest & Readiness.writable;
                return if (has_ended) readiness | registration.endOf(event) else readiness;
            },
            else => {
                const is_out_of_band = event.filter_flags & kernel.note_out_of_band != 0;
                return if (is_out_of_band) registration.interest & Readiness.priority else 0;
            },
        }
    }

    /// A read stops before out-of-band data and leaves bytes behind it, of which no change tells. Where no filter tells
    /// of such data, bytes of a socket may always be followed by it.
    fn toldWithBytes(registration: *const Registration) u32 {
        const is_edge = !registration.is_level and !registration.is_one_shot;
        const is_uncertain = !kernel.has_out_of_band and is_edge and registration.kind == .socket;
        return if (is_uncertain) Readiness.readable | Readiness.priority else Readiness.readable;
    }

    fn endOf(registration: *const Registration, event: *const Event) u32 {
        return switch (registration.kind) {
            .socket => registration.endOfSocket(event),
            .pipe => registration.endOfPipe(),
            .other => if (event.filter_flags != 0) hang_up | Readiness.failed else hang_up,
        };
    }

    /// The error of a connection that has failed comes with the end, as its number. The end of the half that sends
    /// comes after our own shutdown as well, and is not the peer's; nor can we be sent anything that a reader would
    /// have to know.
    fn endOfSocket(registration: *const Registration, event: *const Event) u32 {
        if (event.filter_flags != 0) return hang_up | Readiness.failed;
        if (registration.has_read_ended and registration.has_write_ended) return hang_up;
        return if (registration.has_read_ended and registration.wants(Readiness.readable)) Readiness.read_closed else 0;
    }

    /// A writer whose reader is gone may be told by either filter, as an end; its next write fails.
    fn endOfPipe(registration: *const Registration) u32 {
        const is_reader = registration.wants(Readiness.readable) or !registration.wants(Readiness.writable);
        if (registration.has_read_ended and is_reader) return hang_up;
        return Readiness.failed | (registration.interest & Readiness.writable);
    }
};

/// Filters of a descriptor, as bits.
pub const FilterSet = struct {
    pub const read: u8 = 1;
    pub const write: u8 = 2;
    pub const out_of_band: u8 = 4;

    pub fn bitOf(filter: i16) u8 {
        return switch (filter) {
            Filter.read => read,
            Filter.write => write,
            else => out_of_band,
        };
    }
};

const hang_up = Readiness.read_closed | Readiness.write_closed | Readiness.hung_up;

/// Of the smallest table: most processes have no more descriptors.
const fewest_registrations = 256;

comptime {
    std.debug.assert(@sizeOf(Registration) == 40);
}
