//! What the systems have and do otherwise, in one place: by these a test skips itself, or expects something else. Where the
//! kernel can be asked, it is asked instead (`emulator.zig`, `external.zig`).

const builtin = @import("builtin");
const Queue = @import("library").queue.Queue;

const is_linux = builtin.os.tag == .linux;
const is_windows = builtin.os.tag == .windows;

/// The backend that the suite runs over: on Linux either (`-Dqueue=kqueue`).
pub const has_epoll = @hasField(Queue, "has_nanosecond_wait");
pub const has_kqueue = @hasField(Queue, "user_filter");

/// Whether bytes that arrive are told also while earlier ones are unread.
pub const tells_every_change = !is_windows;
/// Whether a half that we have closed ourselves is told like one that the peer has closed.
pub const tells_own_shutdown = !is_windows;
/// Whether nothing is told of a number that was closed without deregister, also what was found before.
pub const forgets_closed_numbers = !is_windows;
/// Whether a wake takes the place of an event in what one poll fetches, so that it may be left for the next.
pub const has_place_for_wake = !is_windows;

/// Streams of two ends that are no connection, where the other end's readiness shows at once what one end does.
pub const has_local_pairs = !is_windows;
/// Pipes that can be waited for.
pub const has_pipes = !is_windows;
/// Files that can be opened by their paths.
pub const has_files = !is_windows;
pub const has_duplicates = !is_windows;
/// Whether a descriptor tells its mode and its access.
pub const has_status_flags = !is_windows;
/// A limit of descriptors that a process can lower for itself.
pub const has_descriptor_limit = !is_windows;
/// Signals that interrupt a call.
pub const has_signals = !is_windows;
/// Pairs of terminals, and serial lines that can be waited for.
pub const has_terminals = !is_windows;
/// The speeds of a line are constants, but for a few.
pub const has_speed_constants = is_linux;
pub const has_watching = is_linux;
/// Descriptors of processes.
pub const has_processes = is_linux;
/// Signals to groups of processes.
pub const has_process_groups = !is_windows;

pub const has_unix_datagrams = !is_windows;
pub const has_unix_pairs = !is_windows;
/// Descriptors go over unix sockets, and so does who is at the other end.
pub const has_passing = !is_windows;
pub const has_credentials = !is_windows;
pub const has_abstract_names = is_linux;
/// A connect to a unix socket whose backlog is full would block; elsewhere it is refused.
pub const waits_at_full_backlog = is_linux;
/// unix(7), unix(4); on Windows a zero must follow.
pub const longest_path_bytes = if (is_linux) 108 else if (is_windows) 107 else 104;

/// Several listeners on one port.
pub const has_shared_ports = !is_windows;
/// A vectored call has a limit of parts, above which it does nothing.
pub const refuses_many_parts = !is_windows;
/// A second connect reports the end of the first, once.
pub const tells_connect_once = !is_windows;
/// The reset of a connection is told to one call; from then on it is at its end.
pub const forgets_resets = !is_windows;
/// What the kernel gives of a socket's buffer for each byte that is asked for: socket(7).
pub const buffer_factor = if (is_linux) 2 else 1;
/// The loopback interface, whose number is 1 but on FreeBSD.
pub const loopback_interface = if (is_linux) "lo" else if (is_windows) "1" else "lo0";

/// More sources than a backend fetches events of at once.
pub const more_than_a_poll_fetches = if (is_windows) 600 else 1500;

/// How often something is done that is worth doing often. Under Wine each call takes ten times as long.
pub fn shortened(comptime count: u32) u32 {
    return if (is_windows) count / 4 else count;
}
