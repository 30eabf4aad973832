//! The handles of the driver that the sockets of a queue are polled through.
//!
//! Facts. Every pending poll is in a list of the handle that it was submitted through, and cancelling one walks that list.
//! A handle costs the process some kernel memory, and opening one is slow.
//!
//! Decision. A handle serves at most 32 sockets, as in wepoll and mio: so a cancel stays cheap with any number of
//! connections, and a thousand connections take 32 handles. The last handle of a queue stays open when its last socket
//! leaves, because the next one mostly comes soon; others are closed.

const std = @import("std");
const afd = @import("afd.zig");
const windows = @import("../../windows.zig");

const Drivers = @This();
const Node = std.DoublyLinkedList.Node;

port: windows.Handle,
/// What the packets of polls are known by.
key: usize,
with_room: std.DoublyLinkedList = .{},
count: usize = 0,

pub const Driver = struct {
    handle: windows.Handle,
    user_count: u32,
    node: Node,

    fn fromNode(node: *Node) *Driver {
        return @fieldParentPtr("node", node);
    }
};

/// A handle for one more socket; on failure the thread's last error says why.
pub fn acquire(drivers: *Drivers) error{Refused}!*Driver {
    const driver = if (drivers.with_room.first) |node| Driver.fromNode(node) else try drivers.add();
    driver.user_count += 1;
    if (driver.user_count == most_users) drivers.with_room.remove(&driver.node);
    return driver;
}

pub fn release(drivers: *Drivers, driver: *Driver) void {
    if (driver.user_count == most_users) drivers.with_room.prepend(&driver.node);
    driver.user_count -= 1;
    if (driver.user_count == 0 and drivers.count > 1) drivers.remove(driver);
}

/// Nobody may use one any more.
pub fn deinit(drivers: *Drivers) void {
    while (drivers.with_room.first) |node| drivers.remove(Driver.fromNode(node));
    std.debug.assert(drivers.count == 0);
}

fn add(drivers: *Drivers) error{Refused}!*Driver {
    const handle = try afd.open(drivers.port, drivers.key);
    const memory = windows.allocate(@sizeOf(Driver)) orelse {
        _ = windows.CloseHandle(handle);
        windows.SetLastError(out_of_memory);
        return error.Refused;
    };
    const driver: *Driver = @ptrCast(@alignCast(memory));
    driver.* = .{ .handle = handle, .user_count = 0, .node = .{} };
    drivers.with_room.prepend(&driver.node);
    drivers.count += 1;
    return driver;
}

fn remove(drivers: *Drivers, driver: *Driver) void {
    drivers.with_room.remove(&driver.node);
    drivers.count -= 1;
    _ = windows.CloseHandle(driver.handle);
    windows.free(driver);
}

const most_users = 32;

/// ERROR_OUTOFMEMORY
const out_of_memory: u32 = 14;
