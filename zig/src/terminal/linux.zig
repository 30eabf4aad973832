//! What is Linux's own of terminals.
//!
//! Facts. The calls of termios(3) know the speeds that have a constant; any other needs `struct termios2` and BOTHER
//! (ioctl_tty(2)), and then the speed is in the structure as a number. Programs that know nothing of termios2, such as
//! stty, read the constant only. TCSETS2 takes effect at once; TCSETSW2, tcdrain(3) and tcsendbreak(3) wait until all
//! is sent. TIOCSBRK waits for that too before it begins (tty_io.c), and so does the last close of a serial port, up to
//! 30 s (closing_wait of setserial(8)). Of the bytes in the chip itself only its "transmitter empty" bit tells, by
//! TIOCSERGETLSR, which not every driver has. TIOCGPTPEER opens the other end of a pair without a path, which another
//! mount namespace may lack.
//!
//! Decision. Always termios2, with the constant where there is one, so that others can read the speed as well.

const std = @import("std");
const linux = @import("../linux.zig");
const terminal = @import("../terminal.zig");

const control = @import("posix.zig").control;

/// Of a mode.
pub const Flags = u32;

/// `struct termios2`, which x86-64 and arm64 have in common, and behind it what fills it up to the size of other
/// systems.
pub const Mode = extern struct {
    input: Flags,
    output: Flags,
    control: Flags,
    local: Flags,
    discipline: u8,
    characters: [19]u8,
    input_baud: u32,
    output_baud: u32,
    reserved: [terminal.mode_bytes - native_mode_bytes]u8,
};

/// Of `struct termios2`
const native_mode_bytes = 44;

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

pub fn setMode(descriptor: i32, mode: *const Mode) i32 {
    return control(descriptor, Request.set_mode, mode);
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

pub fn setBaud(mode: *Mode, baud: u32) void {
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

/// AT_FDCWD
const current_folder: i32 = -100;

/// O_RDWR, O_NOCTTY, O_NONBLOCK, O_CLOEXEC
const open_flags: u32 = 0o2 | 0o400 | 0o4000 | 0o2000000;

/// TIOCSER_TEMT
const transmitter_empty: u32 = 1;

pub const Request = struct {
    pub const get_mode: u32 = readRequest('T', 0x2a, native_mode_bytes); // TCGETS2
    pub const set_mode: u32 = writeRequest('T', 0x2b, native_mode_bytes); // TCSETS2
    pub const flush: u32 = 0x540b; // TCFLSH
    pub const exclusive: u32 = 0x540c; // TIOCEXCL
    pub const shared: u32 = 0x540d; // TIOCNXCL
    pub const unsent: u32 = 0x5411; // TIOCOUTQ
    pub const get_window_size: u32 = 0x5413; // TIOCGWINSZ
    pub const set_window_size: u32 = 0x5414; // TIOCSWINSZ
    pub const get_modem: u32 = 0x5415; // TIOCMGET
    pub const set_modem_bits: u32 = 0x5416; // TIOCMBIS
    pub const clear_modem_bits: u32 = 0x5417; // TIOCMBIC
    pub const begin_break: u32 = 0x5427; // TIOCSBRK
    pub const end_break: u32 = 0x5428; // TIOCCBRK
    pub const line_state: u32 = 0x5459; // TIOCSERGETLSR
    pub const get_number: u32 = readRequest('T', 0x30, @sizeOf(u32)); // TIOCGPTN
    pub const set_lock: u32 = writeRequest('T', 0x31, @sizeOf(i32)); // TIOCSPTLCK
    pub const is_exclusive: u32 = readRequest('T', 0x40, @sizeOf(i32)); // TIOCGEXCL
    pub const get_peer: u32 = 'T' << 8 | 0x41; // TIOCGPTPEER
};

/// _IOR and _IOW of asm-generic/ioctl.h
fn readRequest(kind: u8, number: u8, bytes: u32) u32 {
    return 2 << 30 | bytes << 16 | @as(u32, kind) << 8 | number;
}

fn writeRequest(kind: u8, number: u8, bytes: u32) u32 {
    return 1 << 30 | bytes << 16 | @as(u32, kind) << 8 | number;
}

pub const Input = struct {
    pub const ignore_break: u32 = 0o1;
    pub const break_interrupts: u32 = 0o2;
    pub const ignore_parity: u32 = 0o4;
    pub const mark_parity: u32 = 0o10;
    pub const check_parity: u32 = 0o20;
    pub const strip: u32 = 0o40;
    pub const newline_to_return: u32 = 0o100;
    pub const ignore_return: u32 = 0o200;
    pub const return_to_newline: u32 = 0o400;
    pub const software_output: u32 = 0o2000;
    pub const any_restarts: u32 = 0o4000;
    pub const software_input: u32 = 0o10000;
};

pub const Output = struct {
    pub const process: u32 = 0o1;
};

pub const Local = struct {
    pub const signals: u32 = 0o1;
    pub const canonical: u32 = 0o2;
    pub const echo: u32 = 0o10;
    pub const echo_newline: u32 = 0o100;
    pub const extended: u32 = 0o100000;
};

pub const Control = struct {
    pub const baud_mask: u32 = 0o10017;
    pub const baud_other: u32 = 0o10000;
    pub const input_shift: u5 = 16;
    pub const size_mask: u32 = 0o60;
    pub const size_step: u32 = 0o20;
    pub const size_8: u32 = 0o60;
    pub const two_stop_bits: u32 = 0o100;
    pub const receive: u32 = 0o200;
    pub const parity: u32 = 0o400;
    pub const parity_odd: u32 = 0o1000;
    pub const ignore_carrier: u32 = 0o4000;
    pub const parity_stick: u32 = 0o10000000000;
    pub const hardware_flow: u32 = 0o20000000000;
};

pub const Character = struct {
    pub const time = 5;
    pub const minimum = 6;
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

comptime {
    std.debug.assert(@offsetOf(Mode, "characters") == 17);
    std.debug.assert(@offsetOf(Mode, "input_baud") == 36);
    std.debug.assert(Request.get_mode == 0x802c542a);
    std.debug.assert(Request.set_mode == 0x402c542b);
    std.debug.assert(Request.get_number == 0x80045430);
    std.debug.assert(Request.set_lock == 0x40045431);
    std.debug.assert(Request.is_exclusive == 0x80045440);
    std.debug.assert(Request.get_peer == 0x5441);
}
