//! The registrations of a queue by their descriptors: a hash table with open addressing in memory of the process's heap.
//!
//! At most half of its places are taken, so that a look-up meets one or two of them. Removing moves the entries behind the
//! gap forward, so that there are no gravestones and nothing has to be cleaned up later.

const std = @import("std");
const windows = @import("../../windows.zig");
const Registration = @import("registration.zig").Registration;

pub const Table = struct {
    /// A power of two; none before the first `add`.
    places: []?*Registration = &.{},
    count: usize = 0,

    pub fn find(table: *const Table, descriptor: i32) ?*Registration {
        if (table.places.len == 0) return null;
        var place = table.home(descriptor);
        while (table.places[place]) |registration| : (place = table.next(place)) {
            if (registration.descriptor == descriptor) return registration;
        }
        return null;
    }

    /// The descriptor must not be in the table.
    pub fn add(table: *Table, registration: *Registration) error{OutOfMemory}!void {
        if ((table.count + 1) * 2 > table.places.len) try table.grow();
        table.put(registration);
        table.count += 1;
    }

    /// The registration must be in the table.
    pub fn remove(table: *Table, registration: *Registration) void {
        var gap = table.home(registration.descriptor);
        while (table.places[gap] != registration) gap = table.next(gap);
        var place = table.next(gap);
        while (table.places[place]) |other| : (place = table.next(place)) {
            if (table.distance(table.home(other.descriptor), place) < table.distance(gap, place)) continue;
            table.places[gap] = other;
            gap = place;
        }
        table.places[gap] = null;
        table.count -= 1;
    }

    pub fn deinit(table: *Table) void {
        if (table.places.len > 0) windows.free(@ptrCast(table.places.ptr));
        table.* = .{};
    }

    fn grow(table: *Table) error{OutOfMemory}!void {
        const length = @max(first_length, table.places.len * 2);
        const memory = windows.allocate(length * @sizeOf(?*Registration)) orelse return error.OutOfMemory;
        const places: [*]?*Registration = @ptrCast(@alignCast(memory));
        var larger: Table = .{ .places = places[0..length], .count = table.count };
        for (table.places) |place| if (place) |registration| larger.put(registration);
        table.deinit();
        table.* = larger;
    }

    fn put(table: *Table, registration: *Registration) void {
        var place = table.home(registration.descriptor);
        while (table.places[place] != null) place = table.next(place);
        table.places[place] = registration;
    }

    fn home(table: *const Table, descriptor: i32) usize {
        // Handles are multiples of four: the upper bits of the product are those that all of the number's bits went into.
        const mixed = @as(u32, @bitCast(descriptor)) *% golden_ratio;
        return (mixed >> 7) & (table.places.len - 1);
    }

    fn next(table: *const Table, place: usize) usize {
        return (place + 1) & (table.places.len - 1);
    }

    fn distance(table: *const Table, from: usize, to: usize) usize {
        return (to -% from) & (table.places.len - 1);
    }
};

/// 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
const golden_ratio: u32 = 0x9e37_79b9;

/// Enough for 32 sockets: the places of one handle of the driver.
const first_length = 64;
