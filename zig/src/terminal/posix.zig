//! Terminals of Linux, macOS and FreeBSD: what they have in common.
//!
//! Facts. A driver takes what it can of a mode and says nothing of the rest (tcsetattr(3) succeeds if any of it was
//! done). The calls that wait until all is sent do so for as long as flow control likes. TIOCSBRK may wait for that too
//! before it begins, and so may the last close of a serial port. TIOCOUTQ tells what is still in the driver. A
//! pseudo-terminal has no line: what is written is at the other end at once, and TIOCOUTQ is 0. On the controlling end
//! of a pair the calls that set something set it for the other end.
//!
//! Decision. Only the calls that never wait; waiting for what is sent is an operation on the other side of the border,
//! which asks `unsentBytes` and `isTransmitterEmpty` and sleeps in between. What was set is read back there, to see
//! what was taken. Modes are changed here in memory, apart from reading and setting them. What differs, the layout of a
//! mode, its flags and speeds and the numbers of requests, is in `linux.zig` and `bsd.zig` beside this file.

const std = @import("std");
const builtin = @import("builtin");
const posix = @import("../posix.zig");
const terminal = @import("../terminal.zig");

const system = switch (builtin.os.tag) {
    .linux => @import("linux.zig"),
    else => @import("bsd.zig"),
};

const Character = system.Character;
const Control = system.Control;
const FlowControl = terminal.FlowControl;
const Input = system.Input;
const Local = system.Local;
const ModemLine = terminal.ModemLine;
const Output = system.Output;
const Parity = terminal.Parity;
const Request = system.Request;

pub const Mode = system.Mode;

pub const openController = system.openController;
pub const numberOf = system.numberOf;
pub const openPeer = system.openPeer;
pub const setMode = system.setMode;
pub const isTransmitterEmpty = system.isTransmitterEmpty;
pub const discard = system.discard;
pub const setExclusive = system.setExclusive;

pub fn getMode(descriptor: i32, mode: *Mode) i32 {
    return control(descriptor, Request.get_mode, mode);
}

/// As cfmakeraw(3): bytes come and go as they are, one at a time. A read of a descriptor that does not block then says
/// EAGAIN when there is nothing, and 0 only at a hang-up.
pub fn makeRaw(mode: *Mode) void {
    mode.input &= ~(Input.ignore_break | Input.break_interrupts | Input.mark_parity | Input.strip | Input.newline_to_return |
        Input.ignore_return | Input.return_to_newline | Input.software_output);
    mode.output &= ~Output.process;
    mode.local &= ~(Local.echo | Local.echo_newline | Local.canonical | Local.signals | Local.extended);
    mode.control &= ~(Control.size_mask | Control.parity);
    mode.control |= Control.size_8;
    mode.characters[Character.minimum] = 1;
    mode.characters[Character.time] = 0;
}

/// Makes a raw mode of a serial line, which ignores the line "carrier detect". -EINVAL if `line` has what is none.
pub fn configureLine(mode: *Mode, line: *const terminal.Line) i32 {
    if (line.baud == 0 or line.data_bits < 5 or line.data_bits > 8) return invalid;
    if (line.stop_bits < 1 or line.stop_bits > 2) return invalid;
    const parity = std.enums.fromInt(Parity, line.parity) orelse return invalid;
    const flow_control = std.enums.fromInt(FlowControl, line.flow_control) orelse return invalid;
    makeRaw(mode);
    mode.control &= ~(Control.size_mask | Control.two_stop_bits | Control.parity | Control.parity_odd |
        Control.parity_stick | Control.hardware_flow);
    mode.control |= Control.ignore_carrier | Control.receive | (line.data_bits - 5) * Control.size_step;
    if (line.stop_bits == 2) mode.control |= Control.two_stop_bits;
    mode.control |= switch (parity) {
        .none => 0,
        .even => Control.parity,
        .odd => Control.parity | Control.parity_odd,
        .mark => Control.parity | Control.parity_stick | Control.parity_odd,
        .space => Control.parity | Control.parity_stick,
    };
    // A byte whose parity is wrong comes as 0 (termios(3)), instead of as if it were right.
    mode.input &= ~(Input.check_parity | Input.ignore_parity | Input.software_input | Input.any_restarts);
    if (parity != .none) mode.input |= Input.check_parity;
    switch (flow_control) {
        .none => {},
        .hardware => mode.control |= Control.hardware_flow,
        .software => mode.input |= Input.software_output | Input.software_input,
    }
    system.setBaud(mode, line.baud);
    return 0;
}

pub fn describeLine(mode: *const Mode, line: *terminal.Line) void {
    const has = struct {
        fn has(flags: system.Flags, flag: system.Flags) bool {
            return flags & flag != 0;
        }
    }.has;
    const parity: Parity = if (!has(mode.control, Control.parity))
        .none
    else if (has(mode.control, Control.parity_stick))
        (if (has(mode.control, Control.parity_odd)) .mark else .space)
    else if (has(mode.control, Control.parity_odd)) .odd else .even;
    const flow_control: FlowControl = if (has(mode.control, Control.hardware_flow))
        .hardware
    else if (has(mode.input, Input.software_output)) .software else .none;
    line.* = .{
        .baud = @intCast(mode.output_baud),
        .data_bits = @intCast(5 + (mode.control & Control.size_mask) / Control.size_step),
        .parity = @intFromEnum(parity),
        .stop_bits = if (has(mode.control, Control.two_stop_bits)) 2 else 1,
        .flow_control = @intFromEnum(flow_control),
    };
}

pub fn getWindowSize(descriptor: i32, size: *terminal.WindowSize) i32 {
    return control(descriptor, Request.get_window_size, size);
}

/// The programs in the foreground get a SIGWINCH if it changes.
pub fn setWindowSize(descriptor: i32, size: *const terminal.WindowSize) i32 {
    return control(descriptor, Request.set_window_size, size);
}

/// The lines that are on.
pub fn modemLines(descriptor: i32) i32 {
    var native: u32 = 0;
    const result = control(descriptor, Request.get_modem, &native);
    if (result < 0) return result;
    var lines: u32 = 0;
    for (modem_lines) |pair| {
        if (native & pair.native != 0) lines |= pair.line;
    }
    return @intCast(lines);
}

/// Only "data terminal ready" and "request to send" are this side's to change.
pub fn changeModemLines(descriptor: i32, on: u32, off: u32) i32 {
    const set = toNativeLines(on);
    const clear = toNativeLines(off);
    if (set != 0) {
        const result = control(descriptor, Request.set_modem_bits, &set);
        if (result < 0) return result;
    }
    return if (clear == 0) 0 else control(descriptor, Request.clear_modem_bits, &clear);
}

/// To be begun when nothing is unsent: else it would wait for that.
pub fn setBreak(descriptor: i32, is_on: bool) i32 {
    return posix.callUninterrupted(.ioctl, .{ descriptor, if (is_on) Request.begin_break else Request.end_break, 0 });
}

pub fn unsentBytes(descriptor: i32) i32 {
    var count: i32 = 0;
    const result = control(descriptor, Request.unsent, &count);
    return if (result < 0) result else count;
}

fn toNativeLines(lines: u32) u32 {
    var native: u32 = 0;
    for (modem_lines) |pair| {
        if (lines & pair.line != 0) native |= pair.native;
    }
    return native;
}

/// A request whose argument is memory.
pub fn control(descriptor: i32, request: u32, memory: anytype) i32 {
    return posix.callUninterrupted(.ioctl, .{ descriptor, request, memory });
}

const invalid = -posix.Errno.invalid_argument;

const ModemBit = struct { line: u32, native: u32 };

const modem_lines = [_]ModemBit{
    .{ .line = ModemLine.data_terminal_ready, .native = 0x002 },
    .{ .line = ModemLine.request_to_send, .native = 0x004 },
    .{ .line = ModemLine.clear_to_send, .native = 0x020 },
    .{ .line = ModemLine.carrier_detect, .native = 0x040 },
    .{ .line = ModemLine.ring_indicator, .native = 0x080 },
    .{ .line = ModemLine.data_set_ready, .native = 0x100 },
};

comptime {
    std.debug.assert(@sizeOf(Mode) == terminal.mode_bytes);
}
