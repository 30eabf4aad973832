//! The Windows functions that the library calls, and what their error codes mean: ntdll, kernel32 and ws2_32, nothing
//! else, and no C runtime.
//!
//! Facts. Windows has three families of error codes: NTSTATUS of the kernel, those of GetLastError, and those of
//! WSAGetLastError, which are numbers above 10,000 of the same space as GetLastError's. None is errno. Node.js shows the
//! numbers of libuv in `error.errno`. Winsock must be started in a process before its first socket (WSAStartup); starts
//! are counted, and the process's end undoes them all. The loader's lock is held in DllMain, and Microsoft's documentation
//! forbids WSAStartup there. Winsock refuses a call before the start with WSANOTINITIALISED. Kernel handles, SOCKETs
//! among them, fit in 31 bits, are multiples of four, and their lowest two bits are ignored. What ends a call that names
//! no socket is WSAENOTSOCK, whether the number is another object's or nobody's. The compiler's own library is linked as
//! a whole for x86-64 (50 KiB), as soon as one of its functions is called: memcpy, for a length that is not known when
//! compiling, or the probe of a stack frame above 4 KiB.
//!
//! Decision. Every code is turned into libuv's number where it appears, and what has no counterpart is UNKNOWN. Winsock is
//! started by the call that makes a socket, once it was refused: so there is no state to keep, nothing runs when the
//! library is loaded, and a process whose runtime has started Winsock (as Bun's has) never gets there. It is not stopped:
//! other code of the process may count on it. A descriptor is the SOCKET's number; one that is nobody's is EBADF, as
//! everywhere else. No code for Windows copies by a length that is not known, and none has a large frame: what is large is
//! in memory of the queue, or in memory that is only written to.

const std = @import("std");

/// The error numbers that the library itself decides on, as libuv has them for Windows (`uv/errno.h`).
pub const Errno = struct {
    pub const access_denied = 4092; // EACCES
    pub const address_in_use = 4091; // EADDRINUSE
    pub const address_not_available = 4090; // EADDRNOTAVAIL
    pub const address_family_not_supported = 4089; // EAFNOSUPPORT
    pub const again = 4088; // EAGAIN
    pub const already = 4084; // EALREADY
    pub const bad_descriptor = 4083; // EBADF
    pub const busy = 4082; // EBUSY
    pub const cancelled = 4081; // ECANCELED
    pub const connection_aborted = 4079; // ECONNABORTED
    pub const connection_refused = 4078; // ECONNREFUSED
    pub const connection_reset = 4077; // ECONNRESET
    pub const destination_required = 4076; // EDESTADDRREQ
    pub const exists = 4075; // EEXIST
    pub const fault = 4074; // EFAULT
    pub const host_unreachable = 4073; // EHOSTUNREACH
    pub const interrupted = 4072; // EINTR
    pub const invalid_argument = 4071; // EINVAL
    pub const io = 4070; // EIO
    pub const is_connected = 4069; // EISCONN
    pub const loop = 4067; // ELOOP
    pub const too_many_descriptors = 4066; // EMFILE
    pub const message_size = 4065; // EMSGSIZE
    pub const name_too_long = 4064; // ENAMETOOLONG
    pub const network_down = 4063; // ENETDOWN
    pub const network_unreachable = 4062; // ENETUNREACH
    pub const no_buffer_space = 4060; // ENOBUFS
    pub const no_such_device = 4059; // ENODEV
    pub const no_entry = 4058; // ENOENT
    pub const no_memory = 4057; // ENOMEM
    pub const no_space = 4055; // ENOSPC
    pub const not_implemented = 4054; // ENOSYS
    pub const not_connected = 4053; // ENOTCONN
    pub const not_empty = 4051; // ENOTEMPTY
    pub const not_a_socket = 4050; // ENOTSOCK
    pub const not_supported = 4049; // ENOTSUP
    pub const not_permitted = 4048; // EPERM
    pub const broken_pipe = 4047; // EPIPE
    pub const protocol_not_supported = 4045; // EPROTONOSUPPORT
    pub const wrong_protocol_type = 4044; // EPROTOTYPE
    pub const timed_out = 4039; // ETIMEDOUT
    pub const no_protocol_option = 4035; // ENOPROTOOPT
    pub const host_down = 4031; // EHOSTDOWN
    pub const socket_type_not_supported = 4025; // ESOCKTNOSUPPORT
    pub const unknown = 4094; // UNKNOWN
    /// EINPROGRESS. libuv has no such number; this is the C runtime's, which `node:os` tells in `constants.errno`.
    pub const in_progress = 112;
};

/// The time since the system was started, which QueryPerformanceCounter counts: on every thread and core the same.
pub fn monotonicNow_ns() i64 {
    var ticks: i64 = undefined;
    var ticks_per_second: i64 = undefined;
    // Neither can fail since Windows XP.
    _ = QueryPerformanceFrequency(&ticks_per_second);
    _ = QueryPerformanceCounter(&ticks);
    return toNanoseconds(ticks, ticks_per_second);
}

/// Seconds and what is left apart, because the product of both would not fit after half an hour.
pub fn toNanoseconds(ticks: i64, ticks_per_second: i64) i64 {
    const seconds = @divTrunc(ticks, ticks_per_second);
    const rest = @rem(ticks, ticks_per_second);
    return seconds * std.time.ns_per_s + @divTrunc(rest * std.time.ns_per_s, ticks_per_second);
}

/// The handle that a descriptor stands for. Nothing below zero is one.
pub fn toHandle(descriptor: i32) Handle {
    if (descriptor < 0) return invalid_handle;
    return @ptrFromInt(@as(usize, @intCast(descriptor)));
}

pub fn toSocket(descriptor: i32) Socket {
    if (descriptor < 0) return invalid_socket;
    return @intCast(descriptor);
}

/// The number of a socket that was made. Kernel handles fit (Microsoft: "64-bit Windows uses 32-bit handles").
pub fn toDescriptor(made: Socket) i32 {
    return @intCast(made);
}

/// Whether the number is a handle of this process. One with its lowest bits set is only another name of a handle.
pub fn isOpen(descriptor: i32) bool {
    var flags: u32 = undefined;
    if (descriptor < 0 or descriptor & tag_bits != 0) return false;
    return GetHandleInformation(toHandle(descriptor), &flags) != 0;
}

/// Makes a socket that is non-blocking, and that no child process inherits.
pub fn makeSocket(family: i32, kind: i32, protocol: i32) i32 {
    var made = WSASocketW(family, kind, protocol, null, 0, SocketFlag.overlapped | SocketFlag.not_inherited);
    if (made == invalid_socket and WSAGetLastError() == Code.winsock_not_started) {
        const result = startWinsock();
        if (result < 0) return result;
        made = WSASocketW(family, kind, protocol, null, 0, SocketFlag.overlapped | SocketFlag.not_inherited);
    }
    if (made == invalid_socket) return lastFailure();
    const result = setNonBlocking(made, true);
    if (result < 0) _ = closesocket(made);
    return if (result < 0) result else toDescriptor(made);
}

pub fn setNonBlocking(descriptor: Socket, is_on: bool) i32 {
    var value: u32 = @intFromBool(is_on);
    return if (ioctlsocket(descriptor, set_non_blocking, &value) == 0) 0 else lastFailure();
}

fn startWinsock() i32 {
    var data: WinsockData = undefined;
    const code = WSAStartup(winsock_version, &data);
    return if (code == 0) 0 else fromCode(@intCast(code));
}

/// The negated error number of this thread's last Winsock call.
pub fn lastFailure() i32 {
    return fromCode(@intCast(WSAGetLastError()));
}

/// Likewise, for a call that names a descriptor: if that is nobody's number, `-EBADF`.
pub fn lastFailureOf(descriptor: i32) i32 {
    const result = lastFailure();
    return if (result == -Errno.not_a_socket and !isOpen(descriptor)) -Errno.bad_descriptor else result;
}

/// The negated error number of a kernel's status.
pub fn fromStatus(status: u32) i32 {
    return fromCode(RtlNtStatusToDosError(status));
}

/// The negated error number of a code of GetLastError or WSAGetLastError: libuv's choice where it has one.
pub fn fromCode(code: u32) i32 {
    return -@as(i32, switch (code) {
        2, 3, 1168 => Errno.no_entry, // FILE_NOT_FOUND, PATH_NOT_FOUND, NOT_FOUND
        4 => Errno.too_many_descriptors, // TOO_MANY_OPEN_FILES
        5, 1314 => Errno.not_permitted, // ACCESS_DENIED, PRIVILEGE_NOT_HELD
        6, 10009 => Errno.bad_descriptor, // INVALID_HANDLE, EBADF
        8, 14, 1450 => Errno.no_memory, // NOT_ENOUGH_MEMORY, OUTOFMEMORY, NO_SYSTEM_RESOURCES
        50, 10045 => Errno.not_supported, // NOT_SUPPORTED, EOPNOTSUPP
        1, 120 => Errno.not_implemented, // INVALID_FUNCTION, CALL_NOT_IMPLEMENTED
        64, 10052, 10054 => Errno.connection_reset, // NETNAME_DELETED, ENETRESET, ECONNRESET
        87, 122, 10022 => Errno.invalid_argument, // INVALID_PARAMETER, INSUFFICIENT_BUFFER, EINVAL
        109, 230, 232, 233, 10058, 10101 => Errno.broken_pipe, // of pipes; ESHUTDOWN, EDISCON
        121, 258, 1460, 10060 => Errno.timed_out, // SEM_TIMEOUT, WAIT_TIMEOUT, TIMEOUT, ETIMEDOUT
        183 => Errno.exists, // ALREADY_EXISTS
        234, 10040 => Errno.message_size, // MORE_DATA, EMSGSIZE
        487, 998, 10014 => Errno.fault, // INVALID_ADDRESS, NOACCESS, EFAULT
        995, 10004, 10103, 10111 => Errno.cancelled, // OPERATION_ABORTED, EINTR, ECANCELLED, E_CANCELLED
        996, 997, 10035 => Errno.again, // IO_INCOMPLETE, IO_PENDING, EWOULDBLOCK
        1225, 1234, 10061, 10112 => Errno.connection_refused, // also PORT_UNREACHABLE, EREFUSED
        1227 => Errno.address_in_use, // ADDRESS_ALREADY_ASSOCIATED
        1231, 10051 => Errno.network_unreachable,
        1232, 10065 => Errno.host_unreachable,
        1235 => Errno.connection_aborted, // REQUEST_ABORTED
        1236, 10053 => Errno.connection_aborted,
        1816, 10055 => Errno.no_buffer_space, // NOT_ENOUGH_QUOTA, ENOBUFS
        170, 10036 => Errno.busy, // BUSY; EINPROGRESS is a blocking call of Winsock 1.1
        10013 => Errno.access_denied,
        10024, 10067 => Errno.too_many_descriptors, // EMFILE, EPROCLIM
        10037 => Errno.already,
        10038 => Errno.not_a_socket,
        10039 => Errno.destination_required,
        10041 => Errno.wrong_protocol_type,
        10042 => Errno.no_protocol_option,
        10043 => Errno.protocol_not_supported,
        10044 => Errno.socket_type_not_supported,
        10046, 10047 => Errno.address_family_not_supported, // EPFNOSUPPORT, EAFNOSUPPORT
        10048 => Errno.address_in_use,
        10049 => Errno.address_not_available,
        10050, 10091, 10093 => Errno.network_down, // ENETDOWN, SYSNOTREADY, NOTINITIALISED
        10056 => Errno.is_connected,
        10057 => Errno.not_connected,
        10062 => Errno.loop,
        10063 => Errno.name_too_long,
        10064 => Errno.host_down,
        10066 => Errno.not_empty,
        10069 => Errno.no_space, // EDQUOT
        10092 => Errno.not_implemented, // VERNOTSUPPORTED
        else => Errno.unknown,
    });
}

/// The codes that a call decides by: of Winsock, but for the first.
pub const Code = struct {
    pub const wait_timed_out = 258; // WAIT_TIMEOUT
    pub const invalid_argument = 10022; // WSAEINVAL
    pub const would_block = 10035; // WSAEWOULDBLOCK
    pub const message_size = 10040; // WSAEMSGSIZE
    pub const network_reset = 10052; // WSAENETRESET
    pub const connection_aborted = 10053; // WSAECONNABORTED
    pub const connection_reset = 10054; // WSAECONNRESET
    pub const not_connected = 10057; // WSAENOTCONN
    pub const shut_down = 10058; // WSAESHUTDOWN
    pub const winsock_not_started = 10093; // WSANOTINITIALISED
};

/// One call transfers no more, so that every result fits into an `i32`.
pub const max_transfer_bytes = 0x7ffff000;

pub const Handle = *anyopaque;
pub const Socket = usize;

pub const invalid_handle: Handle = @ptrFromInt(std.math.maxInt(usize));
pub const invalid_socket: Socket = std.math.maxInt(usize);

pub const SocketFlag = struct {
    pub const overlapped: u32 = 0x01;
    pub const not_inherited: u32 = 0x80;
};

/// `WSABUF`
pub const Buffer = extern struct { length: u32, base: [*]u8 };

/// `OVERLAPPED_ENTRY`: what a completion port hands out.
pub const Packet = extern struct { key: usize, context: usize, reserved: usize, bytes: u32 };

/// `SRWLOCK`; all zeros is an open one.
pub const Lock = extern struct { word: usize = 0 };

/// Memory of the process's heap, zeroed.
pub fn allocate(bytes: usize) ?*anyopaque {
    return HeapAlloc(GetProcessHeap() orelse return null, heap_zero_memory, bytes);
}

pub fn free(memory: *anyopaque) void {
    // The heap is there: the memory is from it.
    _ = HeapFree(GetProcessHeap().?, 0, memory);
}

const tag_bits: i32 = 0b11;
const heap_zero_memory: u32 = 0x08;

/// `WSADATA`, which nobody reads here.
const WinsockData = extern struct { bytes: [408]u8 align(8) };

const winsock_version: u16 = 0x0202;

/// FIONBIO
const set_non_blocking: i32 = @bitCast(@as(u32, 0x8004667e));

pub extern "kernel32" fn QueryPerformanceCounter(ticks: *i64) callconv(.winapi) i32;
pub extern "kernel32" fn QueryPerformanceFrequency(ticks_per_second: *i64) callconv(.winapi) i32;
pub extern "kernel32" fn GetHandleInformation(handle: Handle, flags: *u32) callconv(.winapi) i32;
pub extern "kernel32" fn SetHandleInformation(handle: Handle, mask: u32, flags: u32) callconv(.winapi) i32;
pub extern "kernel32" fn GetLastError() callconv(.winapi) u32;
pub extern "kernel32" fn SetLastError(code: u32) callconv(.winapi) void;
pub extern "kernel32" fn GetProcessHeap() callconv(.winapi) ?Handle;
pub extern "kernel32" fn HeapAlloc(heap: Handle, flags: u32, bytes: usize) callconv(.winapi) ?*anyopaque;
pub extern "kernel32" fn HeapFree(heap: Handle, flags: u32, memory: *anyopaque) callconv(.winapi) i32;
pub extern "kernel32" fn AcquireSRWLockExclusive(lock: *Lock) callconv(.winapi) void;
pub extern "kernel32" fn ReleaseSRWLockExclusive(lock: *Lock) callconv(.winapi) void;
pub extern "kernel32" fn SwitchToThread() callconv(.winapi) i32;
pub extern "kernel32" fn CreateIoCompletionPort(
    file: Handle,
    port: ?Handle,
    key: usize,
    concurrency: u32,
) callconv(.winapi) ?Handle;
pub extern "kernel32" fn PostQueuedCompletionStatus(
    port: Handle,
    bytes: u32,
    key: usize,
    overlapped: ?*anyopaque,
) callconv(.winapi) i32;
pub extern "kernel32" fn GetQueuedCompletionStatusEx(
    port: Handle,
    packets: [*]Packet,
    count: u32,
    fetched: *u32,
    timeout_ms: u32,
    is_alertable: i32,
) callconv(.winapi) i32;
pub extern "kernel32" fn SetFileCompletionNotificationModes(file: Handle, flags: u8) callconv(.winapi) i32;
pub extern "kernel32" fn CloseHandle(handle: Handle) callconv(.winapi) i32;

pub extern "ntdll" fn RtlNtStatusToDosError(status: u32) callconv(.winapi) u32;

pub extern "ws2_32" fn WSAStartup(version: u16, data: *WinsockData) callconv(.winapi) i32;
pub extern "ws2_32" fn WSAGetLastError() callconv(.winapi) i32;
pub extern "ws2_32" fn WSASetLastError(code: i32) callconv(.winapi) void;
pub extern "ws2_32" fn WSASocketW(
    family: i32,
    kind: i32,
    protocol: i32,
    info: ?*anyopaque,
    group: u32,
    flags: u32,
) callconv(.winapi) Socket;
pub extern "ws2_32" fn closesocket(socket: Socket) callconv(.winapi) i32;
pub extern "ws2_32" fn ioctlsocket(socket: Socket, command: i32, value: *u32) callconv(.winapi) i32;
pub extern "ws2_32" fn WSAIoctl(
    socket: Socket,
    code: u32,
    input: ?*const anyopaque,
    input_bytes: u32,
    output: ?*anyopaque,
    output_bytes: u32,
    returned_bytes: *u32,
    overlapped: ?*anyopaque,
    completion: ?*anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn bind(socket: Socket, address: *const anyopaque, length: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn listen(socket: Socket, backlog: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn accept(socket: Socket, address: ?*anyopaque, length: ?*i32) callconv(.winapi) Socket;
pub extern "ws2_32" fn connect(socket: Socket, address: *const anyopaque, length: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn recv(socket: Socket, buffer: [*]u8, length: i32, flags: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn send(socket: Socket, buffer: [*]const u8, length: i32, flags: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn sendto(
    socket: Socket,
    buffer: [*]const u8,
    length: i32,
    flags: i32,
    to: *const anyopaque,
    to_length: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn WSARecvFrom(
    socket: Socket,
    buffers: [*]const Buffer,
    count: u32,
    received_bytes: *u32,
    flags: *u32,
    from: ?*anyopaque,
    from_length: ?*i32,
    overlapped: ?*anyopaque,
    completion: ?*anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn WSASend(
    socket: Socket,
    buffers: [*]const Buffer,
    count: u32,
    sent_bytes: *u32,
    flags: u32,
    overlapped: ?*anyopaque,
    completion: ?*anyopaque,
) callconv(.winapi) i32;
pub extern "ws2_32" fn shutdown(socket: Socket, half: i32) callconv(.winapi) i32;
pub extern "ws2_32" fn getsockopt(
    socket: Socket,
    level: i32,
    name: i32,
    value: *anyopaque,
    length: *i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn setsockopt(
    socket: Socket,
    level: i32,
    name: i32,
    value: *const anyopaque,
    length: i32,
) callconv(.winapi) i32;
pub extern "ws2_32" fn getsockname(socket: Socket, address: *anyopaque, length: *i32) callconv(.winapi) i32;
pub extern "ws2_32" fn getpeername(socket: Socket, address: *anyopaque, length: *i32) callconv(.winapi) i32;

comptime {
    std.debug.assert(@sizeOf(Buffer) == 16);
    std.debug.assert(@sizeOf(WinsockData) == 408);
    std.debug.assert(@sizeOf(Packet) == 32);
}
