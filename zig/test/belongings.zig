//! What is closed when a thread is gone: by the calls that the runtime makes then.

const std = @import("std");
const library = @import("library");
const support = @import("support.zig");

const belongings = library.belongings;
const Descriptors = belongings.Descriptors;
const QueuePage = belongings.QueuePage;
const socket = library.socket;

test "the last of those who have a queue closes it" {
    try support.external.needOneDescriptor();
    const before = support.system.countDescriptors();
    const page = QueuePage.allocate().?;
    page.retain();
    page.retain();
    _ = try support.check(page.open());
    const while_open = support.system.countDescriptors();
    page.release();
    try std.testing.expectEqual(while_open, support.system.countDescriptors());
    page.release();
    try std.testing.expectEqual(before, support.system.countDescriptors());
    try std.testing.expect(while_open > before);
}

test "a queue that was closed, or never opened, is not closed again" {
    const page = QueuePage.allocate().?;
    page.retain();
    _ = try support.check(page.open());
    _ = try support.check(page.close());
    // Whoever opens something now may get a number that was the queue's.
    var sockets: [4]i32 = undefined;
    for (&sockets) |*descriptor| descriptor.* = try openSocket();
    defer for (sockets) |descriptor| support.closeDescriptor(descriptor);
    page.release();
    for (sockets) |descriptor| try std.testing.expect(isOpen(descriptor));
}

test "what stands in a list of descriptors is closed, and nothing else" {
    const list = Descriptors.allocate().?;
    const first = try openSocket();
    const last = try openSocket();
    const kept = try openSocket();
    defer support.closeDescriptor(kept);
    try support.expectResult(first, belongings.note(&list.places[0], first));
    const pair: [2]i32 = .{ last, try openSocket() };
    try support.expectResult(0, belongings.noteBoth(&list.places[Descriptors.capacity - 1], &list.places[7], 0, &pair));
    try support.expectResult(-1, belongings.note(&list.places[1], -1));
    try support.expectResult(-1, belongings.noteBoth(&list.places[2], &list.places[3], -1, &.{ kept, kept }));
    list.release();
    try std.testing.expect(!isOpen(first));
    for (pair) |descriptor| try std.testing.expect(!isOpen(descriptor));
    try std.testing.expect(isOpen(kept));
}

test "memory is zero, and its own" {
    const length = 3 * library.memory.alignment + 1;
    const first = library.memory.map(length).?;
    const second = library.memory.map(length).?;
    for (first[0..length]) |byte| try std.testing.expectEqual(0, byte);
    @memset(first[0..length], 1);
    for (second[0..length]) |byte| try std.testing.expectEqual(0, byte);
    library.memory.unmap(first, length);
    library.memory.unmap(second, length);
}

test "memory that there is not is null" {
    try std.testing.expectEqual(null, library.memory.map(std.math.maxInt(usize) / 2));
}

fn openSocket() !i32 {
    return try support.check(socket.create(socket.Address.ipv4));
}

fn isOpen(descriptor: i32) bool {
    var value: i32 = undefined;
    return socket.getOption(descriptor, .receive_buffer_bytes, &value) == 0;
}
