//! Polls of sockets by the driver behind Winsock (AFD): what select() and WSAPoll() are made of.
//!
//! Facts. IOCTL_AFD_POLL asks which of some events are so of a socket, and completes once one is: at once, if one is so
//! already. It says nothing of later changes, and cannot be changed after it was submitted. It names the socket by the
//! handle of the base provider, which is another one than the program's if software has put a layer on top of it;
//! SIO_BASE_HANDLE tells it, and providers that break that still answer SIO_BSP_HANDLE_POLL and SIO_BSP_HANDLE_SELECT. A
//! poll is submitted through a handle of the driver itself, which serves any number of sockets; the completions of that
//! handle go to the port that it was associated with. The kernel writes to the poll's memory until its packet has been
//! dequeued, also if it was cancelled. A packet is posted for each poll that was accepted, whether it completed at once
//! or not, and for none that was refused. Closing a socket completes its polls with AFD_POLL_LOCAL_CLOSE.
//!
//! Decision. One socket a poll, without a timeout and not exclusive, so that other queues and other code of the process
//! may poll the same socket. `Operation` is the memory that the kernel writes to, and stays in its place until its packet
//! came.

const std = @import("std");
const windows = @import("../../windows.zig");

const Handle = windows.Handle;
const Socket = windows.Socket;

/// What a poll asks for, and what it answers.
pub const Event = struct {
    pub const receive: u32 = 0x001;
    pub const receive_expedited: u32 = 0x002;
    pub const send: u32 = 0x004;
    /// The peer will send no more.
    pub const disconnect: u32 = 0x008;
    /// The connection was reset.
    pub const abort: u32 = 0x010;
    /// The handle was closed.
    pub const local_close: u32 = 0x020;
    pub const accept: u32 = 0x080;
    pub const connect_fail: u32 = 0x100;
};

/// One poll of one socket.
pub const Operation = struct {
    /// The kernel's until the packet has been dequeued.
    block: StatusBlock = .{},
    request: PollRequest = .{},

    /// Returns 0 if a packet will come, with this context, else a status, and none will.
    pub fn submit(operation: *Operation, driver: Handle, base: Socket, events: u32, context: usize) u32 {
        operation.block = .{ .status = Status.pending };
        operation.request = .{ .handle = base, .events = events };
        const status = NtDeviceIoControlFile(
            driver,
            null,
            null,
            context,
            &operation.block,
            poll_control_code,
            &operation.request,
            @sizeOf(PollRequest),
            &operation.request,
            @sizeOf(PollRequest),
        );
        return if (status == Status.success or status == Status.pending) 0 else status;
    }

    /// Whether there was something to cancel: if not, the poll has completed. Its packet comes in either case.
    pub fn cancel(operation: *Operation, driver: Handle) bool {
        var block: StatusBlock = .{};
        return NtCancelIoFileEx(driver, &operation.block, &block) == Status.success;
    }

    /// What is so of the socket, by a poll that has not failed.
    pub fn answer(operation: *const Operation) u32 {
        if (operation.block.status == Status.cancelled) return 0;
        if (operation.request.count == 0) return 0;
        return operation.request.events;
    }
};

/// Opens the driver, with its completions going to the port under the key.
pub fn open(port: Handle, key: usize) error{Refused}!Handle {
    var name: UnicodeString = .from(driver_name);
    const attributes: ObjectAttributes = .{ .name = &name, .flags = ignores_case };
    var driver: Handle = undefined;
    var block: StatusBlock = .{};
    const status = NtCreateFile(&driver, synchronize, &attributes, &block, null, 0, shared, open_existing, 0, null, 0);
    if (status != Status.success) {
        windows.SetLastError(windows.RtlNtStatusToDosError(status));
        return error.Refused;
    }
    errdefer _ = windows.CloseHandle(driver);
    if (windows.CreateIoCompletionPort(driver, port, key, 0) == null) return error.Refused;
    // Nobody waits for the handle itself, so that the kernel need not signal it.
    _ = windows.SetFileCompletionNotificationModes(driver, skip_handle_event);
    return driver;
}

/// The socket of the base provider, by a function that answers an SIO code with a socket. If none of the codes does, the
/// failure of the first stays the thread's last.
pub fn baseOf(socket: Socket, ask: *const fn (Socket, u32) ?Socket) ?Socket {
    if (ask(socket, base_handle)) |base| return base;
    const code = windows.WSAGetLastError();
    for ([_]u32{ poll_handle, select_handle, provider_handle }) |which| {
        const base = ask(socket, which) orelse continue;
        // One who answers these but not the first is a layer; that it names itself is no answer.
        if (base != socket) return base;
    }
    windows.WSASetLastError(code);
    return null;
}

/// Asks the provider of the socket.
pub fn askProvider(socket: Socket, code: u32) ?Socket {
    var base: Socket = windows.invalid_socket;
    var returned_bytes: u32 = 0;
    const result = windows.WSAIoctl(socket, code, null, 0, &base, @sizeOf(Socket), &returned_bytes, null, null);
    return if (result == 0) base else null;
}

/// Whether a status that refused a poll means that the handle is no socket any more.
pub fn isClosed(status: u32) bool {
    return status == Status.invalid_handle or status == Status.object_type_mismatch;
}

/// Whether a poll has failed by itself.
pub fn isFailure(status: u32) bool {
    return status & error_bit != 0 and status != Status.cancelled;
}

pub const Status = struct {
    pub const success: u32 = 0;
    pub const pending: u32 = 0x0000_0103;
    pub const invalid_handle: u32 = 0xc000_0008;
    pub const object_type_mismatch: u32 = 0xc000_0024;
    pub const cancelled: u32 = 0xc000_0120;
};

/// `IO_STATUS_BLOCK`
pub const StatusBlock = extern struct { status: u32 align(8) = 0, information: usize = 0 };

/// `AFD_POLL_INFO` with one `AFD_POLL_HANDLE_INFO`
const PollRequest = extern struct {
    timeout: i64 = std.math.maxInt(i64),
    count: u32 = 1,
    is_exclusive: u32 = 0,
    handle: Socket = 0,
    events: u32 = 0,
    status: u32 = 0,
};

/// `UNICODE_STRING`
const UnicodeString = extern struct {
    length_bytes: u16,
    capacity_bytes: u16,
    text: [*]const u16,

    fn from(comptime text: []const u16) UnicodeString {
        return .{ .length_bytes = text.len * 2, .capacity_bytes = text.len * 2, .text = text.ptr };
    }
};

/// `OBJECT_ATTRIBUTES`
const ObjectAttributes = extern struct {
    length: u32 = @sizeOf(ObjectAttributes),
    root: ?Handle = null,
    name: *UnicodeString,
    flags: u32,
    security: ?*anyopaque = null,
    quality: ?*anyopaque = null,
};

/// Whatever stands behind the driver's own name is ours to choose.
const driver_name = std.unicode.utf8ToUtf16LeStringLiteral("\\Device\\Afd\\BunReactor");

const error_bit: u32 = 0x8000_0000;
const ignores_case: u32 = 0x40; // OBJ_CASE_INSENSITIVE
const synchronize: u32 = 0x0010_0000;
const shared: u32 = 0x3; // FILE_SHARE_READ | FILE_SHARE_WRITE
const open_existing: u32 = 1; // FILE_OPEN
const skip_handle_event: u8 = 2; // FILE_SKIP_SET_EVENT_ON_HANDLE
const poll_control_code: u32 = 0x0001_2024; // IOCTL_AFD_POLL

const base_handle: u32 = 0x4800_0022; // SIO_BASE_HANDLE
const poll_handle: u32 = 0x4800_001d; // SIO_BSP_HANDLE_POLL
const select_handle: u32 = 0x4800_001c; // SIO_BSP_HANDLE_SELECT
const provider_handle: u32 = 0x4800_001b; // SIO_BSP_HANDLE

extern "ntdll" fn NtCreateFile(
    handle: *Handle,
    access: u32,
    attributes: *const ObjectAttributes,
    block: *StatusBlock,
    allocation_bytes: ?*i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    extended: ?*anyopaque,
    extended_bytes: u32,
) callconv(.winapi) u32;
extern "ntdll" fn NtDeviceIoControlFile(
    handle: Handle,
    event: ?Handle,
    routine: ?*const anyopaque,
    context: usize,
    block: *StatusBlock,
    code: u32,
    input: ?*const anyopaque,
    input_bytes: u32,
    output: ?*anyopaque,
    output_bytes: u32,
) callconv(.winapi) u32;
extern "ntdll" fn NtCancelIoFileEx(handle: Handle, request: *StatusBlock, block: *StatusBlock) callconv(.winapi) u32;

comptime {
    std.debug.assert(@sizeOf(StatusBlock) == 16);
    std.debug.assert(@sizeOf(PollRequest) == 32);
    std.debug.assert(@offsetOf(PollRequest, "handle") == 16);
    std.debug.assert(@offsetOf(PollRequest, "events") == 24);
    std.debug.assert(@sizeOf(UnicodeString) == 16);
    std.debug.assert(@sizeOf(ObjectAttributes) == 48);
}
