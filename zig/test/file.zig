//! The calls on descriptors of any kind: pipes, named pipes, files, and the mode of what others have opened.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Pair = support.Pair;
const Poller = support.Poller;
const file = support.file;
const system = support.system;

const token = support.tokenOf(1);

test "a pipe: bytes go in at one end and come out at the other, then its end" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    const pipe = try open();
    defer support.closeDescriptor(pipe.reader);
    try support.expectResult(5, file.write(pipe.writer, "hello", 5));
    var buffer: [16]u8 = undefined;
    try support.expectResult(3, file.read(pipe.reader, &buffer, 3));
    try support.expectResult(2, file.read(pipe.reader, buffer[3..], 13));
    try std.testing.expectEqualStrings("hello", buffer[0..5]);
    try support.expectResult(-Errno.again, file.read(pipe.reader, &buffer, buffer.len));
    support.closeDescriptor(pipe.writer);
    try support.expectResult(0, file.read(pipe.reader, &buffer, buffer.len));
}

test "a pipe: both ends are non-blocking and closed on exec" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    const pipe = try open();
    defer close(pipe);
    for ([_]i32{ pipe.reader, pipe.writer }) |end| {
        try support.expectResult(1, file.isNonBlocking(end));
        try std.testing.expect(try system.isCloseOnExec(end));
    }
}

test "a pipe that is full takes a part, then would block, and is writable again once it was drained" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    const pipe = try open();
    defer close(pipe);
    const chunk: [4096 * 32]u8 = @splat('x');
    const taken = try support.check(file.write(pipe.writer, &chunk, chunk.len));
    try std.testing.expect(taken > 0 and taken < chunk.len);
    try support.expectResult(-Errno.again, file.write(pipe.writer, &chunk, chunk.len));
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    try poller.register(pipe.writer, token, support.writable, .edge);
    try poller.expectNothing();
    try std.testing.expectEqual(@as(usize, @intCast(taken)), try support.drain(pipe.reader));
    try poller.expectOnly(token, support.writable);
    try support.expectResult(1, file.write(pipe.writer, "x", 1));
}

test "a pipe whose reader is gone: EPIPE, once the signal is ignored" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    const pipe = try open();
    defer support.closeDescriptor(pipe.writer);
    support.closeDescriptor(pipe.reader);
    // Bun ignores SIGPIPE, as Node.js does; a handler of a test does as well.
    var handler: system.Handler = .install(.pipe);
    defer handler.remove();
    try support.expectResult(-Errno.broken_pipe, file.write(pipe.writer, "x", 1));
    const parts = [_]support.socket.Part{.{ .base = "x", .length = 1 }};
    try support.expectResult(-Errno.broken_pipe, file.writeVectored(pipe.writer, &parts, parts.len));
}

test "a vectored write joins its parts in order, empty ones too" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    const pipe = try open();
    defer close(pipe);
    const texts = [_][]const u8{ "one", "", " ", "two" };
    var parts: [texts.len]support.socket.Part = undefined;
    for (texts, &parts) |text, *part| part.* = .{ .base = text.ptr, .length = text.len };
    try support.expectResult(7, file.writeVectored(pipe.writer, &parts, parts.len));
    try support.expectRead(pipe.reader, "one two");
}

test "a pipe that meets the descriptor limit leaves no descriptor behind" {
    if (!support.features.has_pipes) return support.skip("this system's pipes cannot be waited for");
    try support.external.needOneDescriptor();
    const before = support.system.countDescriptors();
    const limit: system.DescriptorLimit = try .read();
    const next: u64 = @intCast(try support.closedNumber());
    // Room for one of the two ends, and for none.
    for ([_]u64{ next + 1, next }) |lowered| {
        try limit.set(lowered);
        var pair: file.PipePair = undefined;
        const result = file.makePipe(&pair);
        try limit.set(limit.current);
        try support.expectResult(-Errno.too_many_descriptors, result);
    }
    try std.testing.expectEqual(before, support.system.countDescriptors());
}

test "the mode is read and set, and belongs to the open file: a duplicate has it too" {
    if (!support.features.has_status_flags) return support.skip("this system tells nobody whether a socket is non-blocking");
    const pair: Pair = try .open();
    defer pair.close();
    const duplicate = try support.check(file.duplicate(pair.own));
    defer support.closeDescriptor(duplicate);
    try support.expectResult(1, file.isNonBlocking(pair.own));
    for ([_]bool{ false, false, true, true, false }) |is_on| {
        try support.expectResult(0, file.setNonBlocking(pair.own, is_on));
        try support.expectResult(@intFromBool(is_on), file.isNonBlocking(pair.own));
        try support.expectResult(@intFromBool(is_on), file.isNonBlocking(duplicate));
        try support.expectResult(1, file.isNonBlocking(pair.peer));
    }
}

test "setting the mode changes no other flag of the open file" {
    if (!support.features.has_status_flags) return support.skip("this system tells nobody whether a socket is non-blocking");
    var folder: Folder = try .open();
    defer folder.close();
    const descriptor = try system.openForAppending(folder.path("file"));
    defer support.closeDescriptor(descriptor);
    const before = try system.statusFlags(descriptor);
    try support.expectResult(0, file.setNonBlocking(descriptor, true));
    try std.testing.expect(try system.isNonBlocking(descriptor));
    try std.testing.expect(try system.statusFlags(descriptor) != before);
    try support.expectResult(0, file.setNonBlocking(descriptor, false));
    try std.testing.expectEqual(before, try system.statusFlags(descriptor));
}

test "a duplicate is another number for the same open file, and closed on exec" {
    if (!support.features.has_duplicates) return support.skip("this system's sockets have no duplicates");
    const pair: Pair = try .open();
    defer support.closeDescriptor(pair.peer);
    const duplicate = try support.check(file.duplicate(pair.own));
    defer support.closeDescriptor(duplicate);
    try std.testing.expect(duplicate != pair.own);
    try std.testing.expect(try system.isCloseOnExec(duplicate));
    support.closeDescriptor(pair.own);
    try support.write(pair.peer, "for both");
    try support.expectRead(duplicate, "for both");
}

test "a named pipe: its reader opens at once and waits for a writer, whose end it is told" {
    if (!support.features.has_files) return support.skip("this system's descriptors are sockets alone");
    var folder: Folder = try .open();
    defer folder.close();
    const path = folder.path("pipe");
    try support.expectResult(0, file.makeFifo(path, 0o600));
    try support.expectResult(-Errno.exists, file.makeFifo(path, 0o600));
    try support.expectResult(-Errno.no_such_address, file.open(path, .write));
    const reader = try support.check(file.open(path, .read));
    defer support.closeDescriptor(reader);
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    // A read says that it is at its end before the first writer has come; the event queue does not.
    var buffer: [8]u8 = undefined;
    try support.expectResult(0, file.read(reader, &buffer, buffer.len));
    try poller.register(reader, token, support.readable, .edge);
    try poller.expectNothing();
    const writer = try support.check(file.open(path, .write));
    for ([_]i32{ reader, writer }) |end| {
        try support.expectResult(1, file.isNonBlocking(end));
        try std.testing.expect(try system.isCloseOnExec(end));
    }
    try support.expectResult(2, file.write(writer, "hi", 2));
    try poller.expectOnly(token, support.readable);
    support.closeDescriptor(writer);
    _ = try poller.gather(token, support.read_closed | support.hung_up);
    try support.expectResult(2, file.read(reader, &buffer, buffer.len));
    try support.expectResult(0, file.read(reader, &buffer, buffer.len));
}

test "a named pipe is opened both ways as well" {
    if (!support.features.has_files) return support.skip("this system's descriptors are sockets alone");
    var folder: Folder = try .open();
    defer folder.close();
    const path = folder.path("pipe");
    try support.expectResult(0, file.makeFifo(path, 0o600));
    const both = try support.check(file.open(path, .both));
    defer support.closeDescriptor(both);
    try support.expectResult(2, file.write(both, "hi", 2));
    try support.expectRead(both, "hi");
}

test "what is not there, and what may not be opened so, is refused" {
    if (!support.features.has_files) return support.skip("this system's descriptors are sockets alone");
    var folder: Folder = try .open();
    defer folder.close();
    try support.expectResult(-Errno.no_entry, file.open(folder.path("nothing"), .read));
    try support.expectResult(-Errno.no_entry, file.open("", .read));
    try support.expectResult(-Errno.is_a_folder, file.open("/", .write));
    try support.expectResult(-Errno.not_a_folder, file.makeFifo("/dev/null/pipe", 0o600));
}

test "a directory can be opened, and not be read" {
    if (!support.features.has_files) return support.skip("this system's descriptors are sockets alone");
    const descriptor = try support.check(file.open("/", .read));
    defer support.closeDescriptor(descriptor);
    var buffer: [8]u8 = undefined;
    try support.expectResult(-Errno.is_a_folder, file.read(descriptor, &buffer, buffer.len));
}

test "a closed number is refused by every call with EBADF" {
    const pair: Pair = try .open();
    support.closeDescriptor(pair.peer);
    support.closeDescriptor(pair.own);
    var buffer: [1]u8 = undefined;
    const parts = [_]support.socket.Part{.{ .base = &buffer, .length = 1 }};
    for ([_]i32{ pair.own, -1 }) |number| {
        try support.expectResult(-Errno.bad_descriptor, file.read(number, &buffer, 1));
        try support.expectResult(-Errno.bad_descriptor, file.write(number, &buffer, 1));
        try support.expectResult(-Errno.bad_descriptor, file.writeVectored(number, &parts, 1));
        try support.expectResult(-Errno.bad_descriptor, file.setNonBlocking(number, true));
        if (support.features.has_status_flags) try support.expectResult(-Errno.bad_descriptor, file.isNonBlocking(number));
        if (support.features.has_duplicates) try support.expectResult(-Errno.bad_descriptor, file.duplicate(number));
    }
}

fn open() !file.PipePair {
    var pair: file.PipePair = undefined;
    try support.expectResult(0, file.makePipe(&pair));
    return pair;
}

fn close(pipe: file.PipePair) void {
    support.closeDescriptor(pipe.reader);
    support.closeDescriptor(pipe.writer);
}

/// A folder of this test alone, which is removed with the one thing that a test makes in it.
const Folder = struct {
    temporary: std.testing.TmpDir,
    buffer: [128]u8,
    length: usize,

    fn open() !Folder {
        var folder: Folder = .{ .temporary = std.testing.tmpDir(.{}), .buffer = undefined, .length = 0 };
        const text = try std.fmt.bufPrint(&folder.buffer, ".zig-cache/tmp/{s}/", .{folder.temporary.sub_path});
        folder.length = text.len;
        return folder;
    }

    fn close(folder: *Folder) void {
        folder.temporary.cleanup();
    }

    /// Valid until the next call.
    fn path(folder: *Folder, name: []const u8) [*:0]const u8 {
        @memcpy(folder.buffer[folder.length..][0..name.len], name);
        folder.buffer[folder.length + name.len] = 0;
        return @ptrCast(&folder.buffer);
    }
};
