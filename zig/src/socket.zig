//! Socket calls: one contract, an implementation for each family of operating systems.
//!
//! Every socket is non-blocking and close-on-exec from its birth. Results below zero are negated errno values; a call that
//! would block returns `-EAGAIN` and is tried again when the event queue says that the descriptor is ready.

const std = @import("std");
const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("socket/posix.zig"),
    .windows => @import("socket/windows.zig"),
    else => @compileError("there are no socket calls for this operating system yet"),
};

/// An internet address, the same on every platform: `sockaddr` is not (its length byte, its family numbers).
pub const Address = extern struct {
    family: u32,
    /// In host byte order.
    port: u32,
    /// The index of the interface of a link-local IPv6 address, else 0.
    scope: u32,
    reserved: u32 = 0,
    /// In network byte order; IPv4 uses the first four.
    bytes: [16]u8,

    pub const ipv4: u32 = 4;
    pub const ipv6: u32 = 6;
};

/// A part of a vectored send. Has the layout of `struct iovec`.
pub const Part = extern struct {
    base: [*]const u8,
    length: usize,
};

pub const Option = enum(u32) {
    no_delay = 0,
    keep_alive = 1,
    keep_alive_idle_s = 2,
    keep_alive_interval_s = 3,
    keep_alive_count = 4,
    reuse_address = 5,
    reuse_port = 6,
    ipv6_only = 7,
    receive_buffer_bytes = 8,
    send_buffer_bytes = 9,
    /// Seconds that a close waits for unsent data; 0 resets the connection at once; below 0 is off.
    linger_s = 10,
};

pub const Half = enum(u32) { read = 0, write = 1, both = 2 };

pub const create = backend.create;
pub const bind = backend.bind;
pub const listen = backend.listen;
pub const accept = backend.accept;
pub const connect = backend.connect;
pub const takeError = backend.takeError;
pub const receive = backend.receive;
pub const send = backend.send;
pub const sendVectored = backend.sendVectored;
pub const shutdown = backend.shutdown;
pub const close = backend.close;
pub const setOption = backend.setOption;
pub const getOption = backend.getOption;
pub const localAddress = backend.localAddress;
pub const peerAddress = backend.peerAddress;

comptime {
    expect(@TypeOf(create) == fn (u32) i32);
    expect(@TypeOf(bind) == fn (i32, *const Address) i32);
    expect(@TypeOf(listen) == fn (i32, i32) i32);
    expect(@TypeOf(accept) == fn (i32) i32);
    expect(@TypeOf(connect) == fn (i32, *const Address) i32);
    expect(@TypeOf(takeError) == fn (i32) i32);
    expect(@TypeOf(receive) == fn (i32, [*]u8, usize) i32);
    expect(@TypeOf(send) == fn (i32, [*]const u8, usize) i32);
    expect(@TypeOf(sendVectored) == fn (i32, [*]const Part, u32) i32);
    expect(@TypeOf(shutdown) == fn (i32, Half) i32);
    expect(@TypeOf(close) == fn (i32) i32);
    expect(@TypeOf(setOption) == fn (i32, Option, i32) i32);
    expect(@TypeOf(getOption) == fn (i32, Option, *i32) i32);
    expect(@TypeOf(localAddress) == fn (i32, *Address) i32);
    expect(@TypeOf(peerAddress) == fn (i32, *Address) i32);
    // src/native/library.ts checks the same numbers when it loads the library.
    std.debug.assert(@sizeOf(Address) == 32);
    std.debug.assert(@offsetOf(Address, "bytes") == 16);
    std.debug.assert(@sizeOf(Part) == 16);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the socket calls of this platform do not meet the contract in socket.zig");
}
