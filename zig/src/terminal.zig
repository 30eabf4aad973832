//! Terminals: pseudo-terminal pairs, serial lines, and what is set of either. One contract, an implementation for each
//! family of operating systems.
//!
//! No call blocks, and what is opened here is non-blocking, close-on-exec and nobody's controlling terminal. Results
//! below zero are negated errno values; on what is no terminal every call returns `-ENOTTY`. Reading and writing are in
//! `file.zig`.

const builtin = @import("builtin");

const backend = switch (builtin.os.tag) {
    .linux, .macos, .freebsd => @import("terminal/posix.zig"),
    .windows => @import("terminal/windows.zig"),
    else => @compileError("there are no terminals for this operating system yet"),
};

/// Everything that is set of a terminal, as the system keeps it: to be put back later, as a whole.
pub const Mode = backend.Mode;

/// The same on every platform: macOS needs so much, the others less.
pub const mode_bytes = 72;

/// How bytes go over a serial line.
pub const Line = extern struct {
    /// Bits a second, both ways.
    baud: u32,
    /// 5 to 8.
    data_bits: u32,
    parity: u32,
    /// 1 or 2.
    stop_bits: u32,
    flow_control: u32,
};

pub const Parity = enum(u32) { none = 0, even = 1, odd = 2, mark = 3, space = 4 };

/// Who may stop the other side: nobody, by RTS and CTS, or by the bytes XON and XOFF.
pub const FlowControl = enum(u32) { none = 0, hardware = 1, software = 2 };

pub const WindowSize = extern struct { rows: u16, columns: u16, width_pixels: u16 = 0, height_pixels: u16 = 0 };

/// The lines of a serial port beside those for data, as flags.
pub const ModemLine = struct {
    pub const data_terminal_ready: u32 = 1;
    pub const request_to_send: u32 = 2;
    pub const clear_to_send: u32 = 4;
    pub const data_set_ready: u32 = 8;
    pub const carrier_detect: u32 = 16;
    pub const ring_indicator: u32 = 32;
};

/// What the system holds between the program and the line.
pub const Queued = enum(u32) { received = 0, unsent = 1, both = 2 };

pub const openController = backend.openController;
pub const numberOf = backend.numberOf;
pub const openPeer = backend.openPeer;
pub const getMode = backend.getMode;
pub const setMode = backend.setMode;
pub const makeRaw = backend.makeRaw;
pub const configureLine = backend.configureLine;
pub const describeLine = backend.describeLine;
pub const getWindowSize = backend.getWindowSize;
pub const setWindowSize = backend.setWindowSize;
pub const modemLines = backend.modemLines;
pub const changeModemLines = backend.changeModemLines;
pub const setBreak = backend.setBreak;
pub const unsentBytes = backend.unsentBytes;
pub const isTransmitterEmpty = backend.isTransmitterEmpty;
pub const discard = backend.discard;
pub const setExclusive = backend.setExclusive;

comptime {
    expect(@TypeOf(openController) == fn () i32);
    expect(@TypeOf(numberOf) == fn (i32) i32);
    expect(@TypeOf(openPeer) == fn (i32) i32);
    expect(@TypeOf(getMode) == fn (i32, *Mode) i32);
    expect(@TypeOf(setMode) == fn (i32, *const Mode) i32);
    expect(@TypeOf(makeRaw) == fn (*Mode) void);
    expect(@TypeOf(configureLine) == fn (*Mode, *const Line) i32);
    expect(@TypeOf(describeLine) == fn (*const Mode, *Line) void);
    expect(@TypeOf(getWindowSize) == fn (i32, *WindowSize) i32);
    expect(@TypeOf(setWindowSize) == fn (i32, *const WindowSize) i32);
    expect(@TypeOf(modemLines) == fn (i32) i32);
    expect(@TypeOf(changeModemLines) == fn (i32, u32, u32) i32);
    expect(@TypeOf(setBreak) == fn (i32, bool) i32);
    expect(@TypeOf(unsentBytes) == fn (i32) i32);
    expect(@TypeOf(isTransmitterEmpty) == fn (i32) i32);
    expect(@TypeOf(discard) == fn (i32, Queued) i32);
    expect(@TypeOf(setExclusive) == fn (i32, bool) i32);
    // src/native/library.ts checks the same numbers when it loads the library.
    expect(@sizeOf(Mode) == mode_bytes);
    expect(@sizeOf(Line) == 20);
    expect(@sizeOf(WindowSize) == 8);
}

fn expect(comptime met: bool) void {
    if (!met) @compileError("the terminals of this platform do not meet the contract in terminal.zig");
}
