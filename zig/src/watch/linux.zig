//! Watching files on Linux: inotify(7).
//!
//! Facts. A watch belongs to the inode: it stays when the file is renamed, and adding it again gives the same number.
//! Numbers of watches are not used again before they have been round. A read gives whole events, as many as fit, and
//! EINVAL if not even one does. IN_IGNORED ends each watch, and is the last that is told of it. What happens to an
//! unlinked file that is still open is told with its old name, unless IN_EXCL_UNLINK is given.
//!
//! Decision. The kernel's events go to the caller as they are, in its own memory; only the bits are turned into those
//! of the contract, in place. Reads of files, opens and closes of what was only read are not asked for: they are no
//! changes.

const std = @import("std");
const linux = @import("../linux.zig");
const watch = @import("../watch.zig");

const Event = watch.Event;
const Happened = watch.Happened;

pub fn open() i32 {
    return linux.call(.inotify_init1, .{Init.nonblock | Init.cloexec});
}

pub fn add(descriptor: i32, path: [*:0]const u8, target: watch.Target) i32 {
    const flags = switch (target) {
        .root => Native.move_self,
        .folder => Native.only_folder | Native.do_not_follow,
    };
    return linux.call(.inotify_add_watch, .{ descriptor, path, asked_for | flags });
}

pub fn remove(descriptor: i32, number: i32) i32 {
    return linux.call(.inotify_rm_watch, .{ descriptor, number });
}

pub fn read(descriptor: i32, buffer: []align(4) u8) i32 {
    const result = linux.callUninterrupted(.read, .{ descriptor, buffer.ptr, @min(buffer.len, linux.max_transfer_bytes) });
    if (result > 0) translate(buffer[0..@intCast(result)]);
    return result;
}

fn translate(bytes: []align(4) u8) void {
    var at: usize = 0;
    while (at < bytes.len) {
        // Names are filled up to a multiple of the size of an event.
        const event: *Event = @ptrCast(@alignCast(bytes[at..].ptr));
        event.happened = happenedOf(event.happened);
        at += @sizeOf(Event) + event.name_length;
    }
    std.debug.assert(at == bytes.len);
}

fn happenedOf(mask: u32) u32 {
    var happened: u32 = 0;
    inline for (meanings) |meaning| {
        if (mask & meaning[0] != 0) happened |= meaning[1];
    }
    return happened;
}

const meanings = [_]struct { u32, u32 }{
    .{ Native.create, Happened.created },
    .{ Native.modify, Happened.changed },
    .{ Native.attrib, Happened.attributes },
    .{ Native.close_write, Happened.closed },
    .{ Native.delete, Happened.removed },
    .{ Native.moved_from, Happened.moved_from },
    .{ Native.moved_to, Happened.moved_to },
    .{ Native.move_self, Happened.self_moved },
    .{ Native.ignored, Happened.ended },
    .{ Native.queue_overflow, Happened.overflow },
    .{ Native.is_folder, Happened.folder },
};

const asked_for = Native.create | Native.modify | Native.attrib | Native.close_write | Native.delete |
    Native.moved_from | Native.moved_to | Native.exclude_unlinked;

const Native = struct {
    const modify: u32 = 0x2;
    const attrib: u32 = 0x4;
    const close_write: u32 = 0x8;
    const moved_from: u32 = 0x40;
    const moved_to: u32 = 0x80;
    const create: u32 = 0x100;
    const delete: u32 = 0x200;
    const move_self: u32 = 0x800;
    const queue_overflow: u32 = 0x4000;
    const ignored: u32 = 0x8000;
    const only_folder: u32 = 0x01000000;
    const do_not_follow: u32 = 0x02000000;
    const exclude_unlinked: u32 = 0x04000000;
    const is_folder: u32 = 0x40000000;
};

const Init = struct {
    const nonblock: u32 = 0o4000;
    const cloexec: u32 = 0o2000000;
};
