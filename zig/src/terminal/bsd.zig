//! What is macOS's and FreeBSD's own of terminals.
//!
//! Facts. A mode holds its speeds as numbers; the drivers of macOS may refuse those that have no constant (EINVAL), and
//! take them by IOSSIOSPEED afterwards. There is no fixed parity. No request tells whether the chip has sent its last
//! bit, or whether a terminal is exclusive. A pair is made by posix_openpt(3); its other end is /dev/pts/N on FreeBSD
//! and /dev/ttysNNN on macOS, where TIOCPTYGNAME tells the path.
//!
//! Decision. What cannot be set is left out of a mode, so that reading it back shows it.

const std = @import("std");
const bsd = @import("../bsd.zig");
const files = @import("../file/bsd.zig");
const terminal = @import("../terminal.zig");

const control = @import("posix.zig").control;
const is_macos = bsd.is_macos;

/// Of a mode.
pub const Flags = if (is_macos) u64 else u32;

/// `struct termios`, which is shorter on FreeBSD.
pub const Mode = if (is_macos) extern struct {
    input: Flags,
    output: Flags,
    control: Flags,
    local: Flags,
    characters: [20]u8,
    padding: u32,
    input_baud: u64,
    output_baud: u64,
} else extern struct {
    input: Flags,
    output: Flags,
    control: Flags,
    local: Flags,
    characters: [20]u8,
    input_baud: u32,
    output_baud: u32,
    reserved: [terminal.mode_bytes - native_mode_bytes]u8,
};

/// Of `struct termios`
pub const native_mode_bytes = if (is_macos) 72 else 44;

/// The controlling end of a new pair, whose other end can be opened.
pub fn openController() i32 {
    const descriptor = bsd.adopt(bsd.callUninterrupted(.posix_openpt, .{read_write | files.Flag.no_controlling_terminal}));
    if (descriptor < 0) return descriptor;
    var result = bsd.call(.grantpt, .{descriptor});
    if (result >= 0) result = bsd.call(.unlockpt, .{descriptor});
    if (result >= 0) return descriptor;
    _ = bsd.call(.close, .{descriptor});
    return result;
}

/// N of /dev/pts/N, or of /dev/ttysNNN.
pub fn numberOf(controller: i32) i32 {
    if (!is_macos) {
        var number: i32 = 0;
        const result = control(controller, get_number, &number);
        return if (result < 0) result else number;
    }
    var path: Path = undefined;
    const result = pathOf(controller, &path);
    if (result < 0) return result;
    // The number of a terminal is at the end, and has three digits.
    var number: i32 = 0;
    for (path) |byte| {
        if (byte == 0) break;
        number = if (std.ascii.isDigit(byte)) number * 10 + (byte - '0') else 0;
    }
    return number;
}

pub fn openPeer(controller: i32) i32 {
    var path: Path = undefined;
    const result = pathOf(controller, &path);
    if (result < 0) return result;
    const flags = files.Flag.no_controlling_terminal | files.Flag.nonblock | files.Flag.cloexec;
    return files.open(@ptrCast(&path), read_write | flags);
}

/// Of the other end.
fn pathOf(controller: i32, path: *Path) i32 {
    if (is_macos) return control(controller, get_name, path);
    const number = numberOf(controller);
    if (number < 0) return number;
    const folder = "/dev/pts/";
    @memcpy(path[0..folder.len], folder);
    writeNumber(path[folder.len..], @intCast(number));
    return 0;
}

/// In decimal digits, with a zero behind them.
fn writeNumber(place: []u8, number: u32) void {
    var digits: usize = 1;
    var power: u32 = 10;
    while (power <= number) : (power *|= 10) digits += 1;
    var rest = number;
    for (0..digits) |index| {
        place[digits - 1 - index] = '0' + @as(u8, @intCast(rest % 10));
        rest /= 10;
    }
    place[digits] = 0;
}

/// What the request of macOS fills.
const Path = [128]u8;

pub fn setMode(descriptor: i32, mode: *const Mode) i32 {
    const result = control(descriptor, Request.set_mode, mode);
    if (!is_macos or result != -bsd.Errno.invalid_argument) return result;
    var usual = mode.*;
    usual.input_baud = usual_baud;
    usual.output_baud = usual_baud;
    const usual_result = control(descriptor, Request.set_mode, &usual);
    if (usual_result < 0) return usual_result;
    const speed: u64 = mode.output_baud;
    return control(descriptor, set_any_speed, &speed);
}

/// One that every driver has.
const usual_baud = 9600;

pub fn isTransmitterEmpty(_: i32) i32 {
    return -bsd.Errno.not_implemented;
}

pub fn discard(descriptor: i32, queued: terminal.Queued) i32 {
    const directions: i32 = switch (queued) {
        .received => 1,
        .unsent => 2,
        .both => 3,
    };
    return control(descriptor, flush, &directions);
}

/// Whether others are refused to open it, with -EBUSY; administrators are let in all the same.
pub fn setExclusive(descriptor: i32, is_on: bool) i32 {
    return bsd.callUninterrupted(.ioctl, .{ descriptor, if (is_on) exclusive else shared, 0 });
}

pub fn setBaud(mode: *Mode, baud: u32) void {
    mode.output_baud = baud;
    mode.input_baud = baud;
}

/// O_RDWR
const read_write: u32 = 2;

pub const exclusive: u32 = 0x2000740d; // TIOCEXCL
pub const shared: u32 = 0x2000740e; // TIOCNXCL
pub const flush: u32 = 0x80047410; // TIOCFLUSH
pub const get_number: u32 = 0x4004740f; // TIOCGPTN of FreeBSD
pub const get_name: u32 = 0x40807453; // TIOCPTYGNAME of macOS
const set_any_speed: u32 = 0x80085402; // IOSSIOSPEED of macOS

pub const Request = struct {
    pub const get_mode: u32 = 0x40007413 | native_mode_bytes << 16; // TIOCGETA
    pub const set_mode: u32 = 0x80007414 | native_mode_bytes << 16; // TIOCSETA
    pub const get_window_size: u32 = 0x40087468; // TIOCGWINSZ
    pub const set_window_size: u32 = 0x80087467; // TIOCSWINSZ
    pub const unsent: u32 = 0x40047473; // TIOCOUTQ
    pub const get_modem: u32 = 0x4004746a; // TIOCMGET
    pub const set_modem_bits: u32 = 0x8004746c; // TIOCMBIS
    pub const clear_modem_bits: u32 = 0x8004746b; // TIOCMBIC
    pub const begin_break: u32 = 0x2000747b; // TIOCSBRK
    pub const end_break: u32 = 0x2000747a; // TIOCCBRK
};

pub const Input = struct {
    pub const ignore_break: Flags = 0x1;
    pub const break_interrupts: Flags = 0x2;
    pub const ignore_parity: Flags = 0x4;
    pub const mark_parity: Flags = 0x8;
    pub const check_parity: Flags = 0x10;
    pub const strip: Flags = 0x20;
    pub const newline_to_return: Flags = 0x40;
    pub const ignore_return: Flags = 0x80;
    pub const return_to_newline: Flags = 0x100;
    pub const software_output: Flags = 0x200;
    pub const software_input: Flags = 0x400;
    pub const any_restarts: Flags = 0x800;
};

pub const Output = struct {
    pub const process: Flags = 0x1;
};

pub const Local = struct {
    pub const echo: Flags = 0x8;
    pub const echo_newline: Flags = 0x10;
    pub const signals: Flags = 0x80;
    pub const canonical: Flags = 0x100;
    pub const extended: Flags = 0x400;
};

pub const Control = struct {
    pub const size_mask: Flags = 0x300;
    pub const size_step: Flags = 0x100;
    pub const size_8: Flags = 0x300;
    pub const two_stop_bits: Flags = 0x400;
    pub const receive: Flags = 0x800;
    pub const parity: Flags = 0x1000;
    pub const parity_odd: Flags = 0x2000;
    pub const ignore_carrier: Flags = 0x8000;
    /// There is none, so that fixed parity is read back as another.
    pub const parity_stick: Flags = 0;
    /// CCTS_OFLOW and CRTS_IFLOW
    pub const hardware_flow: Flags = 0x30000;
};

pub const Character = struct {
    pub const minimum = 16;
    pub const time = 17;
};

comptime {
    std.debug.assert(Request.get_mode == if (is_macos) 0x40487413 else 0x402c7413);
    std.debug.assert(Request.set_mode == if (is_macos) 0x80487414 else 0x802c7414);
    std.debug.assert(@offsetOf(Mode, "output_baud") == if (is_macos) 64 else 40);
}
