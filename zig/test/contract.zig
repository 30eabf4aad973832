//! The contract suite: what the contracts in `src/*.zig` promise, checked against the host's
//! own kernel.
//!
//! `zig build test` runs it with `runner.zig`, which ends a test that hangs; `zig build test -- TEXT` runs the tests that
//! have the text in their names. `BUN_REACTOR_FUZZ_SEED=N` in the environment changes the seed of `fuzz.zig`. A test that
//! the host cannot run is skipped, and says why. The scenarios are the same on every platform; what has to be asked of the
//! system past the library is in `support/`.
//!
//! The parts, by what they hold the library to:

const builtin = @import("builtin");
const support = @import("support.zig");

test {
    _ = @import("delivery.zig"); // how often a registration reports
    _ = @import("registration.zig"); // what the registry accepts, refuses and forgets, also during a poll
    _ = @import("readiness.zig"); // which bits each event of a stream, a pipe and a connection sets
    _ = @import("identity.zig"); // numbers that are closed, reused and duplicated
    _ = @import("waking.zig"); // ending a wait from outside
    _ = @import("timeouts.zig"); // never early
    _ = @import("signals.zig"); // EINTR
    _ = @import("ring.zig"); // nothing lost when there is no room
    _ = @import("belongings.zig"); // what is closed when a thread is gone
    _ = @import("socket.zig"); // the socket calls
    _ = @import("datagram.zig"); // the datagram calls
    _ = @import("unix.zig"); // unix sockets: names, descriptors and credentials
    _ = @import("file.zig"); // the calls on descriptors of any kind
    _ = @import("terminal.zig"); // pairs of terminals, and the settings of serial lines
    _ = @import("process.zig"); // the end of processes, and signals to groups
    _ = @import("watch.zig"); // what is told of files and folders
    if (builtin.os.tag != .linux) _ = @import("absent.zig"); // what is only on Linux
    if (builtin.os.tag == .windows) _ = @import("windows.zig"); // faults that only this system's queue knows
    if (builtin.os.tag == .windows) _ = @import("windows_calls.zig"); // and its calls
    if (builtin.os.tag == .macos or builtin.os.tag == .freebsd) _ = @import("headers.zig"); // numbers and layouts
    if (builtin.os.tag != .windows) _ = @import("kqueue.zig"); // what events of kqueue(2) mean
    if (support.features.has_epoll) _ = @import("epoll.zig"); // what only this backend has
    _ = @import("fuzz_connections.zig"); // the queue in random order, over the network
    _ = @import("fuzz.zig"); // all of it in random order, against a model
}
