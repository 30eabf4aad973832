//! What a kqueue(2) that is a library may leave out (`-Dqueue=kqueue` on Linux; libkqueue leaves out all of it). Each
//! gap is found out by raw calls, to which kqueue(2) of a kernel has another answer; so a test is skipped only over an
//! implementation that has the gap.

const std = @import("std");
const library = @import("library");
const support = @import("../support.zig");

const kernel = library.kqueue_kernel;
const Event = kernel.Event;
const Filter = kernel.Filter;
const Flag = kernel.Flag;
const ipv4 = library.socket.Address.ipv4;

/// kqueue(2): whether out-of-band data is told. macOS has a filter for it.
pub fn needOutOfBand() !void {
    if (support.features.has_kqueue and !kernel.has_out_of_band) return support.skip("this kqueue(2) has no filter for out-of-band data");
}

/// kqueue(2): "calling close() on a file descriptor will remove any kevents that reference the descriptor."
pub fn needForgottenNumbers() !void {
    if (try remembersNumbers()) return support.skip("this kqueue(2) keeps the filters of a number that was closed");
}

pub fn remembersNumbers() !bool {
    if (!support.features.has_kqueue) return false;
    const kq = try open();
    defer support.closeDescriptor(kq);
    const pair: support.Pair = try .open();
    defer support.closeDescriptor(pair.peer);
    try support.expectResult(0, change(kq, pair.own, Filter.read, Flag.add));
    support.closeDescriptor(pair.own);
    const next: support.Pair = try .openWithNumber(pair.own);
    defer next.close();
    return change(kq, next.own, Filter.read, Flag.delete) == 0;
}

/// kqueue(2): the error of a socket is told beside the event, and stays for the call that takes it.
pub fn needKeptErrors() !void {
    if (!support.features.has_kqueue) return;
    const kq = try open();
    defer support.closeDescriptor(kq);
    const closed_port = try support.bound(ipv4);
    defer support.closeDescriptor(closed_port);
    var address: library.socket.Address = undefined;
    try support.expectResult(0, library.socket.localAddress(closed_port, &address));
    const descriptor = try support.check(library.socket.create(ipv4));
    defer support.closeDescriptor(descriptor);
    try support.expectResult(-support.Errno.in_progress, library.socket.connect(descriptor, &address));
    try support.untilReady(descriptor, .writable);
    try support.expectResult(0, change(kq, descriptor, Filter.write, Flag.add));
    try support.expectResult(1, fetchOne(kq));
    if (library.socket.takeError(descriptor) == -support.Errno.connection_refused) return;
    return support.skip("this kqueue(2) takes the error of a socket when it tells the event");
}

/// kqueue(2): what a call has no room for, the next one tells.
pub fn forgetsWaitingEvents() !bool {
    if (!support.features.has_kqueue) return false;
    const kq = try open();
    defer support.closeDescriptor(kq);
    const pair: support.Pair = try .open();
    defer pair.close();
    try support.write(pair.peer, "a");
    for ([_]i16{ Filter.read, Filter.write }) |filter| {
        try support.expectResult(0, change(kq, pair.own, filter, Flag.add | Flag.edge));
    }
    for (0..2) |_| {
        if (fetchOne(kq) != 1) return true;
    }
    return false;
}

/// kqueue(2): a queue is one descriptor.
pub fn needOneDescriptor() !void {
    if (!support.features.has_kqueue) return;
    var queues: [9]i32 = undefined;
    for (&queues, 0..) |*kq, index| {
        const before = support.system.countDescriptors();
        kq.* = try open();
        const taken = support.system.countDescriptors() -% before;
        // The first may take more, for all that come after it.
        if (index == 0 or taken == 1) continue;
        for (queues[0 .. index + 1]) |each| support.closeDescriptor(each);
        return support.skip("this kqueue(2) has more descriptors than one for a queue, and closes them later than that");
    }
    for (queues) |kq| support.closeDescriptor(kq);
}

fn open() !i32 {
    return support.check(kernel.result(kernel.kqueue()));
}

fn change(kq: i32, descriptor: i32, filter: i16, flags: u16) i32 {
    const event: Event = .{ .identifier = @intCast(descriptor), .filter = filter, .flags = flags };
    return kernel.result(kernel.kevent(kq, @ptrCast(&event), 1, null, 0, null));
}

fn fetchOne(kq: i32) i32 {
    var event: Event = undefined;
    const at_once: kernel.Timespec = .fromNanoseconds(0);
    return kernel.result(kernel.kevent(kq, null, 0, @ptrCast(&event), 1, &at_once));
}
