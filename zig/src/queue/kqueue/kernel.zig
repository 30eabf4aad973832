//! kqueue(2) as the system declares it, and the little that the backend needs of its host besides.
//!
//! Facts. The structure of an event is 32 bytes on macOS; FreeBSD has added four numbers for extensions in version 12,
//! and made it 64. Names and most numbers are the same; EVFILT_USER is -10 on macOS and -11 on FreeBSD. Out-of-band
//! data has a filter of its own on macOS (EVFILT_EXCEPT with NOTE_OOB) and none on FreeBSD.
//!
//! On Linux there is no kqueue(2). Implementations of it as a library exist, with the structure of macOS and either
//! number of EVFILT_USER; the contract suite runs over one of them (`-Dqueue=kqueue`), so that this backend is tried
//! out on every machine. Only there the host is Linux.

const std = @import("std");
const builtin = @import("builtin");

/// Whether kqueue(2) is a library beside the system, and not the system's own.
pub const is_external = builtin.os.tag == .linux;

const host = if (is_external) @import("external_host.zig") else @import("../../bsd.zig");

pub const closeOnExec = host.closeOnExec;
pub const fileType = host.fileType;
pub const isOpen = host.isOpen;
pub const monotonicNow_ns = host.monotonicNow_ns;
pub const result = host.result;

/// `struct kevent`
pub const Event = if (builtin.os.tag == .freebsd) extern struct {
    identifier: usize,
    filter: i16,
    flags: u16,
    filter_flags: u32 = 0,
    data: i64 = 0,
    user_data: u64 = 0,
    extensions: [4]u64 = @splat(0),
} else extern struct {
    identifier: usize,
    filter: i16,
    flags: u16,
    filter_flags: u32 = 0,
    data: isize = 0,
    user_data: u64 = 0,
};

pub const Filter = struct {
    pub const read: i16 = -1;
    pub const write: i16 = -2;
    pub const out_of_band: i16 = -15;
    /// EVFILT_USER, in the order in which they are tried.
    pub const user: []const i16 = switch (builtin.os.tag) {
        .macos => &.{-10},
        .freebsd => &.{-11},
        else => &.{ -11, -10 },
    };
};

pub const has_out_of_band = builtin.os.tag == .macos;

/// NOTE_OOB of EVFILT_EXCEPT
pub const note_out_of_band: u32 = 0x2;
/// NOTE_TRIGGER of EVFILT_USER
pub const note_trigger: u32 = 0x01000000;

pub const Flag = struct {
    pub const add: u16 = 0x1;
    pub const delete: u16 = 0x2;
    pub const enable: u16 = 0x4;
    pub const disable: u16 = 0x8;
    /// EV_CLEAR
    pub const edge: u16 = 0x20;
    pub const receipt: u16 = 0x40;
    /// EV_DISPATCH
    pub const disable_once_told: u16 = 0x80;
    pub const has_failed: u16 = 0x4000;
    pub const end_of_file: u16 = 0x8000;
};

/// The kinds of files that the backend tells apart (stat(2)): the same numbers everywhere.
pub const FileType = struct {
    pub const pipe = 0o010000;
    pub const folder = 0o040000;
    pub const block_device = 0o060000;
    pub const regular = 0o100000;
    pub const socket = 0o140000;
};

/// As the time-out of kevent(2).
pub const Timespec = host.Timespec;

/// `pthread_mutex_t`, which is 64 bytes on macOS, a pointer on FreeBSD, and in between elsewhere.
pub const Mutex = extern struct {
    memory: [64]u8 align(16),

    pub fn init(mutex: *Mutex) i32 {
        return -c.pthread_mutex_init(mutex, null);
    }

    pub fn deinit(mutex: *Mutex) void {
        std.debug.assert(c.pthread_mutex_destroy(mutex) == 0);
    }

    pub fn lock(mutex: *Mutex) void {
        const returned = c.pthread_mutex_lock(mutex);
        std.debug.assert(returned == 0);
    }

    pub fn unlock(mutex: *Mutex) void {
        const returned = c.pthread_mutex_unlock(mutex);
        std.debug.assert(returned == 0);
    }
};

pub const kqueue = c.kqueue;
pub const kevent = c.kevent;
pub const close = c.close;
pub const calloc = c.calloc;
pub const realloc = c.realloc;
pub const free = c.free;

const c = struct {
    extern "c" fn kqueue() c_int;
    extern "c" fn kevent(c_int, ?[*]const Event, c_int, ?[*]Event, c_int, ?*const Timespec) c_int;
    extern "c" fn close(c_int) c_int;
    extern "c" fn calloc(usize, usize) ?*anyopaque;
    extern "c" fn realloc(?*anyopaque, usize) ?*anyopaque;
    extern "c" fn free(?*anyopaque) void;
    extern "c" fn pthread_mutex_init(*Mutex, ?*const anyopaque) c_int;
    extern "c" fn pthread_mutex_destroy(*Mutex) c_int;
    extern "c" fn pthread_mutex_lock(*Mutex) c_int;
    extern "c" fn pthread_mutex_unlock(*Mutex) c_int;
};

comptime {
    std.debug.assert(@sizeOf(Event) == if (builtin.os.tag == .freebsd) 64 else 32);
    std.debug.assert(@offsetOf(Event, "filter") == 8);
    std.debug.assert(@offsetOf(Event, "flags") == 10);
    std.debug.assert(@offsetOf(Event, "filter_flags") == 12);
    std.debug.assert(@offsetOf(Event, "data") == 16);
    std.debug.assert(@offsetOf(Event, "user_data") == 24);
}
