//! The watching of files, in folders of the test's own.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Poller = support.Poller;
const linux = @import("library").linux;
const watch = support.watch;

const Happened = watch.Happened;

test "a file that is made, written and removed is told of by name" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    const root = try folder.add("", .root);
    folder.make("file", "text");
    folder.remove("file", 0);
    var events: Events = .{};
    try events.read(folder.watcher);
    _ = try events.expect(root, Happened.created, "file");
    _ = try events.expect(root, Happened.changed, "file");
    _ = try events.expect(root, Happened.closed, "file");
    _ = try events.expect(root, Happened.removed, "file");
    try events.expectEnd(folder.watcher);
}

test "folders say that they are, and a change of attributes is told" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    const root = try folder.add("", .root);
    folder.makeFolder("inner");
    folder.changeMode("inner", 0o700);
    folder.remove("inner", remove_folder);
    var events: Events = .{};
    try events.read(folder.watcher);
    _ = try events.expect(root, Happened.created | Happened.folder, "inner");
    _ = try events.expect(root, Happened.attributes | Happened.folder, "inner");
    _ = try events.expect(root, Happened.removed | Happened.folder, "inner");
    try events.expectEnd(folder.watcher);
}

test "the two halves of a move have one cookie, and other moves have others" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    folder.make("one", "");
    const root = try folder.add("", .root);
    folder.move("one", "two");
    folder.move("two", "three");
    var events: Events = .{};
    try events.read(folder.watcher);
    const from = try events.expect(root, Happened.moved_from, "one");
    const to = try events.expect(root, Happened.moved_to, "two");
    const next = try events.expect(root, Happened.moved_from, "two");
    _ = try events.expect(root, Happened.moved_to, "three");
    try std.testing.expect(from.cookie != 0);
    try std.testing.expectEqual(from.cookie, to.cookie);
    try std.testing.expect(next.cookie != from.cookie);
}

test "a root tells of its own move and of its end, a folder inside of its end only" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    for ([_]watch.Target{ .root, .folder }) |target| {
        var folder: Folder = try .open();
        defer folder.close();
        folder.makeFolder("inner");
        const inner = try folder.add("inner", target);
        folder.move("inner", "other");
        folder.remove("other", remove_folder);
        var events: Events = .{};
        try events.read(folder.watcher);
        if (target == .root) _ = try events.expect(inner, Happened.self_moved, "");
        _ = try events.expect(inner, Happened.ended, "");
        try events.expectEnd(folder.watcher);
    }
}

test "a watch that is removed ends, and one that is not there is EINVAL" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    const root = try folder.add("", .root);
    try support.expectResult(0, watch.remove(folder.watcher, root));
    try support.expectResult(-Errno.invalid_argument, watch.remove(folder.watcher, root));
    var events: Events = .{};
    try events.read(folder.watcher);
    _ = try events.expect(root, Happened.ended, "");
    // The next one has a number of its own.
    try std.testing.expect(try folder.add("", .root) != root);
}

test "a file that is watched already keeps its number, also under another name" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    folder.makeFolder("one");
    const number = try folder.add("one", .folder);
    try std.testing.expectEqual(number, try folder.add("one", .folder));
    folder.move("one", "two");
    try std.testing.expectEqual(number, try folder.add("two", .folder));
}

test "a root may be a file or a symbolic link, a folder inside neither" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    folder.make("file", "");
    folder.makeFolder("target");
    folder.link("target", "link");
    _ = try folder.add("file", .root);
    const target = try folder.add("target", .root);
    try std.testing.expectEqual(target, try folder.add("link", .root));
    for ([_][]const u8{ "file", "link" }) |name| {
        try support.expectResult(-Errno.not_a_folder, folder.tryAdd(name, .folder));
    }
    try support.expectResult(-Errno.no_entry, folder.tryAdd("missing", .root));
    try support.expectResult(-Errno.no_entry, folder.tryAdd("missing", .folder));
}

test "nothing to tell is EAGAIN, and the queue says when there is something" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    _ = try folder.add("", .root);
    var events: Events = .{};
    try events.expectEnd(folder.watcher);
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    const token = support.tokenOf(1);
    try poller.register(folder.watcher, token, support.readable, .edge);
    try poller.expectNothing();
    folder.make("file", "");
    _ = try poller.gather(token, support.readable);
}

test "a buffer that has no room for one event is EINVAL, and nothing is lost" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    const root = try folder.add("", .root);
    folder.makeFolder("inner");
    var small: [@sizeOf(watch.Event)]u8 align(4) = undefined;
    try support.expectResult(-Errno.invalid_argument, watch.read(folder.watcher, &small));
    var events: Events = .{};
    try events.read(folder.watcher);
    _ = try events.expect(root, Happened.created | Happened.folder, "inner");
}

test "a watcher is close-on-exec" {
    if (!support.features.has_watching) return support.skip("this system's files are not watched by this library");
    var folder: Folder = try .open();
    defer folder.close();
    try std.testing.expect(try support.system.isCloseOnExec(folder.watcher));
}

/// A folder under /tmp, and a watcher.
const Folder = struct {
    watcher: i32,
    directory: i32,
    name: [64:0]u8,
    length: usize,

    fn open() !Folder {
        var folder: Folder = undefined;
        const name = try std.fmt.bufPrintZ(&folder.name, "/tmp/bun-reactor-{d}-{d}", .{
            try support.check(linux.call(.getppid, .{0})),
            linux.monotonicNow_ns(),
        });
        folder.length = name.len;
        _ = try support.check(linux.call(.mkdirat, .{ current_folder, name.ptr, 0o755 }));
        folder.directory = try support.check(linux.call(.openat, .{ current_folder, name.ptr, open_folder, 0 }));
        folder.watcher = try support.check(watch.open());
        return folder;
    }

    fn close(folder: *Folder) void {
        support.closeDescriptor(folder.watcher);
        for ([_][:0]const u8{ "file", "three", "link" }) |name| folder.removeIfThere(name, 0);
        for ([_][:0]const u8{ "inner", "one", "two", "target" }) |name| folder.removeIfThere(name, remove_folder);
        support.closeDescriptor(folder.directory);
        std.debug.assert(linux.call(.unlinkat, .{ current_folder, &folder.name, remove_folder }) == 0);
    }

    fn add(folder: *Folder, name: []const u8, target: watch.Target) !i32 {
        return support.check(folder.tryAdd(name, target));
    }

    fn tryAdd(folder: *Folder, name: []const u8, target: watch.Target) i32 {
        var path: [128]u8 = undefined;
        const whole = std.fmt.bufPrintZ(&path, "{s}/{s}", .{ folder.name[0..folder.length], name }) catch unreachable;
        return watch.add(folder.watcher, whole.ptr, target);
    }

    fn make(folder: *Folder, name: [:0]const u8, text: []const u8) void {
        const descriptor = linux.call(.openat, .{ folder.directory, name.ptr, create_and_write, 0o600 });
        std.debug.assert(descriptor >= 0);
        if (text.len > 0) std.debug.assert(linux.call(.write, .{ descriptor, text.ptr, text.len }) == text.len);
        support.closeDescriptor(descriptor);
    }

    fn makeFolder(folder: *Folder, name: [:0]const u8) void {
        std.debug.assert(linux.call(.mkdirat, .{ folder.directory, name.ptr, 0o755 }) == 0);
    }

    fn changeMode(folder: *Folder, name: [:0]const u8, mode: u32) void {
        std.debug.assert(linux.call(.fchmodat, .{ folder.directory, name.ptr, mode }) == 0);
    }

    fn link(folder: *Folder, to: [:0]const u8, name: [:0]const u8) void {
        std.debug.assert(linux.call(.symlinkat, .{ to.ptr, folder.directory, name.ptr }) == 0);
    }

    fn move(folder: *Folder, from: [:0]const u8, to: [:0]const u8) void {
        std.debug.assert(linux.call(.renameat2, .{ folder.directory, from.ptr, folder.directory, to.ptr, 0 }) == 0);
    }

    fn remove(folder: *Folder, name: [:0]const u8, flags: u32) void {
        std.debug.assert(linux.call(.unlinkat, .{ folder.directory, name.ptr, flags }) == 0);
    }

    fn removeIfThere(folder: *Folder, name: [:0]const u8, flags: u32) void {
        const result = linux.call(.unlinkat, .{ folder.directory, name.ptr, flags });
        std.debug.assert(result == 0 or result == -Errno.no_entry or result == -Errno.not_a_folder);
    }
};

/// What one read has brought.
const Events = struct {
    memory: [4096]u8 align(4) = undefined,
    length: usize = 0,
    at: usize = 0,

    fn read(events: *Events, watcher: i32) !void {
        events.length = @intCast(try support.check(watch.read(watcher, &events.memory)));
        events.at = 0;
    }

    fn expect(events: *Events, number: i32, happened: u32, name: []const u8) !watch.Event {
        try std.testing.expect(events.at < events.length);
        const event: watch.Event = std.mem.bytesToValue(watch.Event, events.memory[events.at..][0..@sizeOf(watch.Event)]);
        const bytes = events.memory[events.at + @sizeOf(watch.Event) ..][0..event.name_length];
        events.at += @sizeOf(watch.Event) + event.name_length;
        const end = std.mem.indexOfScalar(u8, bytes, 0) orelse bytes.len;
        try std.testing.expectEqualStrings(name, bytes[0..end]);
        try std.testing.expectEqual(happened, event.happened);
        try std.testing.expectEqual(number, event.watch);
        return event;
    }

    fn expectEnd(events: *Events, watcher: i32) !void {
        try std.testing.expectEqual(events.length, events.at);
        try support.expectResult(-Errno.again, watch.read(watcher, &events.memory));
    }
};

const current_folder: i32 = -100;
const remove_folder: u32 = 0x200;
const open_folder: u32 = 0o2000000;
const create_and_write: u32 = 0o101;
