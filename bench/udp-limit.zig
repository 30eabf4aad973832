//! The limit that the UDP echo servers are compared with: one thread that takes what has come with recvmmsg(2) and
//! gives it back with sendmmsg(2), waiting in epoll when there is nothing.
//!
//!     udp-limit --port 0
//!     listening on 127.0.0.1:40321
//!
//! It ends by the default action of SIGTERM and SIGINT: there is nothing to clean up that the kernel would not.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");

const Arguments = struct { port: u16 = 0 };

/// As the servers of the package have it by default.
const slots = 64;
const slot_bytes = 2048;

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    const descriptor: i32 = @intCast(system.expect(system.createDatagramSocket(), "create a socket"));
    var address = system.Ipv4Address.init(.{ 127, 0, 0, 1 }, options.port);
    const bound = system.bind(descriptor, &address);
    if (bound < 0) system.fail("cannot bind 127.0.0.1:{d}: {s}", .{ options.port, system.errorName(bound) });
    _ = system.expect(system.localAddress(descriptor, &address), "read the socket's address");
    const queue: i32 = @intCast(system.expect(system.createQueue(), "create an epoll queue"));
    _ = system.expect(system.register(queue, descriptor, system.EPOLLIN | system.EPOLLET, 0), "register the socket");
    system.print("listening on 127.0.0.1:{d}\n", .{address.port()});
    serve(queue, descriptor);
}

fn serve(queue: i32, descriptor: i32) noreturn {
    const bytes = system.reserve(slots * slot_bytes);
    var events: [1]system.EpollEvent = undefined;
    while (true) {
        const result = system.wait(queue, &events);
        if (result == -system.EINTR) continue;
        _ = system.expect(result, "wait for events");
        while (echo(descriptor, bytes)) {}
    }
}

/// Whether there may be more.
fn echo(descriptor: i32, bytes: []u8) bool {
    var batch: system.Batch(slots) = undefined;
    var senders: [slots]system.Ipv4Address = undefined;
    batch.prepare(bytes, slot_bytes, slot_bytes, slots);
    for (&batch.messages, &senders) |*message, *sender| {
        message.name = sender;
        message.name_length = @sizeOf(system.Ipv4Address);
    }
    const received = system.receiveBatch(descriptor, &batch, slots);
    if (received == -system.EAGAIN) return false;
    const count = system.expect(received, "receive");
    for (0..count) |index| batch.parts[index].length = batch.lengthOf(index);
    const sent = system.expect(system.sendBatch(descriptor, &batch, count), "send");
    if (sent < count) system.fail("the system took {d} of {d} datagrams", .{ sent, count });
    return count == slots;
}
