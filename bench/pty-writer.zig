//! The writer of the wait latency benchmark: the controlling end of a raw pseudo-terminal, at whose other end somebody waits.
//!
//!     pty-writer --warm-up 3000 --samples 1000 --gap-us 2500
//!
//! Prints `path /dev/pts/N`. Each byte from the other end asks for the next sample: after a pause of random length, so that it
//! keeps step with no timer, the time is written, as 8 bytes. Before, with shorter pauses, come samples that do not count. When all
//! were answered the terminal is hung up.
//!
//! The time is that of CLOCK_REALTIME: Bun shows it to a quarter of a microsecond (`performance.timeOrigin`), and it shows
//! nobody CLOCK_MONOTONIC.

const std = @import("std");
const system = @import("native/system.zig");
const arguments = @import("native/arguments.zig");
const terminal = @import("native/terminal.zig");

const Arguments = struct {
    warm_up: u32 = 0,
    samples: u32 = 1000,
    gap_us: u32 = 2500,
};

pub fn main(init: std.process.Init.Minimal) void {
    const options = arguments.parse(Arguments, init.args.vector);
    const controller = terminal.openController();
    // The pauses are part of what is measured: nobody must be waked early or late by a whole slack.
    system.setExactTimers();
    system.print("path /dev/pts/{d}\n", .{terminal.number(controller)});

    var random: std.Random.DefaultPrng = .init(system.monotonic_ns());
    var answer: [1]u8 = undefined;
    for (0..options.warm_up + options.samples) |sample| {
        if (system.read(controller, &answer) != 1) system.fail("who waited has gone", .{});
        const gap_us = if (sample < options.warm_up) warm_up_gap_us else options.gap_us;
        const gap_ns = @as(u64, gap_us) * std.time.ns_per_us;
        system.sleep(gap_ns / 2 + random.random().uintLessThan(u64, gap_ns));
        system.writeAll(controller, std.mem.asBytes(&system.realtime_ns()));
    }
    // Else the last sample could be lost in the hang-up.
    if (system.read(controller, &answer) != 1) system.fail("the last sample was not answered", .{});
}

/// Long enough for whoever waits to fall asleep each time, as in the samples that count.
const warm_up_gap_us: u32 = 300;
