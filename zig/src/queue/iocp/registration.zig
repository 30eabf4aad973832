//! A socket that is registered with a queue, and its polls.
//!
//! It lives from `register` until it was deregistered (or its socket closed) and the packets of its polls came, whichever
//! is later: the memory of the polls is in it.
//!
//! Facts. A poll that is pending ends when the handle is closed. Between a poll's answer and the next poll nothing does,
//! and the number may be in use again by then.
//!
//! Decision. A source of others (`level`, `one_shot`) has a second poll, for the close alone: its owner may close it at
//! any time. Who registers an `edge` source deregisters it before the close, so it needs none, which saves two system calls
//! for each connection. Everything here happens under the registry's lock.

const std = @import("std");
const afd = @import("afd.zig");
const queue = @import("../../queue.zig");
const ring_file = @import("../../ring.zig");
const windows = @import("../../windows.zig");
const Drivers = @import("drivers.zig");

const Event = afd.Event;
const Node = std.DoublyLinkedList.Node;
const Readiness = ring_file.Readiness;

pub const Registration = struct {
    /// Asks for what there is interest in.
    readiness_poll: Poll,
    /// Asks for the close of the handle alone.
    close_poll: Poll,
    descriptor: i32,
    /// The socket of the base provider.
    base: windows.Socket,
    token: ring_file.Token,
    interest: u32,
    delivery: queue.Delivery,
    is_datagram: bool,
    /// Through whom it is polled.
    driver: *Drivers.Driver,
    /// Events that are still to be told.
    wanted: u32,
    /// The number of the queue's poll in which `readiness_poll` was submitted, or after which.
    submitted_at: u64 = 0,
    /// What became ready and is not in the ring yet.
    found: u32 = 0,
    is_registered: bool = true,
    /// In one of the lists of those that are to be polled (anew).
    poll_node: Node = .{},
    poll_list: PollList = .none,
    /// In the list of those of which something was found.
    ready_node: Node = .{},
    is_ready: bool = false,

    pub const PollList = enum { none, due, later };

    pub fn fromPollNode(node: *Node) *Registration {
        return @fieldParentPtr("poll_node", node);
    }

    pub fn fromReadyNode(node: *Node) *Registration {
        return @fieldParentPtr("ready_node", node);
    }

    /// That the handle was closed is always asked for, so that a number that is in use again is not taken for the socket
    /// that was registered.
    pub fn submitReadinessPoll(registration: *Registration, poll_number: u64) u32 {
        registration.submitted_at = poll_number;
        const events = registration.wanted | Event.local_close;
        return registration.readiness_poll.submit(registration, events, @intFromPtr(registration));
    }

    pub fn submitClosePoll(registration: *Registration) u32 {
        return registration.close_poll.submit(registration, Event.local_close, @intFromPtr(registration) | close_tag);
    }

    /// Whom a packet is for.
    pub fn fromContext(context: usize) struct { *Registration, *Poll } {
        const registration: *Registration = @ptrFromInt(context & ~close_tag);
        const is_close = context & close_tag != 0;
        return .{ registration, if (is_close) &registration.close_poll else &registration.readiness_poll };
    }

    /// Whether the kernel writes to none of its polls any more.
    pub fn isIdle(registration: *const Registration) bool {
        return registration.readiness_poll.state == .none and registration.close_poll.state == .none;
    }

    /// The poll that ends when the handle is closed, if one is pending at this moment.
    pub fn guardingPoll(registration: *Registration) ?*Poll {
        if (registration.close_poll.state == .pending) return &registration.close_poll;
        if (registration.readiness_poll.state == .pending) return &registration.readiness_poll;
        return null;
    }

    pub fn isCovered(registration: *const Registration) bool {
        return registration.wanted & ~registration.readiness_poll.events == 0;
    }

    /// Takes down what an answer says. Returns whether there is something to tell.
    pub fn note(registration: *Registration, events: u32) bool {
        const fresh = events & registration.wanted;
        if (fresh == 0) return false;
        registration.found |= registration.toReadiness(fresh);
        if (registration.delivery == .edge) registration.wanted &= ~fresh;
        return registration.found != 0;
    }

    /// What was found is told now. Returns it.
    pub fn take(registration: *Registration) u32 {
        const found = registration.found;
        registration.found = 0;
        if (found != 0 and registration.delivery == .one_shot) registration.wanted = 0;
        return found;
    }

    /// On a reset and on a failed connect whoever waits must look, for whatever it waits. Of a datagram socket it is an error
    /// that waits to be fetched, after which the socket goes on. At the end of what the peer sends a read returns at once.
    fn toReadiness(registration: *const Registration, events: u32) u32 {
        const has_failed = events & (Event.abort | Event.connect_fail) != 0;
        const is_broken = has_failed and !registration.is_datagram;
        var asked: u32 = 0;
        if (is_broken or events & (Event.receive | Event.accept | Event.disconnect) != 0) asked |= Readiness.readable;
        if (is_broken or events & Event.send != 0) asked |= Readiness.writable;
        if (events & Event.receive_expedited != 0) asked |= Readiness.priority;
        var readiness = asked & registration.interest;
        if (events & Event.disconnect != 0) readiness |= Readiness.read_closed;
        if (has_failed) readiness |= Readiness.failed;
        if (is_broken) readiness |= Readiness.read_closed | Readiness.write_closed | Readiness.hung_up;
        return readiness;
    }
};

/// One of a registration's polls.
pub const Poll = struct {
    operation: afd.Operation = .{},
    state: State = .none,
    /// What it asks for.
    events: u32 = 0,

    pub const State = enum {
        none,
        pending,
        /// Its packet has still to come.
        cancelled,
    };

    /// Returns whether there was something to cancel. The packet comes in either case.
    pub fn cancel(poll: *Poll, registration: *const Registration) bool {
        std.debug.assert(poll.state == .pending);
        poll.state = .cancelled;
        return poll.operation.cancel(registration.driver.handle);
    }

    fn submit(poll: *Poll, registration: *const Registration, events: u32, context: usize) u32 {
        std.debug.assert(poll.state == .none);
        const status = poll.operation.submit(registration.driver.handle, registration.base, events, context);
        if (status != 0) return status;
        poll.state = .pending;
        poll.events = events;
        return 0;
    }
};

/// Memory of the heap is aligned to more than this.
const close_tag: usize = 1;

/// A reset and a failed connect are always told. That the peer sends no more is told with interest in reading, where it is
/// an answer.
pub fn toEvents(interest: u32) u32 {
    var events: u32 = Event.abort | Event.connect_fail;
    if (interest & Readiness.readable != 0) events |= Event.receive | Event.accept | Event.disconnect;
    if (interest & Readiness.writable != 0) events |= Event.send;
    if (interest & Readiness.priority != 0) events |= Event.receive_expedited;
    return events;
}
