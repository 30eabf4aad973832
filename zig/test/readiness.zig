//! Which bits tell what happened: on a stream, a connection and a pipe.
//!
//! Where a change comes over the network the kernel may tell it in steps, so these tests gather until all of it was
//! told, and then look that nothing was told that did not happen.

const std = @import("std");
const support = @import("support.zig");

const Connection = support.Connection;
const Errno = support.Errno;
const Pair = support.Pair;
const Pipe = support.Pipe;
const Poller = support.Poller;
const failed = support.failed;
const priority = support.priority;
const read_closed = support.read_closed;
const readable = support.readable;
const socket = support.socket;
const writable = support.writable;
const write_closed = support.write_closed;
const hung_up = support.hung_up;

const token = support.tokenOf(1);
const both = readable | writable;
const ipv4 = socket.Address.ipv4;

test "a stream with nothing to read is writable alone" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, both, .level);
    try poller.expectOnly(token, writable);
}

test "readable and writable come together, in one event" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    try poller.register(pair.own, token, both, .edge);
    try poller.expectOnly(token, both);
    try poller.expectNothing();
}

test "only what there is interest in is told" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    try pair.peerWrites("a");
    try poller.register(pair.own, token, readable, .level);
    try poller.expectOnly(token, readable);
    try poller.reregister(pair.own, token, writable, .level);
    try poller.expectOnly(token, writable);
    try poller.reregister(pair.own, token, priority, .level);
    try poller.expectNothing();
}

test "a full send buffer is not writable" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    _ = try pair.fill();
    try pair.peerWrites("a");
    try poller.register(pair.own, token, both, .level);
    try poller.expectOnly(token, readable);
}

test "half-shutdown 1 of 4: the peer's sending half closes our reading half alone" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, both, .edge);
    try support.expectResult(0, socket.shutdown(connection.peer, .write));
    const told = try poller.gather(token, read_closed);
    try std.testing.expectEqual(both | read_closed, told);
    try support.expectRead(connection.own, "");
    try support.write(connection.own, "still open");
    try support.untilReady(connection.peer, .readable);
    try support.expectRead(connection.peer, "still open");
}

test "half-shutdown 2 of 4: the peer's reading half tells us nothing" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, both, .edge);
    try poller.expectOnly(token, writable);
    try support.expectResult(0, socket.shutdown(connection.peer, .read));
    try support.write(connection.peer, "a");
    const told = try poller.gather(token, readable);
    try expectToldAgain(both, told);
}

test "half-shutdown 3 of 4: our own sending half closes nothing of our reading half" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try support.expectResult(0, socket.shutdown(connection.own, .write));
    // Writable, because a write returns at once: with EPIPE.
    try poller.register(connection.own, token, both, .edge);
    try poller.expectOnly(token, writable);
    try support.expectResult(-Errno.broken_pipe, socket.send(connection.own, "a", 1));
    try support.write(connection.peer, "a");
    try expectToldAgain(both, try poller.gather(token, readable));
}

test "half-shutdown 4 of 4: our own reading half is closed, our sending half is not" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, both, .edge);
    try poller.expectOnly(token, writable);
    try support.expectResult(0, socket.shutdown(connection.own, .read));
    if (support.features.tells_own_shutdown) try poller.expectOnly(token, both | read_closed);
    try support.expectRead(connection.own, "");
    try support.write(connection.own, "a");
    try support.untilReady(connection.peer, .readable);
}

test "the same half-shutdowns of a local stream" {
    if (!support.features.has_local_pairs) return support.skip("this system has no local streams");
    const Case = struct { shut: enum { own, peer }, half: socket.Half, readiness: u32 };
    const cases = [_]Case{
        .{ .shut = .peer, .half = .write, .readiness = both | read_closed },
        // A local stream closes the other side's sending half as well. Only a write tells that.
        .{ .shut = .peer, .half = .read, .readiness = writable },
        .{ .shut = .own, .half = .write, .readiness = writable },
        .{ .shut = .own, .half = .read, .readiness = both | read_closed },
    };
    for (cases) |case| {
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        const pair: Pair = try .open();
        defer pair.close();

        try poller.register(pair.own, token, both, .level);
        try support.expectResult(0, socket.shutdown(if (case.shut == .own) pair.own else pair.peer, case.half));
        try poller.expectOnly(token, case.readiness);
    }
}

test "both halves closed, one by each side, is a hang-up and no failure" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, both, .edge);
    try support.expectResult(0, socket.shutdown(connection.peer, .write));
    try support.expectResult(0, socket.shutdown(connection.own, .write));
    const closed = if (support.features.tells_own_shutdown) read_closed | write_closed | hung_up else read_closed;
    const told = try poller.gather(token, closed);
    try std.testing.expectEqual(both | closed, told);
}

test "bytes that came before the end are still readable" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer support.closeDescriptor(connection.own);

    try support.write(connection.peer, "last words");
    support.closeDescriptor(connection.peer);
    try poller.register(connection.own, token, readable, .edge);
    if (support.features.tells_every_change) {
        try std.testing.expectEqual(readable | read_closed, try poller.gather(token, readable | read_closed));
        try support.expectRead(connection.own, "last words");
    } else {
        // The end may be told only once all that came before it was read.
        try std.testing.expectEqual(readable, (try poller.gather(token, readable)) & ~read_closed);
        try support.expectRead(connection.own, "last words");
        try poller.rearm(connection.own, readable);
        try std.testing.expectEqual(readable | read_closed, try poller.gather(token, readable | read_closed));
    }
    try support.expectRead(connection.own, "");
}

test "the end of the peer's half does not turn a wait for writing into a spin" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const pair: Pair = try .open();
    defer pair.close();

    const sent = try pair.fill();
    try support.expectResult(0, socket.shutdown(pair.peer, .write));
    try poller.register(pair.own, token, writable, .level);
    try poller.expectNothing();
    try pair.peerReads(sent);
    try poller.expectOnly(token, writable);
}

test "a reset is told to whoever waits, for whatever" {
    try support.external.needKeptErrors();
    var has_gap = false;
    for ([_]u32{ both, readable, writable, 0 }) |interest| {
        var poller: Poller = undefined;
        try poller.open(8);
        defer poller.close();
        const connection: Connection = try .open(ipv4);
        defer support.closeDescriptor(connection.own);

        try poller.register(connection.own, token, interest, .edge);
        try support.expectResult(0, socket.setOption(connection.peer, .linger_s, 0));
        support.closeDescriptor(connection.peer);
        const closed = read_closed | write_closed | hung_up | failed;
        const told = try poller.gather(token, closed);
        try std.testing.expectEqual(interest | closed, told);
        var byte: [1]u8 = undefined;
        const result = socket.receive(connection.own, &byte, 1);
        if (result == 0 and support.system.isWine()) {
            has_gap = true;
            continue;
        }
        try support.expectResult(-Errno.connection_reset, result);
    }
    if (has_gap) return support.skip(support.emulator.no_reset);
}

test "a refused connection is told as a failure, and takeError says which" {
    try support.external.needKeptErrors();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const closed_port = try support.bound(ipv4);
    defer support.closeDescriptor(closed_port);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(closed_port, &address));
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);

    try support.expectResult(-Errno.in_progress, socket.connect(descriptor, &address));
    try poller.register(descriptor, token, writable, .edge);
    // Nothing was ever open, so both halves are closed; and a write would return at once.
    const closed = read_closed | write_closed | hung_up | failed;
    try std.testing.expectEqual(writable | closed, try poller.gather(token, closed));
    try support.expectResult(-Errno.connection_refused, socket.takeError(descriptor));
}

test "a finished connection is told as writable alone" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);

    try support.expectResult(-Errno.in_progress, socket.connect(descriptor, &address));
    try poller.register(descriptor, token, writable, .one_shot);
    try poller.expectOnly(token, writable);
    try support.expectResult(0, socket.takeError(descriptor));
}

test "a socket before its connect is told as hung up, so it is registered after its connect" {
    if (!support.features.has_epoll) return support.skip("only epoll tells anything of a socket that was not connected yet");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const descriptor = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(descriptor);

    try poller.register(descriptor, token, both, .edge);
    try poller.expectOnly(token, writable | read_closed | write_closed | hung_up);
}

test "a listener is readable when a connection waits" {
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));

    try poller.register(listener, token, readable, .edge);
    try poller.expectNothing();
    const client = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(client);
    try support.expectResult(-Errno.in_progress, socket.connect(client, &address));
    try poller.expectOnly(token, readable);
    support.closeDescriptor(try support.check(socket.accept(listener)));
}

test "a pipe whose writer is gone tells its reader, also when it is empty" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const empty: Pipe = try .open();
    defer support.closeDescriptor(empty.reader);
    const full: Pipe = try .open();
    defer support.closeDescriptor(full.reader);

    try poller.register(empty.reader, support.tokenOf(1), readable, .level);
    support.closeDescriptor(empty.writer);
    // No byte to read and no end-of-file bit of its own: a reader must take `read_closed` as a reason to read as well.
    try poller.expectOnly(support.tokenOf(1), read_closed | write_closed | hung_up);
    try support.expectRead(empty.reader, "");
    try poller.deregister(empty.reader);

    try poller.register(full.reader, support.tokenOf(2), readable, .level);
    try support.write(full.writer, "a");
    support.closeDescriptor(full.writer);
    try poller.expectOnly(support.tokenOf(2), readable | read_closed | write_closed | hung_up);
    try support.expectRead(full.reader, "a");
    try poller.expectOnly(support.tokenOf(2), read_closed | write_closed | hung_up);
}

test "a pipe whose reader is gone tells its writer, also when it is full" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const empty: Pipe = try .open();
    defer support.closeDescriptor(empty.writer);
    const full: Pipe = try .open();
    defer support.closeDescriptor(full.writer);
    const chunk: [4096]u8 = @splat('x');
    while (support.system.write(full.writer, &chunk) > 0) {}

    try poller.register(empty.writer, support.tokenOf(1), writable, .one_shot);
    try poller.expectOnly(support.tokenOf(1), writable);
    try poller.reregister(empty.writer, support.tokenOf(1), writable, .edge);
    support.closeDescriptor(empty.reader);
    try poller.expectOnly(support.tokenOf(1), writable | failed);

    try poller.register(full.writer, support.tokenOf(2), writable, .edge);
    try poller.expectNothing();
    support.closeDescriptor(full.reader);
    try std.testing.expectEqual(failed, (try poller.gather(support.tokenOf(2), failed)) & ~writable);
}

test "out-of-band data is told as priority, and only to whoever asked" {
    try support.external.needOutOfBand();
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const connection: Connection = try .open(ipv4);
    defer connection.close();

    try poller.register(connection.own, token, priority, .level);
    try poller.expectNothing();
    try support.expectResult(1, support.system.sendOutOfBand(connection.peer, "!"));
    try poller.expectOnly(token, priority);
    try poller.reregister(connection.own, token, writable, .level);
    try poller.expectOnly(token, writable);
    try poller.reregister(connection.own, token, priority | writable, .level);
    try poller.expectOnly(token, priority | writable);
}

/// That it is writable was told before, and with a new edge of the other side only some systems tell it once more.
fn expectToldAgain(expected: u32, told: u32) !void {
    const again = if (support.features.has_epoll) writable else told & writable;
    try std.testing.expectEqual(expected & ~writable | again, told);
}
