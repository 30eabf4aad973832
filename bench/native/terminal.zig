//! Pseudo-terminals for the native bench programs: raw, and blocking unless another mode is asked for.

const std = @import("std");
const system = @import("system.zig");
const linux = std.os.linux;

const O_RDWR = 0o2;
const O_NOCTTY = 0o400;
const AT_FDCWD = -100;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
const TCGETS = 0x5401;
const TCSETS = 0x5402;

/// `struct termios` as the kernel has it.
const Mode = extern struct {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    discipline: u8,
    characters: [19]u8,
};

/// The controlling end of a new raw pseudo-terminal.
pub fn openController() i32 {
    const flags = O_RDWR | O_NOCTTY | system.SOCK_CLOEXEC;
    const controller = call("open /dev/ptmx", linux.syscall4(.openat, word(AT_FDCWD), @intFromPtr("/dev/ptmx"), flags, 0));
    const unlocked: i32 = 0;
    _ = call("unlock a terminal", linux.syscall3(.ioctl, word(controller), TIOCSPTLCK, @intFromPtr(&unlocked)));
    var mode: Mode = undefined;
    _ = call("read the mode of a terminal", linux.syscall3(.ioctl, word(controller), TCGETS, @intFromPtr(&mode)));
    mode.input = 0;
    mode.output = 0;
    mode.local = 0;
    _ = call("make a terminal raw", linux.syscall3(.ioctl, word(controller), TCSETS, @intFromPtr(&mode)));
    return controller;
}

/// The N of /dev/pts/N, its other end.
pub fn number(controller: i32) i32 {
    var found: i32 = 0;
    _ = call("number a terminal", linux.syscall3(.ioctl, word(controller), TIOCGPTN, @intFromPtr(&found)));
    return found;
}

/// Opens the other end; `flags` are more of open(2).
pub fn openPeer(controller: i32, flags: usize) i32 {
    return call("open a terminal", linux.syscall3(.ioctl, word(controller), TIOCGPTPEER, O_RDWR | O_NOCTTY | flags));
}

pub fn openPath(path: [*:0]const u8) i32 {
    const flags = O_RDWR | O_NOCTTY | system.SOCK_CLOEXEC;
    return call("open the terminal", linux.syscall4(.openat, word(AT_FDCWD), @intFromPtr(path), flags, 0));
}

fn call(comptime doing: []const u8, result: usize) i32 {
    return @intCast(system.expect(@bitCast(result), doing));
}

fn word(value: i32) usize {
    return @bitCast(@as(isize, value));
}

comptime {
    std.debug.assert(@sizeOf(Mode) == 36);
}
