//! The contract suite: what the contracts in `src/*.zig` promise, checked against the host's
//! own kernel.
//!
//! `zig build test` runs it; `--test-timeout 60s` ends a test that hangs, and `BUN_REACTOR_FUZZ_SEED=N` in the
//! environment changes the seed of `fuzz.zig`. A test that the host cannot run is skipped, and says why.
//!
//! The parts, by what they hold the library to:

test {
    _ = @import("delivery.zig"); // how often a registration reports
    _ = @import("registration.zig"); // what the registry accepts, refuses and forgets, also during a poll
    _ = @import("readiness.zig"); // which bits each event of a stream, a pipe and a connection sets
    _ = @import("identity.zig"); // numbers that are closed, reused and duplicated
    _ = @import("waking.zig"); // ending a wait from outside
    _ = @import("timeouts.zig"); // never early
    _ = @import("signals.zig"); // EINTR
    _ = @import("ring.zig"); // nothing lost when there is no room
    _ = @import("socket.zig"); // the socket calls
    _ = @import("datagram.zig"); // the datagram calls
    _ = @import("unix.zig"); // unix sockets: names, descriptors and credentials
    _ = @import("file.zig"); // the calls on descriptors of any kind
    _ = @import("terminal.zig"); // pairs of terminals, and the settings of serial lines
    _ = @import("process.zig"); // the end of processes, and signals to groups
    _ = @import("watch.zig"); // what is told of files and folders
    _ = @import("fuzz.zig"); // all of it in random order, against a model
}
