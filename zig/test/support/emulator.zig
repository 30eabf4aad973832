//! What user-mode emulators of Linux leave out (qemu-user 7.2 all of it), and Wine of Windows. Each gap is found out by a raw call, to which a
//! kernel has another answer; so a test is skipped on no kernel, and under no emulator that has learnt better.

const std = @import("std");
const builtin = @import("builtin");
const library = @import("library");
const support = @import("../support.zig");

const linux = library.linux;

/// Requests of terminals, by what the library needs them for.
pub const TerminalRequest = enum(u32) {
    mode = 0x802c542a, // TCGETS2
    discard = 0x540b, // TCFLSH
    modem_lines = 0x5415, // TIOCMGET
    begin_break = 0x5427, // TIOCSBRK
    transmitter = 0x5459, // TIOCSERGETLSR
    exclusive = 0x80045440, // TIOCGEXCL
};

/// A kernel knows what is no terminal and says ENOTTY, and never ENOSYS.
pub fn needTerminalRequest(comptime request: TerminalRequest) !void {
    if (builtin.os.tag != .linux) return;
    const descriptor = try support.check(library.socket.create(library.socket.Address.ipv4));
    defer support.closeDescriptor(descriptor);
    var answer: [64]u8 = undefined;
    if (linux.call(.ioctl, .{ descriptor, @intFromEnum(request), &answer }) != -support.Errno.not_implemented) return;
    return support.skip("the emulator does not know the terminal request " ++ @tagName(request));
}

/// The same of a request that every terminal answers: newer emulators say of one that they do not know that this is no terminal.
pub fn needRequestOf(terminal: i32, comptime request: TerminalRequest) !void {
    try needTerminalRequest(request);
    if (builtin.os.tag != .linux) return;
    var answer: [64]u8 = undefined;
    if (linux.call(.ioctl, .{ terminal, @intFromEnum(request), &answer }) != -support.Errno.not_a_terminal) return;
    return support.skip("the emulator does not know the terminal request " ++ @tagName(request));
}

/// Kernels have this option of IPv4 since Linux 1.2 and of IPv6 since 2.2, whatever they are built with.
pub fn knowsMulticastInterface(family: u32) bool {
    const is_ipv4 = family == library.socket.Address.ipv4;
    // Wine hands the number of an interface on to Linux as if it were an address.
    if (builtin.os.tag != .linux) return !is_ipv4 or !support.system.isWine();
    const descriptor = library.datagram.create(family);
    if (descriptor < 0) return true;
    defer support.closeDescriptor(descriptor);
    const choose_none: [12]u8 = @splat(0);
    const length: u32 = if (is_ipv4) 12 else 4;
    const result = linux.call(.setsockopt, .{ descriptor, levelOf(is_ipv4), @as(u32, if (is_ipv4) 32 else 17), &choose_none, length });
    return result != -support.Errno.no_such_option;
}

pub const no_reset = "Wine takes the error of a connection that was reset before anybody can read it";
pub const no_multicast_interface = "the emulator does not know the option of the interface for groups";

/// A kernel passes on as many descriptors as the buffer for them has room for, here two of three, behind the sender's
/// credentials if those were asked for.
pub fn needExactDescriptors() !void {
    if (builtin.os.tag != .linux) return;
    for ([_]bool{ false, true }) |has_sender| {
        const ends = try support.system.openPair();
        defer for (ends) |end| support.closeDescriptor(end);
        if (!try passesExactly(ends, has_sender)) return support.skip("the emulator miscounts descriptors that there is no room for");
    }
}

fn passesExactly(ends: [2]i32, has_sender: bool) !bool {
    const on: u32 = @intFromBool(has_sender);
    try support.expectResult(0, linux.call(.setsockopt, .{ ends[1], level_socket, pass_credentials, &on, 4 }));
    var byte = [1]u8{'x'};
    const parts = [1]library.socket.Part{.{ .base = &byte, .length = 1 }};
    var sent: Control = .{ .header = .{ .length = @sizeOf(ControlHeader) + 12, .level = level_socket, .kind = rights }, .data = @splat(0) };
    for (0..3) |index| std.mem.writeInt(i32, sent.data[index * 4 ..][0..4], ends[0], builtin.cpu.arch.endian());
    var message: Message = .{ .parts = &parts, .control = &sent, .control_length = sent.header.length };
    try support.expectResult(1, linux.call(.sendmsg, .{ ends[0], &message, 0 }));

    const start: usize = if (has_sender) credentials_bytes else 0;
    const room = start + @sizeOf(ControlHeader) + 8;
    var received: [2]Control align(8) = undefined;
    message = .{ .parts = &parts, .control = &received, .control_length = room };
    try support.expectResult(1, linux.call(.recvmsg, .{ ends[1], &message, 0 }));
    const bytes = std.mem.asBytes(&received);
    const header = std.mem.bytesToValue(ControlHeader, bytes[start..][0..@sizeOf(ControlHeader)]);
    if (message.control_length != room or header.kind != rights or header.length != @sizeOf(ControlHeader) + 8) return false;
    for (0..2) |index| {
        const at = start + @sizeOf(ControlHeader) + index * 4;
        support.closeDescriptor(std.mem.readInt(i32, bytes[at..][0..4], builtin.cpu.arch.endian()));
    }
    return message.flags & control_truncated != 0;
}

fn levelOf(is_ipv4: bool) u32 {
    return if (is_ipv4) 0 else 41;
}

/// `struct cmsghdr`, with room behind it.
const ControlHeader = extern struct { length: usize, level: u32, kind: u32 };
const Control = extern struct { header: ControlHeader, data: [48]u8 };

/// `struct msghdr`
const Message = extern struct {
    name: ?*anyopaque = null,
    name_length: u32 = 0,
    parts: [*]const library.socket.Part,
    part_count: usize = 1,
    control: *anyopaque,
    control_length: usize,
    flags: u32 = 0,
};

/// CMSG_SPACE(sizeof(struct ucred))
const credentials_bytes = 32;

const level_socket: u32 = 1;
const pass_credentials: u32 = 16; // SO_PASSCRED
const rights: u32 = 1; // SCM_RIGHTS
const control_truncated: u32 = 0x8; // MSG_CTRUNC
