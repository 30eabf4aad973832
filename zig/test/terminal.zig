//! Pairs of terminals, and the settings of serial lines.

const std = @import("std");
const support = @import("support.zig");

const Errno = support.Errno;
const Line = terminal.Line;
const Mode = terminal.Mode;
const Pair = support.Pair;
const Poller = support.Poller;
const emulator = support.emulator;
const file = support.file;
const system = support.system;
const terminal = support.terminal;

const token = support.tokenOf(1);

/// A new pair: the controlling end, and the other one.
const Terminals = struct {
    controller: i32,
    peer: i32,

    fn open() !Terminals {
        const controller = try support.check(terminal.openController());
        errdefer support.closeDescriptor(controller);
        return .{ .controller = controller, .peer = try support.check(terminal.openPeer(controller)) };
    }

    fn close(terminals: Terminals) void {
        support.closeDescriptor(terminals.controller);
        support.closeDescriptor(terminals.peer);
    }

    fn makeRaw(terminals: Terminals) !void {
        try emulator.needTerminalRequest(.mode);
        var mode: Mode = undefined;
        try support.expectResult(0, terminal.getMode(terminals.controller, &mode));
        terminal.makeRaw(&mode);
        try support.expectResult(0, terminal.setMode(terminals.controller, &mode));
    }
};

test "raw: bytes go both ways as they are, and an empty read says EAGAIN" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    try pair.makeRaw();
    var bytes: [16]u8 = undefined;
    const sent = [_]u8{ 0, 3, 4, '\r', '\n', 17, 19, 28, 127, 128, 255 };
    for ([_][2]i32{ .{ pair.controller, pair.peer }, .{ pair.peer, pair.controller } }) |way| {
        try support.expectResult(-Errno.again, file.read(way[1], &bytes, bytes.len));
        try support.expectResult(sent.len, file.write(way[0], &sent, sent.len));
        try expectBytes(way[1], &sent);
    }
}

test "not raw: lines are edited and echoed" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    try support.expectResult(3, file.write(pair.controller, "hi\n", 3));
    try expectBytes(pair.controller, "hi\r\n");
    try expectBytes(pair.peer, "hi\n");
}

test "the number is that of the other end's path" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    var path: [32]u8 = undefined;
    const number = try support.check(terminal.numberOf(pair.controller));
    const name = try std.fmt.bufPrintZ(&path, "/dev/pts/{d}", .{number});
    const again = try support.check(file.open(name, .both));
    defer support.closeDescriptor(again);
    try pair.makeRaw();
    try support.expectResult(1, file.write(again, "x", 1));
    try expectBytes(pair.controller, "x");
}

test "what is opened is non-blocking and close-on-exec" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    for ([_]i32{ pair.controller, pair.peer }) |descriptor| {
        try support.expectResult(1, file.isNonBlocking(descriptor));
        try std.testing.expect(try system.isCloseOnExec(descriptor));
    }
}

test "when the other end is closed, the controlling end hangs up after what is left, and comes back with the next" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer support.closeDescriptor(pair.controller);
    try pair.makeRaw();
    try support.expectResult(4, file.write(pair.peer, "last", 4));
    support.closeDescriptor(pair.peer);
    var poller: Poller = undefined;
    try poller.open(8);
    defer poller.close();
    try poller.register(pair.controller, token, support.readable, .edge);
    const told = try poller.gather(token, support.hung_up);
    try std.testing.expect(told & support.readable != 0);
    var bytes: [8]u8 = undefined;
    try support.expectResult(4, file.read(pair.controller, &bytes, bytes.len));
    try support.expectResult(-Errno.io_error, file.read(pair.controller, &bytes, bytes.len));
    const next = try support.check(terminal.openPeer(pair.controller));
    defer support.closeDescriptor(next);
    try support.expectResult(-Errno.again, file.read(pair.controller, &bytes, bytes.len));
    try support.expectResult(1, file.write(next, "x", 1));
    _ = try poller.gather(token, support.readable);
}

test "when the controlling end is closed, the other end is at its end, and every call on it fails with EIO" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer support.closeDescriptor(pair.peer);
    support.closeDescriptor(pair.controller);
    var bytes: [8]u8 = undefined;
    try support.expectResult(0, file.read(pair.peer, &bytes, bytes.len));
    try support.expectResult(-Errno.io_error, file.write(pair.peer, "x", 1));
    try emulator.needTerminalRequest(.mode);
    var mode: Mode = undefined;
    try support.expectResult(-Errno.io_error, terminal.getMode(pair.peer, &mode));
    try support.expectResult(-Errno.io_error, terminal.unsentBytes(pair.peer));
}

test "a window size is the same seen from both ends" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    const set: terminal.WindowSize = .{ .rows = 33, .columns = 101, .width_pixels = 808, .height_pixels = 660 };
    try support.expectResult(0, terminal.setWindowSize(pair.controller, &set));
    var got: terminal.WindowSize = undefined;
    try support.expectResult(0, terminal.getWindowSize(pair.peer, &got));
    try std.testing.expectEqual(set, got);
}

test "a mode can be read, changed and put back" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    try emulator.needTerminalRequest(.mode);
    const pair: Terminals = try .open();
    defer pair.close();
    var before: Mode = undefined;
    try support.expectResult(0, terminal.getMode(pair.peer, &before));
    try pair.makeRaw();
    var changed: Mode = undefined;
    try support.expectResult(0, terminal.getMode(pair.peer, &changed));
    try std.testing.expect(!std.meta.eql(before, changed));
    try support.expectResult(0, terminal.setMode(pair.peer, &before));
    try support.expectResult(0, terminal.getMode(pair.peer, &changed));
    try std.testing.expectEqual(before, changed);
}

test "every setting of a line comes out of a mode as it went in" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const speeds = [_]u32{ 1, 50, 134, 300, 9600, 31250, 38400, 57600, 74880, 115200, 250000, 4000000, 12000000 };
    for (speeds) |baud| for (5..9) |data_bits| for (0..5) |parity| for (1..3) |stop_bits| for (0..3) |flow_control| {
        // What was set before does not shine through.
        for ([_]u32{ 0, std.math.maxInt(u32) }) |rest| {
            var mode: Mode = std.mem.zeroes(Mode);
            mode.control = rest;
            mode.input = rest;
            const line: Line = .{
                .baud = baud,
                .data_bits = @intCast(data_bits),
                .parity = @intCast(parity),
                .stop_bits = @intCast(stop_bits),
                .flow_control = @intCast(flow_control),
            };
            try support.expectResult(0, terminal.configureLine(&mode, &line));
            var told: Line = undefined;
            terminal.describeLine(&mode, &told);
            try std.testing.expectEqual(line, told);
        }
    };
}

test "what is no setting of a line is refused with EINVAL" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const good: Line = .{ .baud = 9600, .data_bits = 8, .parity = 0, .stop_bits = 1, .flow_control = 0 };
    var mode: Mode = std.mem.zeroes(Mode);
    inline for (.{
        .{ "baud", 0 },      .{ "data_bits", 4 }, .{ "data_bits", 9 },    .{ "parity", 5 },
        .{ "stop_bits", 0 }, .{ "stop_bits", 3 }, .{ "flow_control", 3 },
    }) |wrong| {
        var line = good;
        @field(line, wrong[0]) = wrong[1];
        try support.expectResult(-Errno.invalid_argument, terminal.configureLine(&mode, &line));
    }
}

test "a speed that has a constant can be read by those who know no other, and any other by its number" {
    if (!support.features.has_speed_constants) return support.skip("this system has every speed by its number");
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    try emulator.needTerminalRequest(.mode);
    const pair: Terminals = try .open();
    defer pair.close();
    const constant_mask = 0o10017;
    for ([_]struct { baud: u32, constant: u32 }{
        .{ .baud = 9600, .constant = 0o15 },
        .{ .baud = 115200, .constant = 0o10002 },
        .{ .baud = 31250, .constant = 0o10000 },
    }) |speed| {
        var mode: Mode = undefined;
        try support.expectResult(0, terminal.getMode(pair.peer, &mode));
        const line: Line = .{ .baud = speed.baud, .data_bits = 8, .parity = 0, .stop_bits = 1, .flow_control = 0 };
        try support.expectResult(0, terminal.configureLine(&mode, &line));
        try support.expectResult(0, terminal.setMode(pair.peer, &mode));
        // What the kernel keeps, read by the call that is older.
        try std.testing.expectEqual(speed.constant, try system.controlFlags(pair.peer) & constant_mask);
        try support.expectResult(0, terminal.getMode(pair.peer, &mode));
        var told: Line = undefined;
        terminal.describeLine(&mode, &told);
        try std.testing.expectEqual(speed.baud, told.baud);
    }
}

test "a terminal is exclusive once, and again when it was given back" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    try emulator.needRequestOf(pair.peer, .exclusive);
    for (0..2) |_| {
        try support.expectResult(0, terminal.setExclusive(pair.peer, true));
        try support.expectResult(-Errno.busy, terminal.setExclusive(pair.peer, true));
        try support.expectResult(0, terminal.setExclusive(pair.peer, false));
    }
}

test "what was received and not read can be thrown away" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    try pair.makeRaw();
    try support.expectResult(4, file.write(pair.controller, "gone", 4));
    try support.untilReady(pair.peer, .readable);
    try support.expectResult(0, terminal.discard(pair.peer, .received));
    var bytes: [8]u8 = undefined;
    try support.expectResult(-Errno.again, file.read(pair.peer, &bytes, bytes.len));
}

test "a pair of terminals has no line: nothing is unsent, a break goes nowhere, and there are no modem lines" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    const pair: Terminals = try .open();
    defer pair.close();
    try support.expectResult(1, file.write(pair.peer, "x", 1));
    try support.expectResult(0, terminal.unsentBytes(pair.peer));
    try emulator.needTerminalRequest(.transmitter);
    try emulator.needRequestOf(pair.peer, .begin_break);
    try emulator.needTerminalRequest(.modem_lines);
    try support.expectResult(-Errno.not_a_terminal, terminal.isTransmitterEmpty(pair.peer));
    try support.expectResult(0, terminal.setBreak(pair.peer, true));
    try support.expectResult(0, terminal.setBreak(pair.peer, false));
    try support.expectResult(-Errno.not_a_terminal, terminal.modemLines(pair.peer));
    try support.expectResult(-Errno.not_a_terminal, terminal.changeModemLines(pair.peer, 1, 0));
    try support.expectResult(-Errno.not_a_terminal, terminal.changeModemLines(pair.peer, 0, 2));
    // The lines that are the other side's cannot be changed, so nothing is asked of the terminal.
    try support.expectResult(0, terminal.changeModemLines(pair.peer, 0, 0));
}

test "what is no terminal is refused with ENOTTY" {
    if (!support.features.has_terminals) return support.skip("this system's terminals cannot be waited for");
    try emulator.needTerminalRequest(.mode);
    try emulator.needTerminalRequest(.modem_lines);
    try emulator.needTerminalRequest(.exclusive);
    const pair: Pair = try .open();
    defer pair.close();
    var mode: Mode = undefined;
    var size: terminal.WindowSize = undefined;
    for ([_]i32{
        terminal.getMode(pair.own, &mode),
        terminal.getWindowSize(pair.own, &size),
        terminal.modemLines(pair.own),
        terminal.setExclusive(pair.own, true),
        terminal.discard(pair.own, .both),
        terminal.openPeer(pair.own),
        terminal.numberOf(pair.own),
    }) |result| try support.expectResult(-Errno.not_a_terminal, result);
}

/// Waits for each piece: the kernel hands bytes from one end to the other in a thread of its own.
fn expectBytes(descriptor: i32, expected: []const u8) !void {
    var bytes: [64]u8 = undefined;
    var length: usize = 0;
    while (length < expected.len) {
        try support.untilReady(descriptor, .readable);
        length += @intCast(try support.check(file.read(descriptor, bytes[length..].ptr, bytes.len - length)));
    }
    try std.testing.expectEqualSlices(u8, expected, bytes[0..length]);
}
