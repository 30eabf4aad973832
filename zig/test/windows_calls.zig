//! Calls that are otherwise on Windows: connections that break before they are accepted, ports that can be stolen, answers of
//! the network to datagrams, and codes of three families.

const std = @import("std");
const library = @import("library");
const support = @import("support.zig");

const Errno = support.Errno;
const datagram = support.datagram;
const socket = support.socket;
const ipv4 = socket.Address.ipv4;

const calls = library.windows.calls;

test "connections that break while they wait do not end the accepting" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));
    for (0..5) |_| {
        for (0..8) |_| {
            const client = try connectTo(&address);
            try support.expectResult(0, socket.setOption(client, .linger_s, 0));
            support.closeDescriptor(client);
        }
        const last = try connectTo(&address);
        defer support.closeDescriptor(last);
        try support.expectResult(1, socket.send(last, "!", 1));
        try expectLastIsAccepted(listener);
    }
}

test "a connection that was reset while it waited is told as ECONNABORTED, which a server skips" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    const acceptFailure = library.windows.socket_calls.acceptFailure;
    for ([_]i32{ calls.Code.connection_reset, calls.Code.connection_aborted }) |code| {
        calls.WSASetLastError(code);
        try support.expectResult(-4079, acceptFailure(listener));
    }
    calls.WSASetLastError(calls.Code.would_block);
    try support.expectResult(-Errno.again, acceptFailure(listener));
}

test "a port where nobody listens breaks no receive of a socket without a peer" {
    const server = try support.check(datagram.create(ipv4));
    defer support.closeDescriptor(server);
    try support.expectResult(0, socket.bind(server, &support.loopback(ipv4, 0)));
    const gone = try support.check(datagram.create(ipv4));
    try support.expectResult(0, socket.bind(gone, &support.loopback(ipv4, 0)));
    var nobody: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(gone, &nobody));
    support.closeDescriptor(gone);
    var byte: [1]u8 = undefined;
    var slot: datagram.Slot = undefined;
    for (0..3) |_| {
        try support.expectResult(1, datagram.send(server, .ipv4, "x", &nobody));
        try support.expectResult(-Errno.again, datagram.receive(server, &byte, &slot));
    }
}

test "a listener's port is taken: asking to use it again does not steal it" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));
    const thief = try support.check(socket.create(ipv4));
    defer support.closeDescriptor(thief);
    try support.expectResult(0, socket.setOption(thief, .reuse_address, 1));
    try support.expectResult(-Errno.address_in_use, socket.bind(thief, &address));
    try support.expectResult(-Errno.not_supported, socket.setOption(thief, .reuse_port, 1));
}

test "the wildcard address stands for this machine" {
    const listener = try support.listen(ipv4);
    defer support.closeDescriptor(listener);
    var address: socket.Address = undefined;
    try support.expectResult(0, socket.localAddress(listener, &address));
    address.bytes = @splat(0);
    const client = try connectTo(&address);
    support.closeDescriptor(client);
}

test "codes of Winsock, of the system and of the kernel have libuv's numbers" {
    const Case = struct { code: u32, number: i32 };
    const cases = [_]Case{
        .{ .code = 10004, .number = -4081 }, // WSAEINTR: ECANCELED
        .{ .code = 10009, .number = -4083 }, // WSAEBADF
        .{ .code = 10013, .number = -4092 }, // WSAEACCES
        .{ .code = 10014, .number = -4074 }, // WSAEFAULT
        .{ .code = 10022, .number = -4071 }, // WSAEINVAL
        .{ .code = 10024, .number = -4066 }, // WSAEMFILE
        .{ .code = 10035, .number = -4088 }, // WSAEWOULDBLOCK
        .{ .code = 10037, .number = -4084 }, // WSAEALREADY
        .{ .code = 10038, .number = -4050 }, // WSAENOTSOCK
        .{ .code = 10040, .number = -4065 }, // WSAEMSGSIZE
        .{ .code = 10043, .number = -4045 }, // WSAEPROTONOSUPPORT
        .{ .code = 10044, .number = -4025 }, // WSAESOCKTNOSUPPORT
        .{ .code = 10045, .number = -4049 }, // WSAEOPNOTSUPP
        .{ .code = 10047, .number = -4089 }, // WSAEAFNOSUPPORT
        .{ .code = 10048, .number = -4091 }, // WSAEADDRINUSE
        .{ .code = 10049, .number = -4090 }, // WSAEADDRNOTAVAIL
        .{ .code = 10050, .number = -4063 }, // WSAENETDOWN
        .{ .code = 10051, .number = -4062 }, // WSAENETUNREACH
        .{ .code = 10053, .number = -4079 }, // WSAECONNABORTED
        .{ .code = 10054, .number = -4077 }, // WSAECONNRESET
        .{ .code = 10055, .number = -4060 }, // WSAENOBUFS
        .{ .code = 10056, .number = -4069 }, // WSAEISCONN
        .{ .code = 10057, .number = -4053 }, // WSAENOTCONN
        .{ .code = 10058, .number = -4047 }, // WSAESHUTDOWN: EPIPE
        .{ .code = 10060, .number = -4039 }, // WSAETIMEDOUT
        .{ .code = 10061, .number = -4078 }, // WSAECONNREFUSED
        .{ .code = 10065, .number = -4073 }, // WSAEHOSTUNREACH
        .{ .code = 5, .number = -4048 }, // ERROR_ACCESS_DENIED: EPERM
        .{ .code = 6, .number = -4083 }, // ERROR_INVALID_HANDLE
        .{ .code = 8, .number = -4057 }, // ERROR_NOT_ENOUGH_MEMORY
        .{ .code = 995, .number = -4081 }, // ERROR_OPERATION_ABORTED
        .{ .code = 31337, .number = -4094 }, // nobody's: UNKNOWN
    };
    for (cases) |case| try std.testing.expectEqual(case.number, calls.fromCode(case.code));
    try std.testing.expectEqual(-4083, calls.fromStatus(0xc0000008)); // STATUS_INVALID_HANDLE
    try std.testing.expectEqual(-4078, calls.fromStatus(0xc0000236)); // STATUS_CONNECTION_REFUSED
    try std.testing.expectEqual(-4057, calls.fromStatus(0xc000009a)); // STATUS_INSUFFICIENT_RESOURCES
    try std.testing.expectEqual(-4081, calls.fromStatus(0xc0000120)); // STATUS_CANCELLED
}

test "the counter's ticks are nanoseconds, for as long as a machine runs" {
    const usual_frequency = 10_000_000;
    try std.testing.expectEqual(0, calls.toNanoseconds(0, usual_frequency));
    try std.testing.expectEqual(100, calls.toNanoseconds(1, usual_frequency));
    try std.testing.expectEqual(1_500_000_000, calls.toNanoseconds(15_000_000, usual_frequency));
    const year_s = 365 * 24 * 60 * 60;
    const odd_frequency = 2_394_213_759;
    const century_ns = calls.toNanoseconds(100 * year_s * odd_frequency + odd_frequency - 1, odd_frequency);
    try std.testing.expectEqual(100 * year_s * std.time.ns_per_s + 999_999_999, century_ns);
}

fn connectTo(address: *const socket.Address) !i32 {
    const client = try support.check(socket.create(ipv4));
    errdefer support.closeDescriptor(client);
    const result = socket.connect(client, address);
    if (result != 0) try support.expectResult(-Errno.in_progress, result);
    try support.untilReady(client, .writable);
    try support.expectResult(0, socket.takeError(client));
    return client;
}

/// Accepts until the connection came that has sent something, as a server does: what is aborted is skipped.
fn expectLastIsAccepted(listener: i32) !void {
    while (true) {
        try support.untilReady(listener, .readable);
        const accepted = socket.accept(listener);
        if (accepted == -4079) continue; // ECONNABORTED
        _ = try support.check(accepted);
        defer support.closeDescriptor(accepted);
        try support.untilReady(accepted, .readable);
        var byte: [1]u8 = undefined;
        if (socket.receive(accepted, &byte, 1) == 1) return;
    }
}
