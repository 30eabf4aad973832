//! The numbers and layouts of macOS and FreeBSD, held against the headers of those systems, which the compiler brings
//! along: so they are checked on every machine that compiles the suite for them (`zig build compile-test
//! -Dtarget=aarch64-macos`).

const std = @import("std");
const builtin = @import("builtin");
const library = @import("library");

const bsd = library.bsd.system;
const datagram = library.bsd.datagram;
const file = library.bsd.file;
const is_macos = builtin.os.tag == .macos;
const kernel = library.kqueue_kernel;
const socket = library.bsd.socket;
const terminal = library.bsd.terminal;
const unix = library.bsd.unix;

const c = @cImport({
    @cInclude("sys/types.h");
    @cInclude("sys/event.h");
    @cInclude("sys/ioctl.h");
    @cInclude("sys/socket.h");
    @cInclude("sys/ucred.h");
    @cInclude("sys/un.h");
    @cInclude("netinet/in.h");
    @cInclude("netinet/tcp.h");
    @cInclude("errno.h");
    @cInclude("fcntl.h");
    @cInclude("pthread.h");
    @cInclude("termios.h");
    @cInclude("time.h");
});

/// Without what else FreeBSD puts into this header, which does not translate.
const files = @cImport({
    @cDefine("_XOPEN_SOURCE", "700");
    @cInclude("sys/stat.h");
});

test "events" {
    comptime {
        sameLayout(kernel.Event, c.struct_kevent, .{
            .{ "identifier", "ident" },
            .{ "filter", "filter" },
            .{ "flags", "flags" },
            .{ "filter_flags", "fflags" },
            .{ "data", "data" },
            .{ "user_data", "udata" },
        });
        same(kernel.Filter.read, c.EVFILT_READ);
        same(kernel.Filter.write, c.EVFILT_WRITE);
        same(kernel.Filter.user[0], c.EVFILT_USER);
        same(kernel.note_trigger, c.NOTE_TRIGGER);
        same(kernel.Flag.add, c.EV_ADD);
        same(kernel.Flag.delete, c.EV_DELETE);
        same(kernel.Flag.enable, c.EV_ENABLE);
        same(kernel.Flag.disable, c.EV_DISABLE);
        same(kernel.Flag.edge, c.EV_CLEAR);
        same(kernel.Flag.receipt, c.EV_RECEIPT);
        same(kernel.Flag.disable_once_told, c.EV_DISPATCH);
        same(kernel.Flag.end_of_file, c.EV_EOF);
        if (kernel.has_out_of_band) {
            same(kernel.Filter.out_of_band, c.EVFILT_EXCEPT);
            same(kernel.note_out_of_band, c.NOTE_OOB);
        }
        if (@sizeOf(kernel.Mutex) < @sizeOf(c.pthread_mutex_t)) @compileError("the mutex does not fit");
    }
}

test "errors, clocks and files" {
    comptime {
        same(bsd.Errno.not_permitted, c.EPERM);
        same(bsd.Errno.no_entry, c.ENOENT);
        same(bsd.Errno.interrupted, c.EINTR);
        same(bsd.Errno.bad_descriptor, c.EBADF);
        same(bsd.Errno.out_of_memory, c.ENOMEM);
        same(bsd.Errno.exists, c.EEXIST);
        same(bsd.Errno.invalid_argument, c.EINVAL);
        same(bsd.Errno.no_space, c.ENOSPC);
        same(bsd.Errno.again, c.EAGAIN);
        same(bsd.Errno.address_family_not_supported, c.EAFNOSUPPORT);
        same(bsd.Errno.name_too_long, c.ENAMETOOLONG);
        same(bsd.Errno.not_implemented, c.ENOSYS);
        same(bsd.clock_monotonic, if (is_macos) c.CLOCK_UPTIME_RAW else c.CLOCK_MONOTONIC);
        sameLayout(bsd.FileInformation, files.struct_stat, .{.{ "mode", "st_mode" }});
        same(kernel.FileType.pipe, files.S_IFIFO);
        same(kernel.FileType.folder, files.S_IFDIR);
        same(kernel.FileType.block_device, files.S_IFBLK);
        same(kernel.FileType.regular, files.S_IFREG);
        same(kernel.FileType.socket, files.S_IFSOCK);
        same(file.Flag.nonblock, c.O_NONBLOCK);
        same(file.Flag.cloexec, c.O_CLOEXEC);
        same(file.Flag.no_controlling_terminal, c.O_NOCTTY);
        same(file.Command.get_flags, c.F_GETFL);
        same(file.Command.set_flags, c.F_SETFL);
        same(file.Command.duplicate_cloexec, c.F_DUPFD_CLOEXEC);
    }
}

test "sockets" {
    comptime {
        sameLayout(socket.MessageHeader, c.struct_msghdr, .{
            .{ "name", "msg_name" },
            .{ "name_length", "msg_namelen" },
            .{ "parts", "msg_iov" },
            .{ "part_count", "msg_iovlen" },
            .{ "control", "msg_control" },
            .{ "control_length", "msg_controllen" },
            .{ "flags", "msg_flags" },
        });
        same(@offsetOf(socket.AddressHead, "family"), @offsetOf(c.struct_sockaddr, "sa_family"));
        same(socket.Family.unix, c.AF_UNIX);
        same(socket.Family.ipv4, c.AF_INET);
        same(socket.Family.ipv6, c.AF_INET6);
        same(socket.Type.stream, c.SOCK_STREAM);
        same(socket.Type.datagram, c.SOCK_DGRAM);
        same(socket.Level.socket, c.SOL_SOCKET);
        same(socket.Level.ipv4, c.IPPROTO_IP);
        same(socket.Level.ipv6, c.IPPROTO_IPV6);
        same(socket.pending_error, c.SO_ERROR);
        same(socket.nativeOption(.no_delay).name, c.TCP_NODELAY);
        same(socket.nativeOption(.keep_alive).name, c.SO_KEEPALIVE);
        same(socket.nativeOption(.keep_alive_idle_s).name, if (is_macos) c.TCP_KEEPALIVE else c.TCP_KEEPIDLE);
        same(socket.nativeOption(.keep_alive_interval_s).name, c.TCP_KEEPINTVL);
        same(socket.nativeOption(.keep_alive_count).name, c.TCP_KEEPCNT);
        same(socket.nativeOption(.reuse_address).name, c.SO_REUSEADDR);
        same(socket.nativeOption(.reuse_port).name, if (is_macos) c.SO_REUSEPORT else c.SO_REUSEPORT_LB);
        same(socket.nativeOption(.ipv6_only).name, c.IPV6_V6ONLY);
        same(socket.nativeOption(.receive_buffer_bytes).name, c.SO_RCVBUF);
        same(socket.nativeOption(.send_buffer_bytes).name, c.SO_SNDBUF);
        same(socket.nativeOption(.linger_s).name, if (is_macos) c.SO_LINGER_SEC else c.SO_LINGER);
        same(socket.Flag.truncated, c.MSG_TRUNC);
        same(socket.Flag.control_truncated, c.MSG_CTRUNC);
        if (is_macos) same(socket.no_signal_option, c.SO_NOSIGPIPE) else same(socket.Flag.no_signal, c.MSG_NOSIGNAL);
        if (!is_macos) same(socket.Type.at_birth, c.SOCK_NONBLOCK | c.SOCK_CLOEXEC);
    }
}

test "datagrams" {
    comptime {
        same(datagram.optionName(.broadcast, true), c.SO_BROADCAST);
        same(datagram.optionName(.hops, true), c.IP_TTL);
        same(datagram.optionName(.hops, false), c.IPV6_UNICAST_HOPS);
        same(datagram.optionName(.multicast_hops, true), c.IP_MULTICAST_TTL);
        same(datagram.optionName(.multicast_hops, false), c.IPV6_MULTICAST_HOPS);
        same(datagram.optionName(.multicast_loopback, true), c.IP_MULTICAST_LOOP);
        same(datagram.optionName(.multicast_loopback, false), c.IPV6_MULTICAST_LOOP);
        same(datagram.optionName(.multicast_interface, true), c.IP_MULTICAST_IF);
        same(datagram.optionName(.multicast_interface, false), c.IPV6_MULTICAST_IF);
        same(datagram.membership6(true), c.IPV6_JOIN_GROUP);
        same(datagram.membership6(false), c.IPV6_LEAVE_GROUP);
        sameLayout(datagram.AnyMembership4, c.struct_ip_mreq, .{});
        // macOS packs it, which the translation of its header does not show.
        if (!is_macos) sameLayout(datagram.GroupRequest, c.struct_group_req, .{.{ "group", "gr_group" }});
    }
}

test "unix sockets" {
    comptime {
        sameLayout(unix.ControlHeader, c.struct_cmsghdr, .{
            .{ "length", "cmsg_len" },
            .{ "level", "cmsg_level" },
            .{ "kind", "cmsg_type" },
        });
        same(unix.name_bytes, @sizeOf(@FieldType(c.struct_sockaddr_un, "sun_path")));
        same(unix.peer_credentials, c.LOCAL_PEERCRED);
        sameLayout(unix.NativeCredentials, c.struct_xucred, .{
            .{ "user_id", "cr_uid" },
            .{ "group_count", "cr_ngroups" },
        });
        if (is_macos) {
            same(unix.peer_process, c.LOCAL_PEERPID);
            same(unix.unsent_bytes, c.SO_NWRITE);
        } else {
            same(unix.close_on_exec, c.MSG_CMSG_CLOEXEC);
            same(unix.unsent_request, c.FIONWRITE);
        }
    }
}

test "terminals" {
    comptime {
        same(terminal.native_mode_bytes, @sizeOf(c.struct_termios));
        same(@offsetOf(terminal.Mode, "local"), @offsetOf(c.struct_termios, "c_lflag"));
        same(@offsetOf(terminal.Mode, "characters"), @offsetOf(c.struct_termios, "c_cc"));
        same(@offsetOf(terminal.Mode, "input_baud"), @offsetOf(c.struct_termios, "c_ispeed"));
        same(@offsetOf(terminal.Mode, "output_baud"), @offsetOf(c.struct_termios, "c_ospeed"));
        same(terminal.Character.minimum, c.VMIN);
        same(terminal.Character.time, c.VTIME);
        same(terminal.Input.ignore_break, c.IGNBRK);
        same(terminal.Input.break_interrupts, c.BRKINT);
        same(terminal.Input.ignore_parity, c.IGNPAR);
        same(terminal.Input.mark_parity, c.PARMRK);
        same(terminal.Input.check_parity, c.INPCK);
        same(terminal.Input.strip, c.ISTRIP);
        same(terminal.Input.newline_to_return, c.INLCR);
        same(terminal.Input.ignore_return, c.IGNCR);
        same(terminal.Input.return_to_newline, c.ICRNL);
        same(terminal.Input.software_output, c.IXON);
        same(terminal.Input.software_input, c.IXOFF);
        same(terminal.Input.any_restarts, c.IXANY);
        same(terminal.Output.process, c.OPOST);
        same(terminal.Local.echo, c.ECHO);
        same(terminal.Local.echo_newline, c.ECHONL);
        same(terminal.Local.signals, c.ISIG);
        same(terminal.Local.canonical, c.ICANON);
        same(terminal.Local.extended, c.IEXTEN);
        same(terminal.Control.size_mask, c.CSIZE);
        same(terminal.Control.size_step, c.CS6 - c.CS5);
        same(terminal.Control.size_8, c.CS8);
        same(terminal.Control.two_stop_bits, c.CSTOPB);
        same(terminal.Control.receive, c.CREAD);
        same(terminal.Control.parity, c.PARENB);
        same(terminal.Control.parity_odd, c.PARODD);
        same(terminal.Control.ignore_carrier, c.CLOCAL);
        same(terminal.Control.hardware_flow, c.CRTSCTS);
        same(terminal.Request.get_mode, c.TIOCGETA);
        same(terminal.Request.set_mode, c.TIOCSETA);
        same(terminal.Request.get_window_size, c.TIOCGWINSZ);
        same(terminal.Request.set_window_size, c.TIOCSWINSZ);
        same(terminal.Request.unsent, c.TIOCOUTQ);
        same(terminal.Request.get_modem, c.TIOCMGET);
        same(terminal.Request.set_modem_bits, c.TIOCMBIS);
        same(terminal.Request.clear_modem_bits, c.TIOCMBIC);
        same(terminal.Request.begin_break, c.TIOCSBRK);
        same(terminal.Request.end_break, c.TIOCCBRK);
        same(terminal.exclusive, c.TIOCEXCL);
        same(terminal.shared, c.TIOCNXCL);
        same(terminal.flush, c.TIOCFLUSH);
        if (is_macos) same(terminal.get_name, c.TIOCPTYGNAME) else same(terminal.get_number, c.TIOCGPTN);
    }
}

fn same(comptime ours: anytype, comptime theirs: anytype) void {
    if (ours != theirs) @compileError(std.fmt.comptimePrint("{d} is {d} in the headers", .{ ours, theirs }));
}

/// The same size, and the same places of fields.
fn sameLayout(comptime Ours: type, comptime Theirs: type, comptime fields: anytype) void {
    same(@sizeOf(Ours), @sizeOf(Theirs));
    for (fields) |pair| same(@offsetOf(Ours, pair[0]), @offsetOf(Theirs, pair[1]));
}
