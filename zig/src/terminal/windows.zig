//! Windows has no terminals of this kind: its console and its serial ports are handles that no event queue can wait for
//! without consuming what they bring. Every call says so (`-ENOSYS`).

const terminal = @import("../terminal.zig");
const windows = @import("../windows.zig");

const absent: i32 = -windows.Errno.not_implemented;

/// As large as elsewhere, so that both sides of the border agree on it.
pub const Mode = extern struct { bytes: [terminal.mode_bytes]u8 };

pub fn openController() i32 {
    return absent;
}

pub fn numberOf(_: i32) i32 {
    return absent;
}

pub fn openPeer(_: i32) i32 {
    return absent;
}

pub fn getMode(_: i32, _: *Mode) i32 {
    return absent;
}

pub fn setMode(_: i32, _: *const Mode) i32 {
    return absent;
}

pub fn makeRaw(_: *Mode) void {}

pub fn configureLine(_: *Mode, _: *const terminal.Line) i32 {
    return absent;
}

pub fn describeLine(_: *const Mode, _: *terminal.Line) void {}

pub fn getWindowSize(_: i32, _: *terminal.WindowSize) i32 {
    return absent;
}

pub fn setWindowSize(_: i32, _: *const terminal.WindowSize) i32 {
    return absent;
}

pub fn modemLines(_: i32) i32 {
    return absent;
}

pub fn changeModemLines(_: i32, _: u32, _: u32) i32 {
    return absent;
}

pub fn setBreak(_: i32, _: bool) i32 {
    return absent;
}

pub fn unsentBytes(_: i32) i32 {
    return absent;
}

pub fn isTransmitterEmpty(_: i32) i32 {
    return absent;
}

pub fn discard(_: i32, _: terminal.Queued) i32 {
    return absent;
}

pub fn setExclusive(_: i32, _: bool) i32 {
    return absent;
}
