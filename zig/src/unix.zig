//! Sockets of the unix domain: one contract, an implementation for each family of operating systems.
//!
//! Every socket is non-blocking and close-on-exec from its birth, and so is every descriptor that is received. Results
//! below zero are negated errno values; a call that would block returns `-EAGAIN`. What all sockets share (accept,
//! shutdown, plain send and receive) is in `socket.zig`.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("unix/posix.zig"),
    .windows => @import("unix/windows.zig"),
    else => @compileError("there are no unix sockets for this operating system yet"),
};

pub const Kind = enum(u32) { stream = 0, datagram = 1 };

/// A name: a path, an abstract name (which begins with a zero byte), or none.
pub const Address = extern struct {
    /// How many bytes the name has; 0 for none.
    length: u32,
    bytes: [108]u8,
};

pub const Pair = extern struct { left: i32, right: i32 };

pub const Credentials = extern struct { process_id: i32, user_id: u32, group_id: u32 };

/// The kernel passes no more at once (SCM_MAX_FD).
pub const most_descriptors = 253;

/// What is taken besides the bytes of a message.
pub const Room = struct {
    /// How many descriptors; more are closed by the kernel.
    descriptors: u32,
    /// Whether `passCredentials` was called for the socket. If it was not, the room for credentials serves descriptors
    /// too, and some more than were asked for may come.
    has_sender: bool,
};

/// What came with the bytes of a message.
pub const Message = extern struct {
    flags: u32,
    descriptor_count: u32,
    sender: Credentials,
    reserved: [3]u32 = @splat(0),
    address: Address,
    descriptors: [256]i32,

    /// The message was longer than the buffer; the rest is gone.
    pub const truncated: u32 = 1;
    /// More descriptors were passed than there was room for, or than the process may have open; the rest is closed.
    pub const descriptors_truncated: u32 = 2;
    /// `sender` is known.
    pub const has_sender: u32 = 4;
};

pub const create = backend.create;
pub const makePair = backend.makePair;
pub const bind = backend.bind;
pub const connect = backend.connect;
pub const localAddress = backend.localAddress;
pub const peerAddress = backend.peerAddress;
pub const peerCredentials = backend.peerCredentials;
pub const passCredentials = backend.passCredentials;
pub const queuedBytes = backend.queuedBytes;
pub const send = backend.send;
pub const receive = backend.receive;

comptime {
    expect(@TypeOf(create) == fn (Kind) i32);
    expect(@TypeOf(makePair) == fn (Kind, *Pair) i32);
    expect(@TypeOf(bind) == fn (i32, *const Address) i32);
    expect(@TypeOf(connect) == fn (i32, *const Address) i32);
    expect(@TypeOf(localAddress) == fn (i32, *Address) i32);
    expect(@TypeOf(peerAddress) == fn (i32, *Address) i32);
    expect(@TypeOf(peerCredentials) == fn (i32, *Credentials) i32);
    expect(@TypeOf(passCredentials) == fn (i32) i32);
    expect(@TypeOf(queuedBytes) == fn (i32) i32);
    expect(@TypeOf(send) == fn (i32, []const u8, ?*const Address, []const i32) i32);
    expect(@TypeOf(receive) == fn (i32, []u8, Kind, Room, *Message) i32);
    // src/native/library.ts checks the same numbers when it loads the library.
    expect(@sizeOf(Address) == 112);
    expect(@sizeOf(Message) == 1168);
    expect(@offsetOf(Message, "address") == 32);
    expect(@offsetOf(Message, "descriptors") == 144);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the unix sockets of this platform do not meet the contract in unix.zig");
}
