//! Batches of datagrams where the system has no call for them: one call for each, until one fails.
//!
//! A failure behind the first ends the batch, and is not told: what went before it counts.

const datagram = @import("../datagram.zig");
const socket = @import("../socket.zig");

const Address = socket.Address;
const Families = datagram.Families;
const Slot = datagram.Slot;

/// `send` is the platform's call for a single one.
pub fn sendBatch(
    comptime send: fn (i32, Families, []const u8, ?*const Address) i32,
    descriptor: i32,
    families: Families,
    bytes: [*]const u8,
    slot_bytes: u32,
    slots: []const Slot,
) i32 {
    for (slots, 0..) |*slot, index| {
        const start = bytes + index * slot_bytes;
        const to: ?*const Address = if (slot.address.family == 0) null else &slot.address;
        const result = send(descriptor, families, start[0..@min(slot.length, slot_bytes)], to);
        if (result < 0) return if (index == 0) result else @intCast(index);
    }
    return @intCast(slots.len);
}

/// `receive` is the platform's call for a single one.
pub fn receiveBatch(
    comptime receive: fn (i32, []u8, *Slot) i32,
    descriptor: i32,
    bytes: [*]u8,
    slot_bytes: u32,
    slots: []Slot,
) i32 {
    for (slots, 0..) |*slot, index| {
        const start = bytes + index * slot_bytes;
        const result = receive(descriptor, start[0..slot_bytes], slot);
        if (result < 0) return if (index == 0) result else @intCast(index);
    }
    return @intCast(slots.len);
}
