//! What the backend for kqueue(2) makes of events that a kernel has and an implementation as a library has not: of one
//! filter alone, of our own shutdown, of pipes without a reader. The events are written down here, as the kernels of
//! macOS and FreeBSD make them; so these tests need no kqueue(2), and run wherever the backend compiles.

const std = @import("std");
const library = @import("library");
const support = @import("support.zig");

const Event = kernel.Event;
const Filter = kernel.Filter;
const Flag = kernel.Flag;
const Kind = library.kqueue_registry.Kind;
const Registration = library.kqueue_registry.Registration;
const failed = support.failed;
const hang_up = support.read_closed | support.write_closed | support.hung_up;
const kernel = library.kqueue_kernel;
const queue = support.queue;
const read_closed = support.read_closed;
const readable = support.readable;
const writable = support.writable;

const both = readable | writable;

fn registered(kind: Kind, interest: u32, delivery: queue.Delivery) Registration {
    var registration: Registration = .absent;
    registration.arm(1, kind, support.tokenOf(1), interest, delivery);
    return registration;
}

fn bytes(filter: i16, count: u8) Event {
    return .{ .identifier = 3, .filter = filter, .flags = 0, .data = count };
}

fn end(filter: i16) Event {
    return .{ .identifier = 3, .filter = filter, .flags = Flag.end_of_file };
}

fn endWithError(filter: i16, errno: u32) Event {
    return .{ .identifier = 3, .filter = filter, .flags = Flag.end_of_file, .filter_flags = errno };
}

test "each filter of a stream tells its own direction" {
    var registration = registered(.socket, both, .edge);
    try std.testing.expectEqual(readable, registration.take(&bytes(Filter.read, 1)));
    try std.testing.expectEqual(writable, registration.take(&bytes(Filter.write, 1)));
}

test "the end of the sending half alone is our own shutdown, and closes nothing" {
    var registration = registered(.socket, both, .edge);
    try std.testing.expectEqual(writable, registration.take(&end(Filter.write)));
    try std.testing.expectEqual(readable, registration.take(&bytes(Filter.read, 1)));
}

test "the ends of both halves are a hang-up, in either order and in different polls" {
    for ([_][2]i16{ .{ Filter.read, Filter.write }, .{ Filter.write, Filter.read } }) |order| {
        var registration = registered(.socket, both, .edge);
        const first = registration.take(&end(order[0]));
        try std.testing.expectEqual(if (order[0] == Filter.read) readable | read_closed else writable, first);
        const direction = if (order[1] == Filter.read) readable else writable;
        try std.testing.expectEqual(direction | hang_up, registration.take(&end(order[1])));
    }
}

test "arming forgets the ends that were told: the kernel tells them again" {
    var registration = registered(.socket, both, .edge);
    _ = registration.take(&end(Filter.write));
    registration.arm(2, .socket, support.tokenOf(1), both, .edge);
    try std.testing.expectEqual(readable | read_closed, registration.take(&end(Filter.read)));
}

test "an end with an error is a connection that has failed, whichever filter tells it" {
    const connection_reset = 54;
    for ([_]u32{ both, readable, writable, 0 }) |interest| {
        for ([_]i16{ Filter.read, Filter.write }) |filter| {
            var registration = registered(.socket, interest, .one_shot);
            const direction = if (filter == Filter.read) readable else writable;
            const told = registration.take(&endWithError(filter, connection_reset));
            try std.testing.expectEqual(interest & direction | hang_up | failed, told);
        }
    }
}

test "interest in nothing is told of no bytes and of no half, and of the hang-up" {
    var registration = registered(.socket, 0, .edge);
    try std.testing.expectEqual(0, registration.take(&bytes(Filter.read, 1)));
    try std.testing.expectEqual(0, registration.take(&bytes(Filter.write, 1)));
    try std.testing.expectEqual(0, registration.take(&end(Filter.read)));
    try std.testing.expectEqual(hang_up, registration.take(&end(Filter.write)));
}

test "the reader of a pipe is told of what is left before the end, and of an end without bytes" {
    var registration = registered(.pipe, readable, .level);
    var last = end(Filter.read);
    last.data = 5;
    try std.testing.expectEqual(readable | hang_up, registration.take(&last));
    try std.testing.expectEqual(hang_up, registration.take(&end(Filter.read)));
}

test "the writer of a pipe is told that its reader is gone by either filter" {
    for ([_]i16{ Filter.read, Filter.write }) |filter| {
        var registration = registered(.pipe, writable, .one_shot);
        try std.testing.expectEqual(writable | failed, registration.take(&end(filter)));
    }
}

test "a writer of a pipe is not told of bytes that come the other way" {
    var registration = registered(.pipe, writable, .edge);
    try std.testing.expect(registration.isAuxiliary(Filter.read));
    try std.testing.expectEqual(0, registration.take(&bytes(Filter.read, 1)));
}

test "the end of what is neither socket nor pipe is a hang-up" {
    var registration = registered(.other, both, .edge);
    try std.testing.expectEqual(hang_up, registration.take(&end(Filter.read)));
}

test "out-of-band data is told where there is a filter for it, and else may follow the bytes of each edge" {
    const interest = readable | support.priority;
    var edge = registered(.socket, interest, .edge);
    const with_bytes = if (kernel.has_out_of_band) readable else interest;
    try std.testing.expectEqual(with_bytes, edge.take(&bytes(Filter.read, 1)));
    var one_shot = registered(.socket, interest, .one_shot);
    try std.testing.expectEqual(readable, one_shot.take(&bytes(Filter.read, 1)));
    const mark: Event = .{ .identifier = 3, .filter = Filter.out_of_band, .flags = 0, .filter_flags = kernel.note_out_of_band };
    try std.testing.expectEqual(support.priority, edge.take(&mark));
    const end_of_it: Event = .{ .identifier = 3, .filter = Filter.out_of_band, .flags = Flag.end_of_file };
    try std.testing.expectEqual(0, edge.take(&end_of_it));
}
