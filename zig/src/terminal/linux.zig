//! Terminals of Linux.
//!
//! Facts. The calls of termios(3) know the speeds that have a constant; any other needs `struct termios2` and BOTHER
//! (ioctl_tty(2)), and then the speed is in the structure as a number. Programs that know nothing of termios2, such as
//! stty, read the constant only. A driver takes what it can and says nothing of the rest (tcsetattr(3) succeeds if any
//! of it was done). TCSETS2 takes effect at once; TCSETSW2, tcdrain(3) and tcsendbreak(3) wait until all is sent, for
//! as long as flow control likes. TIOCSBRK waits for that too before it begins (tty_io.c), and so does the last close
//! of a serial port, up to 30 s (closing_wait of setserial(8)). TIOCOUTQ tells what is still in the driver; of the
//! bytes in the chip itself only its "transmitter empty" bit tells, by TIOCSERGETLSR, which not every driver has. A
//! pseudo-terminal has no line: what is written is at the other end at once, and TIOCOUTQ is 0. On the controlling end
//! of a pair the calls that set something set it for the other end. TIOCGPTPEER opens that end without a path, which
//! another mount namespace may lack.
//!
//! Decision. Always termios2, with the constant where there is one, so that others can read the speed as well. Only the
//! calls that never wait; waiting for what is sent is an operation on the other side of the border, which asks
//! `unsentBytes` and `isTransmitterEmpty` and sleeps in between. What was set is read back there, to see what was
//! taken. Modes are changed here in memory, apart from reading and setting them.

const std = @import("std");
const linux = @import("../linux.zig");
const terminal = @import("../terminal.zig");

const FlowControl = terminal.FlowControl;
const ModemLine = terminal.ModemLine;
const Parity = terminal.Parity;

/// `struct termios2`, which x86-64 and arm64 have in common.
pub const Mode = extern struct {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    discipline: u8,
    characters: [19]u8,
    input_baud: u32,
    output_baud: u32,
};

/// The controlling end of a new pair, whose other end can be opened.
pub fn openController() i32 {
    const descriptor = linux.callUninterrupted(.openat, .{ current_folder, "/dev/ptmx", open_flags, 0 });
    if (descriptor < 0) return descriptor;
    const unlocked: i32 = 0;
    const result = control(descriptor, Request.set_lock, &unlocked);
    if (result >= 0) return descriptor;
    _ = linux.call(.close, .{descriptor});
    return result;
}

/// N of /dev/pts/N, the other end.
pub fn numberOf(controller: i32) i32 {
    var number: i32 = 0;
    const result = control(controller, Request.get_number, &number);
    return if (result < 0) result else number;
}

pub fn openPeer(controller: i32) i32 {
    return linux.callUninterrupted(.ioctl, .{ controller, Request.get_peer, open_flags });
}

pub fn getMode(descriptor: i32, mode: *Mode) i32 {
    return control(descriptor, Request.get_mode, mode);
}

pub fn setMode(descriptor: i32, mode: *const Mode) i32 {
    return control(descriptor, Request.set_mode, mode);
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
    setBaud(mode, line.baud);
    return 0;
}

pub fn describeLine(mode: *const Mode, line: *terminal.Line) void {
    const has = struct {
        fn has(flags: u32, flag: u32) bool {
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
        .baud = mode.output_baud,
        .data_bits = 5 + (mode.control & Control.size_mask) / Control.size_step,
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
    return linux.callUninterrupted(.ioctl, .{ descriptor, if (is_on) Request.begin_break else Request.end_break, 0 });
}

pub fn unsentBytes(descriptor: i32) i32 {
    var count: i32 = 0;
    const result = control(descriptor, Request.unsent, &count);
    return if (result < 0) result else count;
}

/// 1 if the last bit is on the line, 0 if it is not; an error if the driver cannot tell.
pub fn isTransmitterEmpty(descriptor: i32) i32 {
    var state: u32 = 0;
    const result = control(descriptor, Request.line_state, &state);
    return if (result < 0) result else @intFromBool(state & transmitter_empty != 0);
}

pub fn discard(descriptor: i32, queued: terminal.Queued) i32 {
    return linux.callUninterrupted(.ioctl, .{ descriptor, Request.flush, @as(u32, @intFromEnum(queued)) });
}

/// Whether others are refused to open it, with -EBUSY. The kernel lets administrators in all the same, so who finds
/// it exclusive already is refused here.
pub fn setExclusive(descriptor: i32, is_on: bool) i32 {
    if (is_on) {
        var is_taken: i32 = 0;
        const result = control(descriptor, Request.is_exclusive, &is_taken);
        if (result < 0) return result;
        if (is_taken != 0) return -linux.Errno.busy;
    }
    return linux.callUninterrupted(.ioctl, .{ descriptor, if (is_on) Request.exclusive else Request.shared, 0 });
}

fn setBaud(mode: *Mode, baud: u32) void {
    mode.control &= ~(Control.baud_mask | Control.baud_mask << Control.input_shift);
    // No speed of the input in the flags means that of the output.
    mode.control |= constantOf(baud) orelse Control.baud_other;
    mode.output_baud = baud;
    mode.input_baud = baud;
}

fn constantOf(baud: u32) ?u32 {
    for (standard_speeds) |speed| {
        if (speed.baud == baud) return speed.constant;
    }
    return null;
}

fn toNativeLines(lines: u32) u32 {
    var native: u32 = 0;
    for (modem_lines) |pair| {
        if (lines & pair.line != 0) native |= pair.native;
    }
    return native;
}

/// A request whose argument is memory.
fn control(descriptor: i32, request: u32, memory: anytype) i32 {
    return linux.callUninterrupted(.ioctl, .{ descriptor, request, memory });
}

const invalid = -linux.Errno.invalid_argument;

/// AT_FDCWD
const current_folder: i32 = -100;

/// O_RDWR, O_NOCTTY, O_NONBLOCK, O_CLOEXEC
const open_flags: u32 = 0o2 | 0o400 | 0o4000 | 0o2000000;

/// TIOCSER_TEMT
const transmitter_empty: u32 = 1;

const Request = struct {
    const get_mode: u32 = readRequest('T', 0x2a, Mode); // TCGETS2
    const set_mode: u32 = writeRequest('T', 0x2b, Mode); // TCSETS2
    const flush: u32 = 0x540b; // TCFLSH
    const exclusive: u32 = 0x540c; // TIOCEXCL
    const shared: u32 = 0x540d; // TIOCNXCL
    const unsent: u32 = 0x5411; // TIOCOUTQ
    const get_window_size: u32 = 0x5413; // TIOCGWINSZ
    const set_window_size: u32 = 0x5414; // TIOCSWINSZ
    const get_modem: u32 = 0x5415; // TIOCMGET
    const set_modem_bits: u32 = 0x5416; // TIOCMBIS
    const clear_modem_bits: u32 = 0x5417; // TIOCMBIC
    const begin_break: u32 = 0x5427; // TIOCSBRK
    const end_break: u32 = 0x5428; // TIOCCBRK
    const line_state: u32 = 0x5459; // TIOCSERGETLSR
    const get_number: u32 = readRequest('T', 0x30, u32); // TIOCGPTN
    const set_lock: u32 = writeRequest('T', 0x31, i32); // TIOCSPTLCK
    const is_exclusive: u32 = readRequest('T', 0x40, i32); // TIOCGEXCL
    const get_peer: u32 = 'T' << 8 | 0x41; // TIOCGPTPEER
};

/// _IOR and _IOW of asm-generic/ioctl.h
fn readRequest(kind: u8, number: u8, comptime Memory: type) u32 {
    return 2 << 30 | @as(u32, @sizeOf(Memory)) << 16 | @as(u32, kind) << 8 | number;
}

fn writeRequest(kind: u8, number: u8, comptime Memory: type) u32 {
    return 1 << 30 | @as(u32, @sizeOf(Memory)) << 16 | @as(u32, kind) << 8 | number;
}

const Input = struct {
    const ignore_break: u32 = 0o1;
    const break_interrupts: u32 = 0o2;
    const ignore_parity: u32 = 0o4;
    const mark_parity: u32 = 0o10;
    const check_parity: u32 = 0o20;
    const strip: u32 = 0o40;
    const newline_to_return: u32 = 0o100;
    const ignore_return: u32 = 0o200;
    const return_to_newline: u32 = 0o400;
    const software_output: u32 = 0o2000;
    const any_restarts: u32 = 0o4000;
    const software_input: u32 = 0o10000;
};

const Output = struct {
    const process: u32 = 0o1;
};

const Local = struct {
    const signals: u32 = 0o1;
    const canonical: u32 = 0o2;
    const echo: u32 = 0o10;
    const echo_newline: u32 = 0o100;
    const extended: u32 = 0o100000;
};

const Control = struct {
    const baud_mask: u32 = 0o10017;
    const baud_other: u32 = 0o10000;
    const input_shift: u5 = 16;
    const size_mask: u32 = 0o60;
    const size_step: u32 = 0o20;
    const size_8: u32 = 0o60;
    const two_stop_bits: u32 = 0o100;
    const receive: u32 = 0o200;
    const parity: u32 = 0o400;
    const parity_odd: u32 = 0o1000;
    const ignore_carrier: u32 = 0o4000;
    const parity_stick: u32 = 0o10000000000;
    const hardware_flow: u32 = 0o20000000000;
};

const Character = struct {
    const time = 5;
    const minimum = 6;
};

const Speed = struct { baud: u32, constant: u32 };

/// asm-generic/termbits.h, as x86-64 and arm64 have it.
const standard_speeds = [_]Speed{
    .{ .baud = 50, .constant = 0o1 },
    .{ .baud = 75, .constant = 0o2 },
    .{ .baud = 110, .constant = 0o3 },
    .{ .baud = 134, .constant = 0o4 },
    .{ .baud = 150, .constant = 0o5 },
    .{ .baud = 200, .constant = 0o6 },
    .{ .baud = 300, .constant = 0o7 },
    .{ .baud = 600, .constant = 0o10 },
    .{ .baud = 1200, .constant = 0o11 },
    .{ .baud = 1800, .constant = 0o12 },
    .{ .baud = 2400, .constant = 0o13 },
    .{ .baud = 4800, .constant = 0o14 },
    .{ .baud = 9600, .constant = 0o15 },
    .{ .baud = 19200, .constant = 0o16 },
    .{ .baud = 38400, .constant = 0o17 },
    .{ .baud = 57600, .constant = 0o10001 },
    .{ .baud = 115200, .constant = 0o10002 },
    .{ .baud = 230400, .constant = 0o10003 },
    .{ .baud = 460800, .constant = 0o10004 },
    .{ .baud = 500000, .constant = 0o10005 },
    .{ .baud = 576000, .constant = 0o10006 },
    .{ .baud = 921600, .constant = 0o10007 },
    .{ .baud = 1000000, .constant = 0o10010 },
    .{ .baud = 1152000, .constant = 0o10011 },
    .{ .baud = 1500000, .constant = 0o10012 },
    .{ .baud = 2000000, .constant = 0o10013 },
    .{ .baud = 2500000, .constant = 0o10014 },
    .{ .baud = 3000000, .constant = 0o10015 },
    .{ .baud = 3500000, .constant = 0o10016 },
    .{ .baud = 4000000, .constant = 0o10017 },
};

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
    std.debug.assert(@sizeOf(Mode) == 44);
    std.debug.assert(@offsetOf(Mode, "characters") == 17);
    std.debug.assert(@offsetOf(Mode, "input_baud") == 36);
    std.debug.assert(Request.get_mode == 0x802c542a);
    std.debug.assert(Request.set_mode == 0x402c542b);
    std.debug.assert(Request.get_number == 0x80045430);
    std.debug.assert(Request.set_lock == 0x40045431);
    std.debug.assert(Request.is_exclusive == 0x80045440);
    std.debug.assert(Request.get_peer == 0x5441);
}
