//! A socket that is registered with a queue, and its poll.
//!
//! It lives from `register` until it was deregistered (or its socket closed) and its last poll's packet came, whichever is
//! later: the poll's memory is in it. Everything here happens under the registry's lock.

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
    operation: afd.Operation,
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
    /// Events that the pending poll asks for.
    polled: u32 = 0,
    poll: PollState = .none,
    /// The number of the queue's poll before which this one was submitted.
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

    pub const PollState = enum {
        none,
        pending,
        /// To be submitted anew, once its packet came.
        cancelled,
    };

    pub const PollList = enum { none, due, later };

    pub fn fromOperation(context: *anyopaque) *Registration {
        const operation: *afd.Operation = @ptrCast(@alignCast(context));
        return @fieldParentPtr("operation", operation);
    }

    pub fn fromPollNode(node: *Node) *Registration {
        return @fieldParentPtr("poll_node", node);
    }

    pub fn fromReadyNode(node: *Node) *Registration {
        return @fieldParentPtr("ready_node", node);
    }

    /// That the handle was closed is always asked for, so that a number that is in use again is not taken for the socket
    /// that was registered.
    pub fn submit(registration: *Registration, poll_number: u64) u32 {
        std.debug.assert(registration.poll == .none);
        const events = registration.wanted | Event.local_close;
        const status = registration.operation.submit(registration.driver.handle, registration.base, events);
        if (status != 0) return status;
        registration.poll = .pending;
        registration.polled = events;
        registration.submitted_at = poll_number;
        return 0;
    }

    /// Returns whether there was something to cancel.
    pub fn cancel(registration: *Registration) bool {
        std.debug.assert(registration.poll == .pending);
        registration.poll = .cancelled;
        return registration.operation.cancel(registration.driver.handle);
    }

    pub fn isCovered(registration: *const Registration) bool {
        return registration.wanted & ~registration.polled == 0;
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

/// A reset and a failed connect are always told. That the peer sends no more is told with interest in reading, where it is
/// an answer.
pub fn toEvents(interest: u32) u32 {
    var events: u32 = Event.abort | Event.connect_fail;
    if (interest & Readiness.readable != 0) events |= Event.receive | Event.accept | Event.disconnect;
    if (interest & Readiness.writable != 0) events |= Event.send;
    if (interest & Readiness.priority != 0) events |= Event.receive_expedited;
    return events;
}
