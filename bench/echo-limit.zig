//! The limit that the echo servers are compared with: one thread, epoll, and nothing else.
//!
//! What makes it fast: connections are registered once, edge-triggered for both directions, so no `epoll_ctl` follows;
//! a receive shorter than the buffer means drained, so no second `recv` is needed to see EAGAIN; and all connections share
//! one buffer, which stays in the cache. Only what a short send leaves behind is copied, to a place of the connection's
//! own, and the connection is not read until that is gone.
//!
//!     echo-limit --port 0
//!     listening on 127.0.0.1:40321
//!
//! It ends by the default action of SIGTERM and SIGINT: there is nothing to clean up that the kernel would not.

const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const std = @import("std");

const Arguments = struct { port: u16 = 0 };

const buffer_bytes = 64 * 1024;
const batch_events = 512;
/// Descriptors are indexes into `connections`, so this bounds them: 20,000 connections and some to spare.
const descriptors_max = 32 * 1024;
/// The kernel clamps it to net.core.somaxconn.
const backlog = 4096;

/// The tail of an echo that the socket's send buffer did not take yet.
const Pending = struct {
    start: u32 = 0,
    end: u32 = 0,
};

const Server = struct {
    queue: i32,
    listener: i32,
    buffer: []u8,
    pending: []Pending,
    /// `buffer_bytes` for each descriptor, of which only those that ever had a short send take up memory.
    pending_bytes: []u8,

    fn run(server: *Server) noreturn {
        var events: [batch_events]system.EpollEvent = undefined;
        while (true) {
            const result = system.wait(server.queue, &events);
            if (result == -system.EINTR) continue;
            for (events[0..system.expect(result, "wait for events")]) |event| {
                const descriptor: i32 = @intCast(event.data);
                const ended = event.events & system.EPOLLRDHUP != 0;
                if (descriptor == server.listener) server.acceptAll() else server.serve(descriptor, ended);
            }
        }
    }

    fn acceptAll(server: *Server) void {
        while (true) {
            const result = system.accept(server.listener);
            if (result == -system.EAGAIN) return;
            const descriptor: i32 = @intCast(system.expect(result, "accept a connection"));
            if (descriptor >= descriptors_max) system.fail("more than {d} descriptors", .{descriptors_max});
            _ = system.expect(system.setNoDelay(descriptor), "set TCP_NODELAY");
            server.pending[@intCast(descriptor)] = .{};
            const interest = system.EPOLLIN | system.EPOLLOUT | system.EPOLLRDHUP | system.EPOLLET;
            _ = system.expect(system.register(server.queue, descriptor, interest, @intCast(descriptor)), "register a connection");
        }
    }

    fn serve(server: *Server, descriptor: i32, ended: bool) void {
        if (!server.sendPending(descriptor)) return;
        while (true) {
            const received = system.receive(descriptor, server.buffer);
            if (received == -system.EAGAIN) return;
            // 0 is the peer's end, a negative number a broken connection: neither has more to say.
            if (received <= 0) return system.close(descriptor);
            const length: usize = @intCast(received);
            if (!server.echo(descriptor, server.buffer[0..length])) return;
            // A short receive proves that the socket is drained, and the next edge will tell of more. The peer's end
            // is no byte: when it came within this edge, no other edge follows, so read on to meet it.
            if (length < server.buffer.len and !ended) return;
        }
    }

    /// Whether everything was sent.
    fn echo(server: *Server, descriptor: i32, bytes: []const u8) bool {
        const sent = sendSome(descriptor, bytes) orelse {
            system.close(descriptor);
            return false;
        };
        if (sent == bytes.len) return true;
        const rest = bytes[sent..];
        @memcpy(server.pendingSpace(descriptor)[0..rest.len], rest);
        server.pending[@intCast(descriptor)] = .{ .end = @intCast(rest.len) };
        // The edge that says "writable" may have come between the short send and here.
        return server.sendPending(descriptor);
    }

    /// Whether nothing is pending any more, and the connection still open.
    fn sendPending(server: *Server, descriptor: i32) bool {
        const pending = &server.pending[@intCast(descriptor)];
        if (pending.start == pending.end) return true;
        while (pending.start < pending.end) {
            const sent = sendSome(descriptor, server.pendingSpace(descriptor)[pending.start..pending.end]) orelse {
                system.close(descriptor);
                return false;
            };
            if (sent == 0) return false;
            pending.start += @intCast(sent);
        }
        return true;
    }

    fn pendingSpace(server: *Server, descriptor: i32) []u8 {
        return server.pending_bytes[@as(usize, @intCast(descriptor)) * buffer_bytes ..][0..buffer_bytes];
    }
};

/// How much was sent, 0 when the socket's buffer is full; null when the connection is broken.
fn sendSome(descriptor: i32, bytes: []const u8) ?usize {
    const result = system.send(descriptor, bytes);
    if (result == -system.EAGAIN) return 0;
    return if (result < 0) null else @intCast(result);
}

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    // A refusal leaves the limit as it is; accepting says so if that turns out to be too few.
    _ = system.allowDescriptors(descriptors_max);

    const listener = listen(options.port);
    const queue: i32 = @intCast(system.expect(system.createQueue(), "create an epoll queue"));
    _ = system.expect(system.register(queue, listener, system.EPOLLIN, @intCast(listener)), "register the listener");

    const pending = system.reserve(descriptors_max * @sizeOf(Pending));
    var server: Server = .{
        .queue = queue,
        .listener = listener,
        .buffer = system.reserve(buffer_bytes),
        .pending = @as([*]Pending, @ptrCast(@alignCast(pending.ptr)))[0..descriptors_max],
        .pending_bytes = system.reserve(descriptors_max * buffer_bytes),
    };
    server.run();
}

fn listen(port: u16) i32 {
    const listener: i32 = @intCast(system.expect(system.createSocket(system.SOCK_NONBLOCK), "create a socket"));
    var address = system.Ipv4Address.init(.{ 127, 0, 0, 1 }, port);
    _ = system.expect(system.setReuseAddress(listener), "set SO_REUSEADDR");
    const bound = system.bind(listener, &address);
    if (bound < 0) system.fail("cannot listen on 127.0.0.1:{d}: {s}", .{ port, system.errorName(bound) });
    _ = system.expect(system.listen(listener, backlog), "listen");
    _ = system.expect(system.localAddress(listener, &address), "read the listener's address");
    system.print("listening on 127.0.0.1:{d}\n", .{address.port()});
    return listener;
}
