//! What a system lacks: every call of a family that is not there says so, and does nothing.

const support = @import("support.zig");

const Errno = support.Errno;
const file = support.file;
const process = support.process;
const system = support.system;
const terminal = support.terminal;
const unix = support.unix;
const watch = support.watch;

const absent = -Errno.not_implemented;

test "files are not watched: ENOSYS" {
    if (support.features.has_watching) return support.skip("this system's files are watched");
    var bytes: [64]u8 align(4) = undefined;
    try support.expectEach(absent, &.{ watch.open(), watch.add(1, ".", .root), watch.remove(1, 1), watch.read(1, &bytes) });
}

test "processes have no descriptors: ENOSYS" {
    if (support.features.has_processes) return support.skip("this system has descriptors of processes");
    try support.expectEach(absent, &.{ process.open(1), process.peekStatus(1) });
    if (!support.features.has_process_groups) try support.expectResult(absent, process.signalGroup(2, 0));
}

test "terminals cannot be waited for: ENOSYS" {
    if (support.features.has_terminals) return support.skip("this system's terminals can be waited for");
    var mode: terminal.Mode = undefined;
    var size: terminal.WindowSize = .{ .rows = 24, .columns = 80 };
    const line: terminal.Line = .{ .baud = 9600, .data_bits = 8, .parity = 0, .stop_bits = 1, .flow_control = 0 };
    try support.expectEach(absent, &.{
        terminal.openController(),
        terminal.numberOf(1),
        terminal.openPeer(1),
        terminal.getMode(1, &mode),
        terminal.setMode(1, &mode),
        terminal.configureLine(&mode, &line),
        terminal.getWindowSize(1, &size),
        terminal.setWindowSize(1, &size),
        terminal.modemLines(1),
        terminal.changeModemLines(1, 1, 0),
        terminal.setBreak(1, true),
        terminal.unsentBytes(1),
        terminal.isTransmitterEmpty(1),
        terminal.discard(1, .both),
        terminal.setExclusive(1, true),
    });
}

test "pipes and files cannot be waited for: ENOSYS" {
    if (support.features.has_pipes) return support.skip("this system's pipes can be waited for");
    var pair: file.PipePair = undefined;
    try support.expectEach(absent, &.{ file.makePipe(&pair), file.open("file", .both), file.makeFifo("pipe", 0o600), file.duplicate(1) });
}

test "unix sockets are streams alone: ENOSYS for a call, ENOTSUP for a kind" {
    if (support.features.has_unix_datagrams) return support.skip("this system's unix sockets are all there");
    var pair: unix.Pair = undefined;
    var credentials: unix.Credentials = undefined;
    try support.expectEach(absent, &.{
        unix.makePair(.stream, &pair),
        unix.peerCredentials(1, &credentials),
        unix.passCredentials(1),
        unix.queuedBytes(1),
    });
    try support.expectResult(-Errno.not_supported, unix.create(.datagram));
}
