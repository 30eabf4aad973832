//! What belongs to a JavaScript thread, and is closed when the thread is gone, however it went.
//!
//! Facts. A Worker that is terminated, or calls `process.exit`, runs no `finally` block and no handler any more, so its
//! descriptors stay open: its event queue's for nothing, and a listening socket goes on being handed connections that
//! nobody will ever accept. But the runtime destroys the Worker's heap, on the Worker's own thread and after the Workers
//! that were started in it have ended (measured with Bun 1.4.5); and memory of ours that the heap knows as an ArrayBuffer
//! is then given back by calling a function of ours. What else is in that heap, shared memory included, may be gone by
//! then.
//!
//! Decision. What must be closed is written down in mapped pages, which a heap gets as an ArrayBuffer with one of the
//! `release` functions here. A queue is in such a page itself: the thread that serves it has the page as well, and the last
//! of the two closes the queue. All other descriptors of a Worker are in `Descriptors`,
//! from within the call that opens them on. A main thread needs none of that,
//! since the process ends with it; its queues are kept in the same way all the same, so that there is one way.

const std = @import("std");
const memory = @import("memory.zig");
const queue = @import("queue.zig");
const socket = @import("socket.zig");

/// A queue, and who has it.
pub const QueuePage = extern struct {
    queue: queue.Queue,
    /// Whether it is to be closed with the page.
    is_open: u32,
    users: u32,

    /// Belongs to nobody yet.
    pub fn allocate() ?*QueuePage {
        return @ptrCast(memory.map(@sizeOf(QueuePage)) orelse return null);
    }

    pub fn open(page: *QueuePage) i32 {
        const result = queue.open(&page.queue);
        if (result >= 0) page.is_open = 1;
        return result;
    }

    pub fn close(page: *QueuePage) i32 {
        page.is_open = 0;
        return queue.close(&page.queue);
    }

    pub fn retain(page: *QueuePage) void {
        _ = @atomicRmw(u32, &page.users, .Add, 1, .monotonic);
    }

    /// One of those who have it is gone.
    pub fn release(page: *QueuePage) void {
        if (@atomicRmw(u32, &page.users, .Sub, 1, .acq_rel) != 1) return;
        if (page.is_open != 0) _ = queue.close(&page.queue);
        memory.unmap(@ptrCast(@alignCast(page)), @sizeOf(QueuePage));
    }
};

/// Notes what a call has opened, if it has; returns the call's result.
pub fn note(place: *i32, descriptor: i32) i32 {
    if (descriptor >= 0) place.* = descriptor + 1;
    return descriptor;
}

/// The same for a call that opens two.
pub fn noteBoth(first: *i32, second: *i32, result: i32, pair: *const [2]i32) i32 {
    if (result >= 0) {
        first.* = pair[0] + 1;
        second.* = pair[1] + 1;
    }
    return result;
}

/// A list of descriptors, in no order, each one higher than it is: what is zero is free.
pub const Descriptors = extern struct {
    places: [capacity]i32,

    /// With their end in view: a Worker that has more takes another list.
    pub const capacity = 4096;

    pub fn allocate() ?*Descriptors {
        return @ptrCast(memory.map(@sizeOf(Descriptors)) orelse return null);
    }

    /// Their owner is gone.
    pub fn release(list: *Descriptors) void {
        for (&list.places) |place| if (place > 0) {
            _ = socket.close(place - 1);
        };
        memory.unmap(@ptrCast(@alignCast(list)), @sizeOf(Descriptors));
    }
};

comptime {
    // src/native/library.ts checks the same numbers when it loads the library.
    std.debug.assert(@sizeOf(QueuePage) == 72);
    std.debug.assert(@offsetOf(QueuePage, "is_open") == 64);
    std.debug.assert(@sizeOf(Descriptors) == 16_384);
}
