//! Every function that the library exports, and nothing else: the border to `bun:ffi`.
//!
//! Results are `i32`: what the call yields, or a negated errno. Pointers come from JavaScript as views, valid for the
//! call; a queue and a ring lie in shared memory that outlives them. A timeout is a double, because a 64-bit integer
//! would be a BigInt on the other side; a double counts nanoseconds exactly for 104 days.

const std = @import("std");
const belongings = @import("belongings.zig");
const clock = @import("clock.zig");
const datagram = @import("datagram.zig");
const file = @import("file.zig");
const process = @import("process.zig");
const provenance = @import("provenance.zig");
const queue = @import("queue.zig");
const ring = @import("ring.zig");
const socket = @import("socket.zig");
const terminal = @import("terminal.zig");
const unix = @import("unix.zig");
const watch = @import("watch.zig");

/// Raise it with every change of a signature or of a layout; `src/native/library.ts` refuses any other.
const abi_version: u32 = 4;

/// A failed assertion traps where it is checked (Debug, ReleaseSafe): there is no standard error of our own to write to,
/// and nothing to unwind. The build that is shipped (ReleaseFast) checks none, so `src/` refuses first what would fail.
pub const panic = std.debug.no_panic;

export fn bun_reactor_abi_version() u32 {
    return abi_version;
}

/// The sizes that both sides must agree on, by number; 0 for a number that means nothing.
export fn bun_reactor_size_bytes(structure: u32) u32 {
    return switch (structure) {
        0 => @sizeOf(queue.Queue),
        1 => @sizeOf(ring.Ring),
        2 => @sizeOf(ring.Entry),
        3 => @sizeOf(socket.Address),
        4 => @sizeOf(socket.Part),
        5 => @sizeOf(unix.Address),
        6 => @sizeOf(unix.Message),
        7 => @sizeOf(datagram.Slot),
        8 => @sizeOf(terminal.Mode),
        9 => @sizeOf(terminal.Line),
        10 => @sizeOf(terminal.WindowSize),
        11 => @sizeOf(watch.Event),
        12 => @sizeOf(file.PipePair),
        13 => @sizeOf(belongings.QueuePage),
        14 => @sizeOf(belongings.Descriptors),
        else => 0,
    };
}

/// Where this file comes from, as text that ends with a zero.
export fn bun_reactor_provenance() [*:0]const u8 {
    return provenance.text;
}

export fn clock_monotonic_ns() f64 {
    return @floatFromInt(clock.monotonicNow_ns());
}

/// A page for a queue, which belongs to nobody yet; null if there is no memory.
export fn queue_allocate() ?*belongings.QueuePage {
    return belongings.QueuePage.allocate();
}

export fn queue_retain(page: *belongings.QueuePage) void {
    page.retain();
}

/// To be called by the runtime when a heap that had the page as an ArrayBuffer is done with it.
export fn queue_release(page: *belongings.QueuePage, context: ?*anyopaque) void {
    _ = context;
    page.release();
}

/// A list of descriptors; null if there is no memory.
export fn descriptors_allocate() ?*belongings.Descriptors {
    return belongings.Descriptors.allocate();
}

/// Closes what is in the list. To be called by the runtime when the heap that had it as an ArrayBuffer is gone.
export fn descriptors_release(list: *belongings.Descriptors, context: ?*anyopaque) void {
    _ = context;
    list.release();
}

/// The queue of a page, which notes within this call that it is open: its thread may be ended right after it.
export fn queue_open(page: *belongings.QueuePage) i32 {
    return page.open();
}

export fn queue_close(page: *belongings.QueuePage) i32 {
    return page.close();
}

export fn queue_register(q: *queue.Queue, descriptor: i32, slot: u32, generation: u32, interest: u32, delivery: u32) i32 {
    const token: ring.Token = .{ .slot = slot, .generation = generation };
    return queue.register(q, descriptor, token, interest, @enumFromInt(delivery));
}

export fn queue_reregister(q: *queue.Queue, descriptor: i32, slot: u32, generation: u32, interest: u32, delivery: u32) i32 {
    const token: ring.Token = .{ .slot = slot, .generation = generation };
    return queue.reregister(q, descriptor, token, interest, @enumFromInt(delivery));
}

export fn queue_deregister(q: *queue.Queue, descriptor: i32) i32 {
    return queue.deregister(q, descriptor);
}

export fn queue_rearm(q: *queue.Queue, descriptor: i32, interest: u32) i32 {
    return queue.rearm(q, descriptor, interest);
}

/// Waits at most `timeout_ns`; infinity waits for ever, and what is not above zero does not wait.
export fn queue_poll(q: *queue.Queue, r: *ring.Ring, timeout_ns: f64) i32 {
    return queue.poll(q, r, toNanoseconds(timeout_ns));
}

export fn queue_wake(q: *queue.Queue) i32 {
    return queue.wake(q);
}

export fn socket_create(family: u32) i32 {
    return socket.create(family);
}

export fn socket_bind(descriptor: i32, address: *const socket.Address) i32 {
    return socket.bind(descriptor, address);
}

export fn socket_listen(descriptor: i32, backlog: i32) i32 {
    return socket.listen(descriptor, backlog);
}

export fn socket_accept(descriptor: i32) i32 {
    return socket.accept(descriptor);
}

export fn socket_connect(descriptor: i32, address: *const socket.Address) i32 {
    return socket.connect(descriptor, address);
}

export fn socket_take_error(descriptor: i32) i32 {
    return socket.takeError(descriptor);
}

export fn socket_receive(descriptor: i32, buffer: [*]u8, offset: u32, length: u32) i32 {
    return socket.receive(descriptor, buffer + offset, length);
}

export fn socket_send(descriptor: i32, buffer: [*]const u8, offset: u32, length: u32) i32 {
    return socket.send(descriptor, buffer + offset, length);
}

export fn socket_send_vectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    return socket.sendVectored(descriptor, parts, count);
}

export fn socket_shutdown(descriptor: i32, half: u32) i32 {
    return socket.shutdown(descriptor, @enumFromInt(half));
}

export fn socket_close(descriptor: i32) i32 {
    return socket.close(descriptor);
}

export fn socket_set_option(descriptor: i32, option: u32, value: i32) i32 {
    return socket.setOption(descriptor, @enumFromInt(option), value);
}

export fn socket_get_option(descriptor: i32, option: u32, value: *i32) i32 {
    return socket.getOption(descriptor, @enumFromInt(option), value);
}

export fn socket_local_address(descriptor: i32, address: *socket.Address) i32 {
    return socket.localAddress(descriptor, address);
}

export fn socket_peer_address(descriptor: i32, address: *socket.Address) i32 {
    return socket.peerAddress(descriptor, address);
}

export fn file_read(descriptor: i32, buffer: [*]u8, offset: u32, length: u32) i32 {
    return file.read(descriptor, buffer + offset, length);
}

export fn file_write(descriptor: i32, buffer: [*]const u8, offset: u32, length: u32) i32 {
    return file.write(descriptor, buffer + offset, length);
}

export fn file_write_vectored(descriptor: i32, parts: [*]const socket.Part, count: u32) i32 {
    return file.writeVectored(descriptor, parts, count);
}

export fn file_is_non_blocking(descriptor: i32) i32 {
    return file.isNonBlocking(descriptor);
}

export fn file_set_non_blocking(descriptor: i32, is_on: u32) i32 {
    return file.setNonBlocking(descriptor, is_on != 0);
}

export fn file_make_pipe(pair: *file.PipePair) i32 {
    return file.makePipe(pair);
}

export fn file_open(path: [*:0]const u8, access: u32) i32 {
    return file.open(path, @enumFromInt(access));
}

export fn file_make_fifo(path: [*:0]const u8, mode: u32) i32 {
    return file.makeFifo(path, mode);
}

export fn file_duplicate(descriptor: i32) i32 {
    return file.duplicate(descriptor);
}

export fn terminal_open_controller() i32 {
    return terminal.openController();
}

export fn terminal_number(controller: i32) i32 {
    return terminal.numberOf(controller);
}

export fn terminal_open_peer(controller: i32) i32 {
    return terminal.openPeer(controller);
}

export fn terminal_get_mode(descriptor: i32, mode: *terminal.Mode) i32 {
    return terminal.getMode(descriptor, mode);
}

export fn terminal_set_mode(descriptor: i32, mode: *const terminal.Mode) i32 {
    return terminal.setMode(descriptor, mode);
}

export fn terminal_make_raw(mode: *terminal.Mode) void {
    terminal.makeRaw(mode);
}

export fn terminal_configure_line(mode: *terminal.Mode, line: *const terminal.Line) i32 {
    return terminal.configureLine(mode, line);
}

export fn terminal_describe_line(mode: *const terminal.Mode, line: *terminal.Line) void {
    terminal.describeLine(mode, line);
}

export fn terminal_get_window_size(descriptor: i32, size: *terminal.WindowSize) i32 {
    return terminal.getWindowSize(descriptor, size);
}

export fn terminal_set_window_size(descriptor: i32, size: *const terminal.WindowSize) i32 {
    return terminal.setWindowSize(descriptor, size);
}

export fn terminal_modem_lines(descriptor: i32) i32 {
    return terminal.modemLines(descriptor);
}

export fn terminal_change_modem_lines(descriptor: i32, on: u32, off: u32) i32 {
    return terminal.changeModemLines(descriptor, on, off);
}

export fn terminal_set_break(descriptor: i32, is_on: u32) i32 {
    return terminal.setBreak(descriptor, is_on != 0);
}

export fn terminal_unsent_bytes(descriptor: i32) i32 {
    return terminal.unsentBytes(descriptor);
}

export fn terminal_is_transmitter_empty(descriptor: i32) i32 {
    return terminal.isTransmitterEmpty(descriptor);
}

export fn terminal_discard(descriptor: i32, queued: u32) i32 {
    return terminal.discard(descriptor, @enumFromInt(queued));
}

export fn terminal_set_exclusive(descriptor: i32, is_on: u32) i32 {
    return terminal.setExclusive(descriptor, is_on != 0);
}

export fn unix_create(kind: u32) i32 {
    return unix.create(@enumFromInt(kind));
}

export fn unix_make_pair(kind: u32, pair: *unix.Pair) i32 {
    return unix.makePair(@enumFromInt(kind), pair);
}

export fn unix_bind(descriptor: i32, address: *const unix.Address) i32 {
    return unix.bind(descriptor, address);
}

export fn unix_connect(descriptor: i32, address: *const unix.Address) i32 {
    return unix.connect(descriptor, address);
}

export fn unix_local_address(descriptor: i32, address: *unix.Address) i32 {
    return unix.localAddress(descriptor, address);
}

export fn unix_peer_address(descriptor: i32, address: *unix.Address) i32 {
    return unix.peerAddress(descriptor, address);
}

export fn unix_peer_credentials(descriptor: i32, credentials: *unix.Credentials) i32 {
    return unix.peerCredentials(descriptor, credentials);
}

export fn unix_pass_credentials(descriptor: i32) i32 {
    return unix.passCredentials(descriptor);
}

export fn unix_queued_bytes(descriptor: i32) i32 {
    return unix.queuedBytes(descriptor);
}

export fn unix_send(
    descriptor: i32,
    bytes: [*]const u8,
    length: u32,
    to: ?*const unix.Address,
    descriptors: [*]const i32,
    descriptor_count: u32,
) i32 {
    return unix.send(descriptor, bytes[0..length], to, descriptors[0..descriptor_count]);
}

export fn unix_receive(
    descriptor: i32,
    bytes: [*]u8,
    length: u32,
    kind: u32,
    most_descriptors: u32,
    has_sender: u32,
    message: *unix.Message,
) i32 {
    const room: unix.Room = .{ .descriptors = most_descriptors, .has_sender = has_sender != 0 };
    return unix.receive(descriptor, bytes[0..length], @enumFromInt(kind), room, message);
}

export fn datagram_create(family: u32) i32 {
    return datagram.create(family);
}

export fn datagram_disconnect(descriptor: i32) i32 {
    return datagram.disconnect(descriptor);
}

export fn datagram_send(descriptor: i32, families: u32, bytes: [*]const u8, length: u32, to: ?*const socket.Address) i32 {
    return datagram.send(descriptor, @enumFromInt(families), bytes[0..length], to);
}

export fn datagram_receive(descriptor: i32, bytes: [*]u8, length: u32, slot: *datagram.Slot) i32 {
    return datagram.receive(descriptor, bytes[0..length], slot);
}

export fn datagram_send_batch(
    descriptor: i32,
    families: u32,
    bytes: [*]const u8,
    slot_bytes: u32,
    slots: [*]const datagram.Slot,
    first: u32,
    count: u32,
) i32 {
    const start = bytes + @as(usize, first) * slot_bytes;
    return datagram.sendBatch(descriptor, @enumFromInt(families), start, slot_bytes, slots[first..][0..count]);
}

export fn datagram_receive_batch(
    descriptor: i32,
    bytes: [*]u8,
    slot_bytes: u32,
    slots: [*]datagram.Slot,
    count: u32,
) i32 {
    return datagram.receiveBatch(descriptor, bytes, slot_bytes, slots[0..count]);
}

export fn datagram_set_option(descriptor: i32, family: u32, option: u32, value: i32) i32 {
    return datagram.setOption(descriptor, family, @enumFromInt(option), value);
}

export fn datagram_set_membership(descriptor: i32, group: *const socket.Address, interface: u32, is_member: u32) i32 {
    return datagram.setMembership(descriptor, group, interface, is_member != 0);
}

export fn datagram_interface_index(name: [*:0]const u8) i32 {
    return datagram.interfaceIndex(name);
}

export fn process_open(process_id: i32) i32 {
    return process.open(process_id);
}

export fn process_peek_status(descriptor: i32) i32 {
    return process.peekStatus(descriptor);
}

export fn process_signal_group(group_id: i32, signal: u32) i32 {
    return process.signalGroup(group_id, signal);
}

export fn watch_open() i32 {
    return watch.open();
}

export fn watch_add(descriptor: i32, path: [*:0]const u8, target: u32) i32 {
    return watch.add(descriptor, path, @enumFromInt(target));
}

export fn watch_remove(descriptor: i32, number: i32) i32 {
    return watch.remove(descriptor, number);
}

export fn watch_read(descriptor: i32, buffer: [*]align(4) u8, length: u32) i32 {
    return watch.read(descriptor, buffer[0..length]);
}

/// A wait is rounded up to the next nanosecond, so that it never ends early, and shortened to what fits.
fn toNanoseconds(timeout_ns: f64) i64 {
    if (std.math.isPositiveInf(timeout_ns)) return queue.forever;
    if (!(timeout_ns > 0)) return 0;
    // Without @ceil, which is a function of a library on processors before SSE 4.1.
    const shortened = @min(timeout_ns, max_timeout_ns);
    const whole: i64 = @intFromFloat(shortened);
    return whole + @intFromBool(@as(f64, @floatFromInt(whole)) < shortened);
}

/// A year: the caller asks again when it has passed.
const max_timeout_ns: f64 = 365 * 24 * 60 * 60 * 1e9;

// What opens something, as a Worker calls it: noted in the Worker's list within the call. Between two calls a Worker can be
// terminated.

export fn noted_socket_create(family: u32, place: *i32) i32 {
    return belongings.note(place, socket.create(family));
}

export fn noted_socket_accept(listener: i32, place: *i32) i32 {
    return belongings.note(place, socket.accept(listener));
}

export fn noted_datagram_create(family: u32, place: *i32) i32 {
    return belongings.note(place, datagram.create(family));
}

export fn noted_unix_create(kind: u32, place: *i32) i32 {
    return belongings.note(place, unix.create(@enumFromInt(kind)));
}

export fn noted_unix_make_pair(kind: u32, pair: *unix.Pair, first: *i32, second: *i32) i32 {
    return belongings.noteBoth(first, second, unix.makePair(@enumFromInt(kind), pair), @ptrCast(pair));
}

export fn noted_file_open(path: [*:0]const u8, access: u32, place: *i32) i32 {
    return belongings.note(place, file.open(path, @enumFromInt(access)));
}

export fn noted_file_make_pipe(pair: *file.PipePair, first: *i32, second: *i32) i32 {
    return belongings.noteBoth(first, second, file.makePipe(pair), @ptrCast(pair));
}

export fn noted_terminal_open_controller(place: *i32) i32 {
    return belongings.note(place, terminal.openController());
}

export fn noted_terminal_open_peer(controller: i32, place: *i32) i32 {
    return belongings.note(place, terminal.openPeer(controller));
}

export fn noted_process_open(process_id: i32, place: *i32) i32 {
    return belongings.note(place, process.open(process_id));
}

export fn noted_watch_open(place: *i32) i32 {
    return belongings.note(place, watch.open());
}

/// Closes what is noted at `place`, which is free then.
export fn noted_close(descriptor: i32, place: *i32) i32 {
    // Before the close: right after it the number may be another thread's.
    place.* = 0;
    return socket.close(descriptor);
}
